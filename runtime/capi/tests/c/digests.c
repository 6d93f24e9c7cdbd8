/* Applies every shipped policy, and one that mixes images, to pictures of several shapes, in every layout, from
 * a source and in place, by key and by plan, in two threads and in a child. Prints a digest for each draw. */

#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"

/* Bytes between rows, which nobody may change. */
enum { GAP = 5, UNTOUCHED = 0xA5, PARTNERS = 3, KEYS = 6 };

static const size_t SHAPES[][3] = {{32, 32, 3}, {96, 80, 3}, {17, 5, 1}, {33, 20, 4}, {1, 1, 3}};

static const char MIXING[] =
    "{\"format\": \"faa-policy\", \"version\": 1, \"name\": \"mixing\", \"sub_policies\": ["
    "[{\"op\": \"SamplePairing\", \"probability\": 0.8, \"magnitude\": 0.9},"
    " {\"op\": \"Rotate\", \"probability\": 0.5, \"magnitude\": 0.9}]]}";

/* An image in memory of its own, all of it UNTOUCHED. */
static faa_image new_image(const size_t shape[3], faa_layout layout, size_t gap) {
    faa_image image = {NULL, 0, shape[0], shape[1], shape[2], 0, layout};
    size_t row = layout == FAA_CHW ? image.width : image.width * image.channels;
    size_t rows = layout == FAA_CHW ? image.height * image.channels : image.height;
    image.row_stride = gap ? row + gap : 0;
    image.length = (row + gap) * (rows - 1) + row;
    image.samples = malloc(image.length);
    CHECK(image.samples != NULL);
    memset(image.samples, UNTOUCHED, image.length);
    return image;
}

/* Whether all bytes of an image that are not samples are UNTOUCHED. */
static int gaps_are_untouched(const faa_image *image) {
    size_t changed = 0;
    for (size_t offset = 0; offset < image->length; offset++) {
        changed += image->samples[offset] != UNTOUCHED;
    }
    for (size_t y = 0; y < image->height; y++) {
        for (size_t x = 0; x < image->width; x++) {
            for (size_t c = 0; c < image->channels; c++) {
                changed -= image->samples[offset_of(image, y, x, c)] != UNTOUCHED;
            }
        }
    }
    return changed == 0;
}

static faa_key key_at(size_t index) {
    faa_key key = {index * index, index % 3, 1000003 * index};
    return key;
}

/* Checks that a result is this packed one. */
static void check_result(const faa_image *result, const faa_image *expected, const size_t shape[3]) {
    faa_image packed = new_image(shape, FAA_HWC, 0);
    copy_image(result, &packed);
    CHECK(memcmp(packed.samples, expected->samples, packed.length) == 0);
    CHECK(gaps_are_untouched(result));
    free(packed.samples);
}

/* One draw, in every way, and its digest. */
static uint64_t draw(const faa_policy *policy, faa_key key, const size_t shape[3],
                     uint64_t partners, faa_workspace *workspace) {
    faa_image picture = new_image(shape, FAA_HWC, 0);
    draw_picture(picture.samples, picture.length, key.index);
    faa_image expected = new_image(shape, FAA_HWC, 0);
    memcpy(expected.samples, picture.samples, picture.length);
    CHECK(faa_apply(policy, key, NULL, &expected, workspace, NULL) == FAA_OK);

    char *plan = NULL;
    CHECK(faa_plan(policy, key, partners, &plan, NULL) == FAA_OK);
    for (int way = 0; way < 32; way++) {
        faa_image source = new_image(shape, way & 1 ? FAA_CHW : FAA_HWC, way & 2 ? GAP : 0);
        faa_image result = new_image(shape, way & 4 ? FAA_CHW : FAA_HWC, way & 8 ? GAP : 0);
        faa_status status;
        copy_image(&picture, &source);
        if (way & 16) {
            status = faa_replay(policy, plan, strlen(plan), &source, &result, workspace, NULL);
        } else {
            status = faa_apply(policy, key, &source, &result, workspace, NULL);
        }
        CHECK(status == FAA_OK);
        check_result(&result, &expected, shape);
        check_result(&source, &picture, shape);
        /* In place, with the source as a second description of the same memory half of the time. */
        const faa_image *same = way & 8 ? &source : NULL;
        if (way & 16) {
            status = faa_replay(policy, plan, strlen(plan), same, &source, workspace, NULL);
        } else {
            status = faa_apply(policy, key, same, &source, workspace, NULL);
        }
        CHECK(status == FAA_OK);
        check_result(&source, &expected, shape);
        free(source.samples);
        free(result.samples);
    }
    uint64_t digest = digest_of(FIRST_DIGEST, expected.samples, expected.length);
    faa_string_free(plan);
    free(picture.samples);
    free(expected.samples);
    return digest;
}

