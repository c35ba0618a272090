#ifndef DOVETAIL_CHECKSUM_H
#define DOVETAIL_CHECKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Whether this processor has instructions for CRC-32C (RFC 3720, 12.1).
bool dovetail_has_crc32c(void);

/// Goes on with a CRC-32C by those instructions; only where the processor has them.
uint32_t dovetail_crc32c(uint32_t crc, const uint8_t *bytes, size_t count);

#endif
