//! Downloading wheels with pip, which knows the user's proxy, mirror and
//! certificates, and compares hashes.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::host::Host;

/// The oldest pip that takes several `--platform`.
const OLDEST: (u32, u32) = (20, 3);

/// Between two lines of progress.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// A Python that has pip.
#[derive(Debug)]
pub(crate) struct Pip {
    python: PathBuf,
}

impl Pip {
    /// Looks for it on the path. Any version of Python serves, since none of
    /// what is downloaded is run by it.
    pub(crate) fn find(host: &Host) -> Result<Self> {
        let mut refused = Vec::new();
        for python in ["python3", "python"]
            .iter()
            .filter_map(|name| host.find_program(name))
        {
            match pip_version(&python) {
                None => refused.push(format!("{} has no pip", python.display())),
                Some(found) if found < OLDEST => {
                    refused.push(format!(
                        "{}: pip {}.{} is too old",
                        python.display(),
                        found.0,
                        found.1
                    ));
                }
                Some(_) => return Ok(Self { python }),
            }
        }
        if refused.is_empty() {
            refused.push("there is no `python3` or `python` on PATH".to_owned());
        }
        bail!(
            "libtorch cannot be fetched without Python's pip, {}.{} or later: {}; install it (on \
             Debian and Ubuntu: apt-get install python3-pip), or set LIBTORCH to a libtorch that \
             is already there",
            OLDEST.0,
            OLDEST.1,
            refused.join(", "),
        )
    }

    /// Downloads what a requirements file pins into the folder `downloads`,
    /// with `work` for pip's own temporary files.
    pub(crate) fn download(
        &self,
        requirements: &Path,
        work: &Path,
        downloads: &Path,
    ) -> Result<()> {
        let temporary = work.join("pip");
        fs::create_dir(&temporary)?;
        let log_path = work.join("pip.log");
        let log = File::create(&log_path)?;
        let mut pip = Command::new(&self.python);
        pip.args(["-m", "pip", "download", "--require-hashes", "--no-deps"])
            .args(["--only-binary=:all:", "--python-version", "3.12"])
            .args(["--implementation", "cp", "--abi", "cp312"])
            .args(["--platform", "manylinux_2_28_x86_64"])
            .args(["--platform", "manylinux_2_25_x86_64"])
            .args(["--platform", "manylinux2014_x86_64"])
            // pip's own cache would keep a second copy of half a gigabyte.
            .args(["--no-cache-dir", "--no-input", "--progress-bar", "off"])
            .arg("--disable-pip-version-check")
            .arg("--requirement")
            .arg(requirements)
            .arg("--dest")
            .arg(downloads)
            // The system's folder for temporary files is often too small.
            .env("TMPDIR", &temporary)
            // Nothing is installed, so no virtual environment is called for.
            .env("PIP_REQUIRE_VIRTUALENV", "false")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let status = run_with_progress(&mut pip, &temporary)
            .with_context(|| format!("cannot run {}", self.python.display()))?;
        if status.success() {
            return Ok(());
        }
        let said = fs::read(&log_path).unwrap_or_default();
        bail!(explain(&String::from_utf8_lossy(&said)))
    }
}

/// The version of a Python's pip, or nothing if there is none.
fn pip_version(python: &Path) -> Option<(u32, u32)> {
    let mut command = Command::new(python);
    command
        .args(["-m", "pip", "--version"])
        .stdin(Stdio::null());
    let output = command
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    parse_version(&String::from_utf8_lossy(&output.stdout))
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim().strip_prefix("pip ")?.split(['.', ' ']);
    let major = numbers.next()?.parse().ok()?;
    Some((
        major,
        numbers
            .next()
            .and_then(|minor| minor.parse().ok())
            .unwrap_or(0),
    ))
}

