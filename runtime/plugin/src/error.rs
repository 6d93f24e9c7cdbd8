use std::fmt;
use std::io;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use faa_op::abi::{self, AbiVersion};
use faa_op::{Channels, ImageMut, OpError, OpErrorKind};

use crate::config::{CALL_SECONDS, MEMORY_MIB, TOTAL_MEMORY_MIB};

/// Why plugins cannot be loaded at all.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct HostError(#[from] HostErrorKind);

impl HostError {
    /// What prevents it.
    pub fn kind(&self) -> &HostErrorKind {
        &self.0
    }
}

/// What prevents plugins from being loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostErrorKind {
    /// [`PluginOptions::memory_mib`](crate::PluginOptions::memory_mib) is out of range.
    #[error("the plugin memory limit is {0} MiB, but must be {range} MiB", range = from_to(&MEMORY_MIB))]
    Memory(u32),
    /// [`PluginOptions::call_seconds`](crate::PluginOptions::call_seconds) is out of range.
    #[error("the plugin time limit is {0} s, but must be {range} s", range = from_to(&CALL_SECONDS))]
    Time(f64),
    /// [`PluginOptions::total_memory_mib`](crate::PluginOptions::total_memory_mib) is out of range.
    #[error(
        "the memory limit of all plugins is {0} MiB, but must be {range} MiB",
        range = from_to(&TOTAL_MEMORY_MIB)
    )]
    TotalMemory(u32),
    /// The engine does not work on this machine or with these limits.
    #[error("the WebAssembly engine cannot start: {0}")]
    Engine(String),
    /// The thread that measures time could not be started.
    #[error("the thread that enforces time limits cannot start")]
    Clock(#[source] io::Error),
    /// A folder has more plugins than the limit.
    #[error("the folder {} has more than {limit} plugins", path.display())]
    TooManyPlugins {
        /// The folder.
        path: PathBuf,
        /// The limit.
        limit: usize,
    },
    /// A folder could not be read.
    #[error("cannot read the folder of plugins {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The reason.
        #[source]
        error: io::Error,
    },
}

/// Why a plugin was not loaded.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct PluginError(#[from] PluginErrorKind);

impl PluginError {
    /// What is wrong with the plugin.
    pub fn kind(&self) -> &PluginErrorKind {
        &self.0
    }

    /// The kind as a stable identifier for programs: `no-abi`, `import`, `time` …
    pub fn code(&self) -> &'static str {
        use PluginErrorKind as Kind;
        match &self.0 {
            Kind::Read(_) => "read",
            Kind::NotWasm => "not-wasm",
            Kind::Component => "component",
            Kind::Malformed(_) => "malformed",
            Kind::NoAbi => "no-abi",
            Kind::BadAbi => "bad-abi",
            Kind::WrongVersion(_) => "wrong-major",
            Kind::Import { .. } => "import",
            Kind::MissingExport(_) => "missing-export",
            Kind::WrongExport { .. } => "wrong-export",
            Kind::MemoryTooLarge { .. } => "memory-too-large",
            Kind::TableTooLarge { .. } => "table-too-large",
            Kind::TooComplex { .. } => "too-complex",
            Kind::LibraryTooLarge { .. } => "library-too-large",
            Kind::Invalid(_) => "invalid",
            Kind::Call { cause, .. } => cause.code(),
            Kind::FolderTime(_) => "folder-time",
            Kind::Spec { code, .. } => code,
            Kind::NameTaken { .. } => "name-taken",
            Kind::NotNative(_) => "not-native",
            Kind::NativeNotAllowed => "native-not-allowed",
        }
    }
}

