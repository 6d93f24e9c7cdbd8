//! Durations in words.

use std::time::Duration;

/// A duration in words: `0.4 s`, `12.0 s`, `3 min 5 s`.
pub(crate) fn in_words(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 60.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{} min {} s", time.as_secs() / 60, time.as_secs() % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_shown_in_seconds_or_minutes() {
        assert_eq!(in_words(Duration::from_millis(412)), "0.4 s");
        assert_eq!(in_words(Duration::from_secs(185)), "3 min 5 s");
    }
}
