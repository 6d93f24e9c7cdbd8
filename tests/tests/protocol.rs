//! The two programs state their versions to each other before anything else.

#![cfg(unix)]

use faa_tests::assert_fails;
use faa_tests::worker::beside;

const SEARCH: &str = "search --data glyphs --out run";

#[test]
fn a_program_of_a_different_version_is_named_with_what_to_install() {
    let folder = tempfile::tempdir().unwrap();
    let newer = r#"{"protocol": 99, "version": "9.0.0"}"#;
    for (first_line, version) in [
        (newer, "is version 9.0.0 (protocol 99)"),
        ("hello", "does not state its version"),
    ] {
        let script = format!("echo '{first_line}'; cat > /dev/null");
        let path = folder.path().join("faa-runtime-torch");
        let expected = format!("{} {version}", path.display());
        let parts = [&expected, "cargo install --path runtime/torch"];
        assert_fails(&mut beside(folder.path(), &script, SEARCH), 1, &parts);
    }
}

#[test]
fn a_program_that_ends_without_a_word_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let parts = [
        "exited unexpectedly (exit status: 127)",
        "faa-runtime doctor",
    ];
    assert_fails(&mut beside(folder.path(), "exit 127", SEARCH), 1, &parts);
}
