/*
 * A plugin in C, without a C library, with one op: `Halftone`, ordered dithering.
 *
 *     clang --target=wasm32 -O3 -msimd128 -nostdlib -Wl,--no-entry -o halftone.wasm halftone.c
 *
 * It needs clang and its linker, wasm-ld (the Debian packages clang and lld). The exports are those
 * of ABI.md; the linker exports the memory by default.
 */

#include <stdint.h>

/* The version of the ABI, 1.0. Only assembly can define a custom section. */
__asm__(".section .custom_section.faa.abi,\"\",@\n"
        ".int16 1\n"
        ".int16 0\n");

#define EXPORT(name) __attribute__((export_name(#name)))

enum { DONE = 0, UNSUPPORTED_SHAPE = 1, FAILED = 2 };

static const char SPEC[] =
    "{\"ops\": [{\"name\": \"Halftone\", "
    "\"summary\": \"reduces the number of levels by ordered dithering\", "
    "\"low\": 2, \"high\": 16, \"unit\": \"levels\"}]}";

EXPORT(faa_spec) uint64_t spec(void) {
    return (uint64_t)(uintptr_t)SPEC << 32 | (sizeof SPEC - 1);
}

/* Its address is the end of the data that the linker has placed. */
extern unsigned char __heap_base;

/* Nothing else is ever allocated, so the buffer can take the rest of the memory. */
EXPORT(faa_reserve) uint32_t reserve(uint32_t size) {
    uint32_t start = (uintptr_t)&__heap_base;
    uint64_t pages = ((uint64_t)start + size + 65535) / 65536;
    uint64_t found = __builtin_wasm_memory_size(0);
    if (pages > found && __builtin_wasm_memory_grow(0, pages - found) == SIZE_MAX)
        return 0;
    return start;
}

/*
 * The order in which the pixels of an 8×8 square become lighter (Bayer, An optimum method for
 * two-level rendition of continuous-tone pictures, 1973).
 */
static const uint8_t ORDER[8][8] = {
    { 0, 32,  8, 40,  2, 34, 10, 42},
    {48, 16, 56, 24, 50, 18, 58, 26},
    {12, 44,  4, 36, 14, 46,  6, 38},
    {60, 28, 52, 20, 62, 30, 54, 22},
    { 3, 35, 11, 43,  1, 33,  9, 41},
    {51, 19, 59, 27, 49, 17, 57, 25},
    {15, 47,  7, 39, 13, 45,  5, 37},
    {63, 31, 55, 23, 61, 29, 53, 21},
};

/* The pattern repeats every 8 pixels, which are 8, 24 or 32 samples: 96 is a multiple of each. */
enum { PERIOD = 96 };

/*
 * `steps`: the number of levels minus 1.
 * `bias`: what is added before rounding down, in 65536ths of a step.
 * `keep`: 255 for samples that must not change.
 */
static void dither(uint8_t *samples, uint32_t count, uint32_t steps, const uint32_t *bias,
                   const uint8_t *keep) {
    /* In 65536ths: steps per level, rounded up so that white stays white, and levels per step. */
    uint32_t down = (steps * 65536 + 254) / 255;
    uint32_t up = 255 * 65536 / steps;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t step = (samples[i] * down + bias[i]) >> 16;
        uint8_t level = (step * up + 32768) >> 16;
        samples[i] = (samples[i] & keep[i]) | (level & ~keep[i]);
    }
}

/*
 * Reduces an image to `value` levels from black to white, rounded down and clamped to 2 … 256. A
 * level between two of these becomes the lighter one in a fraction of the pixels that is proportional
 * to its distance from the darker one. L and RGB alike; RGBA keeps its alpha. Not random.
 */
EXPORT(faa_apply) uint32_t apply(uint32_t op, uint8_t *pixels, uint32_t width, uint32_t height,
                                 uint32_t channels, double value, uint64_t seed) {
    (void)seed;
    if (op != 0)
        return FAILED;
    if (channels != 1 && channels != 3 && channels != 4)
        return UNSUPPORTED_SHAPE;
    /* NaN fails both comparisons, so the cast is always defined. */
    uint32_t levels = value >= 256 ? 256 : value >= 2 ? (uint32_t)value : 2;

    uint8_t keep[PERIOD];
    for (uint32_t i = 0; i < PERIOD; i++)
        keep[i] = channels == 4 && i % 4 == 3 ? 255 : 0;

    uint32_t row = width * channels;
    for (uint32_t y = 0; y < height; y++, pixels += row) {
        uint32_t bias[PERIOD];
        /* The first pixel becomes lighter at 1/128 of a step, and the last at 127/128. */
        for (uint32_t i = 0; i < PERIOD; i++)
            bias[i] = (127 - 2 * ORDER[y % 8][i / channels % 8]) * 512;
        uint32_t done = 0;
        /* With a constant count, the compiler needs no code for a remainder. */
        for (; row - done >= PERIOD; done += PERIOD)
            dither(pixels + done, PERIOD, levels - 1, bias, keep);
        dither(pixels + done, row - done, levels - 1, bias, keep);
    }
    return DONE;
}
