//! A check of `cargo xtask test`: the files that would be published of each library compile, and not only
//! the checkout.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::host::Host;
use crate::steps::{self, Tally};

/// The libraries that are published, in alphabetical order. One that states `publish` no more would otherwise just
/// not be checked.
const LIBRARIES: [&str; 9] = [
    "faa-data",
    "faa-op",
    "faa-ops-builtin",
    "faa-plugin",
    "faa-plugin-sdk",
    "faa-policy",
    "faa-report",
    "faa-search",
    "faa-system",
];

/// Packages the libraries, unpacks them into a separate workspace, and checks that it compiles.
///
/// A check is enough: what a package could lack are files, and compiling fails without them; generating code reads
/// none. A build would compile the dependencies again, with the features of these packages alone. `cargo package`
/// can build too, but in the dev profile, in which everything would be built again.
pub(crate) fn check(host: &Host, tally: &mut Tally) -> Result<()> {
    let mut metadata = host.cargo("metadata --no-deps --format-version 1");
    let output = metadata.stderr(Stdio::inherit()).output()?;
    let metadata: Value = serde_json::from_slice(&output.stdout).context("no cargo metadata")?;
    let libraries = publishable(&metadata);
    let names: Vec<_> = libraries.iter().map(|(name, _)| *name).collect();
    ensure!(
        names == LIBRARIES,
        "the packages that may be published are {names:?}, and not {LIBRARIES:?}"
    );

    let mut package = host.cargo("package --no-verify --allow-dirty --quiet --exclude-lockfile");
    for (name, _) in &libraries {
        package.args(["-p", name]);
    }
    steps::run(&mut package, &mut io::stdout(), tally)?;

    let target = metadata["target_directory"]
        .as_str()
        .context("no target directory")?;
    let packages = Path::new(target).join("package");
    let unpacked = packages.join("unpacked");
    if unpacked.exists() {
        fs::remove_dir_all(&unpacked)?;
    }
    fs::create_dir(&unpacked)?;
    for (name, version) in &libraries {
        let file = packages.join(format!("{name}-{version}.crate"));
        // The files get the current time, because cargo detects changes by time.
        let mut tar = Command::new("tar");
        tar.arg("-xmzf").arg(file).arg("-C").arg(&unpacked);
        steps::run(&mut tar, &mut io::stdout(), tally)?;
        for license in ["LICENSE-MIT", "LICENSE-APACHE"] {
            let license = unpacked.join(format!("{name}-{version}")).join(license);
            ensure!(license.exists(), "{} is missing", license.display());
        }
    }
    let manifest = fs::read_to_string(host.root.join("Cargo.toml"))?;
    let workspace = workspace(&libraries, &manifest)?;
    fs::write(unpacked.join("Cargo.toml"), workspace)?;
    // With the same versions of dependencies, most are already compiled.
    fs::copy(host.root.join("Cargo.lock"), unpacked.join("Cargo.lock"))?;
    let mut check = host.cargo("check --release --workspace --lib");
    check
        .arg("--manifest-path")
        .arg(unpacked.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target);
    steps::run(&mut check, &mut io::stdout(), tally)
}

/// The packages that may be published, and their versions, in alphabetical order.
fn publishable(metadata: &Value) -> Vec<(&str, &str)> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let may = packages.filter(|package| package["publish"].is_null());
    let mut libraries: Vec<_> = may
        .filter_map(|package| Some((package["name"].as_str()?, package["version"].as_str()?)))
        .collect();
    libraries.sort_unstable();
    libraries
}

/// The manifest of a workspace of unpacked packages, which depend on each other and not on published
/// packages, with the checkout's release profile.
fn workspace(libraries: &[(&str, &str)], manifest: &str) -> Result<String> {
    let mut text =
        "[workspace]\nresolver = \"3\"\nmembers = [\"*-*\"]\n\n[patch.crates-io]\n".to_owned();
    for (name, version) in libraries {
        writeln!(text, "{name} = {{ path = \"{name}-{version}\" }}")?;
    }
    let profile = manifest
        .find("[profile.release]")
        .context("no release profile")?;
    Ok(text + "\n" + &manifest[profile..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_that_may_be_published_form_a_workspace() {
        let metadata = serde_json::json!({"packages": [
            {"name": "faa-policy", "version": "0.1.0", "publish": null},
            {"name": "faa-op", "version": "0.1.0", "publish": null},
            {"name": "xtask", "version": "0.1.0", "publish": []},
        ]});
        let libraries = publishable(&metadata);
        assert_eq!(libraries, [("faa-op", "0.1.0"), ("faa-policy", "0.1.0")]);
        let text = workspace(&libraries, include_str!("../../../Cargo.toml")).unwrap();
        assert!(
            text.contains("\nfaa-op = { path = \"faa-op-0.1.0\" }\n"),
            "{text}"
        );
        assert!(text.contains("\n[profile.release]\ndebug = "), "{text}");
    }
}
