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
    "tests",
];

/// The name of a package's root: `lib.rs` and `main.rs`.
const ROOT: &str = "the root";

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
        let modules = modules
            .iter()
            .map(|(name, text)| ((*name).into(), (*text).into()));
        imports_between(&modules.collect())
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
    let root = "mod a;\nmod b;\npub use a::{X, Y};\nfn main() { b::run(); }";
    let through_root = of(&[(ROOT, root), ("a", ""), ("b", "fn run() { crate::main() }")]);
    assert_eq!(cycle_in(&through_root).unwrap(), ["b", ROOT, "b"]);
    // What the root only passes on is its module's.
    let passed_on = of(&[(ROOT, root), ("a", ""), ("b", "use crate::{X, a::Y};")]);
    assert_eq!(cycle_in(&passed_on), None);
    assert!(passed_on["b"].contains("a") && passed_on[ROOT].contains("b"));
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
    for folder in ["apply", "augment", "policy", "plugin"] {
        read_modules(&commands.join(folder), folder, &mut texts);
    }
    for file in "apply augment bench one_op ops plugin policy ../plugins ../pictures".split(' ') {
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
    imports_between(&texts)
}

fn imports_between(texts: &BTreeMap<String, String>) -> Imports {
    let modules = Modules::of(texts);
    let import = |(name, text): (&String, &String)| (name.clone(), modules.imports_of(name, text));
    texts.iter().map(import).collect()
}

fn read_modules(folder: &Path, path: &str, texts: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap().path();
        let stem = entry.file_stem().unwrap().to_str().unwrap();
        let name = joined(path, stem);
        if entry.is_dir() {
            read_modules(&entry, &name, texts);
        } else if entry.extension().is_some_and(|it| it == "rs")
            && !["tests", "testing"].contains(&stem)
        {
            let is_root = ["lib", "main"].contains(&name.as_str());
            let name = if is_root { ROOT.to_owned() } else { name };
            *texts.entry(name).or_default() += &fs::read_to_string(&entry).unwrap();
        }
    }
}

fn joined(parent: &str, path: &str) -> String {
    match parent {
        "" => path.to_owned(),
        _ => format!("{parent}::{path}"),
    }
}

/// The modules of a package, and what its root re-exports.
struct Modules {
    names: BTreeSet<String>,
    exports: BTreeMap<String, String>,
}

impl Modules {
    fn of(texts: &BTreeMap<String, String>) -> Self {
        let names = texts.keys().cloned().collect();
        let root = code(texts.get(ROOT).map_or("", |text| text));
        let uses = root
            .split(';')
            .flat_map(|it| Some(paths(it.split_once("use ")?.1)));
        let uses = uses
            .flatten()
            .map(|path| path.trim_start_matches("crate::").to_owned());
        let exports = uses.map(|path| (path.rsplit("::").next().unwrap().to_owned(), path));
        let exports = exports.collect();
        Self { names, exports }
    }

    /// The modules that a module's text names, outside of its unit tests: after `crate::`, `self::` or
    /// `super::`, or in the code of the root, where a path needs no such prefix.
    fn imports_of(&self, module: &str, text: &str) -> BTreeSet<String> {
        let code = code(text);
        let mut found = BTreeSet::new();
        if module == ROOT {
            let items = code
                .split(';')
                .filter(|it| !it.trim_start().starts_with("pub use "));
            let is_path = |it: char| it.is_alphanumeric() || "_:$".contains(it);
            let paths = items.flat_map(|it| it.split(|it| !is_path(it)));
            let paths = paths.map(|path| path.trim_start_matches("crate::"));
            let is_use = |path: &&str| path.contains("::") || self.exports.contains_key(*path);
            found.extend(paths.filter(is_use).filter_map(|path| self.named(path)));
        }
        let parent = module.rsplit_once("::").map_or("", |(parent, _)| parent);
        for (prefix, base) in [("crate::", ""), ("self::", module), ("super::", parent)] {
            for (offset, _) in code.match_indices(prefix) {
                let before = &code[..offset];
                let is_visibility = before.ends_with("pub(in ");
                let last = before.chars().next_back();
                if is_visibility
                    || last.is_some_and(|it| it.is_alphanumeric() || "_:$".contains(it))
                {
                    continue;
                }
                // The items of `super::*` in an inline module are those of its own file.
                let paths = paths(&code[offset + prefix.len()..]).into_iter();
                for path in paths.filter(|path| !path.is_empty()) {
                    found.extend(self.named(&joined(base, &path)));
                }
            }
        }
        found.remove(module);
        found
    }

    /// The module of a path: the longest prefix that names one, also where the root re-exports it. Other
    /// items are the root's own, unless it re-exports them from a different package.
    fn named(&self, path: &str) -> Option<String> {
        let prefixes = |path| successors(Some(path), |path: &&str| Some(path.rsplit_once("::")?.0));
        let module = |path| prefixes(path).find_map(|it| self.names.get(it).cloned());
        let head = path.split("::").next()?;
        let exported = self.exports.get(head).or(self.exports.get("*"));
        module(path).or_else(|| match exported {
            Some(export) => module(export),
            None => Some(ROOT.to_owned()),
        })
    }
}

/// A module's text without comments and unit tests.
fn code(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let is_test = |pair: &[&str]| {
        let attribute = pair[0].starts_with("#[cfg(") && pair[0].contains("test");
        attribute && pair[1].contains("mod ") && pair[1].contains('{')
    };
    let end = lines.windows(2).position(is_test).unwrap_or(lines.len());
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    let code = lines[..end].iter().copied().filter(is_code);
    code.collect::<Vec<_>>().join("\n")
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
