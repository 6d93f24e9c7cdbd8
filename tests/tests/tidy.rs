//! Rules for source files.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn source_files_are_short_and_contain_no_reminders() {
    let files = files_ending_with(&faa_tests::root(), ".rs");
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

/// A row of a table names files and, after them, what they hold: `a/b.rs`, `LIMIT`, `Type::limit`. Parts of a
/// cell are separated by semicolons. A path may begin anywhere in the tree.
#[test]
fn documents_name_files_that_exist_and_hold_the_limits() {
    let root = faa_tests::root();
    let mut files = files_ending_with(&root, ".rs");
    files.extend(files_ending_with(&root, ".py"));
    let texts: Vec<_> = files
        .iter()
        .map(|file| (file, fs::read_to_string(file).unwrap()))
        .collect();
    let mut checked = 0;
    for (document, has_limits) in [("SECURITY.md", true), ("ARCHITECTURE.md", false)] {
        let text = fs::read_to_string(root.join(document)).unwrap();
        for line in text.lines() {
            for part in line.split(['|', ';']) {
                let words = part.split('`').skip(1).step_by(2);
                let is_file = |it: &&str| it.ends_with(".rs") || it.ends_with(".py");
                let (named, held): (Vec<&str>, Vec<&str>) = words.partition(is_file);
                let is_row = has_limits && line.starts_with('|');
                let held = held
                    .into_iter()
                    .filter(|it| is_row && !it.contains(['-', ' ', '/']));
                let held: Vec<&str> = held.filter_map(|it| it.rsplit("::").next()).collect();
                for name in named {
                    let holds = |text: &str| held.iter().all(|it| text.contains(it));
                    let mut named = texts.iter().filter(|(file, _)| file.ends_with(name));
                    let found = named.any(|(_, text)| holds(text));
                    assert!(found, "{document}: no {name} holds {held:?}: {line}");
                    checked += held.len();
                }
            }
        }
    }
    assert!(checked > 60, "only {checked} limits were found");
}

/// Every constant `MAX_…` of the libraries and programs is in a table, with the name of its file.
#[test]
fn the_limits_in_the_code_are_documented() {
    let root = faa_tests::root();
    let document = fs::read_to_string(root.join("SECURITY.md")).unwrap();
    for folder in ["runtime", "ops-builtin", "plugin-sdk"] {
        for file in files_ending_with(&root.join(folder), ".rs") {
            let in_sources = file.components().any(|part| part.as_os_str() == "src");
            if !in_sources || file.components().any(|part| part.as_os_str() == "xtask") {
                continue;
            }
            let text = fs::read_to_string(&file).unwrap();
            let name = file.file_name().unwrap().to_str().unwrap();
            for limit in text.split("const MAX_").skip(1) {
                let end = limit.find(|it: char| !it.is_ascii_uppercase() && it != '_');
                let limit = format!("MAX_{}`", &limit[..end.unwrap()]);
                let mut rows = document.lines().filter(|line| line.starts_with('|'));
                let found = rows.any(|row| row.contains(name) && row.contains(&limit));
                assert!(found, "SECURITY.md: `{limit} of {}", file.display());
            }
        }
    }
}

fn files_ending_with(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            found.extend(files_ending_with(&path, end));
        } else if name.ends_with(end) {
            found.push(path);
        }
    }
    found
}
