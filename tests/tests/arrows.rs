//! Packages of the workspace depend on each other only as listed here, and the executor has few dependencies.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, NodeDep, PackageId};

/// Every package of the workspace, with the packages of the workspace that it may depend on.
const ARROWS: &[(&str, &str)] = &[
    ("faa-op", ""),
    ("faa-ops-builtin", "faa-op"),
    ("faa-policy", "faa-op faa-ops-builtin"),
    ("faa-data", "faa-op faa-system"),
    (
        "faa-search",
        "faa-data faa-policy faa-op faa-ops-builtin faa-system",
    ),
    (
        "faa-report",
        "faa-search faa-data faa-policy faa-op faa-ops-builtin faa-system",
    ),
    (
        "faa-torch",
        "faa-search faa-data faa-plugin faa-policy faa-op faa-ops-builtin faa-system",
    ),
    (
        "faa-runtime",
        "faa-report faa-search faa-data faa-plugin faa-policy faa-op faa-ops-builtin faa-system",
    ),
    ("faa-plugin", "faa-op faa-system"),
    (
        "faa-python",
        "faa-plugin faa-policy faa-op faa-ops-builtin faa-system",
    ),
    ("faa-capi", "faa-plugin faa-policy faa-op faa-ops-builtin"),
    ("faa-plugin-sdk", "faa-op"),
    ("plugin-elastic", "faa-plugin-sdk"),
    ("plugin-fade", "faa-plugin-sdk"),
    ("plugin-weather", "faa-plugin-sdk"),
    ("faa-system", "faa-op"),
    ("xtask", "faa-system"),
    (
        "embed-pipeline",
        "faa-data faa-op faa-ops-builtin faa-policy faa-system",
    ),
    ("single-core", "faa-op faa-ops-builtin faa-policy"),
    (
        "faa-tests",
        "faa-data faa-op faa-ops-builtin faa-plugin faa-plugin-sdk faa-policy faa-search faa-system plugin-elastic plugin-fade plugin-weather",
    ),
];

fn metadata() -> Metadata {
    MetadataCommand::new()
        .current_dir(faa_tests::root())
        .exec()
        .unwrap()
}

#[test]
fn packages_depend_only_on_those_listed() {
    let metadata = metadata();
    let members = metadata.workspace_packages();
    let names: BTreeSet<&str> = (members.iter().map(|package| package.name.as_str())).collect();
    // New and renamed packages must be listed.
    assert_eq!(names, ARROWS.iter().map(|(name, _)| *name).collect());
    for package in members {
        let name = package.name.as_str();
        let (_, allowed) = ARROWS.iter().find(|(found, _)| *found == name).unwrap();
        let needed = package
            .dependencies
            .iter()
            .map(|needed| needed.name.as_str());
        for needed in needed.filter(|needed| names.contains(needed)) {
            let is_allowed = allowed.split(' ').any(|allowed| allowed == needed);
            assert!(is_allowed, "{name} must not depend on {needed}");
        }
    }
}

#[test]
fn only_faa_torch_links_libtorch() {
    assert_eq!(users_of("tch"), ["faa-torch"]);
}

#[test]
fn only_hosts_of_plugins_need_a_webassembly_engine() {
    let hosts = [
        "faa-torch",
        "faa-runtime",
        "faa-plugin",
        "faa-python",
        "faa-tests",
    ];
    assert_eq!(users_of("wasmtime"), hosts);
}

/// The packages of the workspace that need a package.
fn users_of(package: &str) -> Vec<&'static str> {
    let graph = Graph::new(&metadata());
    let names = ARROWS.iter().map(|(name, _)| *name);
    names
        .filter(|name| graph.needs(name).contains(package))
        .collect()
}

/// They are the SDK's two packages and `libm`.
#[test]
fn a_plugin_needs_three_packages() {
    let expected = ["faa-op", "faa-plugin-sdk", "libm", "plugin-elastic"];
    assert_eq!(alone("plugin-elastic"), expected.map(str::to_owned).into());
}

#[test]
fn the_executor_has_no_heavy_dependencies() {
    let graph = Graph::new(&metadata());
    let needs = graph.needs("faa-policy");
    for expected in ["faa-op", "serde_json"] {
        assert!(needs.contains(expected), "{expected} is not in the graph");
    }
    for heavy in ["tch", "wasmtime", "image", "clap"] {
        assert!(!needs.contains(heavy), "faa-policy needs {heavy}");
    }
}

