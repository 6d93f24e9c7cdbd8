use std::io;

use faa_op::Channels;

/// Why there is no host.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// The engine cannot work on this machine or with these limits.
    #[error("the WebAssembly engine cannot start: {0}")]
    Engine(String),
    /// The thread that measures time could not be started.
    #[error("the thread that limits the time of plugins cannot start")]
    Clock(#[source] io::Error),
}

/// Why a plugin was not loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PluginError {
    /// The file could not be read.
    #[error("cannot be read")]
    Read(#[source] io::Error),
    /// The file does not begin like a WebAssembly module.
    #[error("not a WebAssembly module: build it for wasm32-unknown-unknown")]
    NotWasm,
    /// The file is a component, and not a core module.
    #[error(
        "a WebAssembly component, where a core module is needed: build it for wasm32-unknown-unknown"
    )]
    Component,
    /// The file is not whole, or its sections are not well-formed.
    #[error("not a whole WebAssembly module ({0}): build or copy it again")]
    Malformed(String),
    /// The module lacks the section that states the version of the ABI.
    #[error("no section `faa.abi`: it is no plugin for faa-runtime, or was stripped of it")]
    NoAbi,
    /// The section that states the version of the ABI is there twice, or is not four bytes long.
    #[error("the section `faa.abi` must be there once, with four bytes")]
    BadAbi,
    /// The plugin was made for another major version of the ABI.
    #[error(
        "made for version {major}.{minor} of the plugin ABI, where versions 1.x are supported: build it with an SDK for that"
    )]
    WrongVersion {
        /// The plugin's major version.
        major: u16,
        /// The plugin's minor version.
        minor: u16,
    },
    /// The module imports something.
    #[error(
        "imports `{module}`.`{name}`, and a plugin may import nothing{}",
        import_hint(module)
    )]
    Import {
        /// The name of the imported module.
        module: String,
        /// What is imported from it.
        name: String,
    },
    /// The module or library does not export what the ABI asks for.
    #[error("does not export `{0}`, which the plugin ABI asks for")]
    MissingExport(&'static str),
    /// An export has another type than the ABI asks for.
    #[error("exports `{name}` as {found}, where the plugin ABI asks for {expected}")]
    WrongExport {
        /// The export.
        name: &'static str,
        /// The type that it should have.
        expected: &'static str,
        /// The type that it has.
        found: String,
    },
    /// The module asks for more memory than it may have.
    #[error("starts with {found} bytes of memory, where {limit} are allowed")]
    MemoryTooLarge {
        /// The memory that it starts with, in bytes.
        found: u64,
        /// The most that it may have.
        limit: u64,
    },
    /// The module asks for larger tables than it may have.
    #[error("starts with tables of {found} elements, where {limit} are allowed")]
    TableTooLarge {
        /// The elements that it starts with.
        found: u64,
        /// The most that it may have.
        limit: u64,
    },
    /// The module is larger than what is compiled.
    #[error(
        "has {found} {what}, where {limit} are allowed, so that compiling ends in time: \
             make it smaller, or raise the limit where it is trusted"
    )]
    TooComplex {
        /// What there is too much of.
        what: &'static str,
        /// How much there is.
        found: u64,
        /// The most that is allowed.
        limit: u64,
    },
    /// The module is not valid WebAssembly, or uses features that plugins cannot.
    #[error("not valid as a plugin: {0}")]
    Invalid(String),
    /// A call that belongs to loading failed.
    #[error("fails as it is loaded, in {phase}")]
    Call {
        /// Where it failed: `start`, or the name of an export.
        phase: &'static str,
        /// How.
        #[source]
        cause: CallError,
    },
    /// The specification is not as it must be.
    #[error("its specification cannot be used")]
    Spec(#[from] SpecError),
    /// An op's name is taken.
    #[error(
        "its op `{op}` has the name of an op of {holder}: rename it, or leave one of them away"
    )]
    NameTaken {
        /// The op.
        op: String,
        /// Who has the name.
        holder: String,
    },
    /// The library could not be opened.
    #[error("not a native library for this machine: {0}")]
    NotNative(String),
    /// A native library was found where none was allowed.
    #[error(
        "a native library, which runs without a sandbox: it is loaded only where that is allowed"
    )]
    NativeNotAllowed,
}

