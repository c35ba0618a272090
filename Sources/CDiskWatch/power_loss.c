// Undoes what was written since the last sync, block by block.

#include "power_loss.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 4096

/// A part of a write that lies within one block.
typedef struct part {
    struct part *older;
    char *path;
    int64_t offset;
    int count;
    /// How much of it was there before; the file ended here where that is less than `count`.
    int old_count;
    int is_kept;
    unsigned char old[];
} part;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static part *newest;

void dovetail_power_note(const char *path, int64_t offset, int count, const void *old, int old_count) {
    pthread_mutex_lock(&lock);
    for (int done = 0; done < count;) {
        int length = BLOCK - (int)((offset + done) % BLOCK);
        if (length > count - done) length = count - done;
        int known = old_count - done;
        if (known < 0) known = 0;
        if (known > length) known = length;
        part *next = malloc(sizeof(part) + (size_t)known);
        if (next == NULL) abort();
        *next = (part){newest, strdup(path), offset + done, length, known, 0};
        memcpy(next->old, (const unsigned char *)old + done, (size_t)known);
        newest = next;
        done += length;
    }
    pthread_mutex_unlock(&lock);
}

void dovetail_power_synced(const char *path) {
    pthread_mutex_lock(&lock);
    for (part **at = &newest; *at != NULL;) {
        part *this = *at;
        if (strcmp(this->path, path) == 0) {
            *at = this->older;
            free(this->path);
            free(this);
        } else {
            at = &this->older;
        }
    }
    pthread_mutex_unlock(&lock);
}

static int is_same_block(const part *left, const part *right) {
    return left->offset / BLOCK == right->offset / BLOCK && strcmp(left->path, right->path) == 0;
}

/// Puts back what was there; where the file ended, it ends again, or has zeros if something behind is kept.
static void undo(const part *this) {
    static const unsigned char zeros[BLOCK];
    int file = open(this->path, O_RDWR);
    if (file < 0) return;
    if (pwrite(file, this->old, (size_t)this->old_count, this->offset) < 0) abort();
    if (this->old_count < this->count) {
        struct stat status;
        int64_t end = this->offset + this->old_count;
        if (fstat(file, &status) != 0) abort();
        if (status.st_size <= this->offset + this->count) {
            if (ftruncate(file, end) != 0) abort();
        } else if (pwrite(file, zeros, (size_t)(this->count - this->old_count), end) < 0) {
            abort();
        }
    }
    close(file);
}

void dovetail_power_lose(uint64_t seed) {
    // Never given back: nobody writes any more.
    pthread_mutex_lock(&lock);
    uint64_t state = seed * 0x9E3779B97F4A7C15u + 1;
    // Every third time everything is lost, else of each block what was written last is kept by chance.
    int keeps_some = seed % 3 != 0;
    for (part *this = newest; this != NULL; this = this->older) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        this->is_kept = keeps_some && (state >> 33) % 2 == 0;
        // What lies under a write that was kept does not matter any more.
        for (part *newer = newest; newer != this && !this->is_kept; newer = newer->older)
            if (newer->is_kept && is_same_block(newer, this)) this->is_kept = 1;
        if (!this->is_kept) undo(this);
    }
    raise(SIGKILL);
}
