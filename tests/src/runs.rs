//! Searches and trainings that take seconds, and the files that they write.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::workdir::Workdir;
use crate::{assert_contains, build_torch, faa_runtime, write_data_set};

/// Options of `search` and `train`, with values.
const COMMON_OPTIONS: &[(&str, &str)] = &[
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

/// Further options of `search`.
const SEARCH_OPTIONS: &[(&str, &str)] = &[
    ("--folds", "2"),
    ("--rounds", "2"),
    ("--trials", "6"),
    ("--top-n", "2"),
    ("--draws", "2"),
    ("--final-epochs", "2"),
    ("--final-seeds", "1"),
];

/// Further options of `train`.
const TRAIN_OPTIONS: &[(&str, &str)] = &[("--seeds", "1")];

/// A temporary folder with a data set in its folder `data`: 16×16 images in three classes.
///
/// # Panics
///
/// If it cannot be written.
pub fn data_set() -> Workdir {
    let folder = Workdir::empty();
    write_data_set(&folder.join("data"), 3, [20, 5]);
    folder
}

/// A search on the [`data_set`] in this folder, with the run directory `run`.
pub fn search(folder: &Path) -> Command {
    search_with(folder, &[])
}

/// A [`search`] with these options changed or added, or omitted if their value is empty.
pub fn search_with(folder: &Path, changed: &[(&str, &str)]) -> Command {
    command("search", folder, &[COMMON_OPTIONS, SEARCH_OPTIONS], changed)
}

/// A training on the [`data_set`] in this folder, with the run directory `run` and these options changed,
/// added, or omitted if their value is empty; `--policy` must be among them.
pub fn train_with(folder: &Path, changed: &[(&str, &str)]) -> Command {
    command("train", folder, &[COMMON_OPTIONS, TRAIN_OPTIONS], changed)
}

/// An audit of the ops `Rotate`, `Cutout` and `FlipX` on the [`data_set`] in this folder, with the run
/// directory `run` and these options changed or added.
pub fn audit_with(folder: &Path, changed: &[(&str, &str)]) -> Command {
    let own: &[(&str, &str)] = &[("--ops", "Rotate,Cutout,FlipX"), ("--values", "3")];
    command("audit", folder, &[COMMON_OPTIONS, own], changed)
}

fn command(
    name: &str,
    folder: &Path,
    defaults: &[&[(&str, &str)]],
    changed: &[(&str, &str)],
) -> Command {
    build_torch();
    let mut command = faa_runtime();
    command.current_dir(folder).arg(name);
    let is_changed = |option: &str| changed.iter().any(|(other, _)| *other == option);
    for (option, value) in defaults.iter().copied().flatten() {
        if !is_changed(option) {
            command.args([option, value]);
        }
    }
    for (option, value) in changed.iter().filter(|(_, value)| !value.is_empty()) {
        command.args([option, value]);
    }
    command
}

/// A running search or training, and an iterator over its events.
#[derive(Debug)]
pub struct Running {
    child: Child,
    events: Lines<BufReader<ChildStdout>>,
    stderr: BufReader<ChildStderr>,
    /// The part of standard error that was read.
    errors: String,
}

impl Running {
    /// Starts a command with `--json`.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn start(command: &mut Command) -> Self {
        command
            .arg("--json")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let output = child.stdout.take().expect("standard output is piped");
        let stderr = child.stderr.take().expect("standard error is piped");
        Self {
            child,
            events: BufReader::new(output).lines(),
            stderr: BufReader::new(stderr),
            errors: String::new(),
        }
    }

    /// Reads events up to a wanted one, and returns that.
    ///
    /// # Panics
    ///
    /// If the command ends before it.
    pub fn wait_for(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        match self.find(wanted) {
            Some(event) => event,
            None => panic!("the command ended before the event: {}", self.all_errors()),
        }
    }

    /// The process ID.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends the process a signal, given by its name without `SIG`.
    ///
    /// # Panics
    ///
    /// If the process has ended, or would ignore an interrupt.
    pub fn signal(&self, name: &str) {
        // A shell starts what is put in the background so, and its children inherit it.
        assert!(
            name != "INT" || !ignores_interrupts(self.id()),
            "Ctrl-C is ignored here: run the tests in the foreground, without `nohup` or `&`"
        );
        let status = Command::new("kill")
            .args([format!("-{name}"), self.id().to_string()])
            .status();
        let status = status.expect("there is a program `kill`");
        assert!(
            status.success(),
            "the process has ended before signal {name}"
        );
    }

    /// Waits for the `faa-runtime-torch` that this process starts, and returns its process ID. Linux only.
    ///
    /// # Panics
    ///
    /// If none is started within half a minute.
    pub fn worker(&self) -> u32 {
        worker_of(self.id())
    }

    /// Reads events up to a wanted one, and interrupts the command as Ctrl-C does. On Linux, the worker is
    /// paused until it was asked to stop, so that it cannot finish before.
    ///
    /// # Panics
    ///
    /// If the command ends before.
    pub fn interrupt_at(&mut self, wanted: impl Fn(&Value) -> bool) {
        let worker = cfg!(target_os = "linux").then(|| self.worker());
        let pause = worker.map(|worker| PreparedSignal::new("STOP", worker));
        self.wait_for(wanted);
        if let Some(pause) = pause {
            pause.send();
        }
        self.interrupt(worker);
    }

    /// Interrupts the command as Ctrl-C does. The worker, if any is given, was paused, and goes on once it was
    /// asked to stop.
    ///
    /// # Panics
    ///
    /// If the command ends before.
    pub fn interrupt(&mut self, worker: Option<u32>) {
        self.signal("INT");
        // This is printed after the worker was asked to stop.
        while !self.errors.contains("stopping; press Ctrl-C again") {
            let count = self.stderr.read_line(&mut self.errors);
            let count = count.expect("programs print UTF-8");
            assert!(count > 0, "the command ended by itself: {}", self.errors);
        }
        if let Some(worker) = worker {
            PreparedSignal::new("CONT", worker).send();
        }
    }

    /// Waits for the end, and returns the exit code, which is `None` after a signal, and standard error.
    ///
    /// # Panics
    ///
    /// If standard error is not UTF-8.
    pub fn finish(mut self) -> (Option<i32>, String) {
        // The last line of a killed program may be incomplete, so it is not parsed.
        self.events.by_ref().for_each(drop);
        let errors = self.all_errors();
        let status = self.child.wait().expect("a child can be waited for");
        (status.code(), errors)
    }

    /// Waits for the end, which must have the exit code 1 and a message with all these parts.
    ///
    /// # Panics
    ///
    /// If it has not.
    #[track_caller]
    pub fn assert_fails(self, parts: &[&str]) {
        let (code, message) = self.finish();
        assert_eq!(code, Some(1), "{message}");
        assert_contains(&message, parts);
    }

    fn all_errors(&mut self) -> String {
        self.stderr
            .read_to_string(&mut self.errors)
            .expect("programs print UTF-8");
        self.errors.clone()
    }
}

