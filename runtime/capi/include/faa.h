/* faa.h: image augmentation policies, applied natively.
 *
 * A policy is read once and may then be shared between threads. Each thread has a workspace,
 * and applies the policy to one image at a time. What is drawn for an image depends on its key
 * (seed, epoch, index) alone: the same key gives the same bytes for the same pixels here, in
 * Rust, in Python and on the command line.
 *
 *     faa_policy *policy = NULL;
 *     faa_error *error = NULL;
 *     if (faa_policy_shipped("randaugment", &policy, &error) != FAA_OK) {
 *         fprintf(stderr, "%s\n", faa_error_message(error));
 *         faa_error_free(error);
 *         return 1;
 *     }
 *     faa_workspace *workspace = faa_workspace_new();
 *     faa_image image = {samples, length, 224, 224, 3, 0, FAA_HWC};
 *     faa_key key = {1, 0, 42};
 *     faa_status status = faa_apply(policy, key, NULL, &image, workspace, NULL);
 *
 * STATUS AND ERRORS. A function that can fail returns FAA_OK or the kind of its failure. If its
 * last argument `error` is not NULL, it also stores there NULL, or an object with a message,
 * which the caller frees. What was there before is overwritten and not freed. `error` may be
 * NULL.
 *
 * RESULTS. A function that creates an object stores it in its argument of type `faa_... **`, or
 * NULL if it fails. The caller frees it with the function `faa_..._free` of its type, once,
 * when no other call uses it. All of these take NULL and then do nothing.
 *
 * ARGUMENTS. No pointer may be NULL unless its description says so. A NULL pointer gives
 * FAA_INVALID_ARGUMENT, or what the description says where no status is returned. A pointer to
 * `length` bytes or `count` items may be NULL if that is 0. Any other pointer must be valid for
 * what its function reads and writes.
 *
 * THREADS. An object that a function takes as `const` may be used by any number of threads at
 * the same time; any other by one at a time. The library has no global state that a program
 * could see, keeps no thread, never sets a signal handler, and works in a child after a fork.
 * Plugins are an exception, see FAA_PLUGINS below.
 *
 * FAULTS OF THE LIBRARY. A panic of its Rust code, which would be a fault, is caught and
 * becomes FAA_INTERNAL, or NULL, 0 or an empty text where no status is returned; Rust's runtime
 * writes its message to standard error. If there is no memory left, the process is aborted. */

#ifndef FAA_H
#define FAA_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Version ---------------------------------------------------------------------------- */

/* The version of the interface that this header describes.
 *
 * Within a major version, no function, constant or field is removed, changed or moved, so no
 * structure has a field for its own size; a minor version adds functions and constants. A
 * program works with the library that it runs with if
 *
 *     faa_abi_version() >> 16 == FAA_ABI_MAJOR && faa_abi_version() >= FAA_ABI_VERSION */
#define FAA_ABI_MAJOR 1
#define FAA_ABI_MINOR 1
#define FAA_ABI_VERSION ((uint32_t)FAA_ABI_MAJOR << 16 | FAA_ABI_MINOR)

/* The version of the interface that the library has: the major version in the upper 16 bits,
 * the minor in the lower. Never fails. */
uint32_t faa_abi_version(void);

/* ---- Status and errors ------------------------------------------------------------------ */

/* How a call ended: one of the constants below. A minor version may add further ones, so treat
 * every value but FAA_OK as a failure. An integer of a fixed size, unlike an enum. */
typedef int32_t faa_status;

enum {
    /* The call succeeded. */
    FAA_OK = 0,
    /* An argument is NULL, out of range, or not an image; nothing was changed. */
    FAA_INVALID_ARGUMENT = 1,
    /* A policy or a plan is malformed, or does not fit the ops or partners that there are, or
     * has an op that cannot move targets; nothing was changed. */
    FAA_INVALID_POLICY = 2,
    /* No shipped policy has this name. */
    FAA_NOT_FOUND = 3,
    /* The policy mixes images, and the workspace has no partners, or the drawn one has a
     * different shape than the image; the result may hold anything. */
    FAA_PARTNER = 4,
    /* An op failed, such as one of a plugin; the result may hold anything. */
    FAA_OP_FAILED = 5,
    /* The plugins could not be loaded. */
    FAA_PLUGIN_FAILED = 6,
    /* The library has a fault. What was to be changed may hold anything. */
    FAA_INTERNAL = 7
};

