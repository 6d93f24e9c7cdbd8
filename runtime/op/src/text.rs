//! Text of strangers (files, plugins, data sets) on its way to a terminal.

use alloc::format;
use alloc::string::String;

/// At most `max` characters of a text, without anything that could control a terminal or reorder
/// what it shows: every [display control](is_display_control) becomes a space, white space at both
/// ends is dropped, and `…` marks that characters were cut off.
///
/// ```
/// assert_eq!(faa_op::text::clean(" a\x1b[2Jb\nc ", 80), "a [2Jb c");
/// assert_eq!(faa_op::text::clean("abcdef", 3), "abc…");
/// ```
pub fn clean(text: &str, max: usize) -> String {
    let text = text.trim();
    let mut characters = text.chars();
    let mut cleaned: String = (characters.by_ref().take(max))
        .map(|character| match is_display_control(character) {
            true => ' ',
            false => character,
        })
        .collect();
    if characters.next().is_some() {
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

/// Whether a character changes how others are shown: control characters, marks of writing direction,
/// and characters without width.
pub fn is_display_control(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(character, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{061c}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_neither_controls_a_terminal_nor_fills_it() {
        assert_eq!(clean(" \n", 9), "");
        assert_eq!(clean("a\u{202e}b\u{200b}c\u{7}", 9), "a b c ");
        assert_eq!(clean("\u{fffd}é漢", 3), "\u{fffd}é漢");
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
