//! A cache of compiled modules on disk.
//!
//! An entry is a file named after the SHA-256 of the module and a digest of everything else that
//! compiled code depends on: the engine's version, its settings and the CPU. It begins with a SHA-256
//! of both digests and the compiled code, so an entry that is damaged or has the wrong name is
//! detected and created again.
//!
//! That digest has no key, and a key would protect from nobody: it would lie in this folder or beside
//! it, so whoever can write entries could read it, and whoever cannot write here cannot forge an
//! entry. What is in the folder is executed as it is, so the folder is used only if nobody else can
//! change it or what leads to it ([`private_folder`]). Not checked is what other programs of the same
//! user do.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use faa_system::{PARTIAL_PREFIX, cache_folder, create_private_folder, private_folder};
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
    max_bytes: u64,
}

impl Cache {
    pub(crate) fn new(folder: PathBuf) -> Self {
        let max_bytes = MAX_BYTES;
        Self { folder, max_bytes }
    }

    /// The compiled form of a module, if there is an undamaged entry for it.
    #[expect(unsafe_code, reason = "compiled code is executed as it is")]
    pub(crate) fn find(&self, engine: &Engine, module: &Sha256Digest) -> Option<Module> {
        let folder = private_folder(&self.folder).ok()?;
        let entry = fs::read(folder.join(entry_name(engine, module))).ok()?;
        let (digest, code) = entry.split_first_chunk::<32>()?;
        if entry_digest(engine, module, code) != *digest {
            return None;
        }
        // SAFETY: the code must be what `store` wrote, from an engine of the same version and
        // settings. The digest rules out damage and other engines, but not an entry that somebody has
        // forged. Against that, `private_folder` has checked on Unix that nobody else can change the
        // folder; elsewhere whoever set `HostConfig::cache` vouches for it.
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
        let folder = create_private_folder(&self.folder).map_err(io::Error::other)?;
        let code = compiled.serialize().map_err(io::Error::other)?;
        let bytes = code.len() as u64 + size_of::<Sha256Digest>() as u64;
        // It would need all entries to be removed, and still not fit.
        if bytes > self.max_bytes {
            return Ok(());
        }
        self.make_room(&folder, bytes)?;
        // It need not survive a power cut, as `faa_system::write_whole` ensures, because damage is
        // detected.
        let mut file = tempfile::Builder::new()
            .prefix(PARTIAL_PREFIX)
            .tempfile_in(&folder)?;
        file.write_all(&entry_digest(engine, module, &code))?;
        file.write_all(&code)?;
        file.persist(folder.join(entry_name(engine, module)))?;
        Ok(())
    }

    /// Removes the oldest entries until there is room, including partial ones that killed processes
    /// left behind.
    fn make_room(&self, folder: &Path, bytes: u64) -> io::Result<()> {
        let mut entries: Vec<(SystemTime, u64, PathBuf)> = fs::read_dir(folder)?
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
            if used + bytes <= self.max_bytes {
                break;
            }
            match fs::remove_file(path) {
                // Another process made room at the same time.
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => used -= length,
            }
        }
        Ok(())
    }
}

fn entry_name(engine: &Engine, module: &Sha256Digest) -> String {
    let (module, engine) = (hex(module), engine_digest(engine));
    format!("{module}-{engine:016x}.{EXTENSION}")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_make_room_for_what_fits_and_for_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let engine = Engine::default();
        let module = Module::new(&engine, wat::parse_str("(module)").unwrap()).unwrap();
        let store = |digest: u8, max_bytes: u64| {
            let folder = folder.clone();
            Cache { folder, max_bytes }.store(&engine, &[digest; 32], &module);
        };
        let stored = || -> Vec<u64> {
            let entries = fs::read_dir(&folder).unwrap();
            entries
                .map(|entry| entry.unwrap().metadata().unwrap().len())
                .collect()
        };
        store(0, MAX_BYTES);
        let [bytes] = stored()[..] else { panic!() };
        store(1, MAX_BYTES);
        assert_eq!(stored(), [bytes; 2]);
        // An entry that could never fit removes none.
        store(2, bytes - 1);
        assert_eq!(stored(), [bytes; 2]);
        store(3, 2 * bytes);
        assert_eq!(stored(), [bytes; 2]);
        let newest = Cache::new(folder.clone()).find(&engine, &[3; 32]);
        assert!(newest.is_some());
    }
}
