//! A message that is written without allocating, since it may be about memory.

use core::fmt::{self, Write};

/// The maximum length of a message, in bytes; the host would read up to four times as much.
const CAPACITY: usize = 1024;

/// The last failure's message.
pub(super) struct Message {
    bytes: [u8; CAPACITY],
    length: usize,
}

impl Message {
    pub(super) const fn new() -> Self {
        Self {
            bytes: [0; CAPACITY],
            length: 0,
        }
    }

    /// Replaces the message, truncated if it is too long.
    pub(super) fn set(&mut self, message: impl fmt::Display) {
        self.length = 0;
        // An error only means that it was truncated.
        let _ = write!(self, "{message}");
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Write for Message {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let free = CAPACITY - self.length;
        let mut end = text.len().min(free);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.bytes[self.length..][..end].copy_from_slice(&text.as_bytes()[..end]);
        self.length += end;
        if end == text.len() {
            Ok(())
        } else {
            Err(fmt::Error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_messages_are_cut_between_characters() {
        let mut message = Message::new();
        message.set(format_args!("{}é", "x".repeat(CAPACITY - 1)));
        assert_eq!(message.as_bytes(), "x".repeat(CAPACITY - 1).as_bytes());
        message.set("short");
        assert_eq!(message.as_bytes(), b"short");
    }
}
