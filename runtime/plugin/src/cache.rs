//! Compiled modules, kept on disk.
//!
//! An entry is a file named after the SHA-256 of the module and a digest of everything else that
//! compiled code depends on: the engine's version, its settings and the CPU. It holds a SHA-256 of
//! these two and the compiled code before the code itself, so that an entry that is damaged, or has
//! another's name, is noticed and made again.
//!
//! That protects from damage and not from somebody who may write to the folder: compiled code is
//! run as it is. So the folder must belong to the user who runs the program, and nobody else may be
//! able to write to it; otherwise it is not used.

use std::collections::hash_map::DefaultHasher;
use std::fs::{self, DirBuilder};
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use wasmtime::{Engine, Module};

use crate::digest::{Sha256Digest, hex, sha256};

/// The most bytes that all entries together take; the ones that were written first make room.
const CAPACITY: u64 = 256 << 20;

const EXTENSION: &str = "cwasm";

/// How the names of entries begin that are being written.
const UNFINISHED: &str = ".partial-";

/// The folder in which compiled plugins are kept where nothing else is asked for: `plugins` in
/// `$FAA_CACHE_DIR`, or else `faa-runtime/plugins` in `$XDG_CACHE_HOME` or `~/.cache`. `None` where
/// none of them is an absolute path, and off Unix, where the folder's owner cannot be checked.
///
/// It is made on first use, for its owner alone (mode 0700), and takes at most 256 MiB.
pub fn default_cache() -> Option<PathBuf> {
    if !cfg!(unix) {
        return None;
    }
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let own = variable("FAA_CACHE_DIR").map(PathBuf::from);
    let shared = || {
        let caches = variable("XDG_CACHE_HOME").map(PathBuf::from);
        let caches = caches.or_else(|| Some(Path::new(&variable("HOME")?).join(".cache")))?;
        Some(caches.join("faa-runtime"))
    };
    let folder = own.or_else(shared)?;
    folder.is_absolute().then(|| folder.join("plugins"))
}

/// A folder of compiled modules.
#[derive(Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
}

impl Cache {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The compiled form of a module, if there is a whole one.
    #[expect(unsafe_code, reason = "compiled code is taken as it is")]
    pub(crate) fn find(&self, engine: &Engine, module: &Sha256Digest) -> Option<Module> {
        if !is_private(&self.folder) {
            return None;
        }
        let entry = fs::read(self.entry(engine, module)).ok()?;
        let (digest, code) = entry.split_first_chunk::<32>()?;
        if seal(engine, module, code) != *digest {
            return None;
        }
        // SAFETY: the digest says that the code is what `keep` wrote, from an engine of the same
        // version and settings, and nobody but the user can write to the folder.
        unsafe { Module::deserialize(engine, code) }.ok()
    }

    /// Keeps the compiled form of a module. Where that fails, it will be compiled again.
    pub(crate) fn keep(&self, engine: &Engine, module: &Sha256Digest, compiled: &Module) {
        // No error here stands in the way of using the plugin.
        let _ = self.try_keep(engine, module, compiled);
    }

    fn try_keep(
        &self,
        engine: &Engine,
        module: &Sha256Digest,
        compiled: &Module,
    ) -> io::Result<()> {
        make_private(&self.folder)?;
        if !is_private(&self.folder) {
            return Ok(());
        }
        let code = compiled.serialize().map_err(io::Error::other)?;
        self.make_room(code.len() as u64)?;
        let mut file = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .tempfile_in(&self.folder)?;
        file.write_all(&seal(engine, module, &code))?;
        file.write_all(&code)?;
        file.persist(self.entry(engine, module))?;
        Ok(())
    }

    fn entry(&self, engine: &Engine, module: &Sha256Digest) -> PathBuf {
        let (module, engine) = (hex(module), engine_digest(engine));
        self.folder
            .join(format!("{module}-{engine:016x}.{EXTENSION}"))
    }

    /// Removes the entries that were written first, until there is room; and among them what processes
    /// left that were killed as they wrote.
    fn make_room(&self, bytes: u64) -> io::Result<()> {
        let mut entries: Vec<(SystemTime, u64, PathBuf)> = fs::read_dir(&self.folder)?
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let facts = entry.metadata().ok()?;
                Some((facts.modified().ok()?, facts.len(), entry.path()))
            })
            .filter(|(_, _, path)| is_entry(path))
            .collect();
        entries.sort();
        let mut taken: u64 = entries.iter().map(|(_, length, _)| length).sum();
        for (_, length, path) in entries {
            if taken + bytes <= CAPACITY {
                break;
            }
            fs::remove_file(path)?;
            taken -= length;
        }
        Ok(())
    }
}

fn is_entry(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(EXTENSION) || name.starts_with(UNFINISHED)
}

/// What an entry begins with.
fn seal(engine: &Engine, module: &Sha256Digest, code: &[u8]) -> Sha256Digest {
    sha256(
        &[
            module.as_slice(),
            &engine_digest(engine).to_le_bytes(),
            code,
        ]
        .concat(),
    )
}

/// A digest of the engine's version and settings.
fn engine_digest(engine: &Engine) -> u64 {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.finish()
}

#[cfg(unix)]
fn make_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;

    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(not(unix))]
fn make_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).create(folder)
}

/// Whether a folder belongs to whoever runs this program, and nobody else may write to it.
#[cfg(unix)]
fn is_private(folder: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;

    const WRITABLE_BY_OTHERS: u32 = 0o022;
    fs::metadata(folder).is_ok_and(|facts| {
        facts.uid() == rustix::process::geteuid().as_raw() && facts.mode() & WRITABLE_BY_OTHERS == 0
    })
}

#[cfg(not(unix))]
fn is_private(_: &Path) -> bool {
    true
}