/// What is wrong with a plugin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PluginErrorKind {
    /// The file could not be read.
    #[error("cannot be read")]
    Read(#[source] io::Error),
    /// The file does not begin like a WebAssembly module.
    #[error("not a WebAssembly module: build it for wasm32-unknown-unknown")]
    NotWasm,
    /// The file is a component, and not a core module.
    #[error(
        "a WebAssembly component, but plugins are core modules: build it for wasm32-unknown-unknown"
    )]
    Component,
    /// The file is truncated, or its sections are not well-formed.
    #[error("not a complete WebAssembly module ({0}): build or copy it again")]
    Malformed(String),
    /// The module lacks the section that states the version of the ABI.
    #[error(
        "no custom section `{section}`: not a plugin for faa-runtime, or the section was stripped",
        section = abi::SECTION
    )]
    NoAbi,
    /// The section that states the version of the ABI occurs twice, or is not four bytes long.
    #[error(
        "the custom section `{}` must occur once and be four bytes long",
        abi::SECTION
    )]
    BadAbi,
    /// The plugin was made for a different major version of the ABI.
    #[error(
        "made for version {}.{} of the plugin ABI, but this host supports versions {}.x: build it \
         with an SDK for one of them", .0.major, .0.minor, abi::VERSION.major
    )]
    WrongVersion(AbiVersion),
    /// The module imports something.
    #[error(
        "imports `{module}`.`{name}`, but a plugin must not import anything{}",
        import_hint(module)
    )]
    Import {
        /// The name of the imported module.
        module: String,
        /// What is imported from it.
        name: String,
    },
    /// The module or library lacks an export that the ABI requires.
    #[error("does not export `{0}`, which the plugin ABI requires")]
    MissingExport(&'static str),
    /// An export has a different type than the ABI requires.
    #[error("exports `{name}` as {found}, but the plugin ABI requires {expected}")]
    WrongExport {
        /// The export.
        name: &'static str,
        /// The type that it should have.
        expected: &'static str,
        /// The type that it has.
        found: String,
    },
    /// The module's initial memory exceeds the limit.
    #[error("starts with {found} bytes of memory, but the limit is {limit}")]
    MemoryTooLarge {
        /// The initial memory, in bytes.
        found: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The module's initial tables exceed the limit.
    #[error("starts with tables of {found} elements, but the limit is {limit}")]
    TableTooLarge {
        /// The initial number of elements.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// The module exceeds a limit on what is compiled.
    #[error(
        "has {found} {what}, but the limit is {limit}, so that compiling takes a bounded time: make \
         it smaller, or raise the limit if you trust it"
    )]
    TooComplex {
        /// What exceeds the limit.
        what: &'static str,
        /// How much there is.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// The file of a native library is larger than what is read for its digest.
    #[error("a native library of more than {} MiB, which is the limit", limit >> 20)]
    LibraryTooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// The module is not valid WebAssembly, or uses features that plugins must not use.
    #[error("not valid WebAssembly for a plugin: {0}")]
    Invalid(String),
    /// A call that is part of loading failed.
    #[error("failed while loading, in {phase}")]
    Call {
        /// Where it failed: `start`, or the name of an export.
        phase: &'static str,
        /// How.
        #[source]
        cause: CallError,
    },
    /// The plugins before it took too long to load.
    #[error("not loaded, because the plugins before it took longer than {} s", .0.as_secs_f64())]
    FolderTime(Duration),
    /// The specification is invalid.
    #[error("its specification is invalid: {message}")]
    Spec {
        /// What is wrong, as a stable identifier for programs: `spec-no-ops`, `spec-bad-name` …
        code: &'static str,
        /// What is wrong, and where.
        message: String,
    },
    /// An op's name is taken, in whichever case.
    #[error(
        "its op `{op}` has the same name as an op of {holder}, or differs from it only in case: \
         rename or remove one of them"
    )]
    NameTaken {
        /// The op.
        op: String,
        /// What has an op of that name: the path of a plugin, or `the program`.
        holder: String,
    },
    /// The library could not be opened.
    #[error("not a native library for this machine: {0}")]
    NotNative(String),
    /// A native library was found where none was allowed.
    #[error(
        "a native library, which runs without a sandbox and is loaded only with --allow-native"
    )]
    NativeNotAllowed,
}

/// Why a call into a plugin failed.
#[derive(Clone, Debug, PartialEq)]
pub struct CallError {
    kind: CallErrorKind,
    message: Option<String>,
    /// The op and its plugin's file.
    op: Option<Arc<str>>,
}

