use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use wasmtime::{Config, Engine, OptLevel, WasmFeatures};

use crate::cache::Cache;
use crate::digest::sha256;
use crate::inspect::inspect;
use crate::message::shown;
use crate::native::NativePlugin;
use crate::plugin::Code;
use crate::wasm::WasmPlugin;
use crate::{HostConfig, HostError, Plugin, PluginError};

/// Loads plugins and keeps them within their limits. One is enough for a program; it is cheap to
/// clone.
///
/// A host has a thread of its own, which measures time and sleeps in between. As wasmtime does, it
/// handles the signals of memory faults (SIGSEGV, SIGBUS, SIGFPE, SIGILL on Unix) that come from
/// plugins, and passes on all others to whoever handled them before. An instance reserves 4 GiB of
/// addresses, without memory behind them.
#[derive(Clone)]
pub struct Host {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) engine: Engine,
    pub(crate) config: HostConfig,
    cache: Option<Cache>,
}

/// How finely the time of plugins is measured.
pub(crate) const TICK: Duration = Duration::from_millis(10);

impl Host {
    /// A host with these limits.
    ///
    /// # Errors
    ///
    /// [`HostError`] where WebAssembly cannot run on this machine.
    pub fn new(config: HostConfig) -> Result<Self, HostError> {
        let engine = Engine::new(&engine_config(&config))
            .map_err(|error| HostError::Engine(format!("{error:#}")))?;
        start_clock(&engine)?;
        let cache = config.cache.clone().map(Cache::new);
        let inner = Inner {
            engine,
            config,
            cache,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// How the host treats plugins.
    pub fn config(&self) -> &HostConfig {
        &self.inner.config
    }

    /// Loads a plugin from the bytes of a WebAssembly module.
    ///
    /// # Errors
    ///
    /// [`PluginError`]: whatever is wrong with it, checked before it is trusted with anything.
    pub fn load(&self, module: &[u8]) -> Result<Plugin, PluginError> {
        let config = &self.inner.config;
        let abi = inspect(module, &config.limits, &config.compile)?;
        let digest = sha256(module);
        let compiled = self.compiled(module, &digest)?;
        let (code, specs) = WasmPlugin::new(self.inner.clone(), compiled)?;
        let on_failure = config.on_failure;
        Ok(Plugin::new(
            Code::Wasm(Box::new(code)),
            specs,
            abi,
            digest,
            on_failure,
        ))
    }

    /// Loads a plugin from a file that holds a WebAssembly module.
    ///
    /// # Errors
    ///
    /// As [`Host::load`], and [`PluginError::Read`].
    pub fn load_file(&self, path: &Path) -> Result<Plugin, PluginError> {
        let module = read(path, self.inner.config.compile.module)?;
        Ok(self.load(&module)?.at(path))
    }

    /// Loads a plugin from a native library. It runs without a sandbox and without limits.
    ///
    /// # Errors
    ///
    /// [`PluginError`]: it is no library for this machine, or its table is not as the ABI has it.
    ///
    /// # Safety
    ///
    /// The library does as it says: loading it, and each of its functions, has all the rights of this
    /// program, and no check can keep it from undefined behaviour.
    #[expect(unsafe_code, reason = "a native library can do anything")]
    pub unsafe fn load_native(&self, path: &Path) -> Result<Plugin, PluginError> {
        let limits = &self.inner.config.limits;
        let digest = sha256(&read(path, LARGEST_LIBRARY)?);
        // SAFETY: the caller vouches for the library.
        let (code, specs, abi) = unsafe { NativePlugin::open(path, limits)? };
        let on_failure = self.inner.config.on_failure;
        Ok(Plugin::new(Code::Native(code), specs, abi, digest, on_failure).at(path))
    }

    fn compiled(&self, module: &[u8], digest: &[u8; 32]) -> Result<wasmtime::Module, PluginError> {
        let engine = &self.inner.engine;
        let cache = self.inner.cache.as_ref();
        if let Some(found) = cache.and_then(|cache| cache.find(engine, digest)) {
            return Ok(found);
        }
        let compiled = wasmtime::Module::new(engine, module)
            .map_err(|error| PluginError::Invalid(shown(&format!("{error:#}"))))?;
        if let Some(cache) = cache {
            cache.keep(engine, digest, &compiled);
        }
        Ok(compiled)
    }
}

/// The most bytes of a native library, which are read for their digest: 256 MiB.
const LARGEST_LIBRARY: usize = 256 << 20;

/// Reads a file of at most so many bytes. What is no file, such as a pipe that never ends, is refused.
fn read(path: &Path, limit: usize) -> Result<Vec<u8>, PluginError> {
    let is_file = fs::metadata(path).map_err(PluginError::Read)?.is_file();
    if !is_file {
        let why = io::Error::new(io::ErrorKind::InvalidInput, "it is no file");
        return Err(PluginError::Read(why));
    }
    let mut bytes = Vec::new();
    let limit = limit as u64;
    File::open(path)
        .and_then(|file| file.take(limit + 1).read_to_end(&mut bytes))
        .map_err(PluginError::Read)?;
    let (what, found) = ("bytes", bytes.len() as u64);
    if found > limit {
        return Err(PluginError::TooComplex { what, found, limit });
    }
    Ok(bytes)
}

/// What compiled code depends on. All that could give other numbers on another machine is off.
fn engine_config(config: &HostConfig) -> Config {
    let mut engine = Config::new();
    engine
        .wasm_features(WasmFeatures::all().difference(WasmFeatures::WASM2), false)
        .wasm_features(WasmFeatures::MULTI_VALUE, false)
        .cranelift_nan_canonicalization(config.canonical_nans)
        .cranelift_opt_level(OptLevel::Speed)
        .max_wasm_stack(config.limits.stack)
        .epoch_interruption(true)
        // What only backtraces and debuggers would read.
        .generate_address_map(false)
        .memory_may_move(false);
    engine
}

/// Advances the engine's epoch at every tick, for as long as there is an engine.
///
/// Each call has a deadline of its own, some ticks ahead of the epoch in which it begins, so that one
/// call's time limit never ends another call.
fn start_clock(engine: &Engine) -> Result<(), HostError> {
    let engine = engine.weak();
    let clock = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            thread::sleep(TICK);
        }
    };
    thread::Builder::new()
        .name("faa-plugin clock".to_owned())
        .spawn(clock)
        .map_err(HostError::Clock)?;
    Ok(())
}
