//! Modules that would take long to compile are refused, and the largest that are not take a bounded time and
//! a bounded memory.

#![cfg(target_os = "linux")]

#[path = "../examples/compile_study/processor.rs"]
mod processor;
#[allow(
    dead_code,
    reason = "what is optimised has no bound that could be tested"
)]
#[path = "../examples/compile_study/program.rs"]
mod program;

use std::env;
use std::fs;
use std::process::Command;

use faa_plugin::{Host, HostConfig, PluginError, PluginErrorKind, inspect};

use self::processor::{peak_megabytes, processor_seconds};
use self::program::{Compilation, FOUND, Generator, Program, largest};

/// The processor time that `plugin-sdk/BENCHMARKS.md` promises on its machine is 3 s.
const MAX_SECONDS: f64 = 4.0 * 3.0;

/// The memory that it promises, of a process that does nothing else. Unlike time, it hardly depends on what
/// the machine does besides.
const MAX_MEGABYTES: f64 = 512.0;

/// Names the module that a child process compiles.
const MODULE: &str = "FAA_TEST_COMPILED_MODULE";

/// What made compiling take up to 80 s of processor time: the number of functions, of repetitions, and of
/// locals, what is repeated, and what exceeds a limit.
type Bomb = (usize, usize, usize, &'static str, &'static str);

#[rustfmt::skip]
const BOMBS: [Bomb; 8] = [
    (10, 21_400, 1, "(local.set 0 (call_indirect (type 0) (local.get 0)))", BYTES),
    (10, 6_000, 0, "(call_indirect (i32.const 0))", UNITS),
    (16, 12_800, 0, "(drop (table.get 0 (i32.const 0)))", BYTES),
    (1, 4_600, 2, "(loop (local.set 0 (local.get 1)) (br_if 0 (local.get 0)))", BYTES),
    (1, 8_000, 0, "(loop)", UNITS),
    (40, 2_500, 1, "(local.set 0 (i32.add (local.get 0) (call 0)))", UNITS),
    (31, 487, 0, "(call 1 ZEROS)", UNITS),
    (1, 2_000, 0, "(table.init 0 0 (i32.const 0) (i32.const 0) (i32.const 0))", UNITS),
];

const BYTES: &str = "bytes in a function";
const BYTES_OF_ALL: &str = "bytes of functions";
const UNITS: &str = "units of compilation effort";

fn bomb(functions: usize, repetitions: usize, bomb: &Bomb) -> Vec<u8> {
    let &(_, _, locals, repeated, _) = bomb;
    let repeated = repeated.replace("ZEROS", &"(i32.const 0)".repeat(32));
    let (locals, code) = (" i32".repeat(locals), repeated.repeat(repetitions));
    let function = format!("(func (local{locals}) {code})").repeat(functions);
    let parameters = " i32".repeat(32);
    let module = format!(
        "(module (@custom \"faa.abi\" \"\\01\\00\\00\\00\") (type (func (result i32))) (memory 1)
           (table 1 funcref) (elem func 0) (func (type 0) (i32.const 1))
           (func (param{parameters})) {function})"
    );
    wat::parse_str(module).unwrap()
}

/// What exceeds a limit, if anything.
fn exceeded(module: &[u8]) -> Option<&'static str> {
    let config = HostConfig::default();
    let error = inspect(module, &config.limits, &config.compile).err();
    error
        .as_ref()
        .map(PluginError::kind)
        .map(|kind| match kind {
            PluginErrorKind::TooComplex { what, .. } => *what,
            other => panic!("{other:?}"),
        })
}

/// Compiles a module in a child process, and checks what that takes.
fn check_cost(module: &[u8], name: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("module.wasm");
    fs::write(&file, module).unwrap();
    let mut child = Command::new(env::current_exe().unwrap());
    child.args([
        "--exact",
        "the_module_of_the_environment_is_compiled",
        "--include-ignored",
        "--nocapture",
    ]);
    let output = child.env(MODULE, file).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{name}: {text}");
    let measured = text.lines().find_map(|line| line.strip_prefix(MODULE));
    let measured = measured.unwrap_or_else(|| panic!("{name}: {text}"));
    let (seconds, megabytes) = measured.trim().split_once(' ').unwrap();
    let [seconds, megabytes] = [seconds, megabytes].map(|it| it.parse::<f64>().unwrap());
    assert!(seconds < MAX_SECONDS, "{name}: {seconds} s");
    assert!(megabytes < MAX_MEGABYTES, "{name}: {megabytes} MB");
}

#[test]
#[ignore = "the other test runs it for every module, in a process of its own"]
fn the_module_of_the_environment_is_compiled() {
    let Some(file) = env::var_os(MODULE) else {
        return;
    };
    let module = fs::read(file).unwrap();
    let host = Host::new(Compilation::Plain.config()).unwrap();
    let before = processor_seconds();
    let error = host.load(&module).unwrap_err();
    // That is checked after compiling.
    assert_eq!(error.code(), "missing-export", "{error}");
    let seconds = processor_seconds() - before;
    println!("\n{MODULE} {seconds} {}", peak_megabytes());
}

#[test]
fn the_worst_modules_are_refused_and_the_largest_of_their_kind_take_little_time_and_memory() {
    for case in &BOMBS {
        let &(functions, repetitions, .., code, what) = case;
        assert_eq!(
            exceeded(&bomb(functions, repetitions, case)),
            Some(what),
            "{code}"
        );
        let largest_function = largest(32 << 10, |n| exceeded(&bomb(1, n, case)).is_none());
        let over = exceeded(&bomb(1, largest_function + 1, case)).unwrap();
        assert!([BYTES, UNITS].contains(&over), "{code}: {over}");
        let copies = largest(2000, |n| {
            exceeded(&bomb(n, largest_function, case)).is_none()
        });
        let over = exceeded(&bomb(copies + 1, largest_function, case)).unwrap();
        assert!([BYTES_OF_ALL, UNITS].contains(&over), "{code}: {over}");
    }
    the_largest_take_little();
}

fn the_largest_take_little() {
    let compilation = Compilation::Plain;
    let limits = compilation.config().compile;
    let accepted = |module: &[u8]| compilation.accepts(module);
    for case in &BOMBS {
        let largest_function = largest(limits.function, |n| accepted(&bomb(1, n, case)));
        let copies = largest(2000, |n| accepted(&bomb(n, largest_function, case)));
        let (.., code, _) = case;
        check_cost(&bomb(copies, largest_function, case), code);
    }

    let generator = Generator::new();
    let mut state = 1_u32;
    let random = (0..12).map(|_| {
        let byte = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..60).map(byte).collect::<Vec<_>>()
    });
    let found = FOUND.map(|(_, choices)| choices.to_vec());
    let mut measured = 0;
    for choices in found.into_iter().chain(random) {
        let program = Program { choices };
        let module = |repetitions| generator.module(&program, repetitions, 1);
        if accepted(&module(1)) {
            let largest_function = largest(limits.function, |n| accepted(&module(n)));
            check_cost(&module(largest_function), &format!("{program:?}"));
            measured += 1;
        }
    }
    assert!(measured > 8, "{measured}");
}
