/* Moves masks, boxes, keypoints and further images along with pictures, by every policy that mixes none, in every
 * kind of memory, by key and by plan, in place and from a source. Prints a digest for each draw. */

#include "common.h"

enum { GAP = 6, UNTOUCHED = 0xA5, KEYS = 6, BOXES = 4, ROTATED = 3, POINTS = 5 };

static const size_t SHAPES[][3] = {{40, 32, 3}, {17, 25, 1}};

/* Memory that a test owns, all of it UNTOUCHED. */
static void *new_memory(size_t length) {
    void *memory = malloc(length);
    CHECK(memory != NULL);
    memset(memory, UNTOUCHED, length);
    return memory;
}

static faa_image new_image(size_t width, size_t height, size_t channels, int is_special) {
    size_t row = is_special ? width : width * channels, rows = is_special ? height * channels : height;
    size_t stride = is_special ? row + GAP : row;
    faa_image image = {new_memory(stride * rows), stride * rows, width, height, channels, stride,
                       is_special ? FAA_CHW : FAA_HWC};
    return image;
}

/* An image of the picture of a number. */
static faa_image new_picture(size_t width, size_t height, size_t channels, int is_special, uint64_t number) {
    faa_image packed = new_image(width, height, channels, 0);
    draw_picture(packed.samples, packed.length, number);
    if (!is_special) {
        return packed;
    }
    faa_image image = new_image(width, height, channels, 1);
    copy_image(&packed, &image);
    free(packed.samples);
    return image;
}

/* Continues a digest with the samples of an image, and frees it. */
static uint64_t taken_image(uint64_t digest, faa_image image) {
    for (size_t y = 0; y < image.height; y++) {
        for (size_t x = 0; x < image.width; x++) {
            for (size_t c = 0; c < image.channels; c++) {
                digest = digest_of(digest, image.samples + offset_of(&image, y, x, c), 1);
            }
        }
    }
    free(image.samples);
    return digest;
}

/* A mask in which label 1 + x + y * width is at (x, y), as far as it fits. */
static faa_mask new_mask(size_t width, size_t height, size_t label_bytes, int has_gaps) {
    size_t row = width * label_bytes, stride = has_gaps ? row + GAP : row;
    faa_mask mask = {new_memory(stride * height), stride * height, width, height,
                     label_bytes, has_gaps ? stride : 0, label_bytes == 1 ? 250 : 65000};
    for (size_t y = 0; y < height; y++) {
        for (size_t x = 0; x < width; x++) {
            uint8_t *label = (uint8_t *)mask.labels + y * stride + x * label_bytes;
            size_t value = 1 + x + y * width;
            if (label_bytes == 1) {
                *label = (uint8_t)value;
            } else {
                *(uint16_t *)(void *)label = (uint16_t)value;
            }
        }
    }
    return mask;
}

/* Continues a digest with the labels of a mask, and frees it. Gaps must be as they were. */
static uint64_t taken_mask(uint64_t digest, faa_mask mask) {
    size_t row = mask.width * mask.label_bytes, stride = mask.row_stride ? mask.row_stride : row;
    for (size_t y = 0; y < mask.height; y++) {
        const uint8_t *labels = (uint8_t *)mask.labels + y * stride;
        digest = digest_of(digest, labels, row);
        for (size_t offset = row; offset < stride; offset++) {
            CHECK(labels[offset] == UNTOUCHED);
        }
    }
    free(mask.labels);
    return digest;
}

static uint64_t digest_of_number(uint64_t digest, double number) {
    uint8_t bytes[sizeof number];
    memcpy(bytes, &number, sizeof number);
    return digest_of(digest, bytes, sizeof number);
}

/* A position from 0 to `length`. */
static double position(uint64_t *state, size_t length) {
    return (double)(next_number(state) % 1000) / 1000 * (double)length;
}

