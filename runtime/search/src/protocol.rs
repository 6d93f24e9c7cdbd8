//! What `faa-runtime` and `faa-runtime-torch` say to each other.
//!
//! Each program first writes one line that states its version, a [`Hello`], and reads the other's
//! before anything else. Then `faa-runtime` writes one [`Request`], and `faa-runtime-torch` answers
//! with [`Message`]s: lines of JSON on the standard input and output of `faa-runtime-torch`. When its
//! standard input ends, it stops cleanly: the caller closes it on Ctrl-C, and the operating system
//! does when the caller has died.

use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::VERSION;
use crate::config::RunConfig;
use crate::environment::Resources;
use crate::event::Event;

/// The version of [`Request`] and [`Message`].
const PROTOCOL: u32 = 1;

/// The first line of each program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    protocol: u32,
    /// The program's version.
    version: String,
}

/// The other program speaks a different version of the protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} is version {found}, and this program is version {VERSION}: install both programs from the \
     same source (`cargo install --path runtime/cli` and `cargo install --path runtime/torch`)",
    program.display()
)]
pub struct VersionMismatch {
    /// The other program.
    program: PathBuf,
    /// Its version, as far as it can be read.
    found: String,
}

impl Hello {
    /// That of this program.
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
    /// [`VersionMismatch`] where it is of a different version, or no [`Hello`] at all.
    pub fn check(line: &str, program: &Path) -> Result<(), VersionMismatch> {
        let found = match serde_json::from_str::<Self>(line) {
            Ok(hello) if hello.protocol == PROTOCOL => return Ok(()),
            Ok(hello) => format!("{} (protocol {})", hello.version, hello.protocol),
            Err(_) => "unknown (it is older)".to_owned(),
        };
        Err(VersionMismatch {
            program: program.to_owned(),
            found,
        })
    }
}

/// Writes one line of the protocol.
///
/// # Errors
///
/// What the operating system reports.
pub fn write_line(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value).expect("the protocol's types have a JSON form");
    line.push(b'\n');
    out.write_all(&line)?;
    out.flush()
}

/// Reads one line of the protocol, without its end; `None` at the end of the input.
///
/// # Errors
///
/// What the operating system reports.
pub fn read_line(input: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    let length = input.read_line(&mut line)?;
    Ok((length > 0).then(|| line.trim_end().to_owned()))
}

/// What `faa-runtime-torch` is asked to do. `P` is how plugins are described: faa-plugin's options,
/// which this crate does not depend on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "request",
    rename_all = "snake_case",
    bound(deserialize = "P: DeserializeOwned")
)]
pub enum Request<P> {
    /// Report what libtorch and CUDA are like.
    Doctor,
    /// Search, train, or both.
    Run(Box<RunRequest<P>>),
    /// Evaluate trained networks on a test split.
    Evaluate {
        /// The networks' files.
        networks: Vec<PathBuf>,
        /// The data set, as after `--data`.
        data: String,
        /// The side to which images are cropped and scaled, in pixels.
        image_size: Option<u32>,
        /// The hardware.
        resources: Resources,
    },
}

/// A run, and what it needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound(deserialize = "P: DeserializeOwned"))]
pub struct RunRequest<P> {
    /// What to do.
    pub config: RunConfig,
    /// The run directory.
    pub out: PathBuf,
    /// The hardware.
    pub resources: Resources,
    /// The plugins that the configuration names ops of.
    pub plugins: Option<P>,
}

/// What `faa-runtime-torch` answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Message {
    /// A step of the work.
    Event(Event),
    /// The answer to [`Request::Doctor`].
    Doctor {
        /// What libtorch reports about itself and CUDA.
        doctor: TorchReport,
    },
    /// The last message, where the work was not finished.
    Ended {
        /// Why.
        ended: End,
    },
}

/// What libtorch reports about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TorchReport {
    /// Whether it has oneDNN, the fast convolutions on the CPU.
    pub onednn: bool,
    /// The CUDA devices that can be used.
    pub cuda_devices: usize,
    /// CUDA in words.
    pub cuda: String,
}

/// Why work was not finished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// On request.
    Stopped,
    /// Because of an error: what happened, and the causes behind it.
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
        let newer = r#"{"protocol": 2, "version": "9.0.0", "unknown": 1}"#;
        for (line, version) in [
            (newer, "9.0.0 (protocol 2)"),
            ("{}", "unknown"),
            ("", "unknown"),
        ] {
            let error = Hello::check(line, program).unwrap_err().to_string();
            let start = format!("bin/faa-runtime-torch is version {version}");
            assert!(error.starts_with(&start), "{error}");
        }
    }
}
