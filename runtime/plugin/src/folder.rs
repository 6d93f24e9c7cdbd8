use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use faa_op::OpSet;
use faa_system::is_litter;

use crate::error::{HostError, HostErrorKind, PluginError, PluginErrorKind};
use crate::host::Host;
use crate::native::NativePermission;
use crate::plugin::Plugin;

/// The plugins of one or more folders.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Found {
    /// The plugins whose ops were added to the set, in the order of their folders and file names.
    pub loaded: Vec<Plugin>,
    /// The plugins that could not be loaded, in the same order.
    pub broken: Vec<Broken>,
}

impl Found {
    /// The plugin that has an op of this name.
    pub fn plugin_of(&self, op: &str) -> Option<&Plugin> {
        self.loaded.iter().find(|plugin| plugin.has_op(op))
    }
}

/// A file that could not be loaded as a plugin.
#[derive(Debug, thiserror::Error)]
#[error("the plugin {} was not loaded", path.display())]
#[non_exhaustive]
pub struct Broken {
    /// The file.
    pub path: PathBuf,
    /// The reason.
    #[source]
    pub error: PluginError,
}

impl Host {
    /// Loads every plugin in a folder, `*.wasm` and native libraries, and adds the ops to a set. A
    /// broken plugin does not prevent the others from being loaded. Without the permission, native
    /// libraries count as broken.
    ///
    /// Of two plugins with an op of the same name, the one whose file name sorts first is loaded.
    /// Files whose names begin with `._`, which macOS leaves beside others, are passed over.
    ///
    /// # Errors
    ///
    /// [`HostErrorKind::Folder`] if the folder cannot be read, and
    /// [`TooManyPlugins`](HostErrorKind::TooManyPlugins).
    pub fn load_folder(
        &self,
        folder: &Path,
        native: Option<NativePermission>,
        set: &mut OpSet,
    ) -> Result<Found, HostError> {
        self.load_folders(&[folder], native, set)
    }

    /// Loads the plugins of several folders, one folder after the other, as
    /// [`load_folder`](Self::load_folder) does.
    ///
    /// # Errors
    ///
    /// As [`load_folder`](Self::load_folder), for one of the folders.
    pub fn load_folders(
        &self,
        folders: &[impl AsRef<Path>],
        native: Option<NativePermission>,
        set: &mut OpSet,
    ) -> Result<Found, HostError> {
        let mut found = Found::default();
        let begun = Instant::now();
        let limits = &self.config().limits;
        for folder in folders {
            for path in plugins_in(folder.as_ref(), limits.folder_files)? {
                let loaded = if begun.elapsed() > limits.folder_time {
                    Err(PluginErrorKind::FolderTime(limits.folder_time).into())
                } else {
                    self.load_into(&path, native, set, &found)
                };
                match loaded {
                    Ok(plugin) => found.loaded.push(plugin),
                    Err(error) => found.broken.push(Broken { path, error }),
                }
            }
        }
        Ok(found)
    }

    /// Loads a plugin from a file: a native library if it is named like one, and otherwise a
    /// WebAssembly module.
    ///
    /// # Errors
    ///
    /// [`PluginError`], among others [`PluginErrorKind::NativeNotAllowed`].
    #[expect(unsafe_code, reason = "the permission passes the duty on")]
    pub fn load_path(
        &self,
        path: &Path,
        native: Option<NativePermission>,
    ) -> Result<Plugin, PluginError> {
        match (is_native(path), native) {
            (false, _) => self.load_file(path),
            (true, None) => Err(PluginErrorKind::NativeNotAllowed.into()),
            // SAFETY: whoever created the permission vouches for every library loaded with it.
            (true, Some(NativePermission { .. })) => unsafe { self.load_native(path) },
        }
    }

    fn load_into(
        &self,
        path: &Path,
        native: Option<NativePermission>,
        set: &mut OpSet,
        others: &Found,
    ) -> Result<Plugin, PluginError> {
        let plugin = self.load_path(path, native)?;
        plugin.add_to(set).map_err(|taken| {
            let op = taken.name().to_owned();
            let holder = match others.plugin_of(taken.existing()).and_then(Plugin::path) {
                Some(path) => path.display().to_string(),
                None => "the program".to_owned(),
            };
            PluginErrorKind::NameTaken { op, holder }
        })?;
        Ok(plugin)
    }
}

/// The plugins in a folder, in the order of their names.
fn plugins_in(folder: &Path, limit: usize) -> Result<Vec<PathBuf>, HostErrorKind> {
    let list = || -> io::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
        let plugins = entries.filter(|path| path.as_deref().map_or(true, is_plugin));
        plugins.take(limit.saturating_add(1)).collect()
    };
    let path = folder.to_owned();
    match list() {
        Ok(plugins) if plugins.len() > limit => Err(HostErrorKind::TooManyPlugins { path, limit }),
        Ok(mut plugins) => {
            plugins.sort();
            Ok(plugins)
        }
        Err(error) => Err(HostErrorKind::Folder { path, error }),
    }
}

fn is_plugin(path: &Path) -> bool {
    let named = is_native(path) || path.extension().is_some_and(|found| found == "wasm");
    // Such as the `._x.wasm` that macOS puts beside an `x.wasm`.
    named && !path.file_name().is_some_and(is_litter)
}

/// Whether a file is named like a native library on this machine.
fn is_native(path: &Path) -> bool {
    path.extension()
        .is_some_and(|found| found == std::env::consts::DLL_EXTENSION)
}
