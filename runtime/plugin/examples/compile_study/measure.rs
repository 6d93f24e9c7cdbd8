//! What compiling one module takes, measured in a separate process.

use std::env;
use std::fs;
use std::process::{self, Command, Stdio};

use faa_plugin::{Host, PluginError, PluginErrorKind, inspect};

use crate::processor::{peak_megabytes, processor_seconds};
use crate::program::Compilation;

/// What compiling a module took.
#[derive(Clone, Copy)]
pub(crate) struct Measured {
    /// The time of all processors together.
    pub(crate) seconds: f64,
    /// The peak memory of the process, in MB.
    pub(crate) megabytes: f64,
}

impl Compilation {
    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Optimised => "optimised",
        }
    }
}

/// Compiles a module in a separate process.
pub(crate) fn measure(compilation: Compilation, module: &[u8]) -> Option<Measured> {
    let path = env::temp_dir().join(format!("compile-study-{}.wasm", process::id()));
    fs::write(&path, module).expect("the folder for temporary files can be written to");
    let program = env::current_exe().expect("a program knows its path");
    let output = (Command::new(program)
        .args([compilation.name(), "one"])
        .arg(&path))
    .stderr(Stdio::inherit())
    .output()
    .expect("it starts");
    fs::remove_file(&path).expect("it is this program's");
    let text = String::from_utf8(output.stdout).ok()?;
    let (seconds, megabytes) = text.trim().split_once(' ')?;
    Some(Measured {
        seconds: seconds.parse().ok()?,
        megabytes: megabytes.parse().ok()?,
    })
}

/// Compiles a module in this process, and prints what it took.
pub(crate) fn measure_here(compilation: Compilation, file: &str) {
    let module = fs::read(file).expect("the module can be read");
    let host = Host::new(compilation.config()).expect("there is a host");
    let before = processor_seconds();
    // The study's modules have no exports, which is checked after compiling.
    if let Err(error) = host.load(&module) {
        let compiled = matches!(error.kind(), PluginErrorKind::MissingExport(_));
        assert!(compiled, "{error}");
    }
    let seconds = processor_seconds() - before;
    println!("{seconds} {}", peak_megabytes());
}

/// The effort of a module that is within the other limits.
pub(crate) fn effort(module: &[u8]) -> u64 {
    let mut config = Compilation::Plain.config();
    config.compile.effort = 0;
    let refused = inspect(module, &config.limits, &config.compile).err();
    match refused.as_ref().map(PluginError::kind) {
        Some(PluginErrorKind::TooComplex { found, .. }) => *found,
        _ => 0,
    }
}
