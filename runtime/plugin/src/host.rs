use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use faa_op::OpSpec;
use faa_op::abi::AbiVersion;
use wasmtime::{Config, Engine, Module, OptLevel, WasmFeatures};

use crate::cache::Cache;
use crate::clock::Clock;
use crate::config::HostConfig;
use crate::digest::{Sha256Digest, sha256};
use crate::error::{HostError, HostErrorKind, PluginError, PluginErrorKind};
use crate::inspect::inspect;
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
    engine: Engine,
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
        let engine = Engine::new(&engine_config(&config))
            .map_err(|error| HostErrorKind::Engine(format!("{error:#}")))?;
        let context = Context {
            limits: config.limits.clone(),
            clock: Clock::start(engine.clone())?,
            memory: Arc::new(HostMemory::new(config.limits.total_memory)),
        };
        let inner = Arc::new(Inner {
            cache: config.cache.clone().map(Cache::new),
            engine,
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
        // SAFETY: the caller vouches for the library.
        let (code, specs, abi) = unsafe { NativePlugin::open(&library)? };
        Ok(self.plugin((Code::Native(code), specs, abi), Some(path), &library))
    }

    fn load_at(&self, path: Option<&Path>, module: &[u8]) -> Result<Plugin, PluginError> {
        let Inner {
            config, context, ..
        } = &*self.inner;
        let abi = inspect(module, &config.limits, &config.compile)?;
        let compiled = self.compile(module, &sha256(module))?;
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

/// Reads a file of at most `limit` bytes, through one descriptor. Anything but a file, such as a pipe
/// that never ends, is refused, and not waited for.
fn read(path: &Path, limit: usize) -> Result<Vec<u8>, PluginErrorKind> {
    let mut bytes = Vec::new();
    let limit = limit as u64;
    let opened = faa_system::open_regular(path, File::options().read(true));
    let read = opened.and_then(|(file, _)| file.take(limit + 1).read_to_end(&mut bytes));
    read.map_err(PluginErrorKind::Read)?;
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
        // What is optimised was optimised by the plugin's own compiler. Doing it again makes few
        // ops much faster, but lets values live longer than the module says, so that the time of
        // compiling could not be bounded.
        .cranelift_opt_level(OptLevel::None)
        .max_wasm_stack(config.limits.stack)
        .epoch_interruption(true)
        // Otherwise every access to a table becomes several blocks of code.
        .table_lazy_init(false)
        // Only backtraces and debuggers would read it.
        .generate_address_map(false)
        .memory_may_move(false);
    if address_space_is_limited() {
        // As much as an instance may have. Code then compares addresses with the limit, which takes
        // time; beyond 4 GiB of reserved space, which is the default, no address can reach.
        engine
            .memory_reservation(config.limits.memory as u64)
            .memory_guard_size(64 << 10)
            .guard_before_linear_memory(false);
    }
    engine
}

/// Whether this process may have only so much address space, as by `ulimit -v`.
fn address_space_is_limited() -> bool {
    #[cfg(all(unix, not(target_os = "openbsd")))]
    {
        use rustix::process::{Resource, getrlimit};
        return getrlimit(Resource::As).current.is_some();
    }
    #[allow(unreachable_code, reason = "reached on other systems")]
    false
}
