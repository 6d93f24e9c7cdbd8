//! The engines, and all that compiled code depends on.

use wasmtime::{Config, Engine, OptLevel, WasmFeatures};

use crate::config::HostConfig;
use crate::error::HostErrorKind;

/// An engine for each way of compiling. A module belongs to the one that compiled it, and its entry in
/// the cache does too.
#[derive(Clone)]
pub(crate) struct Engines {
    /// Optimises, which makes some ops a seventh faster, but lets values live longer than the module says,
    /// so that the allocator of registers may take a time that the estimate of effort does not bound.
    optimising: Engine,
    /// Only allocates registers, in a time that the module bounds.
    plain: Engine,
    /// Up to which effort modules are optimised.
    optimised_effort: u64,
}

impl Engines {
    pub(crate) fn new(config: &HostConfig) -> Result<Self, HostErrorKind> {
        let engine = |level| {
            Engine::new(&engine_config(config, level))
                .map_err(|error| HostErrorKind::Engine(format!("{error:#}")))
        };
        Ok(Self {
            optimising: engine(OptLevel::Speed)?,
            plain: engine(OptLevel::None)?,
            optimised_effort: config.compile.optimised_effort,
        })
    }

    /// The engine of a module that has this effort.
    pub(crate) fn for_effort(&self, effort: u64) -> &Engine {
        if effort <= self.optimised_effort {
            &self.optimising
        } else {
            &self.plain
        }
    }

    pub(crate) fn all(&self) -> Vec<Engine> {
        vec![self.optimising.clone(), self.plain.clone()]
    }
}

pub(crate) fn is_optimising(engine: &Engine) -> bool {
    engine.get_cranelift_opt_level() == Some(OptLevel::Speed)
}

/// Everything that could give other results on a different machine is off.
fn engine_config(config: &HostConfig, level: OptLevel) -> Config {
    let mut engine = Config::new();
    engine
        .wasm_features(WasmFeatures::all().difference(WasmFeatures::WASM2), false)
        .wasm_features(WasmFeatures::MULTI_VALUE, false)
        .cranelift_nan_canonicalization(config.canonical_nans)
        .cranelift_opt_level(level)
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
