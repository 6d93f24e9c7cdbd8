//! Searches and trainings that take seconds, and what they write.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

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
    ("--top-n", "2"),
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
    errors: BufReader<ChildStderr>,
    /// What was read of them.
    read: String,
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
        let errors = child.stderr.take().expect("standard error is piped");
        Self {
            child,
            events: BufReader::new(output).lines(),
            errors: BufReader::new(errors),
            read: String::new(),
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

    /// The process that works for this one, as soon as there is one; for Linux.
    ///
    /// # Panics
    ///
    /// Where there is none after half a minute.
    pub fn worker(&self) -> u32 {
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline {
            // Processes come and go meanwhile.
            let processes = fs::read_dir("/proc").expect("Linux has it").flatten();
            let mut stats = processes
                .filter_map(|process| fs::read_to_string(process.path().join("stat")).ok());
            if let Some(worker) = stats.find_map(|stat| worker_in(&stat, self.id())) {
                return worker;
            }
            thread::sleep(Duration::from_millis(1));
        }
        panic!("process {} has started no `faa-runtime-torch`", self.id())
    }

    /// Reads on to an event, and presses Ctrl-C within the work that follows on it: on Linux,
    /// however little that is, since the worker is held until it was told to stop.
    ///
    /// # Panics
    ///
    /// Where the command ends before.
    pub fn interrupt_at(&mut self, wanted: impl Fn(&Value) -> bool) {
        let worker = cfg!(target_os = "linux").then(|| self.worker());
        let hold = worker.map(|worker| Shot::aim("STOP", worker));
        self.wait_for(wanted);
        if let Some(hold) = hold {
            hold.fire();
        }
        self.signal("INT");
        // It says so once it has told the worker.
        while !self.read.contains("stopping; press Ctrl-C again") {
            let count = self.errors.read_line(&mut self.read);
            let count = count.expect("programs print UTF-8");
            assert!(count > 0, "the command ended by itself: {}", self.read);
        }
        if let Some(worker) = worker {
            Shot::aim("CONT", worker).fire();
        }
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
        self.errors
            .read_to_string(&mut self.read)
            .expect("programs print UTF-8");
        self.read.clone()
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

/// The number of a process where its line in `/proc` says that it is the worker of `parent`.
fn worker_in(stat: &str, parent: u32) -> Option<u32> {
    let (head, tail) = stat.rsplit_once(')')?;
    let (number, name) = head.split_once(" (")?;
    let its_parent = tail.split_whitespace().nth(1)?;
    // Linux keeps 15 bytes of a name.
    let is_it = name == "faa-runtime-tor" && its_parent.parse() == Ok(parent);
    is_it.then(|| number.parse().ok()).flatten()
}

/// Waits until a process has ended, whether or not its parent has asked how; for Linux.
///
/// # Panics
///
/// Where it is still at work after half a minute.
pub fn wait_for_the_end_of(process: u32) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while let Ok(stat) = fs::read_to_string(format!("/proc/{process}/stat")) {
        let state = stat.rsplit_once(") ").map(|(_, tail)| &tail[..1]);
        if matches!(state, Some("Z" | "X")) {
            return;
        }
        assert!(Instant::now() < deadline, "it goes on: {stat}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// A process that sends another one a signal as soon as it is told to, with nothing left to be
/// started.
pub struct Shot(Child);

impl Shot {
    /// Makes ready to send a signal, given by its name without `SIG`.
    ///
    /// # Panics
    ///
    /// Where there is no shell.
    pub fn aim(signal: &str, at: u32) -> Self {
        let script = format!("read -r line && kill -{signal} {at}");
        let mut shell = Command::new("sh");
        shell.args(["-c", script.as_str()]);
        shell.stdin(Stdio::piped()).stderr(Stdio::null());
        Self(shell.spawn().expect("there is a shell"))
    }

    /// Sends it. Where nothing is left to send it to, nothing happens.
    ///
    /// # Panics
    ///
    /// Where the shell has ended.
    pub fn fire(mut self) {
        let mut trigger = self.0.stdin.take().expect("it is piped");
        trigger.write_all(b"\n").expect("the shell waits for it");
        self.0.wait().expect("a child can be waited for");
    }
}

/// The same command where no file may become larger than so many KiB, as on a disk that is full.
pub fn limited(command: &Command, kib: u32) -> Command {
    let script = format!("ulimit -f {kib}; trap '' XFSZ; exec \"$0\" \"$@\"");
    let mut limited = Command::new("bash");
    limited
        .args(["-c", script.as_str()])
        .arg(command.get_program())
        .args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        limited.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    limited
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