struct work {
    const faa_policy *policy;
    uint64_t digests[sizeof SHAPES / sizeof *SHAPES][KEYS];
};

static void *draw_all(void *argument) {
    struct work *work = argument;
    faa_workspace *workspace = faa_workspace_new();
    CHECK(workspace != NULL);
    int mixes = faa_policy_partner_op(work->policy) != NULL;
    for (size_t shape = 0; shape < sizeof SHAPES / sizeof *SHAPES; shape++) {
        const size_t *sides = SHAPES[shape];
        size_t length = mixes ? PARTNERS * sides[0] * sides[1] * sides[2] : 0;
        uint8_t *samples = NULL;
        if (mixes) {
            samples = malloc(length);
            CHECK(samples != NULL);
            draw_picture(samples, length, 77);
            faa_partners *partners = NULL;
            CHECK(faa_partners_new(samples, length, sides[0], sides[1], sides[2], &partners, NULL) ==
                  FAA_OK);
            CHECK(faa_partners_count(partners) == PARTNERS);
            CHECK(faa_workspace_set_partners(workspace, partners, NULL) == FAA_OK);
            faa_partners_free(partners);
        }
        for (size_t key = 0; key < KEYS; key++) {
            work->digests[shape][key] = draw(work->policy, key_at(key), sides,
                                             mixes ? PARTNERS : 0, workspace);
        }
        CHECK(faa_workspace_set_partners(workspace, NULL, NULL) == FAA_OK);
        free(samples);
    }
    faa_workspace_free(workspace);
    return NULL;
}

/* Checks that a child of this process draws the same with the policy of its parent. */
static void check_child(const struct work *expected) {
    pid_t child = fork();
    CHECK(child != -1);
    if (child == 0) {
        struct work own = {.policy = expected->policy};
        draw_all(&own);
        _exit(memcmp(own.digests, expected->digests, sizeof own.digests) != 0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void run(const char *name, const faa_policy *policy) {
    struct work works[2];
    pthread_t threads[2];
    memset(works, 0, sizeof works);
    for (int thread = 0; thread < 2; thread++) {
        works[thread].policy = policy;
        CHECK(pthread_create(&threads[thread], NULL, draw_all, &works[thread]) == 0);
    }
    for (int thread = 0; thread < 2; thread++) {
        CHECK(pthread_join(threads[thread], NULL) == 0);
    }
    CHECK(memcmp(works[0].digests, works[1].digests, sizeof works[0].digests) == 0);
    if (strcmp(name, "mixing") == 0) {
        check_child(&works[0]);
    }
    for (size_t shape = 0; shape < sizeof SHAPES / sizeof *SHAPES; shape++) {
        for (size_t key = 0; key < KEYS; key++) {
            printf("%s %zux%zux%zu %zu %016llx\n", name, SHAPES[shape][0], SHAPES[shape][1],
                   SHAPES[shape][2], key, (unsigned long long)works[0].digests[shape][key]);
        }
    }
}

int main(void) {
    CHECK(faa_abi_version() >> 16 == FAA_ABI_MAJOR);
    CHECK(faa_abi_version() >= FAA_ABI_VERSION);
    for (size_t index = 0; index < faa_shipped_count(); index++) {
        faa_policy *policy = NULL;
        const char *name = faa_shipped_name(index);
        CHECK(faa_policy_shipped(name, &policy, NULL) == FAA_OK);
        run(name, policy);
        faa_policy_free(policy);
    }
    CHECK(faa_shipped_name(faa_shipped_count()) == NULL);

    faa_policy *policy = NULL;
    CHECK(faa_policy_parse(MIXING, strlen(MIXING), &policy, NULL) == FAA_OK);
    CHECK(strcmp(faa_policy_partner_op(policy), "SamplePairing") == 0);
    run("mixing", policy);
    faa_policy_free(policy);

    /* An error names the place, and is freed by the caller. */
    char wrong[sizeof MIXING];
    memcpy(wrong, MIXING, sizeof MIXING);
    strstr(wrong, "0.5")[0] = '7';
    faa_error *error = NULL;
    CHECK(faa_policy_parse(wrong, strlen(wrong), &policy, &error) == FAA_INVALID_POLICY);
    CHECK(policy == NULL);
    CHECK(strcmp(faa_error_path(error), "sub_policies[0][1].probability") == 0);
    CHECK(strncmp(faa_error_message(error), "sub_policies[0][1].probability: ", 32) == 0);
    faa_error_free(error);
    return 0;
}
