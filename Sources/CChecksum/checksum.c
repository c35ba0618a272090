// The processor's own CRC-32C, which Swift has no name for.

#include "dovetail_checksum.h"

#include <string.h>

#if defined(__x86_64__)

#include <nmmintrin.h>
#define WITH_CRC32C __attribute__((target("sse4.2")))
#define ADD_8(crc, word) (uint32_t)_mm_crc32_u64(crc, word)
#define ADD_1(crc, byte) _mm_crc32_u8(crc, byte)

bool dovetail_has_crc32c(void) { return __builtin_cpu_supports("sse4.2"); }

#elif defined(__aarch64__)

#include <arm_acle.h>
#define WITH_CRC32C __attribute__((target("crc")))
#define ADD_8(crc, word) __crc32cd(crc, word)
#define ADD_1(crc, byte) __crc32cb(crc, byte)

#if defined(__APPLE__)
bool dovetail_has_crc32c(void) { return true; }
#elif defined(__linux__)
#include <sys/auxv.h>
// HWCAP_CRC32 of asm/hwcap.h.
bool dovetail_has_crc32c(void) { return (getauxval(AT_HWCAP) & (1 << 7)) != 0; }
#else
bool dovetail_has_crc32c(void) { return false; }
#endif

#endif

#if defined(WITH_CRC32C)

WITH_CRC32C uint32_t dovetail_crc32c(uint32_t crc, const uint8_t *bytes, size_t count) {
    while (count >= 8) {
        uint64_t word;
        memcpy(&word, bytes, 8);
        crc = ADD_8(crc, word);
        bytes += 8;
        count -= 8;
    }
    while (count > 0) {
        crc = ADD_1(crc, *bytes);
        bytes += 1;
        count -= 1;
    }
    return crc;
}

#else

bool dovetail_has_crc32c(void) { return false; }
uint32_t dovetail_crc32c(uint32_t crc, const uint8_t *bytes, size_t count) { return crc; }

#endif
