use std::time::{SystemTime, UNIX_EPOCH};

use faa_op::text::clean;

/// The longest host name of a machine, in characters; POSIX allows 255.
const MAX_NAME: usize = 255;

/// The name of this machine, without control characters; empty if the system does not say it.
pub fn host_name() -> String {
    clean(&String::from_utf8_lossy(&raw_host_name()), MAX_NAME)
}

#[cfg(unix)]
#[expect(unsafe_code, reason = "the standard library has no host name")]
fn raw_host_name() -> Vec<u8> {
    let mut name = vec![0; MAX_NAME + 1];
    // SAFETY: the buffer is as long as it is said to be, and the system writes no further.
    let failed = unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len()) } != 0;
    // A name that was cut off may lack its zero.
    let end = name.iter().position(|byte| *byte == 0);
    name.truncate(if failed { 0 } else { end.unwrap_or(name.len()) });
    name
}

#[cfg(not(unix))]
fn raw_host_name() -> Vec<u8> {
    let name = std::env::var("COMPUTERNAME");
    name.unwrap_or_default().into_bytes()
}

/// The time now in UTC, to the second, as in RFC 3339: `2026-01-31T23:59:59Z`.
pub fn utc_now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    utc(since.unwrap_or_default().as_secs())
}

/// This many seconds after the beginning of 1970.
fn utc(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years begin in March, so that the leap day is the last; an era has 400 of them (Howard Hinnant,
    // *chrono-Compatible Low-Level Date Algorithms*).
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let year = 400 * era + year + next;
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(utc(seconds), expected);
        }
    }

    #[test]
    fn a_host_name_has_no_control_characters() {
        assert!(!host_name().chars().any(char::is_control));
    }
}
