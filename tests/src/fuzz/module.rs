//! The fuzz targets of plugins.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use arbitrary::Unstructured;
use faa_op::abi::MAX_OPS;
use faa_op::{Channels, ImageMut, Op, Size, Warp};
use faa_plugin::{Host, HostConfig, parse_spec};

/// The maximum time for a module: compilation, start, specification, lookup tables, warp and field, and two calls, each
/// with an error message, on a machine whose cores are all busy.
const MAX_TIME: Duration = Duration::from_secs(10);

/// A host with low limits, so that many modules can be tried.
static HOST: LazyLock<Host> = LazyLock::new(|| {
    let mut config = HostConfig::default();
    config.limits.call_time = Duration::from_millis(20);
    config.limits.start_time = Duration::from_millis(20);
    config.limits.memory = 16 << 20;
    config.compile.effort = 1_000_000;
    config.cache = None;
    Host::new(config).expect("WebAssembly can run here")
});

/// Loads the bytes as a module, in binary form or as text, and applies its ops.
///
/// # Panics
///
/// If the host takes too long, or a failed call changes an image.
pub fn module(bytes: &[u8]) {
    if let Ok(module) = wat::parse_bytes(bytes) {
        use_module(&module);
    }
    // Invalid text is also passed to the host.
    if !bytes.starts_with(b"(") {
        use_module(bytes);
    }
}

/// Generates a valid module with the exports of a plugin from the bytes, and loads it.
///
/// # Panics
///
/// As [`module`].
pub fn smith(bytes: &[u8]) {
    static EXPORTS: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let text = r#"(module
            (memory (export "memory") 1)
            (func (export "faa_spec") (result i64) (i64.const 0))
            (func (export "faa_error") (result i64) (i64.const 0))
            (func (export "faa_lookup_tables") (param i32 i32 f64) (result i64) (i64.const 0))
            (func (export "faa_warp") (param i32 i32 i32 f64 i64) (result i64) (i64.const 0))
            (func (export "faa_field") (param i32 i32 i32 f64 i64) (result i64) (i64.const 0))
            (func (export "faa_reserve") (param i32) (result i32) (i32.const 0))
            (func (export "faa_apply") (param i32 i32 i32 i32 i32 f64 i64) (result i32)
              (i32.const 0)))"#;
        wat::parse_str(text).expect("the text is valid")
    });
    let mut input = Unstructured::new(bytes);
    let config = wasm_smith::Config {
        exports: Some(EXPORTS.clone()),
        max_imports: 0,
        max_memories: 1,
        max_memory32_bytes: 1 << 20,
        bulk_memory_enabled: true,
        simd_enabled: true,
        relaxed_simd_enabled: false,
        tail_call_enabled: false,
        exceptions_enabled: false,
        gc_enabled: false,
        memory64_enabled: false,
        threads_enabled: false,
        ..wasm_smith::Config::default()
    };
    // With too few bytes, there is no module.
    let Ok(module) = wasm_smith::Module::new(config, &mut input) else {
        return;
    };
    let mut module = module.to_bytes();
    // A custom section may be at the end.
    module.extend(b"\0\x0c\x07faa.abi\x01\0\0\0");
    use_module(&module);
}

/// Reads the bytes as a specification. Accepted ones have valid names, texts and ranges.
///
/// # Panics
///
/// If an invalid one is accepted.
pub fn spec(bytes: &[u8]) {
    let Ok(specs) = parse_spec(bytes) else {
        return;
    };
    assert!((1..=MAX_OPS).contains(&specs.len()));
    for (index, spec) in specs.iter().enumerate() {
        let name = spec.name();
        assert!(name.len() <= 64 && name.starts_with(|c: char| c.is_ascii_alphabetic()));
        assert!(
            name.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        );
        assert!(specs[..index].iter().all(|other| other.name() != name));
        assert!(!spec.summary().contains(char::is_control) && !spec.needs_partner());
        if let Some(range) = spec.value_range() {
            assert!(range.low.is_finite() && range.high.is_finite() && range.low <= range.high);
            assert!(!range.unit.contains(char::is_control));
        }
    }
}

fn use_module(module: &[u8]) {
    let start = Instant::now();
    match HOST.load(module) {
        Ok(plugin) => {
            for op in plugin.ops().iter().take(2) {
                let _ = op.lookup_tables(0.5, Channels::Rgb);
                let size = Size {
                    width: 5,
                    height: 4,
                };
                match op.warp(0.5, size, 1) {
                    Warp::Affine(map) => assert!(map.0.iter().all(|number| number.is_finite())),
                    Warp::Erase(area) => assert!(area.right <= 5 && area.bottom <= 4),
                    _ => {}
                }
                let _ = op.field(0.5, size, 1, &mut [[0; 2]; 20]);
                let mut pixels = [100; 5 * 4 * 3];
                let mut image = ImageMut::new(&mut pixels, 5, 4, Channels::Rgb)
                    .expect("the pixels have that shape");
                if op.try_apply(&mut image, 0.5, 1).is_err() {
                    assert!(
                        pixels.iter().all(|&level| level == 100),
                        "the failed call changed it"
                    );
                }
            }
        }
        Err(error) => assert!(!error.to_string().is_empty() && !error.code().is_empty()),
    }
    let took = start.elapsed();
    assert!(took < MAX_TIME, "it took {took:?}");
}