#[test]
fn the_executor_needs_at_most_twelve_packages() {
    let packages = alone("faa-policy");
    assert!(packages.contains("faa-ops-builtin"), "{packages:?}");
    assert!(packages.len() <= 12, "{packages:?}");
    for heavy in ["rayon", "serde_derive"] {
        assert!(!packages.contains(heavy), "faa-policy needs {heavy}");
    }
}

#[test]
fn a_program_on_one_core_needs_neither_threads_nor_decoders() {
    let packages = alone("single-core");
    assert!(packages.contains("faa-policy"), "{packages:?}");
    for heavy in ["rayon", "image", "clap"] {
        assert!(!packages.contains(heavy), "single-core needs {heavy}");
    }
    // It needs itself and what the executor needs.
    let needed = alone("faa-policy").len();
    assert!(packages.len() <= needed + 1, "{packages:?}");
}

/// Without the feature `plugins`, it needs itself and what the executor needs.
#[test]
fn the_c_library_needs_what_the_executor_needs() {
    let (packages, needed) = (alone("faa-capi"), alone("faa-policy"));
    assert!(packages.is_superset(&needed), "{packages:?}");
    assert_eq!(packages.len(), needed.len() + 1, "{packages:?}");
}

/// Together with the lint that checks the packages' own code, this ensures that each package builds with its
/// `rust-version`.
#[test]
fn no_dependency_needs_a_newer_rust_than_the_package() {
    let metadata = metadata();
    let graph = Graph::new(&metadata);
    let oldest = |name: &str| {
        let found = (metadata.packages.iter()).filter(|package| package.name == name);
        found
            .filter_map(|package| package.rust_version.clone())
            .max()
    };
    let stated = oldest("faa-op") < oldest("faa-runtime");
    assert!(stated, "both versions are stated");
    for (name, _) in ARROWS {
        for needed in graph.needs(name) {
            let rust = oldest(needed);
            assert!(
                rust <= oldest(name),
                "{name} needs {needed}, which needs Rust {rust:?}"
            );
        }
    }
}

/// A package and its dependencies at run time, with the features of this package alone. `cargo metadata`
/// has only those of the whole workspace, so this reads `cargo tree`.
fn alone(package: &str) -> BTreeSet<String> {
    let mut tree = Command::new(env!("CARGO"));
    tree.args([
        "tree",
        "--package",
        package,
        "--edges",
        "normal",
        "--prefix",
        "none",
    ]);
    let tree = faa_tests::stdout_of(tree.current_dir(faa_tests::root()));
    let packages = tree.lines().filter_map(|line| line.split_once(' '));
    let mut versions = BTreeMap::new();
    for (name, rest) in packages {
        let version = rest.split(' ').next();
        let found = versions.insert(name, version).unwrap_or(version);
        assert_eq!(found, version, "{package} needs two versions of {name}");
    }
    versions.into_keys().map(ToOwned::to_owned).collect()
}

/// The graph of dependencies at run time, with the features of the whole workspace.
struct Graph {
    names: BTreeMap<PackageId, String>,
    edges: BTreeMap<PackageId, Vec<PackageId>>,
}

impl Graph {
    fn new(metadata: &Metadata) -> Self {
        let packages = metadata.packages.iter();
        let names = packages.map(|package| (package.id.clone(), package.name.to_string()));
        let at_run_time = |needed: &&NodeDep| {
            let mut kinds = needed.dep_kinds.iter();
            kinds.any(|kind| kind.kind == DependencyKind::Normal)
        };
        let nodes = metadata.resolve.as_ref().unwrap().nodes.iter();
        let edges = nodes.map(|node| {
            let needed = node.deps.iter().filter(at_run_time);
            (
                node.id.clone(),
                needed.map(|needed| needed.pkg.clone()).collect(),
            )
        });
        Self {
            names: names.collect(),
            edges: edges.collect(),
        }
    }

    /// The names of a package's direct and indirect dependencies.
    fn needs(&self, name: &str) -> BTreeSet<&str> {
        let mut names = self.names.iter();
        let (start, _) = names.find(|(_, found)| *found == name).expect(name);
        let (mut found, mut queue) = (BTreeSet::new(), vec![start]);
        while let Some(package) = queue.pop() {
            for needed in &self.edges[package] {
                if found.insert(needed) {
                    queue.push(needed);
                }
            }
        }
        let names = found.into_iter().map(|id| self.names[id].as_str());
        names.collect()
    }
}
