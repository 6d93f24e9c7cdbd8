//! What a plugin says of a failure, made fit to be shown.

/// The most bytes of a message that are read.
pub(crate) const MESSAGE: usize = 4096;

/// The most characters of a message that are kept.
const SHOWN: usize = 500;

/// A message without what could steer a terminal or turn its text around; `None` where nothing was
/// said.
pub(crate) fn readable(message: &[u8]) -> Option<String> {
    let text = shown(&String::from_utf8_lossy(message));
    (!text.is_empty()).then_some(text)
}

/// The same for text that may be empty.
pub(crate) fn shown(text: &str) -> String {
    let text = text.trim();
    let mut shown: String = (text.chars().take(SHOWN))
        .map(|character| if steers(character) { ' ' } else { character })
        .collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

/// Whether a character changes how others are shown: control characters, marks of direction, and
/// characters without width.
pub(crate) fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(character, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{061c}')
}

/// A name from a module, as it may be printed.
pub(crate) fn short(name: &str) -> String {
    const MOST: usize = 64;
    name.chars()
        .take(MOST)
        .flat_map(char::escape_debug)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_neither_steer_a_terminal_nor_fill_it() {
        assert_eq!(readable(b" \n"), None);
        assert_eq!(readable(b"a\x1b[2Jb\nc\xff").unwrap(), "a [2Jb c\u{fffd}");
        assert_eq!(readable(&[b'x'; 4096]).unwrap().chars().count(), SHOWN + 1);
    }
}
