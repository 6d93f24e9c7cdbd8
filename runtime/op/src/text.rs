//! Untrusted text (of files, plugins, data sets) on its way to a terminal.

use alloc::format;
use alloc::string::{String, ToString};
use core::any::Any;
use core::error::Error;

/// At most `max` characters of a text, without anything that could control a terminal, reorder what
/// it shows, or hide: every [display control](is_display_control) becomes a space, white space at
/// both ends is dropped, and `…` marks that characters were cut off.
///
/// ```
/// assert_eq!(faa_op::text::clean(" a\x1b[2Jb\nc ", 80), "a [2Jb c");
/// assert_eq!(faa_op::text::clean("abcdef", 3), "abc…");
/// ```
pub fn clean(text: &str, max: usize) -> String {
    let shown = |character| match is_display_control(character) {
        true => ' ',
        false => character,
    };
    let mut characters = text.chars().map(shown).skip_while(|c| c.is_whitespace());
    let mut cleaned: String = characters.by_ref().take(max).collect();
    let is_cut = characters.any(|character| !character.is_whitespace());
    cleaned.truncate(cleaned.trim_end().len());
    if is_cut {
        cleaned.push('…');
    }
    cleaned
}

/// A whole text for a terminal, of any number of lines: every [display control](is_display_control) except
/// the ends of lines becomes its escape in JSON, so that one line of JSON stays the same value.
///
/// ```
/// assert_eq!(faa_op::text::clean_lines("a\x1b[2Jb\nc\n"), "a\\u001b[2Jb\nc\n");
/// ```
pub fn clean_lines(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for character in text.chars() {
        if character == '\n' || !is_display_control(character) {
            cleaned.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                cleaned.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    cleaned
}

/// An error and its causes, in one line.
///
/// ```
/// let error = faa_op::OpErrorKind::NoPartner;
/// let error = faa_op::OpError::from(error);
/// assert_eq!(faa_op::text::chain(&error), error.to_string());
/// ```
pub fn chain(error: &dyn Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        message = format!("{message}: {error}");
        source = error.source();
    }
    message
}

/// The message of a panic, from what `std::panic::catch_unwind` returns.
pub fn of_panic(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("panic")
}

/// Whether a character changes how others are shown, or is not shown itself.
///
/// These are the characters that Unicode 16.0 gives the property `Default_Ignorable_Code_Point` or
/// `Bidi_Control` (`DerivedCoreProperties.txt`, `PropList.txt`) or one of the general categories
/// `Cc`, `Cf`, `Zl` and `Zp` (`DerivedGeneralCategory.txt`): control characters, marks of writing
/// direction, joiners, soft hyphens, fillers, variation selectors, tags, and signs that enclose what
/// follows. Those that are reserved for more of their kind count too.
#[rustfmt::skip]
pub fn is_display_control(character: char) -> bool {
    matches!(
        u32::from(character),
        0x00..=0x1f | 0x7f..=0x9f | 0xad | 0x34f | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f
        | 0x890..=0x891 | 0x8e2 | 0x115f..=0x1160 | 0x17b4..=0x17b5 | 0x180b..=0x180f
        | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0x3164 | 0xfe00..=0xfe0f | 0xfeff
        | 0xffa0 | 0xfff0..=0xfffb | 0x1_10bd | 0x1_10cd | 0x1_3430..=0x1_343f
        | 0x1_bca0..=0x1_bca3 | 0x1_d173..=0x1_d17a | 0xe_0000..=0xe_0fff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_neither_controls_a_terminal_nor_fills_it() {
        for (text, cleaned) in [
            (" \n", ""),
            ("a\u{202e}b\u{200b}c\u{7}", "a b c"),
            ("\u{fffd}é漢", "\u{fffd}é漢"),
            ("\u{3164}\u{e0041}", ""),
            ("\u{200b}so\u{ad}ft\u{fe0f}", "so ft"),
            ("123456789 \u{115f}", "123456789"),
            ("1234567890", "123456789…"),
        ] {
            assert_eq!(clean(text, 9), cleaned, "{text:?}");
        }
    }

    /// The number of characters was counted by a different program, in the tables of Unicode 16.0.
    #[test]
    fn display_controls_are_those_of_unicode() {
        let all = ('\0'..=char::MAX).filter(|c| is_display_control(*c));
        assert_eq!(all.count(), 4273);
        assert!(('\0'..=char::MAX).all(|c| is_display_control(c) || !c.is_control()));
        for shown in [
            ' ', '\u{a0}', '-', '\u{300}', '\u{2010}', '\u{200a}', '\u{fffc}', '🦀',
        ] {
            assert!(!is_display_control(shown), "{shown:?}");
        }
    }

    #[test]
    fn lines_stay_and_what_controls_a_terminal_is_escaped() {
        let text = "é漢 \u{fffd}\n\n";
        assert_eq!(clean_lines(text), text);
        let hostile = "\u{1b}]0;x\u{7} \r\t\u{7f}\u{9b}2J\u{202e}\u{200b}";
        let escaped = r"\u001b]0;x\u0007 \u000d\u0009\u007f\u009b2J\u202e\u200b";
        assert_eq!(clean_lines(hostile), escaped);
    }
}
