#ifndef DOVETAIL_DISK_WATCH_H
#define DOVETAIL_DISK_WATCH_H

#include <stdint.h>

/// A VFS of SQLite that passes everything on to the system's own, and takes the time of each sync. Tests make it fail.

/// The name to open databases with. Registers the VFS at the first call; NULL if that fails.
const char *dovetail_disk_watch_name(void);

/// Bounds of the buckets of times: powers of two from 1/64 ms; the last one has all that took longer.
#define DOVETAIL_SYNC_BUCKETS 16

/// Syncs of write-ahead logs since the process began.
typedef struct {
    uint64_t count;
    uint64_t nanoseconds;
    uint64_t buckets[DOVETAIL_SYNC_BUCKETS];
} dovetail_sync_times;

void dovetail_disk_watch_times(dovetail_sync_times *times);

/// What a test has fail.
enum {
    DOVETAIL_FAULT_NONE = 0,
    /// A write does nothing and reports an I/O error.
    DOVETAIL_FAULT_WRITE = 1,
    /// A write writes half of it and reports an I/O error.
    DOVETAIL_FAULT_TORN_WRITE = 2,
    /// A sync reports an I/O error; what was written may be there or not.
    DOVETAIL_FAULT_SYNC = 3,
    /// A read reports an I/O error.
    DOVETAIL_FAULT_READ = 4,
    /// The process is killed (SIGKILL) before a write, before a sync, after a sync.
    DOVETAIL_FAULT_KILL_AT_WRITE = 5,
    DOVETAIL_FAULT_KILL_BEFORE_SYNC = 6,
    DOVETAIL_FAULT_KILL_AFTER_SYNC = 7,
    /// A write reports that the disk is full.
    DOVETAIL_FAULT_FULL = 8,
    /// The power goes at a write, before a sync, after a sync: what was written to any file since its last sync is lost, or half of it, and the process
    /// is killed. To be chosen before the files are opened.
    DOVETAIL_FAULT_LOSE_POWER_AT_WRITE = 9,
    DOVETAIL_FAULT_LOSE_POWER_BEFORE_SYNC = 10,
    DOVETAIL_FAULT_LOSE_POWER_AFTER_SYNC = 11,
};

/// From now on, operations of this kind on files whose path ends so fail, after `passes` of them went well. One fault at a time; NONE ends it.
void dovetail_disk_watch_fail(int fault, const char *path_end, int passes);

#endif