/// What is wrong with a plugin's specification.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// It is longer than what is read.
    #[error("it has {found} bytes, where {limit} are allowed")]
    TooLong {
        /// Its length in bytes.
        found: usize,
        /// The most that is read.
        limit: usize,
    },
    /// It is not UTF-8.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// It is not JSON of the form that the ABI states.
    #[error("it is not the JSON that the plugin ABI asks for: {0}")]
    NotJson(String),
    /// It has no op.
    #[error("it has no op")]
    NoOps,
    /// It has too many ops.
    #[error("it has {found} ops, where {limit} are allowed")]
    TooManyOps {
        /// How many it has.
        found: usize,
        /// The most that it may have.
        limit: usize,
    },
    /// A name is not one that policies can use.
    #[error(
        "ops[{op}].name: {name:?} must begin with a letter of A–Z or a–z, and go on with up to 63 letters, digits and `_`"
    )]
    BadName {
        /// The op's number.
        op: usize,
        /// Its name.
        name: String,
    },
    /// Two ops have one name.
    #[error("ops[{op}].name: `{name}` is there twice")]
    DuplicateName {
        /// The number of the second.
        op: usize,
        /// The name.
        name: String,
    },
    /// A range has one end, or its ends are in the wrong order.
    #[error(
        "ops[{op}]: the range of `{name}` needs a `low` and a `high` in this order, finite and not further apart than numbers reach"
    )]
    BadRange {
        /// The op's number.
        op: usize,
        /// Its name.
        name: String,
    },
    /// A text is too long or holds control characters.
    #[error("ops[{op}].{key}: at most {limit} characters, none of them a control character")]
    BadText {
        /// The op's number.
        op: usize,
        /// `summary` or `unit`.
        key: &'static str,
        /// The most characters.
        limit: usize,
    },
}

/// Why a call into a plugin failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// It took longer than it may.
    #[error("it took longer than {} s{}", limit.as_secs_f64(), said(message.as_deref()))]
    Time {
        /// The time that it had.
        limit: std::time::Duration,
        /// What the plugin said about it.
        message: Option<String>,
    },
    /// It needed more stack than it may.
    #[error("it used up its stack{}", said(message.as_deref()))]
    Stack {
        /// What the plugin said about it.
        message: Option<String>,
    },
    /// It came to an instruction that cannot be executed, such as the end of a panic.
    #[error("{}", message.as_deref().unwrap_or(trap))]
    Trap {
        /// The instruction's trouble.
        trap: String,
        /// What the plugin said about it.
        message: Option<String>,
    },
    /// It returned a status that the ABI does not know.
    #[error("it returned the status {0}, which the plugin ABI does not know")]
    Status(i32),
    /// The op does not work on images of this shape.
    #[error("the op does not support images of {width}×{height} with {} channels", channels.count())]
    Shape {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// The channels of a pixel.
        channels: Channels,
    },
    /// The op failed, in its own words where it had some.
    #[error("{}", .0.as_deref().unwrap_or("it failed, and did not say why"))]
    Failed(Option<String>),
    /// The plugin has no memory for the image.
    #[error("the plugin has no memory for an image of {0} bytes")]
    NoBuffer(usize),
    /// The plugin named a place outside its memory.
    #[error("`{export}` named bytes {offset} … {end}, outside its memory of {memory} bytes")]
    Outside {
        /// The export that named it.
        export: &'static str,
        /// The first byte.
        offset: u64,
        /// The byte after the last.
        end: u64,
        /// The size of the memory.
        memory: u64,
    },
    /// The tables that it named are not three of 256 levels.
    #[error("`faa_point` named {0} bytes, where three tables have 768")]
    Tables(usize),
    /// A new instance could not be made.
    #[error("no new instance could be made: {0}")]
    Instance(String),
}

fn said(message: Option<&str>) -> String {
    message
        .map(|message| format!("; it said: {message}"))
        .unwrap_or_default()
}

fn import_hint(module: &str) -> &'static str {
    if module.starts_with("wasi") {
        ": build it for wasm32-unknown-unknown and not for WASI"
    } else if module == "env" {
        ": a function is declared and not defined, or memory is set to be imported"
    } else {
        ""
    }
}

impl PluginError {
    /// The kind of the error, in a form for programs: `no-abi`, `import`, `time` …
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Read(_) => "read",
            Self::NotWasm => "not-wasm",
            Self::Component => "component",
            Self::Malformed(_) => "malformed",
            Self::NoAbi => "no-abi",
            Self::BadAbi => "bad-abi",
            Self::WrongVersion { .. } => "wrong-major",
            Self::Import { .. } => "import",
            Self::MissingExport(_) => "missing-export",
            Self::WrongExport { .. } => "wrong-export",
            Self::MemoryTooLarge { .. } => "memory-too-large",
            Self::TableTooLarge { .. } => "table-too-large",
            Self::TooComplex { .. } => "too-complex",
            Self::Invalid(_) => "invalid",
            Self::Call { cause, .. } => cause.kind(),
            Self::Spec(error) => error.kind(),
            Self::NameTaken { .. } => "name-taken",
            Self::NotNative(_) => "not-native",
            Self::NativeNotAllowed => "native-not-allowed",
        }
    }
}

impl SpecError {
    /// The kind of the error, in a form for programs.
    pub fn kind(&self) -> &'static str {
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
    /// The kind of the error, in a form for programs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Time { .. } => "time",
            Self::Stack { .. } => "stack",
            Self::Trap { .. } => "trap",
            Self::Status(_) => "status",
            Self::Shape { .. } => "shape",
            Self::Failed(_) => "failed",
            Self::NoBuffer(_) => "no-buffer",
            Self::Outside { .. } => "outside",
            Self::Tables(_) => "tables",
            Self::Instance(_) => "instance",
        }
    }
}
