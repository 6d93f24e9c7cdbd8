//! Numbers as text for people.

use std::error::Error;
use std::iter::successors;

use faa_search::statistics;

/// A fraction from 0 to 1 in percent, with a non-breaking space.
pub(super) fn percent(fraction: f64, decimals: usize) -> String {
    statistics::percent(fraction, decimals).replace(' ', "\u{a0}")
}

/// A whole number with commas between its thousands.
pub(super) fn count(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with its noun, which takes an s unless the number is 1.
pub(super) fn counted(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(number))
}

pub(super) fn sub_policies(number: usize) -> String {
    let noun = match number {
        1 => "sub-policy",
        _ => "sub-policies",
    };
    format!("{} {noun}", count(number))
}

/// How many of those that were planned.
pub(super) fn out_of(done: usize, planned: usize) -> String {
    format!("{} of {}", count(done), count(planned))
}

/// A number with three significant digits.
pub(super) fn significant(value: f64) -> String {
    let whole_digits = match value.abs() {
        0.0 => 0.0,
        size => size.log10().floor(),
    };
    let decimals = (2.0 - whole_digits).clamp(0.0, 9.0) as usize;
    // Adding 0 turns −0 into 0.
    let text = format!("{:.decimals$}", value + 0.0);
    if text.contains('.') {
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    text
}

/// How long something took, in its two largest units.
pub(super) fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    let (hours, minutes) = (whole / 3600, whole / 60 % 60);
    match (hours, minutes) {
        (0, 0) => format!("{whole} s"),
        (0, _) => format!("{minutes} min {} s", whole % 60),
        _ => format!("{hours} h {minutes} min"),
    }
}

/// An error with its causes, on one line.
pub(super) fn reason(error: impl Error) -> String {
    successors(error.source(), |&cause| cause.source())
        .fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_separators_and_nouns() {
        assert_eq!(percent(0.1234, 1), "12.3\u{a0}%");
        let counts = [0, 999, 1000, 1_234_567].map(count);
        assert_eq!(counts, ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(counted(1, "seed"), "1 seed");
        assert_eq!(counted(2000, "seed"), "2,000 seeds");
        assert_eq!(out_of(123, 2000), "123 of 2,000");
    }

    #[test]
    fn values_have_three_significant_digits() {
        let values = [0.0, -0.0, 0.0203, 1.45, 15.25, 152.4, 1520.0, -0.3, 4.0];
        let texts = [
            "0", "0", "0.0203", "1.45", "15.2", "152", "1520", "-0.3", "4",
        ];
        assert_eq!(values.map(significant), texts);
    }

    #[test]
    fn durations_have_their_two_largest_units() {
        let texts = [0.4, 59.6, 61.0, 3599.0, 11_520.0].map(duration).join(", ");
        assert_eq!(texts, "0 s, 1 min 0 s, 1 min 1 s, 59 min 59 s, 3 h 12 min");
    }

    #[test]
    fn an_error_has_its_causes() {
        let inner = std::io::Error::other("the disk is gone");
        let error = faa_search::files::FileError::io("read", std::path::Path::new("a"))(inner);
        assert_eq!(reason(error), "cannot read a: the disk is gone");
    }
}
