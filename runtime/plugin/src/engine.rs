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

#[cfg(test)]
mod tests {
    use wasmtime::Module;

    use super::*;

    /// The machine code of a function with vectors, compiled with canonical NaNs or without.
    fn code(vectors: &str, canonical_nans: bool) -> Vec<Vec<u8>> {
        let text = format!(
            r#"(module (memory 1) (func (export "f") (param i32 i32 f64) (result i32)
                (v128.store (local.get 0) ({vectors} (v128.load (local.get 1))))
                (f64.store (local.get 0) (local.get 2))
                (i32.div_u (local.get 0) (i32.rotl (local.get 1) (i32.const 3)))))"#
        );
        let config = HostConfig {
            canonical_nans,
            ..HostConfig::default()
        };
        let module = wat::parse_str(text).unwrap();
        let engines = Engines::new(&config).unwrap().all();
        let compile = |engine| Module::new(engine, &module).unwrap().text().to_vec();
        engines.iter().map(compile).collect()
    }

    #[test]
    fn canonical_nans_cost_nothing_where_no_floats_are_calculated() {
        let integers = "i16x8.mul (i16x8.splat (i32.const 9))";
        assert_eq!(code(integers, true), code(integers, false));
        let floats = "f32x4.mul (f32x4.splat (f32.const 9))";
        for (canonical, plain) in code(floats, true).iter().zip(code(floats, false)) {
            assert_ne!(*canonical, plain);
        }
    }
}
