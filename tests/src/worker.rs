//! `faa-runtime` beside a shell script in place of `faa-runtime-torch`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use faa_search::protocol::Hello;

use crate::faa_runtime;

/// An event that a worker may report, for which nothing is written to standard error.
pub const EVENT: &str = r#"{"event":"round_started","fold":0,"round":0,"trials":1,"resumed":0}"#;

/// The last event of a run.
pub const FINISHED: &str =
    r#"{"event":"finished","policy":null,"sub_policies":0,"final_trainings":[],"comparisons":[]}"#;

/// What a worker answers that was asked to stop.
pub const STOPPED: &str = r#"{"ended":"stopped"}"#;

/// `faa-runtime` in this folder, with arguments that are separated by spaces, beside a
/// `faa-runtime-torch` that is this shell script.
///
/// # Panics
///
/// If they cannot be written.
pub fn beside(folder: &Path, script: &str, arguments: &str) -> Command {
    let program = folder.join("faa-runtime");
    copy_program(Path::new(faa_runtime().get_program()), &program);
    write_program(&folder.join("faa-runtime-torch"), script);
    let libtorch = folder.join("libtorch");
    fs::create_dir_all(libtorch.join("lib")).expect("folders can be created");
    fs::write(libtorch.join("lib/libtorch_cpu.so"), "").expect("files can be written");
    fs::write(libtorch.join("build-version"), "2.11.0").expect("files can be written");
    let mut command = Command::new(program);
    command.env("LIBTORCH", libtorch);
    command.args(arguments.split(' ')).current_dir(folder);
    command
}

/// As [`beside`], with a script that has read the request.
///
/// # Panics
///
/// If they cannot be written.
pub fn beside_worker(folder: &Path, script: &str, arguments: &str) -> Command {
    let hello = serde_json::to_string(&Hello::current()).expect("it is JSON");
    let script = format!("echo '{hello}'\nread -r hello\nread -r request\n{script}");
    beside(folder, &script, arguments)
}

/// Writes a program, which is a shell script.
///
/// # Panics
///
/// If it cannot be written.
pub fn write_program(file: &Path, script: &str) {
    let text = file.with_extension("sh");
    fs::create_dir_all(file.parent().expect("it has a folder")).expect("it can be created");
    fs::write(&text, format!("#!/bin/sh\n{script}\n")).expect("files can be written");
    fs::set_permissions(&text, PermissionsExt::from_mode(0o755)).expect("the file is ours");
    copy_program(&text, file);
}

/// Copies a program in a process of its own. Were the copy written by this process, a child that another
/// test starts at the same moment could hold it open, and the system runs no file that is being written.
fn copy_program(from: &Path, to: &Path) {
    let copied = Command::new("cp").args([from, to]).status();
    assert!(
        copied.expect("there is a program `cp`").success(),
        "{}",
        to.display()
    );
}
