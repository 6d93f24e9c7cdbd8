// faa.hpp: faa.h for C++17. Objects are freed by their destructors and can be moved, not copied;
// failures are thrown as `faa::Error`. What functions do is described in faa.h.

#ifndef FAA_HPP
#define FAA_HPP

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "faa.h"

namespace faa {

using Key = faa_key;

// Why a call failed.
class Error : public std::runtime_error {
public:
    Error(faa_status status, const faa_error *error)
        : std::runtime_error(faa_error_message(error)),
          status_(status),
          path_(faa_error_path(error)) {}

    // The kind of failure, never FAA_OK.
    faa_status status() const noexcept { return status_; }

    // The path that the message begins with, such as "sub_policies[0][1].magnitude".
    const std::string &path() const noexcept { return path_; }

private:
    faa_status status_;
    std::string path_;
};

namespace detail {

template <auto Free>
struct Deleter {
    template <typename T>
    void operator()(T *object) const noexcept {
        Free(object);
    }
};

template <typename T, auto Free>
using Owner = std::unique_ptr<T, Deleter<Free>>;

// Calls a function with the address of an error, and throws it.
template <typename Call>
void check(Call call) {
    faa_error *error = nullptr;
    const faa_status status = call(&error);
    const Owner<faa_error, faa_error_free> owner(error);
    if (status != FAA_OK) {
        throw Error(status, error);
    }
}

}  // namespace detail

// An image that a result is written to, or that is changed in place. A `row_stride` of 0 means rows
// without gaps.
inline faa_image image(std::uint8_t *samples, std::size_t length, std::size_t width,
                       std::size_t height, std::size_t channels, faa_layout layout = FAA_HWC,
                       std::size_t row_stride = 0) noexcept {
    return {samples, length, width, height, channels, row_stride, layout};
}

// An image that is only read.
inline const faa_image source(const std::uint8_t *samples, std::size_t length, std::size_t width,
                              std::size_t height, std::size_t channels,
                              faa_layout layout = FAA_HWC, std::size_t row_stride = 0) noexcept {
    // The library never writes to a source.
    return image(const_cast<std::uint8_t *>(samples), length, width, height, channels, layout,
                 row_stride);
}

// A mask with labels of one byte. A `row_stride` of 0 means rows without gaps; it and `length` are in
// bytes.
inline faa_mask mask(std::uint8_t *labels, std::size_t length, std::size_t width,
                     std::size_t height, std::uint8_t fill = 0,
                     std::size_t row_stride = 0) noexcept {
    return {labels, length, width, height, sizeof *labels, row_stride, fill};
}

// A mask with labels of two bytes.
inline faa_mask mask(std::uint16_t *labels, std::size_t length, std::size_t width,
                     std::size_t height, std::uint16_t fill = 0,
                     std::size_t row_stride = 0) noexcept {
    return {labels, length, width, height, sizeof *labels, row_stride, fill};
}

// A box with its sides along those of the image.
inline faa_box box(double left, double top, double right, double bottom) noexcept {
    return {left, top, right, bottom, 1};
}

// Whether a draw kept a box.
inline bool is_kept(const faa_box &box) noexcept { return box.visible > 0; }
inline bool is_kept(const faa_rotated_box &box) noexcept { return box.visible > 0; }

// What moves along with an image, in place. Memory of images and masks stays the caller's.
struct Targets {
    std::vector<faa_image> images;
    std::vector<faa_mask> masks;
    std::vector<faa_box> boxes;
    std::vector<faa_rotated_box> rotated_boxes;
    std::vector<faa_keypoint> keypoints;
    // Which boxes are dropped.
    double min_visible = 0;
    double min_size = 1;
    // What becomes of targets where an op erases the image.
    faa_erased erased = FAA_OCCLUDED;

    // As the library takes them, as long as no vector changes.
    faa_targets get() noexcept {
        return {images.data(),        images.size(),        masks.data(),
                masks.size(),         boxes.data(),         boxes.size(),
                rotated_boxes.data(), rotated_boxes.size(), keypoints.data(),
                keypoints.size(),     min_visible,          min_size,
                erased};
    }
};

// The key of one of several frames, if each is to have a draw of its own.
inline Key for_frame(Key key, std::uint32_t frame) noexcept {
    return faa_key_for_frame(key, frame);
}

// Images that ops such as SamplePairing may mix in. The samples must outlive the workspaces that have them.
class Partners {
public:
    Partners(const std::uint8_t *samples, std::size_t length, std::size_t width,
             std::size_t height, std::size_t channels) {
        faa_partners *partners = nullptr;
        detail::check([&](faa_error **error) {
            return faa_partners_new(samples, length, width, height, channels, &partners, error);
        });
        owner_.reset(partners);
    }

    std::uint64_t count() const noexcept { return faa_partners_count(get()); }

    const faa_partners *get() const noexcept { return owner_.get(); }

private:
    detail::Owner<faa_partners, faa_partners_free> owner_;
};

// What one thread applies policies with.
class Workspace {
public:
    Workspace() : owner_(faa_workspace_new()) {}

    explicit Workspace(const Partners &partners) : Workspace() {
        detail::check([&](faa_error **error) {
            return faa_workspace_set_partners(get(), partners.get(), error);
        });
    }

    faa_workspace *get() noexcept { return owner_.get(); }

private:
    detail::Owner<faa_workspace, faa_workspace_free> owner_;
};

#ifdef FAA_PLUGINS

// The built-in ops, and those of plugins.
class Plugins {
public:
    explicit Plugins(const std::vector<std::string> &folders,
                     const faa_plugin_options &options = {}) {
        std::vector<const char *> paths;
        for (const std::string &folder : folders) {
            paths.push_back(folder.c_str());
        }
        faa_plugins *plugins = nullptr;
        detail::check([&](faa_error **error) {
            return faa_plugins_load(paths.data(), paths.size(), &options, &plugins, error);
        });
        owner_.reset(plugins);
    }

