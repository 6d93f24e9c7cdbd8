//! The limits of `plugin check` over several plugins.

use std::fs;

use faa_tests::plugins::abi_example;
use faa_tests::workdir::Workdir;
use faa_tests::{faa_runtime, run};

/// A plugin that is never too slow for a call may be so for all of them.
#[test]
fn a_check_has_a_total_time() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("flicker.wasm");
    fs::write(&file, abi_example()).unwrap();
    let mut check = faa_runtime();
    let output = run(check
        .args(["plugin", "check", "--total-time", "0.01"])
        .args([&file, &file]));
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("not finished within --total-time"), "{text}");
}

/// Plugins that fit one by one are not in each other's way.
#[test]
fn a_check_needs_the_memory_of_one_plugin() {
    let folder = Workdir::new();
    let files = ["A", "B", "C", "D"].map(|op| {
        // It does nothing, in 100 MiB.
        let text = format!(
            r#"(module
              (@custom "faa.abi" "\01\00\00\00")
              (memory (export "memory") 1600)
              (data (i32.const 16) "{{\"ops\":[{{\"name\":\"{op}\"}}]}}")
              (func (export "faa_spec") (result i64) (i64.const 0x00000010_00000016))
              (func (export "faa_reserve") (param i32) (result i32) (i32.const 65536))
              (func (export "faa_apply") (param i32 i32 i32 i32 i32 f64 i64) (result i32)
                (i32.const 0)))"#
        );
        let file = format!("{op}.wasm");
        fs::write(folder.join(&file), wat::parse_str(text).unwrap()).unwrap();
        file
    });
    let check = format!("plugin check --plugin-total-memory 150 {}", files.join(" "));
    let output = run(&mut folder.faa_runtime(&check));
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}");
}
