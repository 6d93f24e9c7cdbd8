//! `faa-runtime` beside a shell script that stands in for `faa-runtime-torch`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use faa_search::protocol::Hello;

use crate::faa_runtime;

/// An event that a worker may report.
pub const EVENT: &str = r#"{"event":"policy_written","file":"policy.json","sub_policies":1}"#;

/// The last event of a run.
pub const FINISHED: &str =
    r#"{"event":"finished","policy":null,"sub_policies":0,"final_trainings":[]}"#;

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
    fs::copy(faa_runtime().get_program(), &program).expect("the program can be copied");
    let write = |name: &str, content: &str| {
        let file = folder.join(name);
        fs::create_dir_all(file.parent().expect("it has a folder")).expect("it can be created");
        fs::write(&file, content).expect("the file can be written");
        fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).expect("it is ours");
    };
    write("faa-runtime-torch", &format!("#!/bin/sh\n{script}\n"));
    write("libtorch/lib/libtorch_cpu.so", "");
    write("libtorch/build-version", "2.11.0");
    let mut command = Command::new(program);
    command.env("LIBTORCH", folder.join("libtorch"));
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