/// How a call into a plugin failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CallErrorKind {
    /// It exceeded this time limit.
    #[error("the call took longer than {} s", .0.as_secs_f64())]
    Time(Duration),
    /// It exceeded its stack limit.
    #[error("the call exceeded its stack limit")]
    Stack,
    /// It executed an instruction that traps, such as the one at the end of a panic.
    #[error("{0}")]
    Trap(String),
    /// It returned a status that the ABI does not define.
    #[error("the call returned the status {0}, which the plugin ABI does not define")]
    Status(i32),
    /// The op does not support images of this shape.
    #[error("the op does not support images of {width}×{height} with {} channels", channels.count())]
    Shape {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// The channels of a pixel.
        channels: Channels,
    },
    /// The op failed.
    #[error("the op failed without a message")]
    Failed,
    /// The plugin has no memory for an image of this many bytes.
    #[error("the plugin has no memory for an image of {0} bytes")]
    NoBuffer(usize),
    /// The instances of all plugins together have reached this limit of their memory, in bytes.
    #[error("all plugins together have reached their memory limit of {} MiB", .0 >> 20)]
    HostMemory(usize),
    /// The plugin returned a span outside its memory.
    #[error("`{export}` returned bytes {offset} … {end}, outside its memory of {memory} bytes")]
    Outside {
        /// The export that returned it.
        export: &'static str,
        /// The first byte.
        offset: u64,
        /// The byte after the last.
        end: u64,
        /// The size of the memory.
        memory: u64,
    },
    /// The returned lookup tables are not three of 256 levels; this is their number of bytes.
    #[error(
        "`{export}` returned {0} bytes instead of {expected}",
        export = abi::LOOKUP_TABLES,
        expected = abi::TABLES_BYTES
    )]
    LookupTables(usize),
    /// What was returned as the numbers of a warp is none: another number of bytes than theirs, an unknown kind, a
    /// coefficient that is not finite, or a rectangle that is not made of whole pixels of the image.
    #[error("`{export}` returned something that is no warp", export = abi::WARP)]
    Warp,
    /// The returned field does not have a position per pixel.
    #[error("`{export}` returned {found} bytes instead of {expected}", export = abi::FIELD)]
    Field {
        /// The number of bytes returned.
        found: usize,
        /// The number of bytes that the positions take.
        expected: usize,
    },
    /// A new instance could not be created.
    #[error("no new instance could be created: {0}")]
    Instance(String),
}

fn from_to<T: fmt::Display>(range: &RangeInclusive<T>) -> String {
    format!("from {} to {}", range.start(), range.end())
}

fn import_hint(module: &str) -> &'static str {
    if module.starts_with("wasi") {
        ": build it for wasm32-unknown-unknown and not for WASI"
    } else if module == "env" {
        ": a function is declared but not defined, or memory is set to be imported"
    } else {
        ""
    }
}

impl CallError {
    pub(crate) fn new(kind: CallErrorKind, message: Option<String>) -> Self {
        let op = None;
        Self { kind, message, op }
    }

    /// Names the op, and the plugin's file, in the error's text.
    pub(crate) fn of(self, op: &Arc<str>) -> Self {
        let op = Some(op.clone());
        Self { op, ..self }
    }

    /// The error that a status means, which an op returned for an image.
    pub(crate) fn check_status(
        status: i32,
        image: &ImageMut<'_>,
        message: impl FnOnce() -> Option<String>,
    ) -> Result<(), Self> {
        match status {
            abi::STATUS_DONE => Ok(()),
            abi::STATUS_UNSUPPORTED_SHAPE => Err(Self::from(CallErrorKind::Shape {
                width: image.width(),
                height: image.height(),
                channels: image.channels(),
            })),
            abi::STATUS_FAILED => Err(Self::new(CallErrorKind::Failed, message())),
            status => Err(Self::from(CallErrorKind::Status(status))),
        }
    }

    /// How the call failed.
    pub fn kind(&self) -> &CallErrorKind {
        &self.kind
    }

    /// The plugin's message.
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// The kind as a stable identifier for programs: `time`, `stack`, `trap` …
    pub fn code(&self) -> &'static str {
        use CallErrorKind as Kind;
        match self.kind {
            Kind::Time(_) => "time",
            Kind::Stack => "stack",
            Kind::Trap(_) => "trap",
            Kind::Status(_) => "status",
            Kind::Shape { .. } => "shape",
            Kind::Failed => "failed",
            Kind::NoBuffer(_) => "no-buffer",
            Kind::HostMemory(_) => "host-memory",
            Kind::Outside { .. } => "outside",
            Kind::LookupTables(_) => "lookup-tables",
            Kind::Warp => "warp",
            Kind::Field { .. } => "field",
            Kind::Instance(_) => "instance",
        }
    }
}

impl From<CallErrorKind> for CallError {
    fn from(kind: CallErrorKind) -> Self {
        Self::new(kind, None)
    }
}

impl From<CallError> for OpError {
    fn from(error: CallError) -> Self {
        match error.kind {
            CallErrorKind::Shape {
                width,
                height,
                channels,
            } => OpErrorKind::UnsupportedShape {
                width,
                height,
                channels,
            }
            .into(),
            _ => Self::failed(error.to_string()),
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.kind, &self.message) {
            (CallErrorKind::Failed | CallErrorKind::Trap(_), Some(message)) => f.write_str(message),
            (kind, Some(message)) => write!(f, "{kind}; the plugin reported: {message}"),
            (kind, None) => kind.fmt(f),
        }?;
        self.op.as_ref().map_or(Ok(()), |op| write!(f, " ({op})"))
    }
}

impl std::error::Error for CallError {}