/* What went wrong, and where. */
typedef struct faa_error faa_error;

/* The message: one line of UTF-8 that ends in a zero byte, safe to print to a terminal, such as
 * "sub_policies[0][1].probability: missing". It belongs to the error. For NULL, an empty
 * text. */
const char *faa_error_message(const faa_error *error);

/* The path that the message begins with, such as "sub_policies[0][1].magnitude" in a policy,
 * or the name of an argument; an empty text if there is none. It belongs to the error. For
 * NULL, an empty text. */
const char *faa_error_path(const faa_error *error);

/* Frees an error. */
void faa_error_free(faa_error *error);

/* ---- Policies --------------------------------------------------------------------------- */

/* A policy that is ready to be applied. It never changes. */
typedef struct faa_policy faa_policy;

/* Reads a policy: the content of a policy file, JSON of `length` bytes in UTF-8, without a zero
 * byte at its end. At most 1 MiB. It is not used after the call.
 *
 * Safe for files of unknown origin.
 *
 * Errors: FAA_INVALID_POLICY, whose path says which part is wrong. */
faa_status faa_policy_parse(const char *json, size_t length, faa_policy **policy,
                            faa_error **error);

/* Makes a policy that the library contains, by its name, which ends in a zero byte.
 *
 * Errors: FAA_NOT_FOUND. */
faa_status faa_policy_shipped(const char *name, faa_policy **policy, faa_error **error);

/* The number of policies that the library contains. */
size_t faa_shipped_count(void);

/* The name of the policy at `index`, which is below faa_shipped_count(); NULL for any other
 * index. It ends in a zero byte and is never freed. */
const char *faa_shipped_name(size_t index);

/* The name of the first op in the policy that mixes in a partner image, or NULL if no op does.
 * If there is one, the policy can be applied only with partners: see
 * faa_workspace_set_partners. The name belongs to the policy. For NULL, NULL. */
const char *faa_policy_partner_op(const faa_policy *policy);

/* The name of the first op in the policy that does not say where it moves pixels, or NULL if
 * every op does. If there is one, faa_apply_with_targets refuses the policy. All built-in ops
 * say it; an op of a plugin may not. The name belongs to the policy. For NULL, NULL. Since
 * version 1.1. */
const char *faa_policy_op_without_warp(const faa_policy *policy);

/* Frees a policy. */
void faa_policy_free(faa_policy *policy);

/* ---- Images and keys -------------------------------------------------------------------- */

/* The order of an image's samples: one of the constants below. */
typedef uint32_t faa_layout;

enum {
    /* Row by row, the channels of a pixel next to each other: sample c of the pixel in column x
     * of row y is at
     *
     *     y * row_stride + x * channels + c */
    FAA_HWC = 0,
    /* Channel by channel, each row by row; the library copies such images, so it takes longer:
     *
     *     (c * height + y) * row_stride + x */
    FAA_CHW = 1
};

/* An image in memory of the caller: 8 bits per sample, rows from the top. */
typedef struct faa_image {
    /* The first sample. A source is only read, although the pointer is not to const. */
    uint8_t *samples;
    /* How many bytes from `samples` on belong to the image: at least those up to its last
     * sample. Nothing beyond is read or written. */
    size_t length;
    /* Columns, at least 1. */
    size_t width;
    /* Rows, at least 1. */
    size_t height;
    /* 1 for luminance; 3 for red, green and blue; 4 for these and alpha, not premultiplied. */
    size_t channels;
    /* Bytes from the start of a row to that of the next: at least the bytes of a row (width *
     * channels in FAA_HWC, width in FAA_CHW), or 0 for rows that follow each other without a
     * gap. In a result, gaps are neither read nor written. In a source they must be readable
     * and must not change during a call, and do not affect the result. */
    size_t row_stride;
    /* FAA_HWC or FAA_CHW. */
    faa_layout layout;
} faa_image;

/* Names one draw. */
typedef struct faa_key {
    /* The seed of the whole training. */
    uint64_t seed;
    /* The pass over the data set, below 4294967295. */
    uint64_t epoch;
    /* The index of the image in the data set, not in a batch. */
    uint64_t index;
} faa_key;

/* The key of one of several frames of the image that `key` names, if each is to have a draw of
 * its own; calls with `key` itself give all of them the same. Never fails. Since version 1.1. */
faa_key faa_key_for_frame(faa_key key, uint32_t frame);

/* ---- Workspaces and partners ------------------------------------------------------------ */

