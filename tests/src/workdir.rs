//! Temporary folders, and commands that run in them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use image::RgbImage;
use tempfile::TempDir;

use crate::{faa_runtime, write_image};

/// A policy of two sub-policies.
pub const POLICY: &str = r#"{"format": "faa-policy", "version": 1, "name": "two", "sub_policies": [
    [{"op": "Rotate", "probability": 0.9, "magnitude": 0.9},
     {"op": "Cutout", "probability": 0.8, "magnitude": 1.0}],
    [{"op": "Invert", "probability": 0.7}]
]}"#;

/// A temporary folder; a [`new`](Self::new) one has [`POLICY`] as `policy.json`, `cat.png` of 40×30 pixels
/// and `dog.bmp` of 17×9.
#[derive(Debug)]
pub struct Workdir(TempDir);

impl Workdir {
    /// A new folder with these files, which is removed with this value.
    ///
    /// # Panics
    ///
    /// If it cannot be written.
    #[expect(clippy::new_without_default, reason = "it writes files")]
    pub fn new() -> Self {
        let new = Self::empty();
        new.write("policy.json", POLICY);
        write_image(&new.join("cat.png"), 40, 30, 1);
        write_image(&new.join("dog.bmp"), 17, 9, 2);
        new
    }

    /// A new folder without these files.
    ///
    /// # Panics
    ///
    /// If it cannot be created.
    pub fn empty() -> Self {
        Self(tempfile::tempdir().expect("temporary folders can be created"))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The path of a file in the folder.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file, and the folders above it.
    ///
    /// # Panics
    ///
    /// If it cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let file = self.join(name);
        fs::create_dir_all(file.parent().expect("a file has a folder")).expect("it can be created");
        fs::write(file, content).expect("files can be written");
    }

    /// The text of a file.
    ///
    /// # Panics
    ///
    /// If it cannot be read.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.join(name)).expect(name)
    }

    /// `faa-runtime` in this folder, with arguments that are separated by spaces.
    pub fn faa_runtime(&self, arguments: &str) -> Command {
        let mut command = faa_runtime();
        command.current_dir(self.path());
        command.args(arguments.split_whitespace());
        command
    }

    /// An image of the folder.
    ///
    /// # Panics
    ///
    /// If it cannot be read.
    pub fn pixels(&self, name: &str) -> RgbImage {
        let image = image::open(self.join(name)).expect("the image can be read");
        image.into_rgb8()
    }
}
