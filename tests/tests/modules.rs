//! The imports between the modules of a package have no cycles.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::iter::successors;
use std::path::Path;

/// The folders of the packages that are checked.
const PACKAGES: &[&str] = &[
    "runtime/op",
    "runtime/policy",
    "runtime/plugin",
    "runtime/python",
    "runtime/capi",
    "runtime/data",
    "runtime/search",
    "runtime/report",
    "runtime/system",
    "runtime/torch",
    "runtime/cli",
    "runtime/xtask",
    "ops-builtin",
    "plugin-sdk",
];

/// The modules that each module imports. A module is named by its path, such as `a::b`.
type Imports = BTreeMap<String, BTreeSet<String>>;

#[test]
fn module_imports_have_no_cycles() {
    let mut cycles = Vec::new();
    for package in PACKAGES {
        let source = faa_tests::root().join(package).join("src");
        let imports = imports_in(&source);
        assert!(imports.len() > 1, "{package} has no modules");
        if let Some(cycle) = cycle_in(&imports) {
            cycles.push(format!("{package}: {}", cycle.join(" → ")));
        }
    }
    assert!(cycles.is_empty(), "{cycles:#?}");
}

#[test]
fn cycles_are_found() {
    let of = |modules: &[(&str, &str)]| -> Imports {
        let names: BTreeSet<String> = modules.iter().map(|(name, _)| (*name).into()).collect();
        let import = |(name, text): &(&str, &str)| ((*name).into(), imports_of(name, text, &names));
        modules.iter().map(import).collect()
    };
    let straight = of(&[
        ("a", "use crate::b::{X, Y};"),
        ("b", "fn f() { crate::c::g(); }"),
        ("c", "#[cfg(test)]\nmod tests { use crate::a::X; }"),
    ]);
    assert_eq!(cycle_in(&straight), None);
    let cycle = of(&[("a", "use self::inner::X;"), ("a::inner", "use super::Y;")]);
    assert_eq!(cycle_in(&cycle).unwrap(), ["a", "a::inner", "a"]);
    let long = of(&[
        ("a", "use crate::{b, c::X};"),
        ("b", "use super::c;"),
        ("c", "use crate::a;"),
    ]);
    assert!(cycle_in(&long).is_some());
}

/// Applying, measuring and checking start fast and need no run: what they are made of imports neither
/// search nor report.
#[test]
fn commands_without_networks_import_no_search() {
    let commands = faa_tests::root().join("runtime/cli/src/commands");
    let needs_search = |text: &str| text.contains("faa_search") || text.contains("faa_report");
    let search = fs::read_to_string(commands.join("search.rs")).unwrap();
    assert!(needs_search(&search), "the control");
    let mut texts = BTreeMap::new();
    for folder in ["policy", "plugin"] {
        read_modules(&commands.join(folder), folder, &mut texts);
    }
    for file in "apply bench one_op ops plugin policy ../plugins ../pictures".split(' ') {
        let text = fs::read_to_string(commands.join(format!("{file}.rs"))).unwrap();
        texts.insert(file.to_owned(), text);
    }
    assert!(texts.len() > 12, "the control: {:?}", texts.keys());
    for (name, text) in texts {
        let needs_search = needs_search(&text);
        assert!(!needs_search, "commands/{name}.rs imports the search");
    }
}

fn imports_in(source: &Path) -> Imports {
    let mut texts = BTreeMap::new();
    read_modules(source, "", &mut texts);
    let names: BTreeSet<String> = texts.keys().cloned().collect();
    let import = |(name, text): (&String, &String)| (name.clone(), imports_of(name, text, &names));
    texts.iter().map(import).collect()
}

fn read_modules(folder: &Path, path: &str, texts: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap().path();
        let stem = entry.file_stem().unwrap().to_str().unwrap();
        let name = joined(path, stem);
        if entry.is_dir() {
            read_modules(&entry, &name, texts);
        } else if entry.extension().is_some_and(|it| it == "rs") && stem != "tests" {
            // The root is not checked: its items are for the whole package.
            if !["lib", "main"].contains(&name.as_str()) {
                texts.insert(name, fs::read_to_string(&entry).unwrap());
            }
        }
    }
}

fn joined(parent: &str, path: &str) -> String {
    match parent {
        "" => path.to_owned(),
        _ => format!("{parent}::{path}"),
    }
}

/// The modules that a module's text names after `crate::`, `self::` or `super::`, outside of its unit tests.
fn imports_of(module: &str, text: &str, names: &BTreeSet<String>) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let lines = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let code = lines.collect::<Vec<_>>().join("\n");
    let mut found = BTreeSet::new();
    let parent = module.rsplit_once("::").map_or("", |(parent, _)| parent);
    for (prefix, base) in [("crate::", ""), ("self::", module), ("super::", parent)] {
        for (offset, _) in code.match_indices(prefix) {
            let before = code[..offset].chars().next_back();
            if before.is_some_and(|it| it.is_alphanumeric() || it == '_' || it == ':' || it == '$')
            {
                continue;
            }
            for path in paths(&code[offset + prefix.len()..]) {
                let path = joined(base, &path);
                // The module is the longest prefix that names one; the root's items are re-exports.
                let mut prefixes =
                    successors(Some(path.as_str()), |path| Some(path.rsplit_once("::")?.0));
                let named = prefixes.find(|&prefix| names.contains(prefix));
                found.extend(named.filter(|&named| named != module).map(str::to_owned));
            }
        }
    }
    found
}

/// The paths in the path or use tree at the start of a text: `a::{b, c::D}` gives `a::b` and `a::c::D`.
fn paths(text: &str) -> Vec<String> {
    let end = text.find(|it: char| !(it.is_alphanumeric() || it == '_' || it == ':'));
    let (head, rest) = text.split_at(end.unwrap_or(text.len()));
    let head = head.trim_end_matches(':');
    let Some(group) = rest.strip_prefix('{') else {
        return vec![head.to_owned()];
    };
    let mut found = Vec::new();
    let (mut depth, mut start) = (1, 0);
    for (offset, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && character == ',') {
            for path in paths(group[start..offset].trim()) {
                found.push(joined(head, &path).trim_end_matches("::self").to_owned());
            }
            start = offset + 1;
        }
        if depth == 0 {
            break;
        }
    }
    found
}

/// The names on a cycle, if there is one; the first name is also the last.
fn cycle_in(imports: &Imports) -> Option<Vec<String>> {
    fn visit(
        name: &str,
        imports: &Imports,
        path: &mut Vec<String>,
        done: &mut BTreeSet<String>,
    ) -> bool {
        if let Some(start) = path.iter().position(|other| other == name) {
            path.drain(..start);
            path.push(name.to_owned());
            return true;
        }
        if done.contains(name) {
            return false;
        }
        path.push(name.to_owned());
        for next in imports.get(name).into_iter().flatten() {
            if visit(next, imports, path, done) {
                return true;
            }
        }
        path.pop();
        done.insert(name.to_owned());
        false
    }
    let (mut path, mut done) = (Vec::new(), BTreeSet::new());
    let names = imports.keys();
    let mut names = names.filter(|name| visit(name, imports, &mut path, &mut done));
    names.next().map(|_| path.clone())
}
