#ifndef DOVETAIL_POWER_LOSS_H
#define DOVETAIL_POWER_LOSS_H

#include <stdint.h>

/// What is not on the disk yet: for tests that take the power away.

/// Notes what a write of `count` bytes at `offset` is about to replace. `old` has `old_count` bytes, fewer than `count` where the file ended.
void dovetail_power_note(const char *path, int64_t offset, int count, const void *old, int old_count);

/// All of this file is on the disk.
void dovetail_power_synced(const char *path);

/// Takes away what is not on the disk, as a disk may that loses its power: of each block by itself it is chance (`seed`) whether it had been written. Then kills the process.
void dovetail_power_lose(uint64_t seed);

#endif
