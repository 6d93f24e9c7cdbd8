//! A temporary folder with a policy and two images, and commands that run in it.

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

/// A folder with [`POLICY`] as `policy.json`, `cat.png` of 40×30 pixels and `dog.bmp` of 17×9.
#[derive(Debug)]
pub struct Workdir(TempDir);

impl Workdir {
    /// A new folder, which is removed with this value.
    ///
    /// # Panics
    ///
    /// If it cannot be written.
    #[expect(clippy::new_without_default, reason = "it writes files")]
    pub fn new() -> Self {
        let new = Self(tempfile::tempdir().expect("temporary folders can be created"));
        new.write("policy.json", POLICY);
        write_image(&new.join("cat.png"), 40, 30, 1);
        write_image(&new.join("dog.bmp"), 17, 9, 2);
        new
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The path of a file in the folder.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file.
    ///
    /// # Panics
    ///
    /// If it cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.join(name), content).expect("files can be written");
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