    // The names of the plugins' ops.
    std::vector<std::string> ops() const {
        std::vector<std::string> names;
        for (std::size_t index = 0; index < faa_plugins_op_count(get()); ++index) {
            names.emplace_back(faa_plugins_op(get(), index));
        }
        return names;
    }

    // The files that could not be loaded, each with the reason.
    std::vector<std::string> broken() const {
        std::vector<std::string> files;
        for (std::size_t index = 0; index < faa_plugins_broken_count(get()); ++index) {
            files.emplace_back(faa_plugins_broken(get(), index));
        }
        return files;
    }

    const faa_plugins *get() const noexcept { return owner_.get(); }

private:
    detail::Owner<faa_plugins, faa_plugins_free> owner_;
};

#endif  // FAA_PLUGINS

// A policy that is ready to be applied, by any number of threads.
class Policy {
public:
    // The content of a policy file.
    static Policy parse(std::string_view json) {
        return make([&](faa_policy **policy, faa_error **error) {
            return faa_policy_parse(json.data(), json.size(), policy, error);
        });
    }

#ifdef FAA_PLUGINS
    // The same, with the ops of plugins too.
    static Policy parse(std::string_view json, const Plugins &plugins) {
        return make([&](faa_policy **policy, faa_error **error) {
            return faa_plugins_policy_parse(plugins.get(), json.data(), json.size(), policy, error);
        });
    }
#endif

    static Policy shipped(const std::string &name) {
        return make([&](faa_policy **policy, faa_error **error) {
            return faa_policy_shipped(name.c_str(), policy, error);
        });
    }

    // The first op that mixes in a partner image; empty if there is none.
    std::string_view partner_op() const noexcept {
        const char *op = faa_policy_partner_op(get());
        return op ? std::string_view(op) : std::string_view();
    }

    // The first op that does not say where it moves pixels, for which targets are refused; empty if
    // there is none.
    std::string_view op_without_warp() const noexcept {
        const char *op = faa_policy_op_without_warp(get());
        return op ? std::string_view(op) : std::string_view();
    }

    // Changes an image in place.
    void apply(Key key, faa_image image, Workspace &workspace) const {
        detail::check([&](faa_error **error) {
            return faa_apply(get(), key, nullptr, &image, workspace.get(), error);
        });
    }

    // Writes to `result` what becomes of `source`.
    void apply(Key key, const faa_image &source, faa_image result, Workspace &workspace) const {
        detail::check([&](faa_error **error) {
            return faa_apply(get(), key, &source, &result, workspace.get(), error);
        });
    }

    // The same, and moves targets along.
    void apply(Key key, faa_image image, Targets &targets, Workspace &workspace) const {
        const faa_targets all = targets.get();
        detail::check([&](faa_error **error) {
            return faa_apply_with_targets(get(), key, nullptr, &image, &all, workspace.get(), error);
        });
    }

    void apply(Key key, const faa_image &source, faa_image result, Targets &targets,
               Workspace &workspace) const {
        const faa_targets all = targets.get();
        detail::check([&](faa_error **error) {
            return faa_apply_with_targets(get(), key, &source, &result, &all, workspace.get(),
                                          error);
        });
    }

    // What `apply` will do, as JSON.
    std::string plan(Key key, std::uint64_t partner_count = 0) const {
        char *text = nullptr;
        detail::check([&](faa_error **error) {
            return faa_plan(get(), key, partner_count, &text, error);
        });
        const detail::Owner<char, faa_string_free> owner(text);
        return text;
    }

    // Changes an image in place as a plan says.
    void replay(std::string_view plan, faa_image image, Workspace &workspace) const {
        detail::check([&](faa_error **error) {
            return faa_replay(get(), plan.data(), plan.size(), nullptr, &image, workspace.get(),
                              error);
        });
    }

    // Writes to `result` what becomes of `source` by a plan.
    void replay(std::string_view plan, const faa_image &source, faa_image result,
                Workspace &workspace) const {
        detail::check([&](faa_error **error) {
            return faa_replay(get(), plan.data(), plan.size(), &source, &result, workspace.get(),
                              error);
        });
    }

    // The same, and moves targets along.
    void replay(std::string_view plan, faa_image image, Targets &targets,
                Workspace &workspace) const {
        const faa_targets all = targets.get();
        detail::check([&](faa_error **error) {
            return faa_replay_with_targets(get(), plan.data(), plan.size(), nullptr, &image, &all,
                                           workspace.get(), error);
        });
    }

    void replay(std::string_view plan, const faa_image &source, faa_image result, Targets &targets,
                Workspace &workspace) const {
        const faa_targets all = targets.get();
        detail::check([&](faa_error **error) {
            return faa_replay_with_targets(get(), plan.data(), plan.size(), &source, &result, &all,
                                           workspace.get(), error);
        });
    }

    const faa_policy *get() const noexcept { return owner_.get(); }

private:
    template <typename Call>
    static Policy make(Call call) {
        faa_policy *policy = nullptr;
        detail::check([&](faa_error **error) { return call(&policy, error); });
        return Policy(policy);
    }

    explicit Policy(faa_policy *policy) noexcept : owner_(policy) {}

    detail::Owner<faa_policy, faa_policy_free> owner_;
};

// The names of the policies that the library contains.
inline std::vector<std::string_view> shipped() {
    std::vector<std::string_view> names;
    for (std::size_t index = 0; index < faa_shipped_count(); ++index) {
        names.emplace_back(faa_shipped_name(index));
    }
    return names;
}

}  // namespace faa

#endif  // FAA_HPP
