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

    // Targets, by key and by plan.
    const faa::Policy moving = faa::Policy::shipped("trivialaugment-detection");
    CHECK(moving.op_without_warp().empty());
    for (std::uint32_t frame = 0; frame < 20; ++frame) {
        const faa::Key key = faa::for_frame({1, 2, 3}, frame);
        std::vector<std::uint8_t> picture(16 * 12 * 3, 7), result(picture.size());
        const std::vector<std::uint8_t> labels(16 * 12, 1);
        const std::vector<std::uint16_t> depths(16 * 12, 300);
        faa::Targets targets[4];
        for (int way = 0; way < 4; ++way) {
            std::vector<std::uint8_t> own = labels;
            std::vector<std::uint16_t> deep = depths;
            std::vector<std::uint8_t> second = picture, first = picture;
            targets[way].masks = {faa::mask(own.data(), own.size(), 16, 12, 200),
                                  faa::mask(deep.data(), 2 * deep.size(), 16, 12, 60000)};
            targets[way].images = {faa::image(second.data(), second.size(), 16, 12, 3)};
            targets[way].boxes = {faa::box(2, 3, 9, 11), faa::box(5, 5, 5, 6)};
            targets[way].rotated_boxes = {{8, 6, 5, 3, 30, 0}};
            targets[way].keypoints = {{4, 4, 2}};
            const faa_image source = faa::source(picture.data(), picture.size(), 16, 12, 3);
            const faa_image target = faa::image(result.data(), result.size(), 16, 12, 3);
            const faa_image same = faa::image(first.data(), first.size(), 16, 12, 3);
            switch (way) {
                case 0: moving.apply(key, source, target, targets[way], workspace); break;
                case 1: moving.apply(key, same, targets[way], workspace); break;
                case 2: moving.replay(moving.plan(key), source, target, targets[way], workspace); break;
                default: moving.replay(moving.plan(key), same, targets[way], workspace);
            }
            CHECK(second == (way % 2 ? first : result));
            CHECK(!faa::is_kept(targets[way].boxes[1]));
            CHECK(faa::is_kept(targets[way].boxes[0]) == (targets[way].boxes[0].right > 0));
            CHECK(targets[way].boxes[0].left == targets[0].boxes[0].left);
            CHECK(targets[way].rotated_boxes[0].angle == targets[0].rotated_boxes[0].angle);
            CHECK(targets[way].keypoints[0].x == targets[0].keypoints[0].x);
            for (std::size_t pixel = 0; pixel < own.size(); ++pixel) {
                CHECK((own[pixel] == 200) == (deep[pixel] == 60000));
            }
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
