//! Parsers of arguments, shared by several commands.

use std::env;
use std::ffi::OsString;
use std::fmt::Display;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::Path;
use std::str::FromStr;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory, FromArgMatches};
use faa_system::expand_home;

use crate::commands::Usage;

/// A parser of numbers in a range, which includes both ends.
pub(crate) fn in_range<T>(range: RangeInclusive<T>) -> impl Fn(&str) -> Result<T, String> + Clone
where
    T: FromStr + PartialOrd + Display + Clone,
{
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| format!("must be a number from {} to {}", range.start(), range.end()))
    }
}

/// Parses a number of things, of which there must be one at least. How many there may be is checked with
/// the rest of a configuration.
pub(crate) fn count(text: &str) -> Result<NonZeroUsize, String> {
    let count = text.parse();
    count.map_err(|_| "must be a whole number of at least 1".to_owned())
}

/// Parses a number of things, of which there may be none.
pub(crate) fn count_or_zero(text: &str) -> Result<usize, String> {
    let number = text.parse();
    number.map_err(|_| "must be a whole number of at least 0".to_owned())
}

/// Parses the program's arguments. An error is help that was asked for, too.
pub(crate) fn parse<P: CommandFactory + FromArgMatches>() -> Result<P, clap::Error> {
    let arguments: Vec<OsString> = env::args_os().map(with_home).collect();
    let matches = with_negative_numbers(P::command()).try_get_matches_from(&arguments);
    let parsed = matches.and_then(|matches| P::from_arg_matches(&matches));
    parsed.map_err(|mut error| match error.kind() {
        ErrorKind::InvalidUtf8 => P::command().error(error.kind(), not_utf8(&arguments)),
        ErrorKind::UnknownArgument if is_short(&error) => {
            // A tip to write `-- -i`, which does not help with the value of `--value -inf`.
            error.remove(ContextKind::Suggested);
            error
        }
        _ => error,
    })
}

/// Whether the argument that is not known has a single hyphen.
fn is_short(error: &clap::Error) -> bool {
    let argument = error.get(ContextKind::InvalidArg);
    matches!(argument, Some(ContextValue::String(argument)) if !argument.starts_with("--"))
}

/// Expands `~` in `--option=~/x`, where shells do not.
fn with_home(argument: OsString) -> OsString {
    let parts = argument.to_str().and_then(|text| text.split_once('='));
    match parts.filter(|(option, _)| option.starts_with("--")) {
        Some((option, value)) => {
            let mut expanded = OsString::from(format!("{option}="));
            expanded.push(expand_home(Path::new(value)));
            expanded
        }
        None => argument,
    }
}

/// Lets every option take a negative number, so that its parser can say what it must be. Otherwise `-1`
/// would be an unknown option, with the tip to write `-- -1`, which does not help.
fn with_negative_numbers(command: Command) -> Command {
    let command = command.mut_args(|argument| {
        let is_option = argument.get_action().takes_values() && !argument.is_positional();
        argument.allow_negative_numbers(is_option)
    });
    command.mut_subcommands(with_negative_numbers)
}

/// The message about arguments that are not UTF-8.
fn not_utf8(arguments: &[OsString]) -> String {
    let before = [OsString::new()]
        .into_iter()
        .chain(arguments.iter().cloned());
    let bad = before
        .zip(arguments)
        .filter(|(_, it)| it.to_str().is_none());
    let described = bad.map(|(before, it)| match before.to_str() {
        Some(option) if option.starts_with("--") => format!("{option} {}", it.display()),
        _ => it.display().to_string(),
    });
    let described = described.collect::<Vec<_>>().join("`, `");
    format!("`{described}` is not valid UTF-8, which this option needs")
}

/// Checks that a path can be passed on, for which it must be UTF-8. `option` names it in the error.
pub(crate) fn check_utf8(option: &str, path: &Path) -> Result<(), Usage> {
    match path.to_str() {
        Some(_) => Ok(()),
        None => Err(Usage(format!(
            "{option} is `{}`, which is not valid UTF-8: rename the file or folder",
            path.display()
        ))),
    }
}

/// A parser of words, each with its meaning and its help.
pub(crate) fn one_of<T: Copy + Send + Sync + 'static, const N: usize>(
    words: [(&'static str, T, &'static str); N],
) -> impl TypedValueParser<Value = T> {
    let values = words.map(|(word, _, help)| PossibleValue::new(word).help(help));
    PossibleValuesParser::new(values).map(move |text| {
        let found = words.into_iter().find(|(word, ..)| *word == text);
        found.expect("clap has checked the word").1
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_bounded_at_both_ends() {
        let parse = in_range(0.01..=100.0);
        assert_eq!((parse("0.01"), parse("1e2")), (Ok(0.01), Ok(100.0)));
        for text in ["0.009", "100.1", "NaN", "inf", "", "1s"] {
            assert_eq!(
                parse(text),
                Err("must be a number from 0.01 to 100".to_owned())
            );
        }
    }
}