/// Runs pip and says now and then how much it has downloaded. Its own bars
/// are made for a terminal, and its output is wanted for the error.
fn run_with_progress(pip: &mut Command, temporary: &Path) -> io::Result<ExitStatus> {
    let mut child = pip.spawn()?;
    let mut told = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if told.elapsed() >= PROGRESS_EVERY {
            told = Instant::now();
            eprintln!("  {} MB so far", size_of(temporary) / 1_000_000);
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// The bytes in a folder that changes meanwhile; what cannot be read is not
/// counted.
fn size_of(folder: &Path) -> u64 {
    let Ok(entries) = folder.read_dir() else {
        return 0;
    };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => size_of(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

/// Says what pip's failure probably means, with its last words.
fn explain(said: &str) -> String {
    let meaning = if said.contains("DO NOT MATCH THE HASHES") {
        "a download did not arrive as it should: its hash differs from the one in \
         runtime/xtask/libtorch.txt. Please try again; if it stays so, the source that pip \
         is set to holds other files"
    } else if said.contains("No space left on device") || said.contains("Disk quota exceeded") {
        "no space was left; free some, or set FAA_CACHE_DIR to a folder on another disk"
    } else {
        "pip could not download libtorch. Without a network, copy the cache folder from a \
         machine that has it, or set LIBTORCH to a libtorch that is already there; behind a \
         proxy or a mirror, set it in pip's configuration"
    };
    match last_words(said).as_str() {
        "" => format!("{meaning}. pip said nothing"),
        last => format!("{meaning}. pip's last words:\n    {last}"),
    }
}

/// The last lines of what a program has said, to stand below an error.
pub(crate) fn last_words(said: &str) -> String {
    let lines: Vec<_> = said
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(8)..].join("\n    ")
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::host::tests::host;

    /// A folder for `PATH` in which `python3` is a program that fails.
    fn path_with_failing_python() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let failing = Host::of_process().find_program("false").unwrap();
        symlink(failing, folder.path().join("python3")).unwrap();
        folder
    }

    #[test]
    fn without_python() {
        let empty = tempfile::tempdir().unwrap();
        let text = Pip::find(&host(Path::new("/"), &[("PATH", empty.path())]))
            .unwrap_err()
            .to_string();
        assert!(text.contains("no `python3` or `python` on PATH"), "{text}");
        assert!(
            text.contains("install python3-pip") && text.contains("set LIBTORCH"),
            "{text}"
        );
    }

    #[test]
    fn python_without_pip() {
        let folder = path_with_failing_python();
        let text = Pip::find(&host(Path::new("/"), &[("PATH", folder.path())]))
            .unwrap_err()
            .to_string();
        let python = folder.path().join("python3");
        assert!(
            text.contains(&format!("{} has no pip", python.display())),
            "{text}"
        );
    }

    #[test]
    fn versions_of_pip() {
        assert_eq!(
            parse_version("pip 23.2.1 from /usr/lib (python 3.11)\n"),
            Some((23, 2))
        );
        assert_eq!(
            parse_version("pip 26 from /usr/lib (python 3.14)"),
            Some((26, 0))
        );
        assert_eq!(
            parse_version("pip 20.0.2 from /usr/lib (python 3.8)"),
            Some((20, 0))
        );
        assert_eq!(parse_version("No module named pip"), None);
    }

    #[test]
    fn silent_failure_is_an_error_too() {
        let folder = path_with_failing_python();
        let pip = Pip {
            python: folder.path().join("python3"),
        };
        let work = tempfile::tempdir().unwrap();
        let result = pip.download(Path::new("none.txt"), work.path(), work.path());
        assert!(result.unwrap_err().to_string().contains("pip said nothing"));
    }

    #[test]
    fn failures_are_explained() {
        let broken = "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.";
        assert!(explain(broken).contains("try again"));
        assert!(explain("OSError: [Errno 28] No space left on device").contains("FAA_CACHE_DIR"));
        let many: Vec<_> = (0..20).map(|i| format!("line {i}.")).collect();
        let text = explain(&many.join("\n\n"));
        assert!(text.contains("Without a network"), "{text}");
        assert!(
            text.ends_with("line 19.") && !text.contains("line 11."),
            "{text}"
        );
    }
}
