/// Whether an operating system creates files of this name next to pictures, or hides them from its
/// users.
pub(crate) fn is_litter(name: &[u8]) -> bool {
    name.starts_with(b".")
        || name.eq_ignore_ascii_case(b"thumbs.db")
        || name.eq_ignore_ascii_case(b"desktop.ini")
}
