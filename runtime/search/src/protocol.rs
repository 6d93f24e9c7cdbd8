//! The protocol between `faa-runtime` and `faa-runtime-torch`: lines of JSON on the standard input and
//! output of `faa-runtime-torch`.
//!
//! Each program first writes its version, a [`Hello`], and reads the other's. Then `faa-runtime` writes
//! one [`Request`], and `faa-runtime-torch` answers with [`Message`]s. It stops cleanly when its standard
//! input ends: `faa-runtime` closes it on Ctrl-C, and the operating system when `faa-runtime` dies.

use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::VERSION;
use crate::config::RunConfig;
use crate::environment::Resources;
use crate::event::Event;
use crate::layout::TrainingId;

/// The version of [`Request`] and [`Message`].
const PROTOCOL: u32 = 8;

/// The first line of each program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    protocol: u32,
    /// The program's version.
    version: String,
}

/// The other program speaks a different version of the protocol, or none. There is only this kind: both
/// programs must be installed again, as the message says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct VersionMismatch(String);

impl TorchReport {
    /// A report of what was found.
    pub fn new(onednn: bool, cuda_devices: usize, cuda: String) -> Self {
        Self {
            onednn,
            cuda_devices,
            cuda,
        }
    }
}

impl Hello {
    /// The version of this program.
    pub fn current() -> Self {
        Self {
            protocol: PROTOCOL,
            version: VERSION.to_owned(),
        }
    }

    /// Checks the first line of the program at this path.
    ///
    /// # Errors
    ///
    /// [`VersionMismatch`] if it is of a different version, or not a [`Hello`].
    pub fn check(line: &str, program: &Path) -> Result<(), VersionMismatch> {
        let found = match serde_json::from_str::<Self>(line) {
            Ok(hello) if hello.protocol == PROTOCOL => return Ok(()),
            Ok(hello) => format!("is version {} (protocol {})", hello.version, hello.protocol),
            Err(_) => "does not state its version".to_owned(),
        };
        Err(VersionMismatch(format!(
            "{} {found}, and this program is version {VERSION} (protocol {PROTOCOL}): install both \
             programs from the same source (`cargo install --path runtime/cli` and `cargo install \
             --path runtime/torch`)",
            program.display()
        )))
    }
}

/// Writes one line of the protocol.
///
/// # Errors
///
/// Those of the operating system.
pub fn write_line(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value).expect("the protocol's types can be written as JSON");
    line.push(b'\n');
    out.write_all(&line)?;
    out.flush()
}

/// Reads one line of the protocol, without the newline; `None` at the end of the input.
///
/// # Errors
///
/// Those of the operating system.
pub fn read_line(input: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    let length = input.read_line(&mut line)?;
    Ok((length > 0).then(|| line.trim_end().to_owned()))
}

/// The work that `faa-runtime-torch` is asked to do. `P` describes the plugins; it is a parameter because
/// this crate does not depend on `faa-plugin`, whose options it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "request",
    rename_all = "snake_case",
    bound(deserialize = "P: DeserializeOwned")
)]
#[non_exhaustive]
pub enum Request<P> {
    /// Report the capabilities of libtorch and CUDA.
    Doctor,
    /// Search, train, or both.
    Run(Box<RunRequest<P>>),
    /// Evaluate trained networks on a test split.
    Evaluate {
        /// The networks' files.
        networks: Vec<PathBuf>,
        /// The data set, in the format of `--data`.
        data: String,
        /// The side length to which images are cropped and scaled, in pixels; `None` keeps their size.
        image_size: Option<u32>,
        /// The hardware.
        resources: Resources,
    },
}

/// A run, and its resources.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "P: DeserializeOwned"))]
#[non_exhaustive]
pub struct RunRequest<P> {
    /// What to do.
    pub config: RunConfig,
    /// The run directory.
    pub out: PathBuf,
    /// The hardware.
    pub resources: Resources,
    /// The plugins whose ops the configuration names.
    pub plugins: Option<P>,
    /// The only job that is done; `None` for all that is missing.
    pub job: Option<TrainingId>,
}

impl<P> RunRequest<P> {
    /// All of a run without plugins.
    pub fn new(config: RunConfig, out: PathBuf, resources: Resources) -> Self {
        Self {
            config,
            out,
            resources,
            plugins: None,
            job: None,
        }
    }
}

/// An answer of `faa-runtime-torch`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Message {
    /// A step of the work.
    Event(Event),
    /// The answer to [`Request::Doctor`].
    Doctor {
        /// The report.
        doctor: TorchReport,
    },
    /// The last message, if the work was not finished.
    Ended {
        /// The reason.
        ended: End,
    },
}

/// The capabilities of libtorch and CUDA.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TorchReport {
    /// Whether libtorch has oneDNN, for fast convolutions on the CPU.
    pub onednn: bool,
    /// The number of available CUDA devices.
    pub cuda_devices: usize,
    /// The state of CUDA, for people.
    pub cuda: String,
}

/// Why the work was not finished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum End {
    /// On request.
    Stopped,
    /// A different process works on the job: the message.
    InUse(String),
    /// Because of an error: its message, and those of its causes.
    Failed(Vec<String>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_different_version_is_named_with_its_program() {
        let program = Path::new("bin/faa-runtime-torch");
        let ours = serde_json::to_string(&Hello::current()).unwrap();
        assert_eq!(Hello::check(&ours, program), Ok(()));
        let newer = r#"{"protocol": 99, "version": "9.0.0", "unknown": 1}"#;
        for (line, version) in [
            (newer, "is version 9.0.0 (protocol 99)"),
            ("{}", "does not state its version"),
            ("", "does not state its version"),
        ] {
            let error = Hello::check(line, program).unwrap_err().to_string();
            let start = format!("bin/faa-runtime-torch {version}");
            assert!(error.starts_with(&start), "{error}");
        }
    }
}
