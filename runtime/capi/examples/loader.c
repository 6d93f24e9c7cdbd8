/* A data loader: threads take images from a data set, augment them and hand them over as a batch does, channel
 * by channel. Prints a digest of all epochs, which does not depend on the number of threads.
 *
 *     loader [--policy FILE|NAME] [--threads N] [--epochs N] [--seed N] [FILE.ppm ...]
 *
 * Files are PPM or PGM with 8 bits per sample (P6, P5). Without any, it makes 256 pictures itself. */

#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "faa.h"

/* The longest side of an image, in pixels. */
enum { MAX_SIDE = 1 << 14, GENERATED = 256 };

struct picture {
    uint8_t *samples;
    size_t width, height, channels;
};

struct loader {
    const faa_policy *policy;
    const struct picture *pictures;
    size_t count, epochs;
    uint64_t seed;
    /* One for each image of each epoch. */
    uint64_t *digests;

    pthread_mutex_t lock;
    /* The next image of the next epoch, and whether a thread failed; both under the lock. */
    size_t next;
    int failed;
};

static size_t bytes_of(const struct picture *picture) {
    return picture->width * picture->height * picture->channels;
}

static uint64_t digest_of(uint64_t digest, const uint8_t *bytes, size_t length) {
    for (size_t offset = 0; offset < length; offset++) {
        digest = (digest ^ bytes[offset]) * 1099511628211u;
    }
    return digest;
}

/* A number of a PNM header, after white space and comments; 0 if there is none, or it is too large. */
static size_t header_number(FILE *file) {
    int byte = getc(file);
    while (byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n' || byte == '#') {
        if (byte == '#') {
            while (byte != '\n' && byte != EOF) {
                byte = getc(file);
            }
        }
        byte = getc(file);
    }
    size_t number = 0;
    for (; byte >= '0' && byte <= '9' && number <= MAX_SIDE; byte = getc(file)) {
        number = number * 10 + (size_t)(byte - '0');
    }
    /* That was the one white space before what follows. */
    return number <= MAX_SIDE ? number : 0;
}

/* Reads a picture; its samples are NULL if that fails. */
static struct picture read_picture(const char *path) {
    struct picture picture = {NULL, 0, 0, 0};
    FILE *file = fopen(path, "rb");
    char magic[2];
    if (file == NULL) {
        return picture;
    }
    if (fread(magic, 1, 2, file) == 2 && magic[0] == 'P' && (magic[1] == '5' || magic[1] == '6')) {
        picture.width = header_number(file);
        picture.height = header_number(file);
        picture.channels = magic[1] == '6' ? 3 : 1;
        size_t length = bytes_of(&picture);
        if (length > 0 && header_number(file) == 255) {
            picture.samples = malloc(length);
        }
        if (picture.samples != NULL && fread(picture.samples, 1, length, file) != length) {
            free(picture.samples);
            picture.samples = NULL;
        }
    }
    fclose(file);
    return picture;
}

/* A picture of a gradient with a bright square. */
static struct picture make_picture(size_t number) {
    struct picture picture = {malloc(48 * 48 * 3), 48, 48, 3};
    if (picture.samples != NULL) {
        for (size_t y = 0; y < 48; y++) {
            for (size_t x = 0; x < 48; x++) {
                int inside = x / 12 == number % 4 && y / 12 == number / 4 % 4;
                uint8_t *pixel = picture.samples + (y * 48 + x) * 3;
                pixel[0] = (uint8_t)(inside ? 250 : 2 * x + number % 64);
                pixel[1] = (uint8_t)(inside ? 220 : 2 * y);
                pixel[2] = (uint8_t)(inside ? number % 256 : x + y);
            }
        }
    }
    return picture;
}

/* Augments one image, into memory that is as large. */
static faa_status augment(const struct loader *loader, size_t epoch, size_t index, uint8_t *samples,
                          faa_workspace *workspace, faa_error **error) {
    const struct picture *picture = &loader->pictures[index];
    faa_image source = {picture->samples, bytes_of(picture), picture->width, picture->height,
                        picture->channels, 0, FAA_HWC};
    faa_image result = source;
    result.samples = samples;
    result.layout = FAA_CHW;
    faa_key key = {loader->seed, epoch, index};
    return faa_apply(loader->policy, key, &source, &result, workspace, error);
}

