use std::io;
use std::time::Duration;

use faa_op::abi::{self, AbiVersion};
use faa_op::{Channels, ImageMut};

/// Why a [`Host`](crate::Host) could not be created.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// The engine does not work on this machine or with these limits.
    #[error("the WebAssembly engine cannot start: {0}")]
    Engine(String),
    /// The thread that measures time could not be started.
    #[error("the thread that enforces time limits cannot start")]
    Clock(#[source] io::Error),
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
            Kind::Invalid(_) => "invalid",
            Kind::Call { cause, .. } => cause.code(),
            Kind::Spec(error) => error.code(),
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
        "no custom section `faa.abi`: not a plugin for faa-runtime, or the section was stripped"
    )]
    NoAbi,
    /// The section that states the version of the ABI occurs twice, or is not four bytes long.
    #[error("the custom section `faa.abi` must occur once and be four bytes long")]
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
    /// The file or module exceeds a limit on what is read or compiled.
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
    /// The specification is invalid.
    #[error("its specification is invalid")]
    Spec(#[from] SpecError),
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
    #[error("a native library, which runs without a sandbox: it is loaded only if you allow it")]
    NativeNotAllowed,
}

/// What is wrong with a plugin's specification.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// It exceeds the limit on its length.
    #[error("it has {found} bytes, but the limit is {limit}")]
    TooLong {
        /// Its length in bytes.
        found: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// It is not UTF-8.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// It is not JSON of the form that the ABI requires.
    #[error("it is not the JSON that the plugin ABI requires: {0}")]
    NotJson(String),
    /// It has no op.
    #[error("it has no op")]
    NoOps,
    /// It has too many ops.
    #[error("it has {found} ops, but the limit is {limit}")]
    TooManyOps {
        /// The number of ops.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// A name is not one that policies can use.
    #[error(
        "ops[{op}].name: {name:?} must begin with a letter A–Z or a–z, followed by at most 63 \
         letters, digits and `_`"
    )]
    BadName {
        /// The op's number.
        op: usize,
        /// Its name.
        name: String,
    },
    /// Two ops have the same name.
    #[error("ops[{op}].name: `{name}` is the name of an earlier op")]
    DuplicateName {
        /// The number of the second op.
        op: usize,
        /// The name.
        name: String,
    },
    /// A range lacks an end, or its ends are in the wrong order.
    #[error(
        "ops[{op}]: the range of `{name}` needs both `low` and `high`, with `low` ≤ `high` and a \
         finite difference"
    )]
    BadRange {
        /// The op's number.
        op: usize,
        /// Its name.
        name: String,
    },
    /// A text is too long or contains control characters.
    #[error("ops[{op}].{key}: at most {limit} characters, none of them a control character")]
    BadText {
        /// The op's number.
        op: usize,
        /// `summary` or `unit`.
        key: &'static str,
        /// The maximum length in characters.
        limit: usize,
    },
}

/// Why a call into a plugin failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// It exceeded its time limit.
    #[error("the call took longer than {} s{}", limit.as_secs_f64(), reported(message.as_deref()))]
    Time {
        /// The time limit.
        limit: Duration,
        /// The plugin's message.
        message: Option<String>,
    },
    /// It exceeded its stack limit.
    #[error("the call exceeded its stack limit{}", reported(message.as_deref()))]
    Stack {
        /// The plugin's message.
        message: Option<String>,
    },
    /// It executed an instruction that traps, such as the one at the end of a panic.
    #[error("{}", message.as_deref().unwrap_or(trap))]
    Trap {
        /// The cause of the trap.
        trap: String,
        /// The plugin's message.
        message: Option<String>,
    },
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
    /// The op failed, with the plugin's message if it has one.
    #[error("{}", .0.as_deref().unwrap_or("the op failed without a message"))]
    Failed(Option<String>),
    /// The plugin has no memory for the image.
    #[error("the plugin has no memory for an image of {0} bytes")]
    NoBuffer(usize),
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
    /// The returned lookup tables are not three of 256 levels.
    #[error(
        "`{export}` returned {0} bytes instead of {expected}",
        export = abi::LOOKUP_TABLES,
        expected = abi::TABLES_BYTES
    )]
    LookupTables(usize),
    /// A new instance could not be created.
    #[error("no new instance could be created: {0}")]
    Instance(String),
}

fn reported(message: Option<&str>) -> String {
    message.map_or_else(String::new, |message| {
        format!("; the plugin reported: {message}")
    })
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

impl SpecError {
    /// The kind as a stable identifier for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "spec-too-long",
            Self::NotUtf8 => "spec-not-utf8",
            Self::NotJson(_) => "spec-not-json",
            Self::NoOps => "spec-no-ops",
            Self::TooManyOps { .. } => "spec-too-many-ops",
            Self::BadName { .. } => "spec-bad-name",
            Self::DuplicateName { .. } => "spec-duplicate-name",
            Self::BadRange { .. } => "spec-bad-range",
            Self::BadText { .. } => "spec-bad-text",
        }
    }
}

impl CallError {
    /// The error that a status means, which an op returned for an image.
    pub(crate) fn check_status(
        status: i32,
        image: &ImageMut<'_>,
        message: impl FnOnce() -> Option<String>,
    ) -> Result<(), Self> {
        match status {
            abi::STATUS_DONE => Ok(()),
            abi::STATUS_UNSUPPORTED_SHAPE => Err(Self::Shape {
                width: image.width(),
                height: image.height(),
                channels: image.channels(),
            }),
            abi::STATUS_FAILED => Err(Self::Failed(message())),
            status => Err(Self::Status(status)),
        }
    }

    /// The kind as a stable identifier for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Time { .. } => "time",
            Self::Stack { .. } => "stack",
            Self::Trap { .. } => "trap",
            Self::Status(_) => "status",
            Self::Shape { .. } => "shape",
            Self::Failed(_) => "failed",
            Self::NoBuffer(_) => "no-buffer",
            Self::Outside { .. } => "outside",
            Self::LookupTables(_) => "lookup-tables",
            Self::Instance(_) => "instance",
        }
    }
}
