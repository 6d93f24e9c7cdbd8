use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use faa_op::OpSpec;
use faa_op::abi::AbiVersion;
use wasmtime::Module;

use crate::cache::Cache;
use crate::clock::Clock;
use crate::config::HostConfig;
use crate::digest::{Sha256Digest, sha256};
use crate::engine::Engines;
use crate::error::{HostError, PluginError, PluginErrorKind};
use crate::inspect::{Inspected, inspected};
use crate::message::clean_message;
use crate::native::NativePlugin;
use crate::plugin::{Code, Plugin};
use crate::quota::HostMemory;
use crate::wasm::{Context, WasmPlugin};

/// Loads plugins and enforces their limits. A program needs only one; cloning it is cheap.
///
/// A host has a thread that measures time while calls run, and sleeps otherwise. It handles the
/// signals of memory faults (SIGSEGV, SIGBUS, SIGFPE, SIGILL on Unix) that come from plugins, as
/// wasmtime does, and passes all others on to the previous handler. An instance reserves 4 GiB of
/// address space, without memory behind it; if the address space is limited (`ulimit -v`), only its
/// memory limit.
#[derive(Clone)]
pub struct Host {
    inner: Arc<Inner>,
}

struct Inner {
    engines: Engines,
    config: HostConfig,
    cache: Option<Cache>,
    context: Context,
}

impl Host {
    /// A host with these limits.
    ///
    /// # Errors
    ///
    /// [`HostError`] if WebAssembly cannot run on this machine.
    pub fn new(config: HostConfig) -> Result<Self, HostError> {
        let engines = Engines::new(&config)?;
        let context = Context {
            limits: config.limits.clone(),
            clock: Clock::start(engines.all())?,
            memory: Arc::new(HostMemory::new(config.limits.total_memory)),
        };
        let inner = Arc::new(Inner {
            cache: config.cache.clone().map(Cache::new),
            engines,
            config,
            context,
        });
        Ok(Self { inner })
    }

    /// The configuration of this host.
    pub fn config(&self) -> &HostConfig {
        &self.inner.config
    }

    /// Loads a plugin from the bytes of a WebAssembly module.
    ///
    /// # Errors
    ///
    /// [`PluginError`] if the module is not a valid plugin or exceeds a limit.
    pub fn load(&self, module: &[u8]) -> Result<Plugin, PluginError> {
        self.load_at(None, module)
    }

    /// Loads a plugin from a file that contains a WebAssembly module.
    ///
    /// # Errors
    ///
    /// As [`Host::load`], and [`PluginErrorKind::Read`].
    pub fn load_file(&self, path: &Path) -> Result<Plugin, PluginError> {
        let module = read(path, self.config().compile.module)?;
        self.load_at(Some(path), &module)
    }

    /// Loads a plugin from a native library. It runs without a sandbox and without limits.
    ///
    /// The code that runs is a copy of the file, of which the digest is too, so
    /// [`Plugin::sha256`] is that of the code even if the file is replaced meanwhile. So `$ORIGIN` in
    /// the library's search path is not the file's folder.
    ///
    /// # Errors
    ///
    /// [`PluginError`] if it is not a library for this machine, or its table is not as the ABI
    /// requires.
    ///
    /// # Safety
    ///
    /// The library, and every library that it loads, must be sound and follow the native part of
    /// `ABI.md`: loading it and calling its functions runs its code with all rights of this program.
    #[expect(unsafe_code, reason = "a native library can do anything")]
    pub unsafe fn load_native(&self, path: &Path) -> Result<Plugin, PluginError> {
        let library = read(path, MAX_LIBRARY_BYTES)?;
        if library.len() > MAX_LIBRARY_BYTES {
            let limit = MAX_LIBRARY_BYTES as u64;
            return Err(PluginErrorKind::LibraryTooLarge { limit }.into());
        }
        // SAFETY: the caller vouches for the library.
        let (code, specs, abi) = unsafe { NativePlugin::open(&library)? };
        Ok(self.plugin((Code::Native(code), specs, abi), Some(path), &library))
    }

    fn load_at(&self, path: Option<&Path>, module: &[u8]) -> Result<Plugin, PluginError> {
        let Inner {
            config, context, ..
        } = &*self.inner;
        let Inspected { abi, effort } = inspected(module, &config.limits, &config.compile)?;
        let compiled = self.compile(module, effort, &sha256(module))?;
        let (code, specs) = WasmPlugin::new(compiled, context.clone())?;
        let code = Code::Wasm(Box::new(code));
        Ok(self.plugin((code, specs, abi), path, module))
    }

    fn plugin(
        &self,
        loaded: (Code, Vec<OpSpec>, AbiVersion),
        path: Option<&Path>,
        bytes: &[u8],
    ) -> Plugin {
        Plugin::new(loaded, path, sha256(bytes), self.config().on_failure)
    }

    fn compile(
        &self,
        module: &[u8],
        effort: u64,
        digest: &Sha256Digest,
    ) -> Result<Module, PluginErrorKind> {
        let Inner { engines, cache, .. } = &*self.inner;
        let (engine, cache) = (engines.for_effort(effort), cache.as_ref());
        if let Some(found) = cache.and_then(|cache| cache.find(engine, digest)) {
            return Ok(found);
        }
        let compiled = Module::new(engine, module)
            .map_err(|error| PluginErrorKind::Invalid(clean_message(&format!("{error:#}"))))?;
        if let Some(cache) = cache {
            cache.store(engine, digest, &compiled);
        }
        Ok(compiled)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("config", self.config())
            .finish_non_exhaustive()
    }
}

/// The largest native library that is read for its digest: 256 MiB.
const MAX_LIBRARY_BYTES: usize = 256 << 20;

/// Reads a file, through one descriptor. Of one that has more than `limit` bytes, it reads one more than
/// that. Anything but a file, such as a pipe that never ends, is refused, and not waited for.
fn read(path: &Path, limit: usize) -> Result<Vec<u8>, PluginErrorKind> {
    let mut bytes = Vec::new();
    let limit = (limit as u64).saturating_add(1);
    let opened = faa_system::open_regular(path, File::options().read(true));
    let read = opened.and_then(|(file, _)| file.take(limit).read_to_end(&mut bytes));
    read.map_err(PluginErrorKind::Read)?;
    Ok(bytes)
}
