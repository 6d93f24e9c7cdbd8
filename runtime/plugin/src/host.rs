use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use wasmtime::{Config, Engine, Module, OptLevel, WasmFeatures};

use crate::cache::Cache;
use crate::clock;
use crate::config::HostConfig;
use crate::digest::{Sha256Digest, sha256};
use crate::error::{HostError, HostErrorKind, PluginError, PluginErrorKind};
use crate::inspect::inspect;
use crate::message::clean_message;
use crate::native::NativePlugin;
use crate::plugin::{Code, Plugin};
use crate::wasm::WasmPlugin;

/// Loads plugins and enforces their limits. A program needs only one; cloning it is cheap.
///
/// A host has a thread that measures time and sleeps in between. It handles the signals of memory
/// faults (SIGSEGV, SIGBUS, SIGFPE, SIGILL on Unix) that come from plugins, as wasmtime does, and
/// passes all others on to the previous handler. An instance reserves 4 GiB of address space, without
/// memory behind it.
#[derive(Clone)]
pub struct Host {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    config: HostConfig,
    cache: Option<Cache>,
}

impl Host {
    /// A host with these limits.
    ///
    /// # Errors
    ///
    /// [`HostError`] if WebAssembly cannot run on this machine.
    pub fn new(config: HostConfig) -> Result<Self, HostError> {
        let engine = Engine::new(&engine_config(&config))
            .map_err(|error| HostErrorKind::Engine(format!("{error:#}")))?;
        clock::start(&engine)?;
        let inner = Arc::new(Inner {
            cache: config.cache.clone().map(Cache::new),
            engine,
            config,
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
        let config = self.config();
        let abi = inspect(module, &config.limits, &config.compile)?;
        let digest = sha256(module);
        let compiled = self.compile(module, &digest)?;
        let (code, specs) = WasmPlugin::new(compiled, config.limits.clone())?;
        let code = Code::Wasm(Box::new(code));
        Ok(Plugin::new(code, specs, abi, digest, config.on_failure))
    }

    /// Loads a plugin from a file that contains a WebAssembly module.
    ///
    /// # Errors
    ///
    /// As [`Host::load`], and [`PluginErrorKind::Read`].
    pub fn load_file(&self, path: &Path) -> Result<Plugin, PluginError> {
        let module = read(path, self.config().compile.module)?;
        Ok(self.load(&module)?.at(path))
    }

    /// Loads a plugin from a native library. It runs without a sandbox and without limits.
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
        let config = self.config();
        let digest = sha256(&read(path, MAX_LIBRARY_BYTES)?);
        // SAFETY: the caller vouches for the library.
        let (code, specs, abi) = unsafe { NativePlugin::open(path)? };
        let code = Code::Native(code);
        Ok(Plugin::new(code, specs, abi, digest, config.on_failure).at(path))
    }

    fn compile(&self, module: &[u8], digest: &Sha256Digest) -> Result<Module, PluginErrorKind> {
        let Inner { engine, cache, .. } = &*self.inner;
        let cache = cache.as_ref();
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

/// Reads a file of at most `limit` bytes. Anything but a file, such as a pipe that never ends, is
/// refused.
fn read(path: &Path, limit: usize) -> Result<Vec<u8>, PluginErrorKind> {
    let is_file = fs::metadata(path).map_err(PluginErrorKind::Read)?.is_file();
    if !is_file {
        let error = io::Error::new(io::ErrorKind::InvalidInput, "it is not a file");
        return Err(PluginErrorKind::Read(error));
    }
    let mut bytes = Vec::new();
    let limit = limit as u64;
    File::open(path)
        .and_then(|file| file.take(limit + 1).read_to_end(&mut bytes))
        .map_err(PluginErrorKind::Read)?;
    let (what, found) = ("bytes", bytes.len() as u64);
    if found > limit {
        return Err(PluginErrorKind::TooComplex { what, found, limit });
    }
    Ok(bytes)
}

/// What compiled code depends on. Everything that could give other results on a different machine
/// is off.
fn engine_config(config: &HostConfig) -> Config {
    let mut engine = Config::new();
    engine
        .wasm_features(WasmFeatures::all().difference(WasmFeatures::WASM2), false)
        .wasm_features(WasmFeatures::MULTI_VALUE, false)
        .cranelift_nan_canonicalization(config.canonical_nans)
        .cranelift_opt_level(OptLevel::Speed)
        .max_wasm_stack(config.limits.stack)
        .epoch_interruption(true)
        // Only backtraces and debuggers would read it.
        .generate_address_map(false)
        .memory_may_move(false);
    engine
}
