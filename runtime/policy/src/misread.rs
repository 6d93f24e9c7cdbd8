//! What a file is that is not a policy in JSON, so that an error can say what to do.

use crate::{PolicyError, PolicyErrorKind};

impl PolicyError {
    /// The error for a text that timm's `--aa` or torchvision's `--auto-augment` takes in place of a
    /// policy, such as `rand-m9-mstd0.5`, with the nearest shipped policy; `None` for any other text.
    ///
    /// ```
    /// let error = faa_policy::PolicyError::of_configuration("rand-m9-mstd0.5").unwrap();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "`rand-m9-mstd0.5` is a configuration string of timm, not a policy; the shipped policy \
    ///      `randaugment` comes nearest"
    /// );
    /// ```
    pub fn of_configuration(text: &str) -> Option<Self> {
        configuration(text).map(|kind| Self::new("", kind))
    }
}

/// The first word of a configuration string, the program that takes it, and the nearest shipped
/// policy.
const CONFIGURATIONS: [(&str, &str, Option<&str>); 12] = [
    ("rand", "timm", Some("randaugment")),
    ("augmix", "timm", Some("trivialaugment-wide")),
    ("original", "timm", Some("autoaugment-imagenet")),
    ("originalr", "timm", Some("autoaugment-imagenet")),
    ("v0", "timm", Some("autoaugment-imagenet")),
    ("v0r", "timm", Some("autoaugment-imagenet")),
    ("3a", "timm", None),
    ("ra", "torchvision", Some("randaugment")),
    ("ta_wide", "torchvision", Some("trivialaugment-wide")),
    ("imagenet", "torchvision", Some("autoaugment-imagenet")),
    ("cifar10", "torchvision", Some("autoaugment-cifar10")),
    ("svhn", "torchvision", Some("autoaugment-svhn")),
];

pub(crate) fn configuration(text: &str) -> Option<PolicyErrorKind> {
    let mut words = text.split('-');
    let first = words.next()?;
    let (_, program, nearest) = *CONFIGURATIONS.iter().find(|(known, ..)| *known == first)?;
    // Options of timm are a letter or a few, and a number: `m9`, `mstd0.5`.
    let is_option = |option: &str| {
        let number = option.trim_start_matches(|c: char| c.is_ascii_lowercase());
        number.len() < option.len() && number.parse::<f64>().is_ok()
    };
    let fits = words.all(|option| program == "timm" && is_option(option));
    fits.then(|| PolicyErrorKind::Configuration {
        text: text.to_owned(),
        program,
        nearest,
    })
}

/// What the encoding of a file is, if it is not UTF-8 without a byte-order mark. JSON begins with an
/// ASCII character, of which UTF-16 and UTF-32 show the zero bytes.
pub(crate) fn encoding(file: &[u8]) -> Option<PolicyErrorKind> {
    let encoding = match file {
        [0xef, 0xbb, 0xbf, ..] => return Some(PolicyErrorKind::ByteOrderMark),
        [0xff, 0xfe, 0, 0, ..]
        | [0, 0, 0xfe, 0xff, ..]
        | [0, 0, 0, 1..=255, ..]
        | [1..=255, 0, 0, 0, ..] => "UTF-32",
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, 1..=255, ..] | [1..=255, 0, ..] => "UTF-16",
        _ => return None,
    };
    Some(PolicyErrorKind::Encoding(encoding))
}

/// Why a file is not JSON, according to its parser and to what is there.
pub(crate) fn not_json(file: &[u8], error: &serde_json::Error) -> PolicyErrorKind {
    let text = str::from_utf8(file).unwrap_or_default();
    if let Some(kind) = configuration(text.trim()) {
        return kind;
    }
    let line = text.lines().nth(error.line().saturating_sub(1));
    match line.and_then(|line| not_a_number(line, error.column())) {
        Some(word) => PolicyErrorKind::NotANumber {
            text: word.to_owned(),
            line: error.line(),
        },
        None => PolicyErrorKind::NotJson(error.to_string()),
    }
}

/// The word at a column, counted in bytes from 1, if it is a name of a float that JSON has no number
/// for.
fn not_a_number(line: &str, column: usize) -> Option<&str> {
    let ends_word = |byte: &u8| !byte.is_ascii_alphabetic() && !b"+-".contains(byte);
    let bytes = line.as_bytes();
    let before = bytes.get(..column)?.iter().rposition(ends_word);
    let start = before.map_or(0, |before| before + 1);
    let length = bytes[start..].iter().position(ends_word);
    let word = line.get(start..length.map_or(line.len(), |length| start + length))?;
    let name = word.trim_start_matches(['+', '-']).to_ascii_lowercase();
    ["nan", "inf", "infinity"].contains(&&*name).then_some(word)
}
