//! Names and content of files that are written.

use std::fs::{self, Metadata};
use std::path::Path;

use unicode_normalization::UnicodeNormalization;

/// What names have in common that are one file on some system: where a file system does not distinguish cases
/// or the forms of Unicode.
pub(crate) fn folded(name: &str) -> String {
    name.nfc().collect::<String>().to_lowercase()
}

/// Whether a file has this content.
pub(crate) fn has_content(file: &Path, content: &[u8]) -> bool {
    let has_length = |data: Metadata| data.is_file() && data.len() == content.len() as u64;
    file.metadata().is_ok_and(has_length) && fs::read(file).is_ok_and(|found| found == content)
}

/// Whether a file has a beginning of this content, or nothing, as a kill or a power cut may leave it.
pub(crate) fn is_begun(file: &Path, content: &[u8]) -> bool {
    let has_length = |data: Metadata| data.is_file() && data.len() <= content.len() as u64;
    file.symlink_metadata().is_ok_and(has_length)
        && fs::read(file).is_ok_and(|found| content.starts_with(&found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_and_forms_of_accents_are_one() {
        assert_eq!(folded("CAFE\u{301}.png"), folded("caf\u{e9}.PNG"));
        assert_ne!(folded("cat"), folded("cats"));
    }
}
