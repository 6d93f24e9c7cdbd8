/* Random fields of images, many of them hostile, in memory between two pages that can be neither read nor
 * written. Each call must end as a second reading of faa.h says, change the samples of the result, and touch
 * nothing else.
 *
 *     bounds SEED CASES */

#define _DEFAULT_SOURCE

#include "guarded.h"

/* How many bytes the samples of an image reach over; 0 if its fields are no image. */
static wide reach_of(const faa_image *image) {
    wide channels = image->channels;
    if (!(channels == 1 || channels == 3 || channels == 4) || image->layout > FAA_CHW ||
        image->width == 0 || image->height == 0) {
        return 0;
    }
    /* Numbers that the products below could overflow with need more memory than there is. */
    if (image->width >> 62 || image->height >> 62) {
        return 0;
    }
    wide row = image->layout == FAA_CHW ? image->width : image->width * channels;
    wide rows = image->layout == FAA_CHW ? image->height * channels : image->height;
    wide stride = image->row_stride ? image->row_stride : row;
    if (stride < row || rows >> 62) {
        return 0;
    }
    return stride * (rows - 1) + row;
}

static int is_valid(const faa_image *image) {
    wide reach = reach_of(image);
    return reach != 0 && reach <= image->length;
}

/* An image somewhere in a region, at its end as often as not. */
static faa_image random_image(uint8_t *region) {
    faa_image image = {region, 0, 1 + below(40), 1 + below(40), chance(50) ? 3 : 4, 0, FAA_HWC};
    if (chance(20)) {
        image.channels = 1;
    }
    if (chance(50)) {
        image.layout = FAA_CHW;
    }
    size_t row = image.layout == FAA_CHW ? image.width : image.width * image.channels;
    if (chance(60)) {
        image.row_stride = row + below(9);
    }
    if (chance(10)) {
        image.row_stride = row - below(3);
    }
    if (chance(6)) {
        image.channels = chance(50) ? below(6) : hostile();
    }
    if (chance(6)) {
        image.layout = (faa_layout)(chance(50) ? below(4) : hostile());
    }
    if (chance(6)) {
        image.width = hostile();
    }
    if (chance(6)) {
        image.height = hostile();
    }
    if (chance(6)) {
        image.row_stride = hostile();
    }
    wide reach = reach_of(&image);
    if (reach != 0 && reach <= REGION) {
        size_t length = (size_t)reach, rest = REGION - length;
        size_t before = chance(50) ? rest : chance(50) ? 0 : below(rest + 1);
        image.samples = region + before;
        image.length = length + below(rest - before + 1);
        if (chance(15)) {
            image.length = length - 1 - below(length);
        }
    } else {
        image.length = reach > REGION ? REGION : hostile();
    }
    if (chance(2)) {
        image.samples = NULL;
    }
    return image;
}

static faa_image packed(const faa_image *shape, uint8_t *samples) {
    faa_image image = {samples, 4 * 40 * 40, shape->width, shape->height, shape->channels, 0, FAA_HWC};
    return image;
}

int main(int count, char **arguments) {
    CHECK(count == 3);
    state = strtoull(arguments[1], NULL, 10);
    unsigned long cases = strtoul(arguments[2], NULL, 10), applied = 0, refused = 0;

    faa_policy *policy = NULL;
    CHECK(faa_policy_shipped("autoaugment-imagenet", &policy, NULL) == FAA_OK);
    faa_workspace *workspace = faa_workspace_new();
    uint8_t *regions[2] = {guarded(), guarded()};
    uint8_t *before[2] = {malloc(REGION), malloc(REGION)};
    uint8_t *samples = malloc(4 * 40 * 40);
    CHECK(before[0] && before[1] && samples);

    for (unsigned long number = 0; number < cases; number++) {
        for (int region = 0; region < 2; region++) {
            draw_picture(before[region], REGION, number + (uint64_t)region);
            memcpy(regions[region], before[region], REGION);
        }
        faa_image result = random_image(regions[1]);
        int in_place = chance(40), one_region = chance(25);
        faa_image source = random_image(regions[one_region ? 1 : 0]);
        if (chance(80)) {
            /* Of the same shape, or else almost all pairs are refused for that. */
            faa_image again = result;
            again.samples = source.samples;
            if (one_region && chance(50)) {
                again.samples = result.samples;
            } else if (one_region && is_valid(&result)) {
                again.length = (size_t)reach_of(&result);
                again.samples = regions[1] + below(REGION - again.length + 1);
            } else if (is_valid(&result)) {
                again.layout = source.layout;
                again.row_stride = 0;
                again.samples = regions[0];
                again.length = REGION;
            }
            source = again;
        }
        int fits = is_valid(&result) && result.samples != NULL;
        if (!in_place) {
            fits = fits && is_valid(&source) && source.samples != NULL;
            fits = fits && source.width == result.width && source.height == result.height &&
                   source.channels == result.channels;
            if (fits) {
                uint8_t *ends[2] = {source.samples + (size_t)reach_of(&source),
                                    result.samples + (size_t)reach_of(&result)};
                int apart = ends[0] <= result.samples || ends[1] <= source.samples;
                int same = source.samples == result.samples && reach_of(&source) == reach_of(&result);
                for (size_t c = 0; same && c < result.channels; c++) {
                    size_t y = result.height - 1, x = result.width - 1;
                    same = offset_of(&source, y, x, c) == offset_of(&result, y, x, c) &&
                           offset_of(&source, 0, 0, c) == offset_of(&result, 0, 0, c) &&
                           offset_of(&source, 0, x, c) == offset_of(&result, 0, x, c) &&
                           offset_of(&source, y, 0, c) == offset_of(&result, y, 0, c);
                }
                fits = apart || same;
            }
        }
        faa_key key = {number, number % 7, number};
        faa_error *error = NULL;
        faa_status status =
            faa_apply(policy, key, in_place ? NULL : &source, &result, workspace, &error);
        if (status != (fits ? FAA_OK : FAA_INVALID_ARGUMENT)) {
            fprintf(stderr, "case %lu: status %d, %s\n", number, (int)status,
                    faa_error_message(error));
            return 1;
        }
        if (fits) {
            /* The same, without gaps and guards. */
            faa_image alone = packed(&result, samples);
            faa_image original = in_place ? result : source;
            int of_result = in_place || one_region;
            original.samples = before[of_result] + (original.samples - regions[of_result]);
            copy_image(&original, &alone);
            CHECK(faa_apply(policy, key, NULL, &alone, workspace, NULL) == FAA_OK);
            faa_image expected = result;
            expected.samples = before[1] + (result.samples - regions[1]);
            copy_image(&alone, &expected);
            applied++;
        } else {
            CHECK(error != NULL && faa_error_message(error)[0] != 0);
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
    free(samples);
    faa_workspace_free(workspace);
    faa_policy_free(policy);
    return 0;
}
