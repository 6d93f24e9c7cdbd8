//! Searches and trainings that take seconds, and what they leave.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Lines, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::{build_torch, faa_runtime, write_data_set};

/// What `search` and `train` are given: options and their values.
const OF_BOTH: &[(&str, &str)] = &[
    ("--data", "folder:data"),
    ("--out", "run"),
    ("--preset", "demo"),
    ("--device", "cpu"),
    ("--threads", "1"),
    ("--model", "wrn-10-1"),
    ("--epochs", "2"),
    ("--batch", "16"),
    ("--warmup-epochs", "1"),
    ("--learning-rate", "0.05"),
    ("--cutout", "8"),
];

/// What `search` is given besides.
const OF_SEARCH: &[(&str, &str)] = &[
    ("--folds", "2"),
    ("--rounds", "2"),
    ("--trials", "6"),
    ("--kept", "2"),
    ("--draws", "2"),
    ("--final-epochs", "2"),
];

/// A folder with a data set in its folder `data`: 16×16 images in three classes.
///
/// # Panics
///
/// Where it cannot be written.
pub fn data_set() -> TempDir {
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    write_data_set(&folder.path().join("data"), 3, [20, 5]);
    folder
}

/// A search on the [`data_set`] in this folder, into its folder `run`.
pub fn search(folder: &Path) -> Command {
    search_with(folder, &[])
}

/// [`search`], with other values of its options, or with further ones.
pub fn search_with(folder: &Path, changed: &[(&str, &str)]) -> Command {
    command("search", folder, &[OF_BOTH, OF_SEARCH], changed)
}

/// A training on the [`data_set`] in this folder, into its folder `run`; `--policy` is to be given.
pub fn train_with(folder: &Path, changed: &[(&str, &str)]) -> Command {
    command("train", folder, &[OF_BOTH], changed)
}

fn command(
    name: &str,
    folder: &Path,
    usual: &[&[(&str, &str)]],
    changed: &[(&str, &str)],
) -> Command {
    build_torch();
    let mut command = faa_runtime();
    command.current_dir(folder).arg(name);
    let is_changed = |option: &str| changed.iter().any(|(other, _)| *other == option);
    for (option, value) in usual.iter().copied().flatten() {
        if !is_changed(option) {
            command.args([option, value]);
        }
    }
    for (option, value) in changed {
        command.args([option, value]);
    }
    command
}

/// A search or a training at work, and the events that it still has to tell.
pub struct Running {
    child: Child,
    events: Lines<BufReader<ChildStdout>>,
}

impl Running {
    /// Starts a command with `--json`.
    ///
    /// # Panics
    ///
    /// Where it cannot be started.
    pub fn start(command: &mut Command) -> Self {
        command
            .arg("--json")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
        let output = child.stdout.take().expect("standard output is piped");
        Self {
            child,
            events: BufReader::new(output).lines(),
        }
    }

    /// Reads on to an event.
    ///
    /// # Panics
    ///
    /// Where the command ends before it.
    pub fn wait_for(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        match self.find(wanted) {
            Some(event) => event,
            None => panic!("the command ended before the event: {}", self.errors()),
        }
    }

    /// The number of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends the process a signal, by its name without `SIG`.
    ///
    /// # Panics
    ///
    /// Where it has ended.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([format!("-{name}"), self.id().to_string()])
            .status();
        let status = status.expect("there is a program `kill`");
        assert!(status.success(), "there is nothing left to send {name} to");
    }

    /// Waits for the end: the exit code, where no signal ended it, and all of standard error.
    ///
    /// # Panics
    ///
    /// Where what it says is no UTF-8.
    pub fn finish(mut self) -> (Option<i32>, String) {
        // The last line of a killed program may be torn.
        self.events.by_ref().for_each(drop);
        let errors = self.errors();
        let status = self.child.wait().expect("a child can be waited for");
        (status.code(), errors)
    }

    fn errors(&mut self) -> String {
        let mut errors = String::new();
        let mut from = self.child.stderr.take().expect("standard error is piped");
        from.read_to_string(&mut errors)
            .expect("programs print UTF-8");
        errors
    }
}

impl Iterator for Running {
    type Item = Value;

    fn next(&mut self) -> Option<Value> {
        let line = self.events.next()?.expect("programs print UTF-8");
        let event = serde_json::from_str(&line);
        Some(event.unwrap_or_else(|error| panic!("an event is no JSON ({error}): {line}")))
    }
}

/// The policy that the search in this folder has found.
///
/// # Panics
///
/// Where there is none.
pub fn policy_of(folder: &Path) -> String {
    let file = folder.join("run/policy.json");
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// A file of JSON.
///
/// # Panics
///
/// Where it is none.
pub fn json_in(file: &Path) -> Value {
    let content = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_slice(&content).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The lines of a log.
///
/// # Panics
///
/// Where one is no JSON, or the last is not whole.
pub fn json_lines_in(content: &[u8]) -> Vec<Value> {
    let lines = content.split_inclusive(|byte| *byte == b'\n');
    let value = |line: &[u8]| {
        assert!(line.ends_with(b"\n"), "the last line is not whole");
        serde_json::from_slice(line).expect("a line is JSON")
    };
    lines.map(value).collect()
}

/// All files of a folder and the folders in it, by their paths from there.
///
/// # Panics
///
/// Where one cannot be read.
pub fn files_in(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let entries = fs::read_dir(folder).expect("the folder can be listed");
    for entry in entries {
        let path = entry.expect("the folder can be listed").path();
        let name = PathBuf::from(path.file_name().expect("it has a name"));
        if path.is_dir() {
            let within = files_in(&path).into_iter();
            files.extend(within.map(|(inner, content)| (name.join(inner), content)));
        } else {
            files.insert(name, fs::read(&path).expect("the file can be read"));
        }
    }
    files
}

/// Writes what [`files_in`] has read into another folder.
///
/// # Panics
///
/// Where one cannot be written.
pub fn write_files(folder: &Path, files: &BTreeMap<PathBuf, Vec<u8>>) {
    for (name, content) in files {
        let file = folder.join(name);
        fs::create_dir_all(file.parent().expect("a file has a folder")).expect("it can be made");
        fs::write(file, content).expect("the file can be written");
    }
}

/// The files of a folder that are named as those are that a kill left half written.
///
/// # Panics
///
/// Where the folder cannot be read.
pub fn partial_files_in(folder: &Path) -> Vec<PathBuf> {
    let is_partial = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        name.to_string_lossy().starts_with(".partial-")
    };
    files_in(folder).into_keys().filter(is_partial).collect()
}
