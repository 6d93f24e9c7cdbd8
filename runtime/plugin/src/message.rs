//! What a plugin says of a failure, made fit to be shown.

/// The most bytes of a message that are read.
pub(crate) const MESSAGE: usize = 4096;

/// The most characters of a message that are kept.
const SHOWN: usize = 500;

/// A message without what could steer a terminal; `None` where nothing was said.
pub(crate) fn readable(message: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(message);
    let mut shown: String = text
        .trim()
        .chars()
        .take(SHOWN)
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    (!shown.is_empty()).then_some(shown)
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