/* What one thread applies policies with: memory, which grows to the largest image and is then
 * reused, and the partners. Any number of policies may use it, one after the other. */
typedef struct faa_workspace faa_workspace;

/* Images that ops such as SamplePairing may mix in: the whole data set before augmentation,
 * always in the same order, because the key draws one of them by its index. */
typedef struct faa_partners faa_partners;

/* A new workspace, without partners; NULL only if the library has a fault. */
faa_workspace *faa_workspace_new(void);

/* Frees a workspace. */
void faa_workspace_free(faa_workspace *workspace);

/* Views `length` bytes as images of one shape that follow each other without a gap, in layout
 * FAA_HWC; there may be none. The shape is that of the images that they are mixed into.
 *
 * The samples are not copied. They must stay where they are until `partners` and all workspaces
 * that it was given to were freed or given other partners, and must not change during calls.
 *
 * Errors: FAA_INVALID_ARGUMENT if width or height is 0, channels is not 1, 3 or 4, or the last
 * image is incomplete. */
faa_status faa_partners_new(const uint8_t *samples, size_t length, size_t width, size_t height,
                            size_t channels, faa_partners **partners, faa_error **error);

/* The number of partners; 0 for NULL. */
uint64_t faa_partners_count(const faa_partners *partners);

/* Frees partners. Workspaces that have them keep them; see faa_partners_new for the samples. */
void faa_partners_free(faa_partners *partners);

/* Gives a workspace partners in place of those that it has; NULL takes them away. The partners
 * may be given to any number of workspaces, and may be freed right after.
 *
 * Errors: FAA_INVALID_ARGUMENT. */
faa_status faa_workspace_set_partners(faa_workspace *workspace, const faa_partners *partners,
                                      faa_error **error);

/* ---- Applying --------------------------------------------------------------------------- */

/* Applies a policy to an image. `source` is NULL, or describes the same memory as `result`, and
 * the image in `result` is changed in place; or the result is written to `result`, and the
 * source stays as it is.
 *
 * Both have the same width, height and channels; layout and row stride may differ. From a
 * source is faster than copying it first. No byte from the first to the last sample of a
 * result, gaps included, may belong to a source in any other way, or to a partner.
 *
 * Allocates no memory once the workspace has grown to the largest image, except for errors and
 * in ops of plugins.
 *
 * Errors: FAA_INVALID_ARGUMENT, whose path names the argument or the field; FAA_PARTNER;
 * FAA_OP_FAILED. */
faa_status faa_apply(const faa_policy *policy, faa_key key, const faa_image *source,
                     faa_image *result, faa_workspace *workspace, faa_error **error);

/* What faa_apply will do with this key, if the workspace has this many partners, as JSON that
 * can be logged and replayed: a text in one line of UTF-8 that ends in a zero byte. The caller
 * frees it by faa_string_free.
 *
 *     {"sub_policy": 3, "steps": [{"step": 0, "op": "Rotate", "value": -17.25, "seed": 113}]}
 *
 * Errors: FAA_INVALID_ARGUMENT. */
faa_status faa_plan(const faa_policy *policy, faa_key key, uint64_t partner_count, char **plan,
                    faa_error **error);

/* Applies a plan, JSON of `length` bytes without a zero byte at its end, in place of what a key
 * would draw: the same bytes as from faa_apply with the key that the plan was made for, given
 * the same image and partners. Of the policy, only the ops are used that it was made with.
 *
 * Safe for plans of unknown origin. Images are as in faa_apply.
 *
 * Errors: those of faa_apply, and FAA_INVALID_POLICY, whose path says which part of the plan is
 * wrong; `result` is then unchanged. */
faa_status faa_replay(const faa_policy *policy, const char *plan, size_t length,
                      const faa_image *source, faa_image *result, faa_workspace *workspace,
                      faa_error **error);

/* Frees a text that faa_plan made. */
void faa_string_free(char *text);

/* ---- Targets ---------------------------------------------------------------------------- */

/* What moves along with an image: masks, boxes, keypoints and further images. Since version
 * 1.1.
 *
 * Positions are in pixels from the left and top edges of the image, so the centre of its first
 * pixel is (0.5, 0.5) and its lower right corner is (width, height), as in COCO's boxes. Masks
 * move pixel by pixel, exactly as the image does; boxes and points follow the map that pixels
 * are taken from, so a pixel of theirs lies within half a pixel of it.
 *
 *     faa_box boxes[] = {{4, 8, 20, 32, 0}};
 *     faa_mask masks[] = {{labels, 224 * 224, 224, 224, 1, 0, 255}};
 *     faa_targets targets = {.boxes = boxes, .box_count = 1, .masks = masks, .mask_count = 1,
 *                            .min_size = 1};
 *     faa_apply_with_targets(policy, key, NULL, &image, &targets, workspace, &error);
 *     if (boxes[0].visible > 0) ... */

