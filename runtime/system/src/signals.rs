use std::io;
use std::process::ExitStatus;

#[cfg(unix)]
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Calls a function on a thread of its own whenever the process is asked to stop: by Ctrl-C (SIGINT), by
/// SIGTERM, and when its terminal is closed (SIGHUP). A signal that is ignored when this is called stays
/// ignored: that is how `nohup` and shells protect a program.
///
/// On systems other than Unix this does nothing, and Ctrl-C ends the process.
///
/// # Errors
///
/// Those of the operating system.
pub fn on_stop(mut stop: impl FnMut() + Send + 'static) -> io::Result<()> {
    #[cfg(unix)]
    {
        let heard = [SIGINT, SIGTERM, SIGHUP].into_iter();
        let heard = heard.filter(|signal| !unix::is_ignored(*signal));
        let mut signals = signal_hook::iterator::Signals::new(heard)?;
        let listen = move || signals.forever().for_each(|_| stop());
        std::thread::Builder::new().spawn(listen)?;
    }
    #[cfg(not(unix))]
    let _ = &mut stop;
    Ok(())
}

/// Whether one of these signals ended a process.
pub fn is_stopped(status: ExitStatus) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        matches!(status.signal(), Some(SIGINT | SIGTERM | SIGHUP))
    }
    #[cfg(not(unix))]
    {
        let _ = status;
        false
    }
}

/// The process that started this one, or the one that has taken its place after its end; 0 on systems other
/// than Unix, where this is not known.
pub fn parent_id() -> u32 {
    #[cfg(unix)]
    {
        std::os::unix::process::parent_id()
    }
    #[cfg(not(unix))]
    {
        0
    }
}

/// Ends this process at once, as a kill does: nothing is written, and no destructor of a library can block.
pub fn kill_this_process() -> ! {
    #[cfg(unix)]
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::abort()
}

#[cfg(unix)]
mod unix {
    /// Whether a signal is ignored.
    #[expect(unsafe_code, reason = "the standard library has no signals")]
    pub(super) fn is_ignored(signal: std::ffi::c_int) -> bool {
        // SAFETY: `sigaction` is a structure of integers and pointers, for which zeros are valid; without a
        // new action, the call only writes the current one to it.
        let (done, action) = unsafe {
            let mut action = std::mem::zeroed::<libc::sigaction>();
            let done = libc::sigaction(signal, std::ptr::null(), &raw mut action);
            (done, action)
        };
        done == 0 && action.sa_sigaction == libc::SIG_IGN
    }
}