/* One draw in one way; its digest. */
static uint64_t draw(const faa_policy *policy, faa_key key, const char *plan, const size_t shape[3], int way,
                     faa_workspace *workspace) {
    const size_t width = shape[0], height = shape[1], channels = shape[2];
    int is_special = way & 1, has_source = way & 2, by_plan = way & 4;
    uint64_t state = key.index;
    faa_box boxes[BOXES];
    for (int index = 0; index < BOXES; index++) {
        boxes[index].left = position(&state, width);
        boxes[index].top = position(&state, height);
        boxes[index].right = position(&state, width);
        boxes[index].bottom = position(&state, height);
        boxes[index].visible = 7;
    }
    faa_rotated_box rotated[ROTATED];
    for (int index = 0; index < ROTATED; index++) {
        rotated[index].x = position(&state, width);
        rotated[index].y = position(&state, height);
        rotated[index].width = position(&state, width);
        rotated[index].height = position(&state, height);
        rotated[index].angle = position(&state, 720);
        rotated[index].visible = 0;
    }
    faa_keypoint points[POINTS];
    for (int index = 0; index < POINTS; index++) {
        points[index].x = position(&state, width);
        points[index].y = position(&state, height);
        points[index].visible = next_number(&state) % 3;
    }
    faa_mask masks[3] = {new_mask(width, height, 1, is_special), new_mask(width, height, 2, is_special),
                         new_mask(width, height, 1, !is_special)};
    faa_image images[2] = {new_picture(width, height, channels, is_special, 5),
                           new_picture(9, 12, 4, !is_special, 6)};
    faa_targets targets = {images, 2, masks, 3, boxes, BOXES, rotated, ROTATED, points, POINTS, 0.1, 1.5,
                           key.index % 2 ? FAA_REMOVED : FAA_OCCLUDED};

    faa_image source = new_picture(width, height, channels, is_special, key.index);
    faa_image result = has_source ? new_image(width, height, channels, is_special) : source;
    const faa_image *given = has_source ? &source : NULL;
    faa_status status;
    if (by_plan) {
        status = faa_replay_with_targets(policy, plan, strlen(plan), given, &result, &targets, workspace, NULL);
    } else {
        status = faa_apply_with_targets(policy, key, given, &result, &targets, workspace, NULL);
    }
    CHECK(status == FAA_OK);
    if (has_source) {
        uint64_t picture = taken_image(FIRST_DIGEST, new_picture(width, height, channels, 0, key.index));
        CHECK(taken_image(FIRST_DIGEST, source) == picture);
    }
    uint64_t digest = taken_image(FIRST_DIGEST, result);
    for (int index = 0; index < 2; index++) {
        digest = taken_image(digest, images[index]);
    }
    for (int index = 0; index < 3; index++) {
        digest = taken_mask(digest, masks[index]);
    }
    for (int index = 0; index < BOXES; index++) {
        digest = digest_of_number(digest, boxes[index].left);
        digest = digest_of_number(digest, boxes[index].top);
        digest = digest_of_number(digest, boxes[index].right);
        digest = digest_of_number(digest, boxes[index].bottom);
        digest = digest_of_number(digest, boxes[index].visible);
    }
    for (int index = 0; index < ROTATED; index++) {
        digest = digest_of_number(digest, rotated[index].x);
        digest = digest_of_number(digest, rotated[index].y);
        digest = digest_of_number(digest, rotated[index].width);
        digest = digest_of_number(digest, rotated[index].height);
        digest = digest_of_number(digest, rotated[index].angle);
        digest = digest_of_number(digest, rotated[index].visible);
    }
    for (int index = 0; index < POINTS; index++) {
        digest = digest_of_number(digest, points[index].x);
        digest = digest_of_number(digest, points[index].y);
        digest = digest_of_number(digest, points[index].visible);
    }
    return digest;
}

int main(void) {
    faa_workspace *workspace = faa_workspace_new();
    for (size_t number = 0; number < faa_shipped_count(); number++) {
        const char *name = faa_shipped_name(number);
        faa_policy *policy = NULL;
        CHECK(faa_policy_shipped(name, &policy, NULL) == FAA_OK);
        CHECK(faa_policy_op_without_warp(policy) == NULL);
        for (size_t shape = 0; faa_policy_partner_op(policy) == NULL && shape < 2; shape++) {
            for (uint32_t index = 0; index < KEYS; index++) {
                faa_key clip = {number, index % 3, 1000003 * (uint64_t)index};
                faa_key key = faa_key_for_frame(clip, index);
                char *plan = NULL;
                CHECK(faa_plan(policy, key, 0, &plan, NULL) == FAA_OK);
                uint64_t digest = draw(policy, key, plan, SHAPES[shape], 0, workspace);
                for (int way = 1; way < 8; way++) {
                    CHECK(draw(policy, key, plan, SHAPES[shape], way, workspace) == digest);
                }
                faa_string_free(plan);
                printf("%s %zux%zu %u %016llx\n", name, SHAPES[shape][0], SHAPES[shape][1], (unsigned)index,
                       (unsigned long long)digest);
            }
        }
        faa_policy_free(policy);
    }
    faa_workspace_free(workspace);
    return 0;
}
