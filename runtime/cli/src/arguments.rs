//! Parsers of arguments, shared by several commands.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

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
