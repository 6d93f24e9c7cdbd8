//! Starting `faa-runtime-torch` and talking with it.

use std::env;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use faa_plugin::PluginOptions;
use faa_search::protocol::{Hello, Message, Request, read_line, write_line};

use crate::libtorch::{self, Libtorch};

const NAME: &str = "faa-runtime-torch";

/// A running `faa-runtime-torch`.
pub(crate) struct TorchProcess {
    program: PathBuf,
    child: Arc<Mutex<Child>>,
    output: ChildStdout,
    // Closing it asks the process to stop; see `faa_search::protocol`.
    stop: Arc<Mutex<Option<ChildStdin>>>,
}

/// Where the program is: beside this one.
pub(crate) fn program() -> Result<PathBuf> {
    let here = env::current_exe().context("cannot tell where this program is")?;
    let program = here.with_file_name(NAME);
    if !program.exists() {
        bail!(
            "there is no `{NAME}` beside {}: build it with `cargo xtask libtorch` and \
             `cargo build --release -p faa-torch`",
            here.display()
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
            .env(library_path_variable(), libtorch.library_path())
            // For its message where the versions differ.
            .env("FAA_RUNTIME", env::current_exe().unwrap_or_default())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        leave_ctrl_c_to_us(&mut command);
        share_one_heap(&mut command);
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let mut stdin = child.stdin.take().expect("standard input is piped");
        let output = child.stdout.take().expect("standard output is piped");
        // A process that ended at once, because a library is missing, is reported by `messages`.
        let _ = write_line(&mut stdin, &Hello::current());
        let _ = write_line(&mut stdin, request);
        Ok(Self {
            program,
            child: Arc::new(Mutex::new(child)),
            output,
            stop: Arc::new(Mutex::new(Some(stdin))),
        })
    }

    /// Starts the process with the libtorch that is found.
    pub(crate) fn start_with_any(request: &Request<PluginOptions>) -> Result<Self> {
        Self::start(request, &libtorch::find()?)
    }

    /// Lets Ctrl-C stop the process cleanly the first time, and everything the second time.
    pub(crate) fn stop_on_ctrl_c(&self) -> Result<()> {
        let (stop, child) = (Arc::clone(&self.stop), Arc::clone(&self.child));
        ctrlc::set_handler(move || {
            if lock(&stop).take().is_none() {
                // Whether or not the process still runs, this program ends.
                let _ = lock(&child).kill();
                std::process::exit(1);
            }
            eprintln!("\nstopping; press Ctrl-C again to end at once");
        })
        .context("cannot watch for Ctrl-C")
    }

    /// Passes every message to `consume`, until the process is done or `consume` fails. The process has
    /// ended when this returns.
    pub(crate) fn messages(self, consume: impl FnMut(Message) -> Result<()>) -> Result<()> {
        let consumed = for_each_message(&self.program, BufReader::new(self.output), consume);
        lock(&self.stop).take();
        let status = wait(&self.child).with_context(|| format!("cannot wait for {NAME}"))?;
        consumed?;
        if !status.success() {
            bail!(
                "{NAME} exited unexpectedly ({status}); run `faa-runtime doctor` to find out why. The \
                 same command continues the run"
            );
        }
        Ok(())
    }
}

/// Waits without holding the lock, which the second Ctrl-C needs.
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

/// Closes the output on return, so that a process that still writes stops, too.
fn for_each_message(
    program: &Path,
    mut output: impl BufRead,
    mut consume: impl FnMut(Message) -> Result<()>,
) -> Result<()> {
    let mut next = || read_line(&mut output).with_context(|| format!("cannot read from {NAME}"));
    let Some(hello) = next()? else {
        return Ok(());
    };
    Hello::check(&hello, program)?;
    while let Some(line) = next()? {
        let message = serde_json::from_str(&line)
            .with_context(|| format!("{NAME} sent an unknown message: {line}"))?;
        consume(message)?;
    }
    Ok(())
}

fn library_path_variable() -> &'static str {
    if cfg!(target_os = "macos") {
        "DYLD_LIBRARY_PATH"
    } else {
        "LD_LIBRARY_PATH"
    }
}

/// Lets all threads of the process allocate from one heap. glibc would give each thread a heap in
/// pieces of 64 MiB, into which the tensors of a training fit badly: half as much memory again.
fn share_one_heap(command: &mut Command) {
    const ARENAS: &str = "MALLOC_ARENA_MAX";
    if env::var_os(ARENAS).is_none() {
        command.env(ARENAS, "1");
    }
}

/// A terminal sends Ctrl-C to the whole foreground group. The process hears of it from this program
/// instead, and ends between two steps of its work.
fn leave_ctrl_c_to_us(command: &mut Command) {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
}
