//! Runs commands as steps, and counts the tests that they run.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::iter;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use faa_system::log_line;

use crate::words::in_words;

/// The numbers of tests that passed, failed and were skipped.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

impl Tally {
    /// Adds the counts of a line of output, if it is the result of a test program in Rust,
    /// `test result: ok. 5 passed; 0 failed; 1 ignored; …`, or of pytest, `5 passed, 1 skipped in 0.12s`.
    fn add_line(&mut self, line: &str) {
        let rust = line.strip_prefix("test result: ");
        let counts = match rust.and_then(|result| result.split_once(". ")) {
            Some((_, counts)) => counts.split(';'),
            None => match line.trim_matches(['=', ' ']).rsplit_once(" in ") {
                Some((counts, _)) if is_of_pytest(counts) => counts.split(','),
                _ => return,
            },
        };
        for count in counts {
            let mut words = count.split_whitespace();
            let Some(Ok(number)) = words.next().map(str::parse::<usize>) else {
                continue;
            };
            match words.next() {
                Some("passed") => self.passed += number,
                Some("failed" | "error" | "errors") => self.failed += number,
                Some("ignored" | "skipped") => self.skipped += number,
                _ => {}
            }
        }
    }

    /// The numbers in one line.
    pub(crate) fn summary(&self) -> String {
        let mut line = format!("{} passed, {} failed", self.passed, self.failed);
        if self.skipped > 0 {
            line += &format!(", {} skipped", self.skipped);
        }
        line
    }
}

/// Whether these are counts of pytest: each a number and a word, of which one is a number of tests.
fn is_of_pytest(counts: &str) -> bool {
    let pair = |count: &str| {
        let (number, word) = count.trim().split_once(' ')?;
        number.parse::<usize>().ok().map(|_| word.to_owned())
    };
    let words: Option<Vec<_>> = counts.split(',').map(pair).collect();
    let is_result =
        |word: &String| ["passed", "failed", "error", "errors"].contains(&word.as_str());
    words.is_some_and(|words| words.iter().any(is_result))
}

/// Runs a step between two lines that print its name and duration.
pub(crate) fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    log_line!("== {name}");
    let start = Instant::now();
    let result = work();
    let outcome = if result.is_ok() {
        "done in"
    } else {
        "FAILED after"
    };
    log_line!("== {name}: {outcome} {}", in_words(start.elapsed()));
    result
}

/// Runs a command to its end, copies its standard output to `out`, and adds the tests that it ran to the
/// tally.
pub(crate) fn run(command: &mut Command, out: &mut impl Write, tally: &mut Tally) -> Result<()> {
    let failed_before = tally.failed;
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {}", in_short(command)))?;
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).split(b'\n') {
            let mut line = line?;
            tally.add_line(&String::from_utf8_lossy(&line));
            line.push(b'\n');
            // A closed output does not affect the result of the checks.
            let _ = out.write_all(&line);
        }
    }
    let status = child.wait()?;
    if !status.success() && tally.failed == failed_before {
        // The failure was not a test (a format, a lint, a build, a crash), but the summary must show it.
        tally.failed += 1;
    }
    ensure!(
        status.success(),
        "{} ended with {status}",
        in_short(command)
    );
    Ok(())
}

/// Runs a command to its end; fails if it does.
pub(crate) fn complete(command: &mut Command) -> Result<()> {
    let status = command.status();
    let status = status.with_context(|| format!("cannot run {}", in_short(command)))?;
    ensure!(
        status.success(),
        "{} ended with {status}",
        in_short(command)
    );
    Ok(())
}

/// A command as it is typed, without the folder of its program.
fn in_short(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or_default();
    let words = iter::once(program).chain(command.get_args());
    let words: Vec<_> = words.map(OsStr::to_string_lossy).collect();
    format!("`{}`", words.join(" "))
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn results_are_counted() {
        let mut tally = Tally::default();
        for line in [
            "running 2 tests",
            "test a ... ok",
            "test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured; 1 filtered out; finished in 0.00s",
            "test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s",
            "    test result: ok. 100 passed; 0 failed; 0 ignored",
            "test result: unknown",
            "40 passed in 27.17s",
            "======= 1 failed, 2 passed, 4 skipped, 1 warning, 1 error in 63.02s (0:01:03) =======",
            "5 images passed in 2 s",
            "3 warnings in 0.1s",
        ] {
            tally.add_line(line);
        }
        assert_eq!((tally.passed, tally.failed, tally.skipped), (58, 4, 7));
        assert_eq!(tally.summary(), "58 passed, 4 failed, 7 skipped");
        assert_eq!(Tally::default().summary(), "0 passed, 0 failed");
    }

    #[cfg(unix)]
    #[test]
    fn failures_count_each_failed_test_or_else_as_one() {
        for (script, failed) in [
            (
                "echo 'test result: FAILED. 1 passed; 2 failed; 0 ignored'; exit 101",
                2,
            ),
            ("kill -9 $$", 1),
            ("true", 0),
        ] {
            let mut tally = Tally::default();
            let mut command = Command::new("sh");
            // On standard output, these results would be counted by the checks that run this test.
            let result = run(command.args(["-c", script]), &mut io::sink(), &mut tally);
            let error = result.map_or_else(|error| error.to_string(), |()| String::new());
            assert_eq!(error.contains("`sh -c"), failed > 0, "{script}: {error}");
            assert_eq!(
                (tally.failed, tally.passed),
                (failed, usize::from(failed == 2))
            );
        }
    }

    #[test]
    fn missing_program_is_named() {
        let mut missing = Command::new("no-such-program");
        let error = run(&mut missing, &mut io::sink(), &mut Tally::default()).unwrap_err();
        assert!(error.to_string().contains("no-such-program"));
    }
}
