//! Building a program of the workspace and finding it.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::host::Host;

/// Builds with cargo, and returns the path of the program with this name and kind (`bin`, `example`). Cargo
/// reports it: it depends on the target folder, the target and the profile.
pub(crate) fn build(host: &Host, arguments: &str, name: &str, kind: &str) -> Result<PathBuf> {
    build_by(host.cargo(arguments), name, kind)
}

/// The same with a command of cargo.
pub(crate) fn build_by(mut command: Command, name: &str, kind: &str) -> Result<PathBuf> {
    command
        .arg("--message-format=json-render-diagnostics")
        .stdout(Stdio::piped());
    let mut cargo = command.spawn().context("cannot run cargo")?;
    let mut program = None;
    if let Some(messages) = cargo.stdout.take() {
        for line in BufReader::new(messages).lines() {
            program = executable(&line?, name, kind).or(program);
        }
    }
    let status = cargo.wait()?;
    ensure!(status.success(), "the build ended with {status}");
    program.with_context(|| format!("cargo built no program {name}"))
}

/// The program's path, if this message of cargo reports it.
fn executable(message: &str, name: &str, kind: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let is_program = message["target"]["name"] == name && message["target"]["kind"][0] == kind;
    is_program.then(|| message["executable"].as_str().map(PathBuf::from))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_found_in_cargo_s_messages() {
        let message = |name: &str, kind: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","target":{{"kind":["{kind}"],"name":"{name}"}},
                "executable":"/target/release/{name}"}}"#
            )
        };
        let find = |message: &str| executable(message, "faa-runtime", "bin");
        let found = find(&message("faa-runtime", "bin"));
        assert_eq!(found, Some(PathBuf::from("/target/release/faa-runtime")));
        assert_eq!(find(&message("faa-runtime-torch", "bin")), None);
        assert_eq!(find(&message("faa-runtime", "lib")), None);
        assert_eq!(find("warning: not JSON"), None);
    }
}
