/* Random fields of two masks, many of them hostile, in memory between two pages that can be neither read nor written.
 * Each call must end as a second reading of faa.h says, move the labels as those of masks without gaps, and touch
 * nothing else.
 *
 *     mask_bounds SEED CASES */

#define _DEFAULT_SOURCE

#include "guarded.h"

enum { SIDE = 24 };

static size_t stride_of(const faa_mask *mask) {
    return mask->row_stride && mask->height > 1 ? mask->row_stride : mask->width * mask->label_bytes;
}

/* How many bytes the labels of a mask reach over; 0 if its fields are no mask of this image. */
static wide reach_of(const faa_mask *mask, const faa_image *image) {
    if ((mask->label_bytes != 1 && mask->label_bytes != 2) || mask->width != image->width ||
        mask->height != image->height) {
        return 0;
    }
    wide row = (wide)mask->width * mask->label_bytes;
    if ((mask->row_stride && mask->row_stride < row) || stride_of(mask) % mask->label_bytes) {
        return 0;
    }
    return (wide)stride_of(mask) * (mask->height - 1) + row;
}

static int is_valid(const faa_mask *mask, const faa_image *image) {
    wide reach = reach_of(mask, image);
    return reach != 0 && reach <= mask->length && mask->labels != NULL &&
           (uintptr_t)mask->labels % mask->label_bytes == 0 && mask->fill >> 8 * mask->label_bytes == 0;
}

/* A mask somewhere in a region, at its end as often as not. */
static faa_mask random_mask(uint8_t *region, const faa_image *image) {
    size_t label_bytes = 1 + below(2);
    faa_mask mask = {region, 0, image->width, image->height, label_bytes, 0, (uint32_t)below(256)};
    if (chance(60)) {
        mask.row_stride = (mask.width + below(4)) * label_bytes;
    }
    if (chance(5)) {
        mask.row_stride += below(3);
    }
    if (chance(3)) {
        mask.row_stride = hostile();
    }
    if (chance(3)) {
        mask.label_bytes = chance(50) ? below(5) : hostile();
    }
    if (chance(3)) {
        mask.fill = (uint32_t)(chance(50) ? 250 + below(10) : 65530 + below(10));
    }
    if (chance(3)) {
        mask.width = chance(50) ? below(SIDE) : hostile();
    }
    if (chance(3)) {
        mask.height = chance(50) ? below(SIDE) : hostile();
    }
    wide reach = reach_of(&mask, image);
    if (reach != 0 && reach <= REGION) {
        size_t length = (size_t)reach, rest = REGION - length;
        size_t before = chance(50) ? rest : chance(50) ? 0 : below(rest + 1);
        if (!chance(5)) {
            before -= before % label_bytes;
        }
        mask.labels = region + before;
        mask.length = length + below(rest - before + 1);
        if (chance(6)) {
            mask.length = length - 1 - below(length);
        }
    } else {
        mask.length = reach > REGION ? REGION : hostile();
    }
    if (chance(2)) {
        mask.labels = NULL;
    }
    return mask;
}

/* Copies the labels of a mask to or from memory without gaps. */
static void copy_labels(uint8_t *labels, const faa_mask *mask, uint8_t *packed, int to_mask) {
    size_t row = mask->width * mask->label_bytes;
    for (size_t y = 0; y < mask->height; y++) {
        uint8_t *own = labels + y * stride_of(mask);
        memcpy(to_mask ? own : packed + y * row, to_mask ? packed + y * row : own, row);
    }
}

int main(int count, char **arguments) {
    CHECK(count == 3);
    state = strtoull(arguments[1], NULL, 10);
    unsigned long cases = strtoul(arguments[2], NULL, 10), applied = 0, refused = 0;

    faa_policy *policy = NULL;
    CHECK(faa_policy_shipped("trivialaugment-wide", &policy, NULL) == FAA_OK);
    faa_workspace *workspace = faa_workspace_new();
    uint8_t *regions[2] = {guarded(), guarded()};
    uint8_t *before[2] = {malloc(REGION), malloc(REGION)};
    uint8_t pixels[SIDE * SIDE], original[sizeof pixels];
    /* Aligned for both kinds of labels. */
    uint16_t packed[SIDE * SIDE];
    CHECK(before[0] && before[1]);

    for (unsigned long number = 0; number < cases; number++) {
        faa_image image = {pixels, sizeof pixels, 1 + below(SIDE), 1 + below(SIDE), 1, 0, FAA_HWC};
        draw_picture(original, sizeof original, number);
        memcpy(pixels, original, sizeof pixels);
        int one_region = chance(30);
        faa_mask masks[2];
        for (int index = 0; index < 2; index++) {
            draw_picture(before[index], REGION, number + (uint64_t)index);
            memcpy(regions[index], before[index], REGION);
            masks[index] = random_mask(regions[one_region ? 0 : index], &image);
        }
        faa_targets targets;
        memset(&targets, 0, sizeof targets);
        targets.masks = masks;
        targets.mask_count = 2;
        targets.erased = number % 2 ? FAA_REMOVED : FAA_OCCLUDED;

        int fits = is_valid(&masks[0], &image) && is_valid(&masks[1], &image);
        if (fits && one_region) {
            uint8_t *starts[2] = {masks[0].labels, masks[1].labels};
            fits = starts[0] + (size_t)reach_of(&masks[0], &image) <= starts[1] ||
                   starts[1] + (size_t)reach_of(&masks[1], &image) <= starts[0];
        }
        faa_key key = {number, number % 7, number};
        faa_error *error = NULL;
        faa_status status =
            faa_apply_with_targets(policy, key, NULL, &image, &targets, workspace, &error);
        if (status != (fits ? FAA_OK : FAA_INVALID_ARGUMENT)) {
            fprintf(stderr, "case %lu: status %d, %s\n", number, (int)status, faa_error_message(error));
            return 1;
        }
        if (fits) {
            applied++;
            for (int index = 0; index < 2; index++) {
                /* The same, without gaps and guards. */
                int region = one_region ? 0 : index;
                faa_mask alone = masks[index];
                size_t offset = (size_t)((uint8_t *)alone.labels - regions[region]);
                copy_labels(before[region] + offset, &masks[index], (uint8_t *)packed, 0);
                alone.labels = packed;
                alone.length = sizeof packed;
                alone.row_stride = 0;
                targets.masks = &alone;
                targets.mask_count = 1;
                memcpy(pixels, original, sizeof pixels);
                CHECK(faa_apply_with_targets(policy, key, NULL, &image, &targets, workspace, NULL) == FAA_OK);
                copy_labels(before[region] + offset, &masks[index], (uint8_t *)packed, 1);
            }
        } else {
            CHECK(error != NULL && strncmp(faa_error_path(error), "targets.masks[", 14) == 0);
            CHECK(memcmp(pixels, original, sizeof pixels) == 0);
            refused++;
        }
        faa_error_free(error);
        CHECK(memcmp(regions[0], before[0], REGION) == 0);
        CHECK(memcmp(regions[1], before[1], REGION) == 0);
    }
    CHECK(cases < 1000 || (applied > cases / 10 && refused > cases / 10));
    printf("%lu applied, %lu refused\n", applied, refused);
    free(before[0]);
    free(before[1]);
    faa_workspace_free(workspace);
    faa_policy_free(policy);
    return 0;
}
