//! The C library `libfaa`: policies over images in a program's memory.
//!
//! `include/faa.h` is its documentation: what each function takes, returns and promises. The items here
//! have the same names and layouts, and are public so that Rust can call what C calls. `README.md` shows
//! how the library is built and used.

mod apply;
mod error;
mod image;
mod mask;
mod partners;
#[cfg(feature = "plugins")]
mod plugins;
mod policy;
mod targets;
mod workspace;

#[cfg(test)]
mod tests;

pub use apply::{
    Key, faa_apply, faa_apply_with_targets, faa_key_for_frame, faa_plan, faa_replay,
    faa_replay_with_targets, faa_string_free,
};
pub use error::{
    Error, FAA_INTERNAL, FAA_INVALID_ARGUMENT, FAA_INVALID_POLICY, FAA_NOT_FOUND, FAA_OK,
    FAA_OP_FAILED, FAA_PARTNER, FAA_PLUGIN_FAILED, Status, faa_error_free, faa_error_message,
    faa_error_path,
};
pub use image::{FAA_CHW, FAA_HWC, Image};
pub use mask::Mask;
pub use partners::{Partners, faa_partners_count, faa_partners_free, faa_partners_new};
#[cfg(feature = "plugins")]
pub use plugins::{
    PluginOptions, Plugins, faa_plugins_broken, faa_plugins_broken_count, faa_plugins_free,
    faa_plugins_load, faa_plugins_op, faa_plugins_op_count, faa_plugins_policy_parse,
};
pub use policy::{
    Policy, faa_policy_free, faa_policy_op_without_warp, faa_policy_parse, faa_policy_partner_op,
    faa_policy_shipped, faa_shipped_count, faa_shipped_name,
};
pub use targets::{BoundingBox, FAA_OCCLUDED, FAA_REMOVED, Keypoint, RotatedBox, Targets};
pub use workspace::{Workspace, faa_workspace_free, faa_workspace_new, faa_workspace_set_partners};

// Every entry that runs more than a constant catches panics, and cannot if they end the process.
#[cfg(not(panic = "unwind"))]
compile_error!("libfaa needs a profile with `panic = \"unwind\"`");

/// The major version of the interface.
pub const FAA_ABI_MAJOR: u32 = 1;
/// The minor version of the interface.
pub const FAA_ABI_MINOR: u32 = 1;

/// See `faa.h`.
#[expect(unsafe_code, reason = "C calls it by its name")]
#[unsafe(no_mangle)]
pub extern "C" fn faa_abi_version() -> u32 {
    FAA_ABI_MAJOR << 16 | FAA_ABI_MINOR
}