/// Waits for the `faa-runtime-torch` that a `faa-runtime` starts, which is given by its process ID, and returns
/// its process ID. Linux only.
///
/// # Panics
///
/// If none is started within half a minute.
pub fn worker_of(program: u32) -> u32 {
    let deadline = Instant::now() + Duration::from_secs(30);
    while Instant::now() < deadline {
        // Processes start and end meanwhile, so errors are skipped.
        let processes = fs::read_dir("/proc").expect("Linux has /proc").flatten();
        let mut stats =
            processes.filter_map(|process| fs::read_to_string(process.path().join("stat")).ok());
        if let Some(worker) = stats.find_map(|stat| worker_in(&stat, program)) {
            return worker;
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("process {program} has started no `faa-runtime-torch`")
}

/// Whether a process ignores SIGINT, as far as Linux says.
fn ignores_interrupts(process: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // Bit n - 1 is that of signal n, and SIGINT is 2.
    mask.is_some_and(|mask| mask & 0b10 != 0)
}

impl Iterator for Running {
    type Item = Value;

    fn next(&mut self) -> Option<Value> {
        let line = self.events.next()?.expect("programs print UTF-8");
        let event = serde_json::from_str(&line);
        Some(event.unwrap_or_else(|error| panic!("an event is not JSON ({error}): {line}")))
    }
}

/// The process ID in a line of `/proc/*/stat`, if that is of the worker of `parent`.
fn worker_in(stat: &str, parent: u32) -> Option<u32> {
    let (head, tail) = stat.rsplit_once(')')?;
    let (id, name) = head.split_once(" (")?;
    let its_parent = tail.split_whitespace().nth(1)?;
    // Linux truncates names to 15 bytes.
    let is_worker = name == "faa-runtime-tor" && its_parent.parse() == Ok(parent);
    is_worker.then(|| id.parse().ok()).flatten()
}

/// Waits until a process has ended, even if its parent has not waited for it. Linux only.
///
/// # Panics
///
/// If it is still running after half a minute.
pub fn wait_until_ended(process: u32) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while let Ok(stat) = fs::read_to_string(format!("/proc/{process}/stat")) {
        let state = stat.rsplit_once(") ").map(|(_, tail)| &tail[..1]);
        if matches!(state, Some("Z" | "X")) {
            return;
        }
        assert!(Instant::now() < deadline, "it is still running: {stat}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// A signal that can be sent to a process without delay: the shell that sends it is already running.
#[derive(Debug)]
pub struct PreparedSignal(Child);

impl PreparedSignal {
    /// Prepares a signal, given by its name without `SIG`, for a process, given by its ID.
    ///
    /// # Panics
    ///
    /// If there is no shell.
    pub fn new(signal: &str, process: u32) -> Self {
        let script = format!("read -r line && kill -{signal} {process}");
        let mut shell = Command::new("sh");
        shell.args(["-c", script.as_str()]);
        shell.stdin(Stdio::piped()).stderr(Stdio::null());
        Self(shell.spawn().expect("there is a shell"))
    }

    /// Sends the signal. If the process has ended, nothing happens.
    ///
    /// # Panics
    ///
    /// If the shell has ended.
    pub fn send(mut self) {
        let mut trigger = self.0.stdin.take().expect("it is piped");
        trigger.write_all(b"\n").expect("the shell waits for it");
        self.0.wait().expect("a child can be waited for");
    }
}

/// The same command, with a maximum file size of `kib` KiB, to imitate a full disk.
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

/// The policy file of the run in this folder.
///
/// # Panics
///
/// If it cannot be read.
pub fn policy_of(folder: &Path) -> String {
    let file = folder.join("run/policy.json");
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The content of a JSON file.
///
/// # Panics
///
/// If it cannot be read, or is not valid JSON.
pub fn json_in(file: &Path) -> Value {
    let content = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let value = serde_json::from_slice(&content);
    without_checksum(value.unwrap_or_else(|error| panic!("{}: {error}", file.display())))
}

fn without_checksum(mut value: Value) -> Value {
    if let Some(object) = value.as_object_mut() {
        object.remove("checksum");
    }
    value
}

/// The lines of a log, without their checksums.
///
/// # Panics
///
/// If one is not valid JSON, or the last is incomplete.
pub fn json_lines_in(content: &[u8]) -> Vec<Value> {
    let lines = content.split_inclusive(|byte| *byte == b'\n');
    let value = |line: &[u8]| {
        assert!(line.ends_with(b"\n"), "the last line is incomplete");
        without_checksum(serde_json::from_slice(line).expect("a line is JSON"))
    };
    lines.map(value).collect()
}

/// All files of a folder and its subfolders, by their paths relative to it.
///
/// # Panics
///
/// If one cannot be read.
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

/// Writes files, as returned by [`files_in`], to a folder.
///
/// # Panics
///
/// If one cannot be written.
pub fn write_files(folder: &Path, files: &BTreeMap<PathBuf, Vec<u8>>) {
    for (name, content) in files {
        let file = folder.join(name);
        fs::create_dir_all(file.parent().expect("a file has a folder")).expect("it can be created");
        fs::write(file, content).expect("the file can be written");
    }
}

/// The temporary files that a killed process leaves in a folder when it was writing a file.
///
/// # Panics
///
/// If the folder cannot be read.
pub fn partial_files_in(folder: &Path) -> Vec<PathBuf> {
    let is_partial = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        name.to_string_lossy().starts_with(".partial-")
    };
    files_in(folder).into_keys().filter(is_partial).collect()
}
