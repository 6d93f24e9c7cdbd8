//! Finds and runs other programs. Files of the working folder cannot affect it, and a program that hangs is
//! ended, with those that it has started.

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// How long a program may take to answer a simple question.
pub const ANSWER_TIME: Duration = Duration::from_secs(20);

/// The path of a program in one of the absolute folders of a `PATH`. Empty and relative entries are skipped,
/// because they name the working folder, or one in it: its files must not be run.
pub fn find_program(path: &OsStr, name: &str) -> Option<PathBuf> {
    let folders = env::split_paths(path).filter(|folder| folder.is_absolute());
    let name = format!("{name}{}", env::consts::EXE_SUFFIX);
    let mut files = folders.map(|folder| folder.join(&name));
    files.find(|file| is_executable(file))
}

/// A command that runs Python without standard input, in the root folder and in isolation (`-I`): the
/// working folder, the environment and the user's own packages add no modules to it.
pub fn python(python: &Path) -> Command {
    let mut command = Command::new(python);
    command.arg("-I").current_dir("/").stdin(Stdio::null());
    command
}

/// The first of these Pythons on a `PATH` in which a script succeeds, and the last line that it prints:
/// modules that Python imports by itself may print others.
///
/// # Errors
///
/// [`NoPython`], with what happened in each of them.
pub fn find_python(
    path: &OsStr,
    names: &[&str],
    script: &str,
) -> Result<(PathBuf, String), NoPython> {
    let mut failed = Vec::new();
    for file in names.iter().filter_map(|name| find_program(path, name)) {
        match answer(python(&file).args(["-c", script]), ANSWER_TIME) {
            Ok(printed) => {
                let last = printed.trim_end().lines().next_back();
                return Ok((file, last.unwrap_or_default().to_owned()));
            }
            Err(error) => failed.push((file, error)),
        }
    }
    Err(NoPython { failed })
}

/// No Python on a `PATH` in which a script succeeds. It has no `kind()`: there is one way to fail, once for each
/// Python that there is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub struct NoPython {
    /// The Pythons in which it failed, and why.
    pub failed: Vec<(PathBuf, io::Error)>,
}

impl fmt::Display for NoPython {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.failed.is_empty() {
            return f.write_str("none on PATH");
        }
        let failed = self.failed.iter();
        let failed = failed.map(|(file, error)| format!("{}: {error}", file.display()));
        f.write_str(&failed.collect::<Vec<_>>().join(", "))
    }
}

/// The standard output of a command that succeeds within a time. It has no standard input, and its standard
/// error is discarded. Signals of the terminal do not reach it: if this program is ended meanwhile, it goes
/// on.
///
/// # Errors
///
/// Those of the operating system; [`io::ErrorKind::TimedOut`], after which the program was ended with those
/// that it had started; [`io::ErrorKind::Other`] if it fails.
pub fn answer(command: &mut Command, time: Duration) -> io::Result<String> {
    let piped = command.stdout(Stdio::piped()).stderr(Stdio::null());
    let piped = piped.stdin(Stdio::null());
    // A group of its own, which can be ended as a whole.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(piped, 0);
    let started = Instant::now();
    let mut child = piped.spawn()?;
    let mut output = child.stdout.take().expect("standard output is piped");
    let (sender, receiver) = mpsc::channel();
    // Reading ends with the program. Where it has started others that outlive it, nobody waits for them.
    thread::spawn(move || {
        let mut printed = Vec::new();
        let read = output.read_to_end(&mut printed);
        let _ = sender.send(read.map(|_| printed));
    });
    let printed = receiver.recv_timeout(time);
    if printed.is_err() {
        kill_all(&mut child);
    }
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status,
            // It has closed its output, and goes on.
            None if started.elapsed() > time => kill_all(&mut child),
            None => thread::sleep(Duration::from_millis(5)),
        }
    };
    let printed = printed.map_err(|_| {
        let message = format!("it did not answer within {} s", time.as_secs_f64());
        io::Error::new(io::ErrorKind::TimedOut, message)
    })??;
    match status.success() {
        true => Ok(String::from_utf8_lossy(&printed).into_owned()),
        false => Err(io::Error::other(format!("it ended with {status}"))),
    }
}

/// Ends a program, which may have ended meanwhile, and those that it has started.
fn kill_all(child: &mut Child) {
    #[cfg(unix)]
    {
        use rustix::process::{Pid, Signal, kill_process_group};
        let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
    }
    let _ = child.kill();
}

#[cfg(unix)]
fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata()
        .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(file: &Path) -> bool {
    file.is_file()
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// An executable file.
    fn script(folder: &Path, name: &str, lines: &str) {
        let file = folder.join(format!("{name}.sh"));
        fs::write(&file, format!("#!/bin/sh\n{lines}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        // By another process: a child that a test starts meanwhile would hold the file open, and the
        // system runs no file that is being written.
        let copied = Command::new("cp")
            .args([&file, &folder.join(name)])
            .status();
        assert!(copied.unwrap().success());
    }

    #[test]
    fn only_executables_in_absolute_folders_are_programs() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path(), folder.path().join("other"));
        fs::create_dir(&other).unwrap();
        fs::write(path.join("python3"), "").unwrap();
        script(&other, "python3", "");
        let joined = env::join_paths([path, &other]).unwrap();
        assert_eq!(
            find_program(&joined, "python3"),
            Some(other.join("python3"))
        );
        // The same folder by a path from the working folder.
        let up = "../".repeat(env::current_dir().unwrap().components().count());
        let relative = format!("{up}{}", other.display());
        assert!(Path::new(&relative).join("python3").is_file());
        for path in ["", ":", &relative] {
            assert_eq!(find_program(OsStr::new(path), "python3"), None);
        }
    }

    #[test]
    fn the_last_line_of_the_first_python_that_succeeds_counts() {
        let folder = tempfile::tempdir().unwrap();
        let find = || {
            find_python(
                folder.path().as_os_str(),
                &["python3", "python"],
                "a script",
            )
        };
        let error = |found: Result<_, NoPython>| found.unwrap_err().to_string();
        assert_eq!(error(find()), "none on PATH");
        script(folder.path(), "python3", "echo 1; exit 1");
        let python3 = folder.path().join("python3");
        let expected = format!("{}: it ended with exit status: 1", python3.display());
        assert_eq!(error(find()), expected);
        // It prints its arguments and its working folder.
        script(folder.path(), "python", "echo noise; echo \"$@ in $PWD\"");
        let (python, printed) = find().unwrap();
        assert_eq!(python, folder.path().join("python"));
        assert_eq!(printed, "-I -c a script in /");
        script(folder.path(), "python3", "");
        assert_eq!(find().unwrap().1, "");
    }

    #[test]
    fn a_program_that_hangs_is_ended_with_those_that_it_has_started() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        let made = Command::new("mkfifo").arg(&fifo).status();
        assert!(made.unwrap().success());
        // While it is open for both, nobody waits to open it.
        let both = fs::File::options().read(true).write(true).open(&fifo);
        let mut hangs = Command::new("sh");
        hangs.args(["-c", "exec 3> \"$0\"; sleep 1000 & sleep 1000"]);
        let error = answer(hangs.arg(&fifo), Duration::from_millis(500)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(error.to_string(), "it did not answer within 0.5 s");
        let reader = fs::File::open(&fifo).unwrap();
        drop(both);
        // It ends when no process has it open for writing any more.
        assert_eq!(io::read_to_string(reader).unwrap(), "");
    }
}
