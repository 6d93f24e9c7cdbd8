use std::ffi::OsStr;

/// Whether operating systems and network storage create files or folders of this name next to a user's
/// own, or hide them: names that begin with a dot, such as `._a.png`, and the likes of `Thumbs.db`,
/// `Icon\r`, `@eaDir` and `__MACOSX`.
pub fn is_litter(name: &OsStr) -> bool {
    const NAMES: [&str; 18] = [
        // Windows
        "$RECYCLE.BIN",
        "System Volume Information",
        "Thumbs.db",
        "Thumbs.db:encryptable",
        "desktop.ini",
        "ehthumbs.db",
        "ehthumbs_vista.db",
        // macOS
        "Icon\r",
        "__MACOSX",
        "Network Trash Folder",
        "Temporary Items",
        // Network storage
        "#recycle",
        "#snapshot",
        "@Recently-Snapshot",
        "@Recycle",
        "@eaDir",
        "@tmp",
        // Linux
        "lost+found",
    ];
    let bytes = name.as_encoded_bytes();
    // The second is what Office has beside a file that is open.
    bytes.starts_with(b".")
        || bytes.starts_with(b"~$")
        || NAMES.iter().any(|known| name.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systems_leave_is_litter_and_what_users_make_is_not() {
        let is = |name: &str| is_litter(name.as_ref());
        assert!(
            [
                ".DS_Store",
                "._x.wasm",
                "..",
                "@eaDir",
                "THUMBS.DB",
                "@Recycle",
                "~$x",
                "Icon\r"
            ]
            .map(is)
                == [true; 8]
        );
        assert!(["cat", "Icon", "thumbs", "eaDir", "a.", "x.wasm", ""].map(is) == [false; 7]);
    }
}
