//! `cargo xtask demo`: from a fresh checkout to a found policy.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::host::Host;
use crate::{in_words, libtorch};

/// The program that is run, and the package that it is in.
const PROGRAM: &str = "faa-runtime";

/// The options of the search, unless the user gives others.
const OPTIONS: [(&str, &str); 3] = [
    ("--data", "glyphs"),
    ("--preset", "demo"),
    ("--out", "runs/demo"),
];

/// Provides libtorch, builds the programs and searches. A second run finds
/// the first one's folder and continues or shows it, as the search itself
/// always does.
pub(crate) fn run(host: &Host, extra: &[String]) -> Result<ExitCode> {
    let mut times = Vec::new();
    timed(&mut times, "libtorch", || {
        host.need_cxx()?;
        libtorch::ensure(host)
    })?;
    eprintln!("building {PROGRAM} …");
    let program = timed(&mut times, "build", || build(host))?;
    let arguments = search_arguments(extra);
    eprintln!("{PROGRAM} {}", arguments.join(" "));
    let status = timed(&mut times, "search", || {
        let mut search = Command::new(&program);
        search.args(&arguments).current_dir(&host.root);
        search
            .status()
            .with_context(|| format!("cannot run {}", program.display()))
    })?;
    let parts: Vec<_> = times
        .iter()
        .map(|(name, time)| format!("{name} {}", in_words(*time)))
        .collect();
    eprintln!("{}", parts.join(", "));
    // The search has said itself what is wrong.
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

fn timed<T>(
    times: &mut Vec<(&'static str, Duration)>,
    name: &'static str,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let start = Instant::now();
    let result = work()?;
    times.push((name, start.elapsed()));
    Ok(result)
}

/// Builds both programs and returns the path of the one to call, which cargo
/// reports: it depends on the target folder, the target and the profile, each
/// of which has several places to be set in.
fn build(host: &Host) -> Result<PathBuf> {
    let mut command = host.cargo(&["build", "--release", "-p", PROGRAM, "-p", "faa-torch"]);
    command
        .arg("--message-format=json-render-diagnostics")
        .stdout(Stdio::piped());
    let mut cargo = command.spawn().context("cannot run cargo")?;
    let mut program = None;
    if let Some(messages) = cargo.stdout.take() {
        for line in BufReader::new(messages).lines() {
            program = executable(&line?).or(program);
        }
    }
    let status = cargo.wait()?;
    ensure!(status.success(), "the build ended with {status}");
    program.with_context(|| format!("cargo built no program {PROGRAM}"))
}

/// The program's path, if this message of cargo's says it.
fn executable(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let is_program = message["target"]["name"] == PROGRAM && message["target"]["kind"][0] == "bin";
    is_program.then(|| message["executable"].as_str().map(PathBuf::from))?
}

/// The demo's options, less those that the user gives, and the user's.
fn search_arguments(extra: &[String]) -> Vec<&str> {
    let given = |option: &str| {
        extra
            .iter()
            .any(|word| word.split('=').next().is_some_and(|name| name == option))
    };
    let mut arguments = vec!["search"];
    for (option, value) in OPTIONS.into_iter().filter(|(option, _)| !given(option)) {
        arguments.extend([option, value]);
    }
    arguments.extend(extra.iter().map(String::as_str));
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_s_options_replace_the_demo_s() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(
            search_arguments(&[]).join(" "),
            "search --data glyphs --preset demo --out runs/demo"
        );
        assert_eq!(
            search_arguments(&words("--out=a --seed 7 --data folder:x")).join(" "),
            "search --preset demo --out=a --seed 7 --data folder:x"
        );
    }

    #[test]
    fn cargo_tells_where_the_program_is() {
        let message = |name: &str, kind: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","target":{{"kind":["{kind}"],"name":"{name}"}},
                "executable":"/target/release/{name}"}}"#
            )
        };
        let found = executable(&message("faa-runtime", "bin"));
        assert_eq!(found, Some(PathBuf::from("/target/release/faa-runtime")));
        assert_eq!(executable(&message("faa-runtime-torch", "bin")), None);
        assert_eq!(executable(&message("faa-runtime", "lib")), None);
        assert_eq!(executable("warning: not JSON"), None);
    }
}
