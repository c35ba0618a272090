// A pass-through VFS: SQLite's own files behind it, syncs timed, and faults for tests.

#include "dovetail_disk_watch.h"

#include "power_loss.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

typedef struct {
    sqlite3_file base;
    const char *path;
    int is_wal;
    // The system's own file follows.
} watched_file;

#define REAL(file) ((sqlite3_file *)((watched_file *)(file) + 1))
#define CALL(file, method, ...) REAL(file)->pMethods->method(REAL(file), ##__VA_ARGS__)

static sqlite3_vfs *base_vfs;
static sqlite3_vfs watch_vfs;
static atomic_int is_registered;

static _Atomic uint64_t sync_count, sync_nanoseconds, sync_buckets[DOVETAIL_SYNC_BUCKETS];

static atomic_int fault_kind, fault_passes;
static char fault_path[256];
/// What chance begins with.
static uint64_t fault_seed;

/// Whether this operation is the one to fail.
static int fails(sqlite3_file *file, int kind) {
    if (atomic_load_explicit(&fault_kind, memory_order_acquire) != kind) return 0;
    const char *path = ((watched_file *)file)->path;
    if (path == NULL) return 0;
    size_t length = strlen(path), end = strlen(fault_path);
    if (length < end || strcmp(path + length - end, fault_path) != 0) return 0;
    return atomic_fetch_sub(&fault_passes, 1) <= 0;
}

/// Whether the power is to go, so that what is not synced has to be known.
static int loses_power(void) {
    return atomic_load_explicit(&fault_kind, memory_order_relaxed) >= DOVETAIL_FAULT_LOSE_POWER_AT_WRITE;
}

static void lose_power(void) { dovetail_power_lose(fault_seed); }

static void note_write(sqlite3_file *file, int count, sqlite3_int64 offset) {
    const char *path = ((watched_file *)file)->path;
    sqlite3_int64 size = 0;
    if (path == NULL || CALL(file, xFileSize, &size) != SQLITE_OK) return;
    int old_count = size <= offset ? 0 : size - offset < count ? (int)(size - offset) : count;
    void *old = sqlite3_malloc(old_count + 1);
    if (old != NULL && (old_count == 0 || CALL(file, xRead, old, old_count, offset) == SQLITE_OK))
        dovetail_power_note(path, offset, count, old, old_count);
    sqlite3_free(old);
}

static int watch_close(sqlite3_file *file) { return CALL(file, xClose); }

static int watch_read(sqlite3_file *file, void *bytes, int count, sqlite3_int64 offset) {
    if (fails(file, DOVETAIL_FAULT_READ)) return SQLITE_IOERR_READ;
    return CALL(file, xRead, bytes, count, offset);
}

static int watch_write(sqlite3_file *file, const void *bytes, int count, sqlite3_int64 offset) {
    if (fails(file, DOVETAIL_FAULT_KILL_AT_WRITE)) raise(SIGKILL);
    if (loses_power()) {
        note_write(file, count, offset);
        if (fails(file, DOVETAIL_FAULT_LOSE_POWER_AT_WRITE)) lose_power();
    }
    if (fails(file, DOVETAIL_FAULT_WRITE)) return SQLITE_IOERR_WRITE;
    if (fails(file, DOVETAIL_FAULT_FULL)) return SQLITE_FULL;
    if (fails(file, DOVETAIL_FAULT_TORN_WRITE)) {
        CALL(file, xWrite, bytes, count / 2, offset);
        return SQLITE_IOERR_WRITE;
    }
    return CALL(file, xWrite, bytes, count, offset);
}

static int watch_truncate(sqlite3_file *file, sqlite3_int64 size) { return CALL(file, xTruncate, size); }

static int watch_sync(sqlite3_file *file, int flags) {
    if (fails(file, DOVETAIL_FAULT_KILL_BEFORE_SYNC)) raise(SIGKILL);
    if (fails(file, DOVETAIL_FAULT_SYNC)) return SQLITE_IOERR_FSYNC;
    if (fails(file, DOVETAIL_FAULT_LOSE_POWER_BEFORE_SYNC)) lose_power();
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    int code = CALL(file, xSync, flags);
    clock_gettime(CLOCK_MONOTONIC, &end);
    if (fails(file, DOVETAIL_FAULT_KILL_AFTER_SYNC)) raise(SIGKILL);
    if (loses_power() && code == SQLITE_OK && ((watched_file *)file)->path != NULL) {
        dovetail_power_synced(((watched_file *)file)->path);
        if (fails(file, DOVETAIL_FAULT_LOSE_POWER_AFTER_SYNC)) lose_power();
    }
    if (!((watched_file *)file)->is_wal) return code;
    uint64_t time = (uint64_t)(end.tv_sec - start.tv_sec) * 1000000000u + (uint64_t)end.tv_nsec - (uint64_t)start.tv_nsec;
    int bucket = 0;
    for (uint64_t bound = 15625; bucket < DOVETAIL_SYNC_BUCKETS - 1 && time > bound; bound *= 2) bucket++;
    atomic_fetch_add_explicit(&sync_count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&sync_nanoseconds, time, memory_order_relaxed);
    atomic_fetch_add_explicit(&sync_buckets[bucket], 1, memory_order_relaxed);
    return code;
}

