/* What the programs of the tests share. `tests/library/reference.rs` has the same in Rust. */

#ifndef COMMON_H
#define COMMON_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "faa.h"

/* Ends the program, and says where, unless a condition holds. */
#define CHECK(condition)                                                             \
    do {                                                                             \
        if (!(condition)) {                                                          \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                                 \
        }                                                                            \
    } while (0)

/* Pseudo-random numbers: Knuth's linear congruential generator, whose upper bits are used. */
static inline uint32_t next_number(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 32);
}

/* Overwrites samples with those of the picture of this number. */
static inline void draw_picture(uint8_t *samples, size_t length, uint64_t number) {
    uint64_t state = number;
    for (size_t offset = 0; offset < length; offset++) {
        samples[offset] = (uint8_t)(next_number(&state) >> 24);
    }
}

/* Continues a digest (FNV-1a, of which 14695981039346656037 is the first). */
static inline uint64_t digest_of(uint64_t digest, const uint8_t *bytes, size_t length) {
    for (size_t offset = 0; offset < length; offset++) {
        digest = (digest ^ bytes[offset]) * 1099511628211u;
    }
    return digest;
}

#define FIRST_DIGEST 14695981039346656037u

/* The offset of a sample from the first of its image. */
static inline size_t offset_of(const faa_image *image, size_t y, size_t x, size_t c) {
    size_t packed = image->layout == FAA_CHW ? image->width : image->width * image->channels;
    size_t stride = image->row_stride ? image->row_stride : packed;
    if (image->layout == FAA_CHW) {
        return (c * image->height + y) * stride + x;
    }
    return y * stride + x * image->channels + c;
}

/* Copies the samples of an image to another of the same shape, whatever the layouts are. */
static inline void copy_image(const faa_image *from, const faa_image *to) {
    for (size_t y = 0; y < from->height; y++) {
        for (size_t x = 0; x < from->width; x++) {
            for (size_t c = 0; c < from->channels; c++) {
                to->samples[offset_of(to, y, x, c)] = from->samples[offset_of(from, y, x, c)];
            }
        }
    }
}

#endif
