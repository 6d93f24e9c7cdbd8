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
#ifdef FAA_PLUGINS
    SIZE(faa_plugin_options);
    FIELD(faa_plugin_options, memory_mib);
    FIELD(faa_plugin_options, total_memory_mib);
    FIELD(faa_plugin_options, call_seconds);
    FIELD(faa_plugin_options, allow_native);
#endif
    return 0;
}
