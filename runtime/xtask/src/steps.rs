//! Runs commands as steps, and counts the tests that they run.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::iter;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::in_words;

/// The numbers of tests that passed, failed and were skipped.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Tally {
    /// Tests that passed.
    pub(crate) passed: usize,
    /// Tests that failed.
    pub(crate) failed: usize,
    /// Tests that were not run.
    pub(crate) skipped: usize,
}

impl Tally {
    /// Adds the counts of a line of output, if it is the result of a test program:
    /// `test result: ok. 5 passed; 0 failed; 1 ignored; …`.
    fn add_line(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else {
            return;
        };
        let Some((_, counts)) = result.split_once(". ") else {
            return;
        };
        for count in counts.split(';') {
            let mut words = count.split_whitespace();
            let Some(Ok(number)) = words.next().map(str::parse::<usize>) else {
                continue;
            };
            match words.next() {
                Some("passed") => self.passed += number,
                Some("failed") => self.failed += number,
                Some("ignored") => self.skipped += number,
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

/// Runs a step between two lines that print its name and duration.
pub(crate) fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("== {name}");
    let start = Instant::now();
    let result = work();
    let outcome = if result.is_ok() {
        "done in"
    } else {
        "FAILED after"
    };
    eprintln!("== {name}: {outcome} {}", in_words(start.elapsed()));
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
        ] {
            tally.add_line(line);
        }
        assert_eq!(
            tally,
            Tally {
                passed: 16,
                failed: 2,
                skipped: 3
            }
        );
        assert_eq!(tally.summary(), "16 passed, 2 failed, 3 skipped");
        assert_eq!(Tally::default().summary(), "0 passed, 0 failed");
    }

    #[cfg(unix)]
    fn shell(script: &str) -> (Result<()>, Tally) {
        let mut tally = Tally::default();
        // On standard output, these results would be counted by the checks that run this test.
        let mut sink = io::sink();
        let result = run(
            Command::new("sh").args(["-c", script]),
            &mut sink,
            &mut tally,
        );
        (result, tally)
    }

    #[cfg(unix)]
    #[test]
    fn failing_tests_are_counted_once() {
        let (result, tally) =
            shell("echo 'test result: FAILED. 1 passed; 2 failed; 0 ignored'; exit 101");
        assert!(result.unwrap_err().to_string().contains("`sh -c"));
        assert_eq!(
            tally,
            Tally {
                passed: 1,
                failed: 2,
                skipped: 0
            }
        );
    }

    #[cfg(unix)]
    #[test]
    fn failure_without_tests_counts_as_one() {
        let (result, tally) = shell("kill -9 $$");
        assert!(result.is_err());
        assert_eq!(tally.failed, 1);
        assert_eq!(shell("true").1.failed, 0);
    }

    #[test]
    fn missing_program_is_named() {
        let mut tally = Tally::default();
        let error = run(
            &mut Command::new("no-such-program"),
            &mut io::sink(),
            &mut tally,
        )
        .unwrap_err();
        assert!(error.to_string().contains("no-such-program"));
    }
}
