/* Prints the constants of the header, and where the fields of its structures are. */

#include "common.h"

#define CONSTANT(name) printf(#name " %ld\n", (long)(name))
#define FIELD(type, field) printf(#type "." #field " %zu\n", offsetof(type, field))
#define SIZE(type) printf(#type " %zu\n", sizeof(type))

int main(void) {
    CONSTANT(FAA_ABI_MAJOR);
    CONSTANT(FAA_ABI_MINOR);
    CONSTANT(FAA_OK);
    CONSTANT(FAA_INVALID_ARGUMENT);
    CONSTANT(FAA_INVALID_POLICY);
    CONSTANT(FAA_NOT_FOUND);
    CONSTANT(FAA_PARTNER);
    CONSTANT(FAA_OP_FAILED);
    CONSTANT(FAA_PLUGIN_FAILED);
    CONSTANT(FAA_INTERNAL);
    CONSTANT(FAA_HWC);
    CONSTANT(FAA_CHW);
    CONSTANT(FAA_OCCLUDED);
    CONSTANT(FAA_REMOVED);
    SIZE(faa_status);
    SIZE(faa_key);
    FIELD(faa_key, seed);
    FIELD(faa_key, epoch);
    FIELD(faa_key, index);
    SIZE(faa_image);
    FIELD(faa_image, samples);
    FIELD(faa_image, length);
    FIELD(faa_image, width);
    FIELD(faa_image, height);
    FIELD(faa_image, channels);
    FIELD(faa_image, row_stride);
    FIELD(faa_image, layout);
    SIZE(faa_mask);
    FIELD(faa_mask, labels);
    FIELD(faa_mask, length);
    FIELD(faa_mask, width);
    FIELD(faa_mask, height);
    FIELD(faa_mask, label_bytes);
    FIELD(faa_mask, row_stride);
    FIELD(faa_mask, fill);
    SIZE(faa_box);
    FIELD(faa_box, left);
    FIELD(faa_box, top);
    FIELD(faa_box, right);
    FIELD(faa_box, bottom);
    FIELD(faa_box, visible);
    SIZE(faa_rotated_box);
    FIELD(faa_rotated_box, x);
    FIELD(faa_rotated_box, y);
    FIELD(faa_rotated_box, width);
    FIELD(faa_rotated_box, height);
    FIELD(faa_rotated_box, angle);
    FIELD(faa_rotated_box, visible);
    SIZE(faa_keypoint);
    FIELD(faa_keypoint, x);
    FIELD(faa_keypoint, y);
    FIELD(faa_keypoint, visible);
    SIZE(faa_targets);
    FIELD(faa_targets, images);
    FIELD(faa_targets, image_count);
    FIELD(faa_targets, masks);
    FIELD(faa_targets, mask_count);
    FIELD(faa_targets, boxes);
    FIELD(faa_targets, box_count);
    FIELD(faa_targets, rotated_boxes);
    FIELD(faa_targets, rotated_box_count);
    FIELD(faa_targets, keypoints);
    FIELD(faa_targets, keypoint_count);
    FIELD(faa_targets, min_visible);
    FIELD(faa_targets, min_size);
    FIELD(faa_targets, erased);
#ifdef FAA_PLUGINS
    SIZE(faa_plugin_options);
    FIELD(faa_plugin_options, memory_mib);
    FIELD(faa_plugin_options, total_memory_mib);
    FIELD(faa_plugin_options, call_seconds);
    FIELD(faa_plugin_options, allow_native);
#endif
    return 0;
}
