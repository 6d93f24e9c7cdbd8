// Uses all of faa.hpp. Prints digests as digests.c does, of some draws.

#include <type_traits>
#include <utility>

#include "faa.hpp"

#include "common.h"

static_assert(!std::is_copy_constructible_v<faa::Policy>);
static_assert(std::is_nothrow_move_constructible_v<faa::Policy>);
static_assert(std::is_nothrow_move_assignable_v<faa::Workspace>);
static_assert(std::is_nothrow_move_constructible_v<faa::Partners>);

int main() {
    const std::vector<std::string_view> names = faa::shipped();
    CHECK(names.size() == faa_shipped_count());
    faa::Workspace workspace;
    for (const std::string_view name : names) {
        faa::Policy made = faa::Policy::shipped(std::string(name));
        const faa::Policy policy = std::move(made);
        if (!policy.partner_op().empty()) {
            continue;
        }
        for (std::uint64_t index = 0; index < 4; ++index) {
            const faa::Key key{index * index, index % 3, 1000003 * index};
            std::vector<std::uint8_t> picture(32 * 32 * 3);
            draw_picture(picture.data(), picture.size(), key.index);
            std::vector<std::uint8_t> result(picture.size()), again(picture.size());
            const faa_image source = faa::source(picture.data(), picture.size(), 32, 32, 3);
            policy.apply(key, source, faa::image(result.data(), result.size(), 32, 32, 3), workspace);
            const std::string plan = policy.plan(key);
            policy.replay(plan, source, faa::image(again.data(), again.size(), 32, 32, 3), workspace);
            CHECK(again == result);
            again = picture;
            policy.replay(plan, faa::image(again.data(), again.size(), 32, 32, 3), workspace);
            CHECK(again == result);
            policy.apply(key, faa::image(picture.data(), picture.size(), 32, 32, 3), workspace);
            CHECK(picture == result);
            std::printf("%s 32x32x3 %d %016llx\n", std::string(name).c_str(), int(index),
                        (unsigned long long)digest_of(FIRST_DIGEST, result.data(), result.size()));
        }
    }

    const std::string mixing =
        R"({"format": "faa-policy", "version": 1, "name": "mixing", "sub_policies":
            [[{"op": "SamplePairing", "probability": 1, "magnitude": 0.5}]]})";
    const faa::Policy policy = faa::Policy::parse(mixing);
    CHECK(policy.partner_op() == "SamplePairing");
    std::vector<std::uint8_t> set(4 * 8 * 8), picture(8 * 8);
    const faa::Partners partners(set.data(), set.size(), 8, 8, 1);
    CHECK(partners.count() == 4);
    const faa_image image = faa::image(picture.data(), picture.size(), 8, 8, 1, FAA_CHW, 8);
    try {
        policy.apply({}, image, workspace);
        CHECK(false);
    } catch (const faa::Error &error) {
        CHECK(error.status() == FAA_PARTNER && error.path().empty());
    }
    workspace = faa::Workspace(partners);
    policy.apply({}, image, workspace);
    try {
        faa::Policy::parse(mixing.substr(1));
        CHECK(false);
    } catch (const std::runtime_error &error) {
        CHECK(std::string_view(error.what()).substr(0, 14) == "not valid JSON");
    }
    try {
        faa::Policy::shipped("randaugmented");
        CHECK(false);
    } catch (const faa::Error &error) {
        CHECK(error.status() == FAA_NOT_FOUND && error.path() == "name");
        CHECK(std::string_view(error.what()).find("did you mean `randaugment`?") !=
              std::string_view::npos);
    }
#ifdef FAA_PLUGINS
    const faa::Plugins plugins(std::vector<std::string>{});
    CHECK(plugins.ops().empty() && plugins.broken().empty());
    CHECK(faa::Policy::parse(mixing, plugins).partner_op() == "SamplePairing");
#endif
    return 0;
}
