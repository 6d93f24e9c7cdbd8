/*
 * A plugin in C, without a C library: one op, `Halftone`, which draws with few levels.
 *
 *     clang --target=wasm32 -O3 -msimd128 -nostdlib -Wl,--no-entry -o halftone.wasm halftone.c
 *
 * It needs clang and its linker, wasm-ld (the Debian packages clang and lld). The exports are those
 * of ABI.md; the linker exports the memory by itself.
 */

#include <stdint.h>

/* The version of the ABI, 1.0. Only assembly can name a section that is not part of the memory. */
__asm__(".section .custom_section.faa.abi,\"\",@\n"
        ".int16 1\n"
        ".int16 0\n");

#define EXPORT(name) __attribute__((export_name(#name)))

enum { DONE = 0, SHAPE = 1, FAILED = 2 };

static const char SPEC[] =
    "{\"ops\": [{\"name\": \"Halftone\", "
    "\"summary\": \"draws with few levels, mixed in a regular pattern\", "
    "\"low\": 2, \"high\": 16, \"unit\": \"levels\"}]}";

EXPORT(faa_spec) uint64_t spec(void) {
    return (uint64_t)(uintptr_t)SPEC << 32 | (sizeof SPEC - 1);
}

/* The end of what the linker has laid out; its address counts, not its type. */
extern unsigned char __heap_base;

/* Nothing else is ever allocated, so the buffer takes all that lies behind. */
EXPORT(faa_reserve) uint32_t reserve(uint32_t size) {
    uint32_t start = (uintptr_t)&__heap_base;
    uint64_t pages = ((uint64_t)start + size + 65535) / 65536;
    uint64_t found = __builtin_wasm_memory_size(0);
    if (pages > found && __builtin_wasm_memory_grow(0, pages - found) == SIZE_MAX)
        return 0;
    return start;
}

/*
 * The order in which the pixels of a square of 8 by 8 become lighter (Bayer, An optimum method for
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

/* The pattern repeats after 8 pixels: 8, 24 or 32 samples, and in every case after these. */
enum { PERIOD = 96 };

/*
 * `steps`: from one of the few levels to the next, there are so many in all.
 * `more`: what is added before rounding down, in 65536ths of a step.
 * `keep`: 255 for samples that stay as they are.
 */
static void draw(uint8_t *samples, uint32_t count, uint32_t steps, const uint32_t *more,
                 const uint8_t *keep) {
    /* In 65536ths: steps of a level, rounded up so that white stays white, and levels of a step. */
    uint32_t down = (steps * 65536 + 254) / 255;
    uint32_t up = 255 * 65536 / steps;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t step = (samples[i] * down + more[i]) >> 16;
        uint8_t level = (step * up + 32768) >> 16;
        samples[i] = (samples[i] & keep[i]) | (level & ~keep[i]);
    }
}

/*
 * Draws with `value` levels from black to white, rounded down and clamped to 2 … 256 (which is all
 * of them). A level between two of these becomes the lighter one in as many of 64 neighbouring
 * pixels as it is nearer to it, spread evenly. L and RGB alike; RGBA keeps its alpha. Nothing
 * depends on the seed.
 */
EXPORT(faa_apply) uint32_t apply(uint32_t op, uint8_t *pixels, uint32_t width, uint32_t height,
                                 uint32_t channels, double value, uint64_t seed) {
    (void)seed;
    if (op != 0)
        return FAILED;
    if (channels != 1 && channels != 3 && channels != 4)
        return SHAPE;
    /* What is not a number fails both comparisons; the cast is never given what it cannot hold. */
    uint32_t levels = value >= 256 ? 256 : value >= 2 ? (uint32_t)value : 2;

    uint8_t keep[PERIOD];
    for (uint32_t i = 0; i < PERIOD; i++)
        keep[i] = channels == 4 && i % 4 == 3 ? 255 : 0;

    uint32_t row = width * channels;
    for (uint32_t y = 0; y < height; y++, pixels += row) {
        uint32_t more[PERIOD];
        /* The first to become lighter needs 1/128 of a step, and the last 127/128. */
        for (uint32_t i = 0; i < PERIOD; i++)
            more[i] = (127 - 2 * ORDER[y % 8][i / channels % 8]) * 512;
        uint32_t done = 0;
        /* A count that the compiler knows becomes SIMD instructions without a rest. */
        for (; row - done >= PERIOD; done += PERIOD)
            draw(pixels + done, PERIOD, levels - 1, more, keep);
        draw(pixels + done, row - done, levels - 1, more, keep);
    }
    return DONE;
}
