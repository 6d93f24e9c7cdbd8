//! The two programs state their versions to each other before anything else.

#![cfg(unix)]

use std::fs;

use faa_op::text::is_display_control;
use faa_search::protocol::{End, Hello, Message};
use faa_tests::worker::beside;
use faa_tests::{assert_contains, assert_fails, failure_of};

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

/// Its errors name files, classes and networks.
#[test]
fn messages_of_the_other_program_do_not_control_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let causes = [
        "class \u{1b}]0;owned\u{7}",
        "because of \u{202e}\u{9b}2J\u{7f}this",
    ];
    let failed = End::Failed(causes.map(str::to_owned).to_vec());
    let message = serde_json::to_string(&Message::Ended { ended: failed }).unwrap();
    let hello = serde_json::to_string(&Hello::current()).unwrap();
    fs::write(folder.path().join("lines"), format!("{hello}\n{message}\n")).unwrap();
    let (_, errors) = failure_of(&mut beside(
        folder.path(),
        "cat lines; cat > /dev/null",
        SEARCH,
    ));
    let controls = |character: char| character != '\n' && is_display_control(character);
    assert!(!errors.contains(controls), "{errors:?}");
    assert_contains(
        &errors,
        &[
            "class \\u001b]0;owned\\u0007",
            "\\u202e\\u009b2J\\u007fthis",
        ],
    );
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
