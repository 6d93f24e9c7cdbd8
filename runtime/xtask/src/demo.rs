//! `cargo xtask demo`: audits a data set and searches for a policy, starting from a fresh checkout.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use faa_system::log_line;

use crate::host::Host;
use crate::words::in_words;
use crate::{downloads, program};

/// The program that is run.
const PROGRAM: &str = "faa-runtime";

/// The default options of both commands.
const OPTIONS: [(&str, &str); 2] = [("--data", "glyphs"), ("--preset", "demo")];

/// What an audit takes of the options that are given for the search.
const SHARED: [&str; 6] = [
    "--data",
    "--device",
    "--image-size",
    "--out",
    "--seed",
    "--threads",
];

/// Downloads libtorch, builds the programs, audits and searches. If a run directory exists, its run continues
/// or is shown, as always.
pub(crate) fn run(host: &Host, extra: &[String]) -> Result<ExitCode> {
    let mut times = Vec::new();
    timed(&mut times, "libtorch", || {
        host.need_cxx()?;
        downloads::libtorch(host)
    })?;
    log_line!("building {PROGRAM} …");
    let program = timed(&mut times, "build", || {
        let build = "build --release -p faa-runtime -p faa-torch";
        program::build(host, build, PROGRAM, "bin")
    })?;
    let audit = arguments("audit", "runs/demo-audit", &shared(extra));
    let search = arguments("search", "runs/demo", extra);
    let mut status = ExitCode::SUCCESS;
    for arguments in [audit, search] {
        log_line!("\n{PROGRAM} {}", arguments.join(" "));
        let ended = timed(&mut times, &arguments[0], || {
            let mut command = Command::new(&program);
            let status = command.args(&arguments).current_dir(&host.root).status();
            status.with_context(|| format!("cannot run {}", program.display()))
        })?;
        // The command itself has printed the error.
        let code = ended.code().and_then(|code| u8::try_from(code).ok());
        status = code.map_or(ExitCode::FAILURE, ExitCode::from);
        if !ended.success() {
            break;
        }
    }
    let parts: Vec<_> = times
        .iter()
        .map(|(name, time)| format!("{name} {}", in_words(*time)))
        .collect();
    log_line!("{}", parts.join(", "));
    Ok(status)
}

fn timed<T>(
    times: &mut Vec<(String, Duration)>,
    name: &str,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let start = Instant::now();
    let result = work()?;
    times.push((name.to_owned(), start.elapsed()));
    Ok(result)
}

/// The default options that the user does not give, followed by the user's options.
fn arguments(command: &str, out: &str, extra: &[String]) -> Vec<String> {
    let given = |option: &str| extra.iter().any(|word| name(word) == option);
    let defaults = OPTIONS.into_iter().chain([("--out", out)]);
    let missing = defaults.filter(|(option, _)| !given(option));
    let mut arguments = vec![command.to_owned()];
    arguments.extend(missing.flat_map(|(option, value)| [option.to_owned(), value.to_owned()]));
    arguments.extend_from_slice(extra);
    arguments
}

/// Those options of a search, with their values, that an audit takes too. Its run directory is beside that
/// of the search.
fn shared(extra: &[String]) -> Vec<String> {
    let mut shared = Vec::new();
    let mut words = extra.iter();
    while let Some(word) = words.next() {
        if !SHARED.contains(&name(word)) {
            continue;
        }
        shared.push(word.clone());
        if !word.contains('=') {
            shared.extend(words.next().cloned());
        }
        if let Some(value) = shared.last_mut().filter(|_| name(word) == "--out") {
            value.push_str("-audit");
        }
    }
    shared
}

/// The option in a word such as `--seed` or `--seed=7`.
fn name(word: &str) -> &str {
    word.split('=').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_s_options_replace_the_defaults() {
        let words = |text: &str| -> Vec<_> { text.split_whitespace().map(str::to_owned).collect() };
        let both = |extra: &str| {
            let extra = words(extra);
            let audit = arguments("audit", "a", &shared(&extra)).join(" ");
            [audit, arguments("search", "s", &extra).join(" ")]
        };
        assert_eq!(
            both(""),
            [
                "audit --data glyphs --preset demo --out a",
                "search --data glyphs --preset demo --out s"
            ]
        );
        assert_eq!(
            both("--out=b --seed 7 --trials 9 --data=folder:x --no-flip"),
            [
                "audit --preset demo --out=b-audit --seed 7 --data=folder:x",
                "search --preset demo --out=b --seed 7 --trials 9 --data=folder:x --no-flip"
            ]
        );
    }
}
