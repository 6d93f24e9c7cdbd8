//! Text from plugins, made safe to print.

use faa_op::text::clean;

/// A plugin's message, at most 500 characters of it; `None` if it is empty.
pub(crate) fn plugin_message(bytes: &[u8]) -> Option<String> {
    let text = clean_message(&String::from_utf8_lossy(bytes));
    (!text.is_empty()).then_some(text)
}

/// At most 500 characters of a message about a plugin.
pub(crate) fn clean_message(text: &str) -> String {
    clean(text, 500)
}

/// At most 64 characters of a name in a module.
pub(crate) fn clean_name(name: &str) -> String {
    clean(name, 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_neither_control_a_terminal_nor_fill_it() {
        assert_eq!(plugin_message(b" \n"), None);
        let message = plugin_message(b"a\x1b[2Jb\nc\xff").unwrap();
        assert_eq!(message, "a [2Jb c\u{fffd}");
        let long = plugin_message(&[b'x'; 4096]).unwrap();
        assert_eq!(long.chars().count(), 501);
    }
}
