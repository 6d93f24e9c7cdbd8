//! Rules for source files.

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn source_files_are_short_and_contain_no_reminders() {
    let files = rust_files(&faa_tests::root());
    assert!(files.len() > 40, "only {} files were found", files.len());
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let name = file.display();
        assert!(
            text.lines().count() <= 600,
            "{name} has more than 600 lines"
        );
        // In two parts, so that this file does not contain them.
        for unfinished in [
            concat!("to", "do!("),
            concat!("TO", "DO"),
            concat!("FIX", "ME"),
        ] {
            assert!(!text.contains(unfinished), "{name} holds {unfinished}");
        }
        assert!(
            text.ends_with('\n') && !text.ends_with("\n\n"),
            "{name} ends in one newline"
        );
    }
}

#[test]
fn the_shipped_policies_are_those_in_the_folder() {
    let mut files: Vec<_> = fs::read_dir(faa_tests::root().join("policies"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    files.sort();
    let mut shipped: Vec<_> = faa_policy::shipped()
        .iter()
        .map(|policy| policy.name)
        .collect();
    shipped.sort_unstable();
    assert_eq!(files, shipped);
    assert!(!shipped.is_empty());
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            found.extend(rust_files(&path));
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
    found
}