static int watch_size(sqlite3_file *file, sqlite3_int64 *size) { return CALL(file, xFileSize, size); }
static int watch_lock(sqlite3_file *file, int kind) { return CALL(file, xLock, kind); }
static int watch_unlock(sqlite3_file *file, int kind) { return CALL(file, xUnlock, kind); }
static int watch_reserved(sqlite3_file *file, int *result) { return CALL(file, xCheckReservedLock, result); }
static int watch_control(sqlite3_file *file, int op, void *argument) { return CALL(file, xFileControl, op, argument); }
static int watch_sector(sqlite3_file *file) { return CALL(file, xSectorSize); }
static int watch_characteristics(sqlite3_file *file) { return CALL(file, xDeviceCharacteristics); }
static int watch_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **at) {
    return CALL(file, xShmMap, page, size, extend, at);
}
static int watch_shm_lock(sqlite3_file *file, int offset, int count, int flags) {
    return CALL(file, xShmLock, offset, count, flags);
}
static void watch_shm_barrier(sqlite3_file *file) { CALL(file, xShmBarrier); }
static int watch_shm_unmap(sqlite3_file *file, int remove) { return CALL(file, xShmUnmap, remove); }
static int watch_fetch(sqlite3_file *file, sqlite3_int64 offset, int count, void **at) {
    return CALL(file, xFetch, offset, count, at);
}
static int watch_unfetch(sqlite3_file *file, sqlite3_int64 offset, void *at) {
    return CALL(file, xUnfetch, offset, at);
}

// As many methods as the file behind has: SQLite asks by the version.
#define METHODS(version)                                                                                                 \
    {                                                                                                                    \
        version, watch_close, watch_read, watch_write, watch_truncate, watch_sync, watch_size, watch_lock, watch_unlock, \
            watch_reserved, watch_control, watch_sector, watch_characteristics, watch_shm_map, watch_shm_lock,           \
            watch_shm_barrier, watch_shm_unmap, watch_fetch, watch_unfetch                                               \
    }
static const sqlite3_io_methods methods[] = {METHODS(1), METHODS(2), METHODS(3)};

static int watch_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *out) {
    watched_file *watched = (watched_file *)file;
    watched->base.pMethods = NULL;
    watched->path = path;
    watched->is_wal = (flags & SQLITE_OPEN_WAL) != 0;
    REAL(file)->pMethods = NULL;
    int code = base_vfs->xOpen(base_vfs, path, REAL(file), flags, out);
    if (REAL(file)->pMethods == NULL) return code;
    int version = REAL(file)->pMethods->iVersion;
    watched->base.pMethods = &methods[version < 1 ? 0 : version > 3 ? 2 : version - 1];
    return code;
}

const char *dovetail_disk_watch_name(void) {
    static const char name[] = "dovetail";
    int expected = 0;
    if (atomic_compare_exchange_strong(&is_registered, &expected, 1)) {
        base_vfs = sqlite3_vfs_find(NULL);
        if (base_vfs != NULL) {
            watch_vfs = *base_vfs;
            watch_vfs.pNext = NULL;
            watch_vfs.zName = name;
            watch_vfs.szOsFile = (int)sizeof(watched_file) + base_vfs->szOsFile;
            watch_vfs.xOpen = watch_open;
            atomic_store(&is_registered, sqlite3_vfs_register(&watch_vfs, 0) == SQLITE_OK ? 2 : 3);
        } else {
            atomic_store(&is_registered, 3);
        }
    }
    // Another thread registers it at this moment.
    while (atomic_load(&is_registered) == 1) {}
    return atomic_load(&is_registered) == 2 ? name : NULL;
}

void dovetail_disk_watch_times(dovetail_sync_times *times) {
    times->count = atomic_load_explicit(&sync_count, memory_order_relaxed);
    times->nanoseconds = atomic_load_explicit(&sync_nanoseconds, memory_order_relaxed);
    for (int bucket = 0; bucket < DOVETAIL_SYNC_BUCKETS; bucket++)
        times->buckets[bucket] = atomic_load_explicit(&sync_buckets[bucket], memory_order_relaxed);
}

void dovetail_disk_watch_fail(int fault, const char *path_end, int passes) {
    atomic_store(&fault_kind, DOVETAIL_FAULT_NONE);
    if (fault == DOVETAIL_FAULT_NONE || path_end == NULL) return;
    strncpy(fault_path, path_end, sizeof(fault_path) - 1);
    fault_path[sizeof(fault_path) - 1] = 0;
    atomic_store(&fault_passes, passes);
    fault_seed = (uint64_t)passes;
    atomic_store_explicit(&fault_kind, fault, memory_order_release);
}
