//! Signals, and outputs that cannot be written or are not read.

// The states of processes are read from `/proc`.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use faa_tests::workdir::Workdir;
use faa_tests::worker::{EVENT, FINISHED, STOPPED, beside_worker};

const SEARCH: &str = "search --data glyphs --out run --json";

/// Of Linux, on all processors that the tests run on.
const O_NONBLOCK: i32 = 0o4000;

/// The signals that ask a program to stop, with their numbers.
const STOPS: [(&str, u32); 3] = [("HUP", 1), ("INT", 2), ("TERM", 15)];

/// A worker that reports an event, and ends once there is a file `go`. It starts no processes: a shell that
/// is stopped while it starts one is not in the state of a stopped process.
fn waiting_worker() -> String {
    format!("echo $$ > pid; echo '{EVENT}'; while [ ! -e go ]; do :; done; echo '{FINISHED}'")
}

/// Waits for a condition. The limit is generous, because the machine may be busy.
fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn send(signal: &str, target: &str) {
    let kill = Command::new("kill")
        .args(["-s", signal, "--", target])
        .status();
    assert!(kill.unwrap().success(), "no signal {signal} to {target}");
}

/// A line of `/proc/*/status`.
fn status(process: &str, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let mut lines = status.lines();
    let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
    line.unwrap().to_owned()
}

/// Whether a set of signals of a process, such as `SigIgn`, includes one.
fn includes(process: &str, set: &str, number: u32) -> bool {
    let mask = u64::from_str_radix(&status(process, set), 16).unwrap();
    mask >> (number - 1) & 1 == 1
}

/// Starts a command, and returns once it has printed a line, and so listens for signals.
fn start(command: &mut Command) -> (Child, BufReader<std::process::ChildStdout>) {
    let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    assert!(
        output.read_line(&mut line).unwrap() > 0,
        "it prints nothing"
    );
    (child, output)
}

/// The exit code and the standard error of a process at its end.
fn end(mut child: Child) -> (Option<i32>, String) {
    let mut errors = String::new();
    let stderr = child.stderr.as_mut().unwrap();
    stderr.read_to_string(&mut errors).unwrap();
    (child.wait().unwrap().code(), errors)
}