/* A thread: one workspace, one image after the other. */
static void *work(void *argument) {
    struct loader *loader = argument;
    faa_workspace *workspace = faa_workspace_new();
    size_t largest = 0;
    for (size_t index = 0; index < loader->count; index++) {
        size_t bytes = bytes_of(&loader->pictures[index]);
        largest = bytes > largest ? bytes : largest;
    }
    uint8_t *samples = malloc(largest);
    faa_error *error = NULL;
    int failed = workspace == NULL || samples == NULL;
    for (;;) {
        pthread_mutex_lock(&loader->lock);
        loader->failed |= failed;
        size_t number = loader->failed ? loader->epochs * loader->count : loader->next++;
        pthread_mutex_unlock(&loader->lock);
        if (number >= loader->epochs * loader->count) {
            break;
        }
        size_t index = number % loader->count;
        failed = augment(loader, number / loader->count, index, samples, workspace, &error) != FAA_OK;
        if (failed) {
            fprintf(stderr, "image %zu: %s\n", index, faa_error_message(error));
            faa_error_free(error);
        }
        loader->digests[number] =
            digest_of(14695981039346656037u, samples, bytes_of(&loader->pictures[index]));
    }
    free(samples);
    faa_workspace_free(workspace);
    return NULL;
}

/* Works with this many threads, and prints the digest. */
static int load(struct loader *loader, size_t threads) {
    size_t draws = loader->epochs * loader->count, started = 0;
    pthread_t *pool = calloc(threads, sizeof *pool);
    loader->digests = calloc(draws, sizeof *loader->digests);
    loader->failed = pool == NULL || loader->digests == NULL;
    pthread_mutex_init(&loader->lock, NULL);
    while (!loader->failed && started < threads) {
        if (pthread_create(&pool[started], NULL, work, loader) != 0) {
            break;
        }
        started++;
    }
    for (size_t thread = 0; thread < started; thread++) {
        pthread_join(pool[thread], NULL);
    }
    pthread_mutex_destroy(&loader->lock);
    int done = started > 0 && !loader->failed;
    if (done) {
        uint64_t digest = 14695981039346656037u;
        for (size_t draw = 0; draw < draws; draw++) {
            for (int byte = 0; byte < 8; byte++) {
                uint8_t part = (uint8_t)(loader->digests[draw] >> (8 * byte));
                digest = digest_of(digest, &part, 1);
            }
        }
        printf("%zu images, digest %016llx\n", draws, (unsigned long long)digest);
    }
    free(loader->digests);
    free(pool);
    return done;
}

/* The shipped policy of that name, or else the policy in that file. */
static faa_status find_policy(const char *name, faa_policy **policy, faa_error **error) {
    static char json[1 << 21];
    FILE *file = fopen(name, "rb");
    if (file == NULL) {
        return faa_policy_shipped(name, policy, error);
    }
    size_t length = fread(json, 1, sizeof json, file);
    fclose(file);
    return faa_policy_parse(json, length, policy, error);
}

int main(int count, char **arguments) {
    const char *name = "randaugment";
    struct loader loader = {.epochs = 1, .seed = 1};
    size_t threads = 4;
    int next = 1;
    for (; next + 1 < count && strncmp(arguments[next], "--", 2) == 0; next += 2) {
        const char *value = arguments[next + 1];
        if (strcmp(arguments[next], "--policy") == 0) {
            name = value;
        } else if (strcmp(arguments[next], "--threads") == 0) {
            threads = strtoul(value, NULL, 10);
        } else if (strcmp(arguments[next], "--epochs") == 0) {
            loader.epochs = strtoul(value, NULL, 10);
        } else if (strcmp(arguments[next], "--seed") == 0) {
            loader.seed = strtoull(value, NULL, 10);
        } else {
            fprintf(stderr, "unknown option %s\n", arguments[next]);
            return 2;
        }
    }
    if (threads < 1 || threads > 1024 || loader.epochs < 1 || loader.epochs > 100000) {
        fprintf(stderr, "--threads is 1 to 1024, --epochs 1 to 100000\n");
        return 2;
    }

    faa_policy *policy = NULL;
    faa_error *error = NULL;
    if (find_policy(name, &policy, &error) != FAA_OK) {
        fprintf(stderr, "%s: %s\n", name, faa_error_message(error));
        faa_error_free(error);
        return 1;
    }
    loader.policy = policy;
    loader.count = next < count ? (size_t)(count - next) : GENERATED;
    struct picture *pictures = calloc(loader.count, sizeof *pictures);
    int done = pictures != NULL;
    for (size_t index = 0; done && index < loader.count; index++) {
        const char *path = next < count ? arguments[next + (int)index] : NULL;
        pictures[index] = path ? read_picture(path) : make_picture(index);
        if (pictures[index].samples == NULL) {
            fprintf(stderr, "cannot read %s\n", path ? path : "a picture");
            done = 0;
        }
    }
    loader.pictures = pictures;
    done = done && load(&loader, threads);
    for (size_t index = 0; pictures != NULL && index < loader.count; index++) {
        free(pictures[index].samples);
    }
    free(pictures);
    faa_policy_free(policy);
    return done ? 0 : 1;
}
