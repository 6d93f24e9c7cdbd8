//! A small data set, and `faa-runtime augment` on it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::workdir::{POLICY, Workdir};
use crate::write_image;

/// Two classes in both splits, in the folder `pets`, and the policy.
///
/// # Panics
///
/// If it cannot be written.
pub fn pets() -> Workdir {
    let folder = Workdir::empty();
    folder.write("policy.json", POLICY);
    for (number, name) in [
        "train/cats/tom.png",
        "train/cats/felix.bmp",
        "train/dogs/rex.png",
        "test/cats/kitty.png",
        "test/dogs/spot.png",
    ]
    .into_iter()
    .enumerate()
    {
        let number = number as u32;
        write_image(&folder.join("pets").join(name), 20 + 4 * number, 20, number);
    }
    folder
}

/// Packs the folder `pets` as `pets.tar`.
///
/// # Panics
///
/// If it cannot be read or written.
pub fn pack(folder: &Workdir) {
    let mut tar = tar::Builder::new(File::create(folder.join("pets.tar")).expect("it is there"));
    tar.append_dir_all("pets", folder.join("pets"))
        .expect("it is there");
    tar.finish().expect("it is there");
}

/// The files of an archive, by their paths.
///
/// # Panics
///
/// If it is no whole archive.
pub fn unpacked(folder: &Workdir, name: &str) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(File::open(folder.join(name)).expect("it is there"));
    let entries = archive.entries().expect("it is an archive");
    let content = |entry: io::Result<tar::Entry<'_, File>>| {
        let (mut entry, mut content) = (entry.expect("it is whole"), Vec::new());
        entry.read_to_end(&mut content).expect("it is whole");
        let path = entry.path().expect("it is a path").display().to_string();
        (path, content)
    };
    entries.map(content).collect()
}

/// `faa-runtime augment` with the policy and these arguments.
pub fn augment(folder: &Workdir, arguments: &str) -> Command {
    folder.faa_runtime(&format!("augment --policy policy.json {arguments}"))
}

/// The files below a folder, by their paths.
///
/// # Panics
///
/// If they cannot be read.
pub fn tree(folder: &Workdir, name: &str) -> BTreeMap<String, Vec<u8>> {
    fn add(root: &Path, folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(folder).expect("it is there") {
            let path = entry.expect("it is there").path();
            if path.is_dir() {
                add(root, &path, found);
            } else {
                let name = path
                    .strip_prefix(root)
                    .expect("it is there")
                    .to_str()
                    .expect("it is there");
                found.insert(name.to_owned(), fs::read(&path).expect("it is there"));
            }
        }
    }
    let (root, mut found) = (folder.join(name), BTreeMap::new());
    add(&root, &root, &mut found);
    found
}

/// The paths of the images below a folder.
///
/// # Panics
///
/// If they cannot be read.
pub fn images(folder: &Workdir, name: &str) -> Vec<String> {
    let mut names: Vec<String> = tree(folder, name).into_keys().collect();
    names.retain(|name| name != "manifest.jsonl");
    names
}

/// The lines of a manifest behind its header.
///
/// # Panics
///
/// If it cannot be read.
pub fn lines(folder: &Workdir, name: &str) -> Vec<Value> {
    let text = folder.read(&format!("{name}/manifest.jsonl"));
    let lines = text.lines().skip(1);
    lines
        .map(|line| serde_json::from_str(line).expect("it is there"))
        .collect()
}
