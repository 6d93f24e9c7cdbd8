//! The list of an unpacked libtorch's files, by which damage is noticed.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

/// The manifest's name in the folder that it describes.
const NAME: &str = "manifest";

/// Files relative to a folder, and their sizes in bytes.
///
/// Sizes and not sums: looking at ten thousand sizes takes some hundredths of
/// a second, so it is done each time, and what a full disk or a careless
/// deletion leaves behind shows in them.
#[derive(Default)]
pub(crate) struct Manifest(Vec<(PathBuf, u64)>);

impl Manifest {
    /// Adds a file.
    pub(crate) fn add(&mut self, file: impl Into<PathBuf>, size: u64) {
        self.0.push((file.into(), size));
    }

    /// Adds a small file and writes it.
    pub(crate) fn add_text(&mut self, folder: &Path, file: &str, text: &str) -> Result<()> {
        let path = folder.join(file);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        self.add(file, text.len() as u64);
        Ok(())
    }

    /// Writes the manifest, which completes the folder.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        // The number of files comes first, so that a manifest which was cut
        // short cannot pass for a shorter one.
        let mut text = format!("{} files\n", self.0.len());
        for (file, size) in &self.0 {
            writeln!(text, "{size} {}", file.display())?;
        }
        let path = folder.join(NAME);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Compares a folder with its manifest; an error names the first damage.
    pub(crate) fn check(folder: &Path) -> Result<()> {
        let text = fs::read_to_string(folder.join(NAME)).context("its manifest is missing")?;
        let (head, lines) = text.split_once('\n').context("its manifest is empty")?;
        ensure!(
            head == format!("{} files", lines.lines().count()) && lines.ends_with('\n'),
            "its manifest is incomplete"
        );
        for line in lines.lines() {
            let (size, file) = line.split_once(' ').context("its manifest is garbled")?;
            let Ok(found) = folder.join(file).metadata() else {
                bail!("{file} is missing");
            };
            ensure!(
                size == found.len().to_string() && found.is_file(),
                "{file} has {} bytes instead of {size}",
                found.len()
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("lib")).unwrap();
        let mut manifest = Manifest::default();
        manifest
            .add_text(folder.path(), "lib/a.so", "0123456789")
            .unwrap();
        manifest
            .add_text(folder.path(), "with a space", "")
            .unwrap();
        manifest.write(folder.path()).unwrap();
        folder
    }

    #[test]
    fn a_whole_folder_passes() {
        Manifest::check(folder().path()).unwrap();
    }

    #[test]
    fn damage_is_noticed() {
        type Damage = fn(&Path);
        let cases: [(Damage, &str); 5] = [
            (
                |f| fs::remove_file(f.join("lib/a.so")).unwrap(),
                "lib/a.so is missing",
            ),
            (
                |f| fs::write(f.join("lib/a.so"), "0123").unwrap(),
                "4 bytes instead of 10",
            ),
            (
                |f| fs::remove_file(f.join(NAME)).unwrap(),
                "manifest is missing",
            ),
            (
                |f| fs::write(f.join(NAME), "").unwrap(),
                "manifest is empty",
            ),
            (
                |f| fs::write(f.join(NAME), "2 files\n10 lib/a.so\n").unwrap(),
                "incomplete",
            ),
        ];
        for (damage, complaint) in cases {
            let folder = folder();
            damage(folder.path());
            let text = Manifest::check(folder.path()).unwrap_err().to_string();
            assert!(text.contains(complaint), "{text}");
        }
    }
}