/* One label per pixel, such as its class or its object, or a depth, in memory of the caller:
 * rows from the top. Labels are moved and never mixed. */
typedef struct faa_mask {
    /* The first label: a uint8_t, or a uint16_t, which is aligned for its type. */
    void *labels;
    /* How many bytes from `labels` on belong to the mask: at least those up to its last label.
     * Nothing beyond is read or written. */
    size_t length;
    /* Columns and rows: those of the image. */
    size_t width;
    size_t height;
    /* 1 for labels of type uint8_t, 2 for uint16_t. */
    size_t label_bytes;
    /* Bytes from the start of a row to that of the next: at least width * label_bytes and a
     * multiple of label_bytes, or 0 for rows that follow each other without a gap. Gaps are
     * neither read nor written; masks with gaps are copied, which takes longer. */
    size_t row_stride;
    /* The label of pixels that come from outside the image; one that fits. */
    uint32_t fill;
} faa_mask;

/* A box with its sides along those of the image. It becomes the smallest such box about all
 * that is still visible of it: its corners are moved, what left the image with any op is cut
 * off, and the edges of the rest are taken. */
typedef struct faa_box {
    /* The positions of its edges, left below right and top below bottom; a box that is none is
     * dropped. */
    double left;
    double top;
    double right;
    double bottom;
    /* Written: the fraction of the box's area that is visible, above 0 and at most 1; or 0 if
     * the box is dropped, and then its edges become 0 too. Boxes keep their places in the
     * array, so labels that belong to them do too. */
    double visible;
} faa_box;

/* A box at any angle. It becomes the smallest box at the moved box's angle about all that is
 * still visible of it; if an op shears it, that is the angle of the longer of its moved
 * sides. */
typedef struct faa_rotated_box {
    /* The position of its centre. */
    double x;
    double y;
    /* The lengths of the sides that are horizontal at angle 0, and of the others; above 0. */
    double width;
    double height;
    /* By how much it is turned, in degrees, counter-clockwise as one looks at the image. After
     * a draw it is from -180 to 180. */
    double angle;
    /* As in faa_box. */
    double visible;
} faa_rotated_box;

/* A point. */
typedef struct faa_keypoint {
    /* Its position. It is moved even if the point is not visible. */
    double x;
    double y;
    /* Other than 0 if the point is visible. It becomes 0 if the point leaves the image with any
     * op, and stays what it is otherwise, such as COCO's 1 and 2. */
    uint32_t visible;
} faa_keypoint;

/* What becomes of targets where an op such as Cutout erases a rectangle of the image: one of
 * the constants below. */
typedef uint32_t faa_erased;

enum {
    /* Nothing: the objects are behind the rectangle. */
    FAA_OCCLUDED = 0,
    /* They are gone: labels become the mask's fill, points in the rectangle invisible, and its
     * area is not part of what is visible of a box, whose edges stay. */
    FAA_REMOVED = 1
};

/* All targets of a call. With all fields 0 there are none. */
typedef struct faa_targets {
    /* Further images that the same draw is applied to, in place, such as those of a second
     * camera, a depth map, or the other frames of a clip. They may differ from the image and
     * from each other in everything. */
    const faa_image *images;
    size_t image_count;
    const faa_mask *masks;
    size_t mask_count;
    faa_box *boxes;
    size_t box_count;
    faa_rotated_box *rotated_boxes;
    size_t rotated_box_count;
    faa_keypoint *keypoints;
    size_t keypoint_count;
    /* The smallest fraction of a box's area that has to be visible, from 0 to 1, or else the
     * box is dropped. */
    double min_visible;
    /* The shortest side that a moved box may have, in pixels, 0 or more; in Rust and in Python
     * it is 1 unless something else is said. */
    double min_size;
    /* FAA_OCCLUDED or FAA_REMOVED. */
    faa_erased erased;
} faa_targets;

