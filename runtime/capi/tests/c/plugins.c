/* Loads the plugins of a folder, which has a WebAssembly module with the op Flicker and a file that is no module,
 * and applies a policy with that op.
 *
 *     plugins FOLDER */

#include "common.h"

static const char FLICKERING[] =
    "{\"format\": \"faa-policy\", \"version\": 1, \"name\": \"flickering\", \"sub_policies\": ["
    "[{\"op\": \"Flicker\", \"probability\": 1, \"magnitude\": 0.5}]]}";

int main(int count, char **arguments) {
    CHECK(count == 2);
    const char *folders[] = {arguments[1]};
    faa_plugin_options options = {64, 0, 1.0, 0};
    faa_plugins *plugins = NULL;
    faa_error *error = NULL;
    if (faa_plugins_load(folders, 1, &options, &plugins, &error) != FAA_OK) {
        fprintf(stderr, "%s\n", faa_error_message(error));
        return 1;
    }
    CHECK(faa_plugins_op_count(plugins) == 1);
    CHECK(strcmp(faa_plugins_op(plugins, 0), "Flicker") == 0);
    CHECK(faa_plugins_op(plugins, 1) == NULL);
    CHECK(faa_plugins_broken_count(plugins) == 1);
    CHECK(strstr(faa_plugins_broken(plugins, 0), "broken.wasm: ") != NULL);
    CHECK(faa_plugins_broken(plugins, 1) == NULL);

    faa_policy *policy = NULL;
    size_t length = strlen(FLICKERING);
    CHECK(faa_policy_parse(FLICKERING, length, &policy, NULL) == FAA_INVALID_POLICY);
    CHECK(faa_plugins_policy_parse(plugins, FLICKERING, length, &policy, NULL) == FAA_OK);
    faa_plugins_free(plugins);

    uint8_t samples[8 * 8 * 3], again[sizeof samples];
    draw_picture(samples, sizeof samples, 1);
    faa_image image = {samples, sizeof samples, 8, 8, 3, 0, FAA_HWC};
    faa_image other = {again, sizeof again, 8, 8, 3, 0, FAA_HWC};
    faa_workspace *workspace = faa_workspace_new();
    faa_key key = {1, 2, 3};
    char *plan = NULL;
    CHECK(faa_plan(policy, key, 0, &plan, NULL) == FAA_OK);
    CHECK(faa_replay(policy, plan, strlen(plan), &image, &other, workspace, NULL) == FAA_OK);
    uint64_t before = digest_of(FIRST_DIGEST, samples, sizeof samples);
    CHECK(faa_apply(policy, key, NULL, &image, workspace, NULL) == FAA_OK);
    CHECK(memcmp(samples, again, sizeof samples) == 0);
    CHECK(digest_of(FIRST_DIGEST, samples, sizeof samples) != before);
    faa_string_free(plan);
    faa_workspace_free(workspace);
    faa_policy_free(policy);

    options.call_seconds = -1;
    CHECK(faa_plugins_load(folders, 1, &options, &plugins, &error) == FAA_INVALID_ARGUMENT);
    CHECK(plugins == NULL && strcmp(faa_error_path(error), "options") == 0);
    faa_error_free(error);
    folders[0] = "no such folder";
    CHECK(faa_plugins_load(folders, 1, NULL, &plugins, NULL) == FAA_PLUGIN_FAILED);
    CHECK(faa_plugins_load(NULL, 0, NULL, &plugins, NULL) == FAA_OK);
    CHECK(faa_plugins_op_count(plugins) == 0 && faa_plugins_broken_count(plugins) == 0);
    faa_plugins_free(plugins);
    return 0;
}
