//! `cargo xtask demo`: searches for a policy, starting from a fresh checkout.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use faa_system::log_line;

use crate::host::Host;
use crate::{downloads, in_words, program};

/// The program that is run.
const PROGRAM: &str = "faa-runtime";

/// The default options of the search.
const OPTIONS: [(&str, &str); 3] = [
    ("--data", "glyphs"),
    ("--preset", "demo"),
    ("--out", "runs/demo"),
];

/// Downloads libtorch, builds the programs and searches. If the run directory exists, the search continues
/// or shows it, as always.
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
    let arguments = search_arguments(extra);
    log_line!("{PROGRAM} {}", arguments.join(" "));
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
    log_line!("{}", parts.join(", "));
    // The search itself has printed the error.
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

/// The default options that the user does not give, followed by the user's options.
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
    fn the_user_s_options_replace_the_defaults() {
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
}
