use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use faa_op::{Op, OpSet};

use crate::{Host, Plugin, PluginError};

/// What was found in a folder.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Found {
    /// The plugins whose ops were added to the set, in the order of their file names.
    pub loaded: Vec<Plugin>,
    /// The others, each with its reason, in the order of their file names.
    pub broken: Vec<Broken>,
}

/// A file that is no plugin, or one that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the plugin {} was not loaded", path.display())]
#[non_exhaustive]
pub struct Broken {
    /// The file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub error: PluginError,
}

/// What a folder may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Native {
    /// Native libraries are reported as broken.
    #[default]
    Refused,
    /// Native libraries are loaded too. They have all the rights of the program: whoever can write to
    /// the folder can do whatever the program can.
    Trusted,
}

/// Why a folder could not be gone through.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the folder of plugins {}", path.display())]
#[non_exhaustive]
pub struct FolderError {
    /// The folder.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub error: io::Error,
}

impl Host {
    /// Loads every plugin of a folder, `*.wasm` and native libraries, and adds the ops to a set. A
    /// broken plugin does not keep the others from being loaded.
    ///
    /// Of two plugins with an op of the same name, the one whose file name sorts first is loaded.
    ///
    /// # Errors
    ///
    /// Where the folder cannot be read.
    pub fn load_folder(
        &self,
        folder: &Path,
        native: Native,
        set: &mut OpSet,
    ) -> Result<Found, FolderError> {
        self.load_folders(&[folder], native, set)
    }

    /// Loads the plugins of several folders, one folder after the other, as
    /// [`load_folder`](Self::load_folder) does.
    ///
    /// # Errors
    ///
    /// Where one of the folders cannot be read.
    pub fn load_folders(
        &self,
        folders: &[impl AsRef<Path>],
        native: Native,
        set: &mut OpSet,
    ) -> Result<Found, FolderError> {
        let mut found = Found::default();
        for folder in folders {
            for path in files_in(folder.as_ref())? {
                match self.load_into(&path, native, set, &found.loaded) {
                    Ok(plugin) => found.loaded.push(plugin),
                    Err(error) => found.broken.push(Broken { path, error }),
                }
            }
        }
        Ok(found)
    }

    /// Loads a plugin from a file: a native library where it is named like one, and otherwise a
    /// WebAssembly module.
    ///
    /// # Errors
    ///
    /// [`PluginError`], among them [`PluginError::NativeNotAllowed`].
    pub fn load_path(&self, path: &Path, native: Native) -> Result<Plugin, PluginError> {
        match (is_native(path), native) {
            (false, _) => self.load_file(path),
            (true, Native::Refused) => Err(PluginError::NativeNotAllowed),
            (true, Native::Trusted) => self.load_trusted(path),
        }
    }

    fn load_into(
        &self,
        path: &Path,
        native: Native,
        set: &mut OpSet,
        others: &[Plugin],
    ) -> Result<Plugin, PluginError> {
        let plugin = self.load_path(path, native)?;
        plugin.add_to(set).map_err(|taken| {
            let op = taken.0;
            let has_it = |other: &&Plugin| other.ops().iter().any(|it| it.spec().name() == op);
            let holder = match others.iter().find(has_it).and_then(Plugin::path) {
                Some(path) => path.display().to_string(),
                None => "the program".to_owned(),
            };
            PluginError::NameTaken { op, holder }
        })?;
        Ok(plugin)
    }

    #[expect(unsafe_code, reason = "the caller has said that libraries are trusted")]
    fn load_trusted(&self, path: &Path) -> Result<Plugin, PluginError> {
        // SAFETY: whoever passes `Native::Trusted` vouches for the libraries.
        unsafe { self.load_native(path) }
    }
}

/// The plugins in a folder, in the order of their names.
fn files_in(folder: &Path) -> Result<Vec<PathBuf>, FolderError> {
    let list = || -> io::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
        entries
            .filter(|path| path.as_deref().map_or(true, is_plugin))
            .collect()
    };
    let mut files = list().map_err(|error| FolderError {
        path: folder.to_owned(),
        error,
    })?;
    files.sort();
    Ok(files)
}

fn is_plugin(path: &Path) -> bool {
    is_native(path) || path.extension().is_some_and(|found| found == "wasm")
}

/// Whether a file is named as native libraries are on this machine.
fn is_native(path: &Path) -> bool {
    path.extension()
        .is_some_and(|found| found == std::env::consts::DLL_EXTENSION)
}
