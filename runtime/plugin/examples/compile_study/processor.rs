//! The time and the memory that this process has used.

use std::fs;

/// The peak memory of this process, in MB.
pub(crate) fn peak_megabytes() -> f64 {
    let status = fs::read_to_string("/proc/self/status").expect("this is Linux");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = peak.and_then(|text| text.trim().split(' ').next()?.parse::<f64>().ok());
    kilobytes.expect("Linux knows it") / 1e3
}

/// The seconds that all threads of this process have run so far, which other processes do not change.
pub(crate) fn processor_seconds() -> f64 {
    let threads = fs::read_dir("/proc/self/task").expect("this is Linux");
    let nanoseconds = threads.map(|thread| {
        let path = thread.expect("it is a folder").path().join("schedstat");
        let text = fs::read_to_string(path).unwrap_or_default();
        text.split(' ')
            .next()
            .and_then(|time| time.parse::<f64>().ok())
    });
    nanoseconds.flatten().sum::<f64>() / 1e9
}
