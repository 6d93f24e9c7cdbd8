//! The limits of plugins, and where compiled ones are cached.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use crate::cache::default_cache;

/// The range of [`PluginOptions::memory_mib`](crate::PluginOptions::memory_mib).
pub(crate) const MEMORY_MIB: RangeInclusive<u32> = 1..=4096;
/// The range of [`PluginOptions::total_memory_mib`](crate::PluginOptions::total_memory_mib).
pub(crate) const TOTAL_MEMORY_MIB: RangeInclusive<u32> = 1..=1 << 20;
/// The range of [`PluginOptions::call_seconds`](crate::PluginOptions::call_seconds).
pub(crate) const CALL_SECONDS: RangeInclusive<f64> = 0.01..=86_400.0;

/// The settings of a [`Host`](crate::Host). Every limit is on by default.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HostConfig {
    /// Limits on running WebAssembly plugins.
    pub limits: Limits,
    /// Limits on compiling WebAssembly plugins.
    pub compile: CompileLimits,
    /// What happens to an image if an op fails.
    pub on_failure: OnFailure,
    /// Whether every NaN that a calculation returns has the same bits; on by default. Off, float
    /// code is up to three times as fast, but an op that looks at the bits of a NaN, which no op has
    /// a reason to, may give different pixels on a different kind of processor.
    pub canonical_nans: bool,
    /// The folder in which compiled modules are cached; `None` compiles each time. The default is
    /// [`default_cache`].
    ///
    /// Compiled modules in this folder are executed without a sandbox, so nobody else may be able to
    /// write to it. On Unix a folder is used only if it is [private](faa_system::private_folder), which
    /// includes the folders above it. Elsewhere nothing is checked, and whoever names a folder has to
    /// make sure.
    pub cache: Option<PathBuf>,
}

impl Default for HostConfig {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            compile: CompileLimits::default(),
            on_failure: OnFailure::default(),
            canonical_nans: true,
            cache: default_cache(),
        }
    }
}

/// Limits on running WebAssembly plugins. Native libraries have no limits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Memory of an instance, in bytes: 256 MiB. There is one instance per thread that applies an op.
    pub memory: usize,
    /// Memory of all instances of all plugins of a host together, in bytes: 4 GiB. A call that would
    /// exceed it fails.
    pub total_memory: usize,
    /// Elements of all tables of an instance together, and of all element segments: 10,000.
    pub table_elements: usize,
    /// Time of one call of an op: 10 s. It includes all that the call needs of the plugin, except the
    /// message of a failure, which may take 250 ms more. Time is measured in steps that take 10 ms
    /// or slightly more, so a call may take about 1 % longer, and more on a busy machine.
    pub call_time: Duration,
    /// Time in which a module must start, and in which it must return its specification: 1 s each.
    pub start_time: Duration,
    /// Plugins per folder: 1,000. A folder with more is refused.
    pub folder_files: usize,
    /// Time after which no further plugin of a list of folders is loaded: 300 s.
    pub folder_time: Duration,
    /// Stack, in bytes: 256 KiB. It is taken from the stack of the calling thread, which must have
    /// room for it.
    pub stack: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 256 << 20,
            // A 32-bit machine has less.
            total_memory: usize::try_from(4_u64 << 30).unwrap_or(usize::MAX),
            table_elements: 10_000,
            call_time: Duration::from_secs(10),
            start_time: Duration::from_secs(1),
            folder_files: 1_000,
            folder_time: Duration::from_secs(300),
            stack: 256 << 10,
        }
    }
}

/// Limits on compiling WebAssembly plugins. Compiling cannot be interrupted, so a module that would
/// take too long is refused before it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompileLimits {
    /// Size of a module, in bytes: 16 MiB.
    pub module: usize,
    /// Size of all functions together, in bytes: 1 MiB.
    pub code: usize,
    /// Size of one function, in bytes: 32 KiB.
    pub function: usize,
    /// Functions: 2,000.
    pub functions: u32,
    /// Parameters of one function: 32.
    pub parameters: u32,
    /// Depth of nested blocks in one function: 1,000.
    pub depth: u32,
    /// Locals of one function, without its parameters: 1,000.
    pub locals: u32,
    /// Estimated compilation effort, in units of about 250 ns: 8,000,000. It grows with the number of
    /// operators and of the values that are live around them, and with the square of both within a
    /// function. Plugins of about 40 kB have a tenth of it.
    pub effort: u64,
    /// Estimated compilation effort up to which a module is compiled with optimisation, in the same units:
    /// 0, so none is. Some ops are a seventh faster with it, but the estimate does not bound how long it
    /// takes to compile: a search found a module of 33 kB that took 163 s and 1.2 GB. So raise it only for
    /// plugins that you trust; the largest example needs 1,100,000.
    pub optimised_effort: u64,
    /// Entries of every other section (types, tables, globals, exports, element and data segments):
    /// 2,000 each.
    pub entries: u32,
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self {
            module: 16 << 20,
            code: 1 << 20,
            function: 32 << 10,
            functions: 2_000,
            parameters: 32,
            depth: 1_000,
            locals: 1_000,
            effort: 8_000_000,
            optimised_effort: 0,
            entries: 2_000,
        }
    }
}

/// What happens to an image if an op of a plugin fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnFailure {
    /// The call fails, and with it the policy; the content of the image is unspecified.
    #[default]
    Error,
    /// The image stays as it was before the op, the failure is
    /// [counted](crate::PluginOp::failures), and the policy continues. Masks, boxes and keypoints could not tell
    /// whether to move, so where there are any, the op is refused ([`Op::warp`](faa_op::Op::warp) is unknown).
    Skip,
}