/// The same command under a shell that ignores a signal, as `nohup` does.
fn ignoring(signal: &str, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    let script = format!("trap '' {signal}; exec \"$0\" \"$@\"");
    shell.args(["-c", &script]).arg(command.get_program());
    shell.args(command.get_args());
    shell.current_dir(command.get_current_dir().unwrap());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

#[test]
fn signals_that_are_ignored_at_the_start_stay_ignored() {
    for (ignored, _) in STOPS {
        let folder = tempfile::tempdir().unwrap();
        let search = beside_worker(folder.path(), &waiting_worker(), SEARCH);
        let (child, _output) = start(&mut ignoring(ignored, &search));
        let process = child.id().to_string();
        for (signal, number) in STOPS {
            let is_ignored = includes(&process, "SigIgn", number);
            assert!(is_ignored || signal != ignored, "{signal} is not ignored");
            assert_ne!(includes(&process, "SigCgt", number), is_ignored, "{signal}");
        }
        send(ignored, &process);
        fs::write(folder.path().join("go"), "").unwrap();
        let (code, errors) = end(child);
        assert_eq!(code, Some(0), "{errors}");
        assert!(!errors.contains("stopping"), "{errors}");
    }
}

#[test]
fn ctrl_z_stops_both_programs() {
    let folder = tempfile::tempdir().unwrap();
    let mut search = beside_worker(folder.path(), &waiting_worker(), SEARCH);
    // A group of its own, as a shell starts every command.
    let (child, _output) = start(search.process_group(0));
    let worker = fs::read_to_string(folder.path().join("pid")).unwrap();
    let (group, both) = (format!("-{}", child.id()), [child.id().to_string(), worker]);
    send("TSTP", &group);
    wait_until("both are stopped", || {
        both.iter()
            .all(|process| status(process.trim(), "State").starts_with('T'))
    });
    send("CONT", &group);
    fs::write(folder.path().join("go"), "").unwrap();
    let (code, errors) = end(child);
    assert_eq!(code, Some(0), "{errors}");
}

#[test]
fn ctrl_c_is_no_failure() {
    let evaluated = r#"{"event":"evaluated","file":"x","evaluation":{"error":0.5,"loss":1.0}}"#;
    let asked = format!("echo '{evaluated}'; cat > /dev/null; echo '{STOPPED}'; exit 1");
    // As a terminal does, which sends it to both programs.
    let killed = format!("echo '{evaluated}'; kill -INT $$");
    for (script, arguments, expected) in [
        (&asked, "eval x --data glyphs --json", "stopped"),
        (&killed, "eval x --data glyphs --json", "stopped"),
        (&asked, SEARCH, "stopped; the same command continues in run"),
        (
            &killed,
            SEARCH,
            "stopped; the same command continues in run",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (child, _output) = start(&mut beside_worker(folder.path(), script, arguments));
        if script == &asked {
            send("INT", &child.id().to_string());
        }
        let (code, errors) = end(child);
        assert_eq!(code, Some(1), "{errors}");
        assert!(errors.lines().any(|line| line == expected), "{errors}");
        let lower = errors.to_lowercase();
        assert!(
            !lower.contains("error") && !lower.contains("because"),
            "{errors}"
        );
    }
}

#[test]
fn a_reader_that_pauses_does_not_stop_the_work() {
    let folder = tempfile::tempdir().unwrap();
    // Far more than all pipes hold.
    let events = format!("i=0; while [ $i -lt 20000 ]; do echo '{EVENT}'; i=$((i+1)); done");
    let script = format!("{events}; : > done; echo '{FINISHED}'");
    let mut search = beside_worker(folder.path(), &script, SEARCH);
    let (mut child, output) = start(&mut search);
    let done = folder.path().join("done");
    wait_until("the work is done", || done.exists());
    let stderr = child.stderr.take().unwrap();
    let errors = thread::spawn(|| io::read_to_string(stderr).unwrap());
    // Every event arrives; one was read before.
    assert_eq!(output.lines().count(), 20_000);
    let errors = errors.join().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{errors}");
}

/// Fills a pipe, as a program before would have that wrote to it.
fn fill(pipe: &io::PipeWriter) {
    // The same pipe, of which this descriptor alone does not wait.
    let path = format!("/proc/self/fd/{}", pipe.as_raw_fd());
    let mut options = File::options();
    let same = options.write(true).custom_flags(O_NONBLOCK).open(path);
    let mut same = same.unwrap();
    for piece in [&[0; 4096][..], &[0]] {
        while same.write(piece).is_ok() {}
    }
}

#[test]
fn standard_error_that_is_full_before_the_first_line_does_not_stop_the_work() {
    let folder = tempfile::tempdir().unwrap();
    let script = format!("echo '{EVENT}'; : > done; echo '{FINISHED}'");
    let mut search = beside_worker(folder.path(), &script, SEARCH);
    let (mut reader, writer) = io::pipe().unwrap();
    fill(&writer);
    let mut child = search.stdout(Stdio::null()).stderr(writer).spawn().unwrap();
    // It holds the other end of the pipe.
    drop(search);
    let done = folder.path().join("done");
    wait_until("the work is done", || done.exists());
    let mut errors = Vec::new();
    reader.read_to_end(&mut errors).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    // Nothing is lost.
    let errors = String::from_utf8(errors).unwrap();
    let lines = errors.trim_start_matches('\0');
    assert!(lines.starts_with("loading images"), "{lines}");
    assert!(lines.contains("the report"), "{lines}");
}

#[test]
fn a_reader_that_is_gone_ends_the_work_quietly() {
    let folder = tempfile::tempdir().unwrap();
    let script = format!("while [ ! -e eof ]; do echo '{EVENT}'; done & cat > /dev/null; : > eof");
    let (child, output) = start(&mut beside_worker(folder.path(), &script, SEARCH));
    drop(output);
    let (code, errors) = end(child);
    assert_eq!(code, Some(0), "{errors}");
    assert!(!errors.contains("error"), "{errors}");
    assert!(
        folder.path().join("eof").exists(),
        "the worker was not asked to stop"
    );
}

#[test]
fn standard_error_that_cannot_be_written_stops_nothing() {
    let folder = Workdir::new();
    folder.write("plugins/broken.wasm", "no module");
    let script = format!("echo '{EVENT}'; echo '{FINISHED}'");
    let mut search = beside_worker(folder.path(), &script, SEARCH);
    let mut others = [
        ("apply --op Invert cat.png --out out", 0),
        ("apply --op Invert none.png --out out", 1),
        ("ops --plugins plugins", 0),
        ("ops --unknown", 2),
    ]
    .map(|(arguments, code)| (folder.faa_runtime(arguments), code));
    let search = [(&mut search, 0)].into_iter();
    let all = search.chain(others.iter_mut().map(|(command, code)| (command, *code)));
    for (command, code) in all {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let (reader, closed) = std::io::pipe().unwrap();
        drop(reader);
        for stderr in [Stdio::from(full), Stdio::from(closed)] {
            let status = command.stdout(Stdio::null()).stderr(stderr).status();
            assert_eq!(status.unwrap().code(), Some(code), "{command:?}");
            let _ = fs::remove_dir_all(folder.join("out"));
        }
    }
    assert!(!Path::new("/dev/full").is_dir());
}

#[cfg(feature = "torch")]
mod with_libtorch {
    use faa_tests::runs::{PreparedSignal, Running, data_set, search_with};
    use faa_tests::{build_torch, faa_runtime, write_image};

    use super::*;

    #[test]
    fn a_search_under_nohup_survives_its_terminal() {
        let folder = data_set();
        let search = search_with(folder.path(), &[("--final-trainings", "cutout")]);
        let mut running = Running::start(&mut ignoring("HUP", &search));
        running.wait_for(|event| event["event"] == "epoch_done");
        let worker = running.worker().to_string();
        assert!(includes(&worker, "SigIgn", 1) && includes(&worker, "SigCgt", 2));
        running.signal("HUP");
        send("HUP", &worker);
        running.wait_for(|event| event["event"] == "finished");
        let (code, errors) = running.finish();
        assert_eq!(code, Some(0), "{errors}");
    }

    #[test]
    fn ctrl_c_is_heard_while_data_loads() {
        build_torch();
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("image.png");
        write_image(&image, 400, 400, 1);
        // Loading would take seconds, and then fail.
        for split in ["train", "test"] {
            for class in ["cat", "dog"] {
                let class = folder.path().join("data").join(split).join(class);
                fs::create_dir_all(&class).unwrap();
                for index in 0..750 {
                    fs::hard_link(&image, class.join(format!("{index}.png"))).unwrap();
                }
                fs::write(class.join("zzz.png"), "no image").unwrap();
            }
        }
        let mut eval = faa_runtime();
        eval.current_dir(folder.path());
        eval.args("eval none.safetensors --data folder:data --device cpu --threads 1".split(' '));
        let mut running = Running::start(&mut eval);
        // The worker is paused until it was asked to stop, so that it cannot load before.
        let worker = running.worker();
        PreparedSignal::new("STOP", worker).send();
        let process = running.id().to_string();
        wait_until("it listens for signals", || includes(&process, "SigCgt", 2));
        running.interrupt(Some(worker));
        let (code, errors) = running.finish();
        assert_eq!(code, Some(1), "{errors}");
        assert!(errors.lines().any(|line| line == "stopped"), "{errors}");
        assert!(!errors.contains("error"), "{errors}");
    }
}
