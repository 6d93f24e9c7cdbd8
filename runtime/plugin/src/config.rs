//! What plugins are allowed, and where compiled ones are kept.

use std::path::PathBuf;
use std::time::Duration;

/// How a [`Host`](crate::Host) treats plugins. The default has every limit on.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HostConfig {
    /// What a WebAssembly plugin may use as it runs.
    pub limits: Limits,
    /// What is compiled at all.
    pub compile: CompileLimits,
    /// What becomes of an image when an op fails.
    pub on_failure: OnFailure,
    /// Whether every NaN that comes out of a calculation has the same bits: on. Off, floats are up to
    /// three times as fast, and an op that looks at the bits of a NaN, which no op has a reason to,
    /// may give other pixels on another kind of processor.
    pub canonical_nans: bool,
    /// The folder in which compiled modules are kept; `None` compiles each time. The default is
    /// [`default_cache`](crate::default_cache). What lies there is run: on Unix it is checked that the
    /// folder belongs to the user and nobody else may write to it; elsewhere that is up to whoever
    /// names it.
    pub cache: Option<PathBuf>,
}

impl HostConfig {
    /// The default with other limits of memory, in bytes, and of a call's time.
    pub fn bounded(memory: usize, call_time: Duration) -> Self {
        let mut config = Self::default();
        config.limits.memory = memory;
        config.limits.call_time = call_time;
        config
    }
}

impl Default for HostConfig {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            compile: CompileLimits::default(),
            on_failure: OnFailure::default(),
            canonical_nans: true,
            cache: crate::default_cache(),
        }
    }
}

/// What a WebAssembly plugin may use as it runs. Native libraries have no limits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Memory of an instance, in bytes: 256 MiB. An instance is kept for each thread that applies
    /// an op.
    pub memory: usize,
    /// Elements of all tables of an instance together, and of all segments that fill them: 10,000.
    pub table_elements: usize,
    /// The time of one call into a plugin: 10 s. Time is counted in steps of 10 ms, and a call may
    /// take one step more.
    pub call_time: Duration,
    /// The time in which a module must start and give its specification, each: 1 s.
    pub start_time: Duration,
    /// Stack, in bytes: 256 KiB. It is taken from the stack of the thread that calls, which must have
    /// room for it.
    pub stack: usize,
    /// Bytes of a specification: 64 KiB.
    pub spec: usize,
    /// Ops of a plugin: 64.
    pub ops: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 256 << 20,
            table_elements: 10_000,
            call_time: Duration::from_secs(10),
            start_time: Duration::from_secs(1),
            stack: 256 << 10,
            spec: 64 << 10,
            ops: 64,
        }
    }
}

/// What is compiled at all. Compiling cannot be interrupted, so what takes too long is refused before
/// it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompileLimits {
    /// Bytes of a module: 16 MiB.
    pub module: usize,
    /// Bytes of all functions together: 1 MiB.
    pub code: usize,
    /// Bytes of one function: 64 KiB.
    pub function: usize,
    /// Functions: 2,000.
    pub functions: u32,
    /// Parameters of one function: 32.
    pub parameters: u32,
    /// Blocks inside each other, in one function: 1,000.
    pub depth: u32,
    /// Locals of one function, parameters left out: 1,000.
    pub locals: u32,
    /// The estimated effort of compiling, in units of about 60 ns: 16,000,000. It grows with the
    /// operators and with the values that are alive around them; plugins of some 100 kB have a
    /// tenth of it.
    pub effort: u64,
    /// Entries of each other section (types, tables, globals, exports, elements, data segments):
    /// 2,000.
    pub entries: u32,
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self {
            module: 16 << 20,
            code: 1 << 20,
            function: 64 << 10,
            functions: 2_000,
            parameters: 32,
            depth: 1_000,
            locals: 1_000,
            effort: 16_000_000,
            entries: 2_000,
        }
    }
}

/// What becomes of an image when an op of a plugin fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnFailure {
    /// The call fails, and with it the policy; the image may then hold anything.
    #[default]
    Error,
    /// The image stays as it was before the op, the failure is
    /// [counted](crate::PluginOp::failures), and the policy goes on.
    Skip,
}
