//! Starting `faa-runtime-torch` and exchanging messages with it.

use std::env;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use faa_plugin::PluginOptions;
use faa_search::device::DeviceName;
use faa_search::protocol::{End, Hello, Message, Request, read_line, write_line};
use faa_system::log_line;

use crate::libtorch::{self, Libtorch};

const NAME: &str = "faa-runtime-torch";

/// How long the process may take to stop when standard input has ended: enough for a batch and a checkpoint.
const GRACE: Duration = Duration::from_secs(10);

/// A running `faa-runtime-torch`.
pub(crate) struct TorchProcess {
    program: PathBuf,
    advice: Advice,
    child: Arc<Mutex<Child>>,
    output: ChildStdout,
    /// Closing it asks the process to stop; see `faa_search::protocol`.
    stdin: Arc<Mutex<Option<ChildStdin>>>,
}

/// What to do if the process exits unexpectedly.
struct Advice {
    crashed: &'static str,
    killed: &'static str,
}

impl Advice {
    fn on(request: &Request<PluginOptions>) -> Self {
        let (crashed, killed) = match request {
            Request::Evaluate { .. } => (
                "; run `faa-runtime doctor` to find out why",
                ", probably because the machine ran out of memory",
            ),
            Request::Run(_) => (
                "; run `faa-runtime doctor` to find out why. The same command continues the run",
                ", probably because the machine ran out of memory. The same command continues the run, \
                 also with fewer --jobs",
            ),
            _ => ("", ""),
        };
        Self { crashed, killed }
    }

    fn after(&self, status: ExitStatus) -> &'static str {
        // The system ends processes by signal 9 when it runs out of memory.
        #[cfg(unix)]
        if std::os::unix::process::ExitStatusExt::signal(&status) == Some(9) {
            return self.killed;
        }
        self.crashed
    }
}

/// The program's path, in the folder of this program.
pub(crate) fn program() -> Result<PathBuf> {
    let current = env::current_exe().context("cannot determine the path of this program")?;
    let program = current.with_file_name(NAME);
    if !program.exists() {
        bail!(
            "{} does not exist: build it with `cargo xtask libtorch` and \
             `cargo build --release -p faa-torch`",
            program.display()
        );
    }
    Ok(program)
}

impl TorchProcess {
    /// Starts the process and sends it a request.
    pub(crate) fn start(request: &Request<PluginOptions>, libtorch: &Libtorch) -> Result<Self> {
        let program = program()?;
        let mut command = Command::new(&program);
        command
            .env(LIBRARY_PATH, libtorch.library_path())
            // Named in its error message if the versions differ.
            .env("FAA_RUNTIME", env::current_exe().unwrap_or_default())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let mut stdin = child.stdin.take().expect("standard input is piped");
        let output = child.stdout.take().expect("standard output is piped");
        // If the process has already ended, for example because a library is missing, `messages`
        // reports it.
        let _ = write_line(&mut stdin, &Hello::current());
        let _ = write_line(&mut stdin, request);
        Ok(Self {
            program,
            advice: Advice::on(request),
            child: Arc::new(Mutex::new(child)),
            output,
            stdin: Arc::new(Mutex::new(Some(stdin))),
        })
    }

    /// Finds libtorch and starts the process with it.
    pub(crate) fn find_and_start(request: &Request<PluginOptions>) -> Result<Self> {
        let devices = match request {
            Request::Run(run) => &run.resources.devices,
            Request::Evaluate { resources, .. } => &resources.devices,
            _ => &vec![DeviceName::Auto],
        };
        Self::start(request, &libtorch::find(devices)?)
    }

    /// The first Ctrl-C, SIGTERM or SIGHUP asks the process to stop, the second ends both programs at once.
    pub(crate) fn stop_on_signal(&self) -> Result<()> {
        let (stdin, child) = (Arc::clone(&self.stdin), Arc::clone(&self.child));
        let kill = move || {
            // Killing a process that has ended is no error here.
            let _ = lock(&child).kill();
        };
        crate::stop::stop_on_signal(move || lock(&stdin).take().is_some(), kill)
    }

    /// The end of this program's standard input asks the process to stop, and ends both programs a moment later
    /// in any case. Whoever started this one may have been killed, and waits for nothing.
    pub(crate) fn stop_at_end_of_stdin(&self) {
        let (stdin, child) = (Arc::clone(&self.stdin), Arc::clone(&self.child));
        thread::spawn(move || {
            // An error also means that nobody is there.
            let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            lock(&stdin).take();
            thread::spawn(|| log_line!("standard input has ended: stopping"));
            thread::sleep(GRACE);
            let _ = lock(&child).kill();
            std::process::exit(1);
        });
    }

    /// Passes every message to `consume`, until the process ends or `consume` fails. The process has
    /// ended when this returns.
    ///
    /// Messages are read ahead, so that the work goes on while `consume` waits for whoever reads this
    /// program's output (`--json | less`). Their queue has no bound, because they are few: each reports
    /// an epoch, a trial or a network, and has a line in a log on the disk too.
    pub(crate) fn messages(self, mut consume: impl FnMut(Message) -> Result<()>) -> Result<()> {
        let (sender, receiver) = mpsc::channel();
        let reader = thread::spawn(move || {
            for_each_message(&self.program, BufReader::new(self.output), |message| {
                // After an error of `consume`, what the process does until it stops is of no interest.
                let _ = sender.send(message);
            })
        });
        let consumed = receiver.iter().try_for_each(&mut consume);
        let stopping = lock(&self.stdin).take().is_none();
        let read = reader.join();
        let status = wait(&self.child).with_context(|| format!("cannot wait for {NAME}"))?;
        consumed?;
        read.map_err(|_| anyhow!("the messages of {NAME} could not be read"))??;
        if status.success() {
            return Ok(());
        }
        if stopping || faa_system::is_stopped(status) {
            // It was ended before it could answer, while the system loaded its libraries.
            consume(Message::Ended {
                ended: End::Stopped,
            })?;
        }
        bail!(
            "{NAME} exited unexpectedly ({status}){}",
            self.advice.after(status)
        )
    }
}

/// Waits for the end without holding the lock, which the second Ctrl-C needs.
fn wait(child: &Mutex<Child>) -> io::Result<ExitStatus> {
    loop {
        if let Some(status) = lock(child).try_wait()? {
            return Ok(status);
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads all messages. The output is closed on return, so a process that still writes stops.
fn for_each_message(
    program: &Path,
    mut output: impl BufRead,
    mut consume: impl FnMut(Message),
) -> Result<()> {
    let mut next = || read_line(&mut output).with_context(|| format!("cannot read from {NAME}"));
    let Some(hello) = next()? else {
        return Ok(());
    };
    Hello::check(&hello, program)?;
    while let Some(line) = next()? {
        let message = serde_json::from_str(&line)
            .with_context(|| format!("{NAME} sent an unknown message: {line}"))?;
        consume(message);
    }
    Ok(())
}

const LIBRARY_PATH: &str = match cfg!(target_os = "macos") {
    true => "DYLD_LIBRARY_PATH",
    false => "LD_LIBRARY_PATH",
};

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn a_process_that_was_killed_has_probably_used_too_much_memory() {
        let run = Advice {
            crashed: "crashed",
            killed: "killed",
        };
        let after = |status| run.after(ExitStatus::from_raw(status));
        assert_eq!([9, 11, 1 << 8].map(after), ["killed", "crashed", "crashed"]);
        let doctor = Advice::on(&Request::Doctor);
        assert_eq!((doctor.crashed, doctor.killed), ("", ""));
    }
}