/* As faa_apply, and what is in `targets` is moved along by the same draw, in place. No byte
 * from the first to the last of a mask or an image of the targets may belong to a different
 * one, to the source, the result, or a partner; nor may the arrays.
 *
 * Allocates no memory once the workspace has grown to the largest image and the most targets,
 * except for errors and in ops of plugins.
 *
 * Errors: those of faa_apply, whose path is such as "targets.masks[1].fill"; FAA_INVALID_POLICY
 * if an op of the policy does not say where it moves pixels. After FAA_PARTNER and
 * FAA_OP_FAILED, images and masks may hold anything; boxes and keypoints have not changed. */
faa_status faa_apply_with_targets(const faa_policy *policy, faa_key key, const faa_image *source,
                                  faa_image *result, const faa_targets *targets,
                                  faa_workspace *workspace, faa_error **error);

/* As faa_replay, and moves targets as faa_apply_with_targets does.
 *
 * Safe for plans of unknown origin.
 *
 * Errors: those of faa_replay and of faa_apply_with_targets. */
faa_status faa_replay_with_targets(const faa_policy *policy, const char *plan, size_t length,
                                   const faa_image *source, faa_image *result,
                                   const faa_targets *targets, faa_workspace *workspace,
                                   faa_error **error);

/* ---- Plugins ---------------------------------------------------------------------------- */

/* Ops from files. Only a library that was built with the feature `plugins` has these functions;
 * define FAA_PLUGINS before including this header to use them.
 *
 * Plugins are WebAssembly modules, which run in a sandbox with limits, or native libraries,
 * which do not. Loading them starts threads. One measures the time of calls, and ends when the
 * plugins and all policies that were made with them have been freed; those that compile modules
 * stay, and are idle. Compiled modules are cached in the folder that the environment variable
 * FAA_CACHE_DIR names, or else in ~/.cache/faa-runtime. After a fork, the child must neither
 * use nor free what was made with the plugins of its parent. */
#ifdef FAA_PLUGINS

/* The built-in ops, and those of plugins. They never change. */
typedef struct faa_plugins faa_plugins;

/* What plugins may do. 0 in any field means its default. */
typedef struct faa_plugin_options {
    /* Memory per plugin and thread, in MiB, from 1 to 4096; by default 256. */
    uint32_t memory_mib;
    /* Memory of all plugins and threads together, in MiB, from 1 to 1048576; by default
     * 4096. */
    uint32_t total_memory_mib;
    /* Time of one call of an op, in seconds, from 0.01 to 86400; by default 10. */
    double call_seconds;
    /* Other than 0: also loads native libraries, which run with all rights of the process.
     * Whoever allows this vouches for every library in the folders. */
    uint32_t allow_native;
} faa_plugin_options;

/* Loads the plugins in `count` folders, of which each path ends in a zero byte. A file that
 * cannot be loaded does not prevent the others from being loaded: see faa_plugins_broken.
 * `options` may be NULL, for the defaults.
 *
 * Safe for WebAssembly modules of unknown origin.
 *
 * Errors: FAA_INVALID_ARGUMENT; FAA_PLUGIN_FAILED if a folder cannot be read or has more than
 * 1000 plugins. */
faa_status faa_plugins_load(const char *const *folders, size_t count,
                            const faa_plugin_options *options, faa_plugins **plugins,
                            faa_error **error);

/* Frees plugins. Policies that were made with them keep what they need. */
void faa_plugins_free(faa_plugins *plugins);

/* The number of ops of plugins that were loaded; 0 for NULL. */
size_t faa_plugins_op_count(const faa_plugins *plugins);

/* The name of the op of a plugin at `index`, which is below faa_plugins_op_count; NULL for any
 * other index, and for NULL. It belongs to the plugins. */
const char *faa_plugins_op(const faa_plugins *plugins, size_t index);

/* The number of files that could not be loaded; 0 for NULL. */
size_t faa_plugins_broken_count(const faa_plugins *plugins);

/* The path of the file at `index`, which is below faa_plugins_broken_count, and why it could
 * not be loaded, in one line; NULL for any other index, and for NULL. It belongs to the
 * plugins. */
const char *faa_plugins_broken(const faa_plugins *plugins, size_t index);

/* As faa_policy_parse, with the ops of plugins too. */
faa_status faa_plugins_policy_parse(const faa_plugins *plugins, const char *json, size_t length,
                                    faa_policy **policy, faa_error **error);

#endif /* FAA_PLUGINS */

#ifdef __cplusplus
}
#endif

#endif /* FAA_H */
