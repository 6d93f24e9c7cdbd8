//! A cache of compiled modules on disk.
//!
//! An entry is a file named after the SHA-256 of the module and a digest of everything else that
//! compiled code depends on: the engine's version, its settings and the CPU. It begins with a SHA-256
//! of both digests and the compiled code, so an entry that is damaged or has the wrong name is
//! detected and created again.
//!
//! That digest has no key: whoever can write to the folder can write an entry that passes, and its
//! code is executed as it is. So the folder is used only if it belongs to the user who runs the
//! program and its mode lets nobody else write to it. Both are looked up by the folder's path right
//! before it is used. Not checked are the folders above it, access-control lists, and what other
//! programs of the same user do.

use std::collections::hash_map::DefaultHasher;
use std::fs::{self, DirBuilder};
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use faa_system::{PARTIAL_PREFIX, cache_folder};
use wasmtime::{Engine, Module};

use crate::digest::{Sha256Digest, hex, sha256};

/// The maximum size of all entries together, in bytes. The oldest are removed first.
const MAX_BYTES: u64 = 256 << 20;

const EXTENSION: &str = "cwasm";

/// The default folder for compiled plugins: `plugins` in faa-runtime's
/// [cache folder](faa_system::cache_folder). `None` if there is no cache folder, and on systems other
/// than Unix, where a folder's owner cannot be checked.
///
/// It is created on first use, for its owner alone (mode 0700), and takes at most 256 MiB.
pub fn default_cache() -> Option<PathBuf> {
    let folder = cache_folder().ok().filter(|_| cfg!(unix));
    Some(folder?.join("plugins"))
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

    /// The compiled form of a module, if there is an undamaged entry for it.
    #[expect(unsafe_code, reason = "compiled code is executed as it is")]
    pub(crate) fn find(&self, engine: &Engine, module: &Sha256Digest) -> Option<Module> {
        if !is_private(&self.folder) {
            return None;
        }
        let entry = fs::read(self.entry(engine, module)).ok()?;
        let (digest, code) = entry.split_first_chunk::<32>()?;
        if entry_digest(engine, module, code) != *digest {
            return None;
        }
        // SAFETY: the code must be what `store` wrote, from an engine of the same version and
        // settings. The digest rules out damage and other engines, but not an entry that somebody has
        // forged. Against that, only this user must be able to write to the folder:
        // `is_private` has checked its owner and mode on Unix, as far as the top of this file says;
        // elsewhere whoever set `HostConfig::cache` vouches for it.
        unsafe { Module::deserialize(engine, code) }.ok()
    }

    /// Stores the compiled form of a module. If that fails, it will be compiled again.
    pub(crate) fn store(&self, engine: &Engine, module: &Sha256Digest, compiled: &Module) {
        // The plugin works without the cache, so an error here is none of its user's concern.
        let _ = self.try_store(engine, module, compiled);
    }

    fn try_store(
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
        // It need not survive a power cut, as `faa_system::write_whole` ensures, because damage is
        // detected.
        let mut file = tempfile::Builder::new()
            .prefix(PARTIAL_PREFIX)
            .tempfile_in(&self.folder)?;
        file.write_all(&entry_digest(engine, module, &code))?;
        file.write_all(&code)?;
        file.persist(self.entry(engine, module))?;
        Ok(())
    }

    fn entry(&self, engine: &Engine, module: &Sha256Digest) -> PathBuf {
        let (module, engine) = (hex(module), engine_digest(engine));
        self.folder
            .join(format!("{module}-{engine:016x}.{EXTENSION}"))
    }

    /// Removes the oldest entries until there is room, including partial ones that killed processes
    /// left behind.
    fn make_room(&self, bytes: u64) -> io::Result<()> {
        let mut entries: Vec<(SystemTime, u64, PathBuf)> = fs::read_dir(&self.folder)?
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let metadata = entry.metadata().ok()?;
                Some((metadata.modified().ok()?, metadata.len(), entry.path()))
            })
            .filter(|(_, _, path)| is_entry(path))
            .collect();
        entries.sort();
        let mut used: u64 = entries.iter().map(|(_, length, _)| length).sum();
        for (_, length, path) in entries {
            if used + bytes <= MAX_BYTES {
                break;
            }
            fs::remove_file(path)?;
            used -= length;
        }
        Ok(())
    }
}

fn is_entry(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(EXTENSION) || name.starts_with(PARTIAL_PREFIX)
}

fn entry_digest(engine: &Engine, module: &Sha256Digest, code: &[u8]) -> Sha256Digest {
    let engine = engine_digest(engine).to_le_bytes();
    sha256(&[module.as_slice(), &engine, code].concat())
}

/// A digest of the engine's version and settings.
fn engine_digest(engine: &Engine) -> u64 {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.finish()
}

fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}

/// Whether a folder belongs to the user who runs this program, and its mode lets nobody else write to
/// it.
#[cfg(unix)]
fn is_private(folder: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;

    const WRITABLE_BY_OTHERS: u32 = 0o022;
    fs::metadata(folder).is_ok_and(|folder| {
        folder.uid() == rustix::process::geteuid().as_raw()
            && folder.mode() & WRITABLE_BY_OTHERS == 0
    })
}

#[cfg(not(unix))]
fn is_private(_: &Path) -> bool {
    true
}
