//! Rules for source files.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn source_files_are_short_and_contain_no_reminders() {
    let files = rust_files(&faa_tests::root());
    assert!(files.len() > 40, "only {} files were found", files.len());
    // In two parts, so that this file does not contain them.
    let reminders = [["to", "do!("], ["TO", "DO"], ["FIX", "ME"]].map(|parts| parts.concat());
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let name = file.display();
        let lines = text.lines().count();
        assert!(lines <= 600, "{name} has {lines} lines, more than 600");
        for reminder in &reminders {
            assert!(!text.contains(reminder), "{name} holds {reminder}");
        }
        let newlines = text.chars().rev().take_while(|last| *last == '\n').count();
        assert_eq!(newlines, 1, "{name} ends in one newline");
    }
}

#[test]
fn the_shipped_policies_are_those_in_the_folder() {
    let names = fs::read_dir(faa_tests::root().join("policies")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let files = names.filter_map(|name| name.strip_suffix(".json").map(str::to_owned));
    let shipped = faa_policy::shipped()
        .iter()
        .map(|policy| policy.name.to_owned());
    let [files, shipped]: [BTreeSet<_>; 2] = [files.collect(), shipped.collect()];
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
