//! Measures how long the worst modules within the limits take to compile, and how much memory.
//!
//! ```sh
//! cargo run --release -p faa-plugin --example compile_study
//! ```
//!
//! Each kind of code is repeated until it fills the largest function that is accepted, and that
//! function until it fills the largest module, so the result is an upper bound for modules of that
//! kind. With a module's file as the argument, it measures that module instead. Each module is
//! compiled in a separate process, whose peak memory is read at its end.

use std::env;
use std::fs;
use std::process::Command;
use std::time::Instant;

use faa_plugin::{Host, HostConfig, PluginError, PluginErrorKind, inspect};

/// Code that some part of a compiler takes long over: its name, the number and type of the locals,
/// and the code that is repeated. In the code `{n}` is the index of the repetition, `{a}`, `{b}` and
/// `{c}` are locals that depend on it, and `{lane}` a lane of a vector.
type Kind = (&'static str, usize, &'static str, String);

#[rustfmt::skip]
fn kinds() -> Vec<Kind> {
    let fixed = [
        ("constants, dropped", 0, "i32", "(drop (i32.const {n}))"),
        ("sums over all locals", 800, "i32",
         "(local.set {a} (i32.add (local.get {b}) (local.get {a})))"),
        ("branches, each with a local set", 800, "i32",
         "(block (br_if 0 (local.get 0)) (local.set {a} (local.get 1)))"),
        ("loops that change locals", 800, "i32",
         "(loop (local.set {a} (i32.add (local.get {a}) (i32.const 1))) (br_if 0 (local.get 0)))"),
        ("calls with everything live", 800, "i64",
         "(local.set {a} (i64.add (local.get {a}) (call 0)))"),
        ("float vectors", 800, "v128",
         "(local.set {a} (f64x2.mul (local.get {b}) (f64x2.min (local.get {a}) (local.get 1))))"),
        ("shuffles of vectors", 800, "v128",
         "(local.set {a} (i8x16.shuffle {lane} 17 3 30 5 6 7 8 9 1 11 12 13 2 15 0
            (local.get {b}) (local.get {a})))"),
        ("conversions of floats", 800, "f64",
         "(local.set {a} (f64.convert_i64_u (i64.trunc_f64_u (local.get {a}))))"),
        ("indirect calls", 800, "i64",
         "(local.set {a} (call_indirect (result i64) (i32.wrap_i64 (local.get {a}))))"),
        ("copies of memory", 800, "i32",
         "(memory.copy (local.get {a}) (local.get 0) (local.get 1))"),
        ("stores and loads", 800, "i32",
         "(i32.store (local.get {a}) (i32.load offset=8 (local.get {b})))"),
        ("selections", 800, "i64",
         "(local.set {a} (select (local.get {b}) (local.get {a})
            (i64.lt_s (local.get 0) (local.get {b}))))"),
        ("blocks with a result, in sequence", 1, "i32",
         "(drop (block (result i32) (i32.const {n})))"),
        ("conditions inside conditions", 800, "i32",
         "(if (local.get {a}) (then (local.set {c} (i32.const 1)))
            (else (local.set 0 (local.get 2))))"),
    ];
    let depth = 900;
    let targets = (0..depth).fold(String::new(), |text, target| format!("{text}{target} "));
    let nest = |open: &str, inner: &str, close: &str| {
        format!("{}{inner}{}", open.repeat(depth), close.repeat(depth))
    };
    let repeated = [
        ("tables of branches", 1, "i32",
         format!("(block (br_table {}(local.get 0)))", "0 ".repeat(100))),
        ("blocks with a result, nested", 1, "i32",
         format!("(drop {})", nest("(i32.eqz (block (result i32) ", "(i32.const 1)", "))"))),
        ("nested blocks, with a table to all", 1, "i32",
         nest("(block ", &format!("(br_table {targets}(local.get 0))"), ")")),
    ];
    let fixed = fixed.map(|(name, count, ty, code)| (name, count, ty, code.to_owned()));
    fixed.into_iter().chain(repeated).collect()
}

fn main() {
    let mut config = HostConfig::default();
    config.cache = None;
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [file] = &arguments[..] {
        return compile_one(config, file);
    }
    println!("| a module full of | bytes | effort | seconds | peak memory (MB) |");
    println!("| :-- | --: | --: | --: | --: |");
    let mut modules: Vec<_> = (kinds().iter())
        .map(|kind| (kind.0, largest_module(kind, &config)))
        .collect();
    let escaping = escaping_functions(&config);
    modules.push(("functions with many parameters, in a table", escaping));
    for (name, module) in modules {
        let path = env::temp_dir().join("compile-study.wasm");
        fs::write(&path, &module).expect("the folder for temporary files can be written to");
        let program = env::current_exe().expect("a program knows its path");
        let output = Command::new(program)
            .arg(&path)
            .output()
            .expect("it starts");
        let figures = String::from_utf8_lossy(&output.stdout);
        println!("| {name} | {} | {} |", module.len(), figures.trim());
    }
}

/// A module of this kind, with the largest function that is accepted, repeated as often as is accepted.
fn largest_module((_, count, of, code): &Kind, config: &HostConfig) -> Vec<u8> {
    let count = *count;
    let each = |text: fn(&str, usize) -> String| -> String {
        (0..count).map(|local| text(of, local)).collect()
    };
    let unit = |n: usize| {
        let names = ["{n}", "{a}", "{b}", "{c}", "{lane}"];
        let values = [n, n % 800, (n * 7 + 3) % 800, n * 3 % 800, n % 16];
        let pairs = names.into_iter().zip(values);
        pairs.fold(code.clone(), |code, (name, value)| {
            code.replace(name, &value.to_string())
        })
    };
    let locals = format!("(local{})", format!(" {of}").repeat(count));
    // Unknown at first and used at the end, so that the compiler drops none of them.
    let first =
        each(|of, local| format!("(local.set {local} ({of}.load (i32.const {})))", 16 * local));
    let last = each(|of, local| {
        format!(
            "({of}.store (i32.const {}) (local.get {local}))",
            16 * local
        )
    });
    let module = |units: usize, copies: usize| {
        let body: String = (0..units).map(unit).collect();
        let one = format!("(func {locals} {first} {body} {last})");
        let text = format!(
            "(module (@custom \"faa.abi\" \"\\01\\00\\00\\00\") (memory 1) (table 1 funcref)\
             (func (result i64) (i64.const 1)) {})",
            one.repeat(copies)
        );
        wat::parse_str(text).expect("the study's modules are valid")
    };
    let accepted = |module: &[u8]| inspect(module, &config.limits, &config.compile).is_ok();
    let units = largest(config.compile.function, |units| accepted(&module(units, 1)));
    let copies = largest(1 << 14, |copies| accepted(&module(units, copies)));
    module(units, copies)
}

/// As many functions as are accepted, with as many parameters as are accepted, all of which others
/// may call, since an element segment lists them.
fn escaping_functions(config: &HostConfig) -> Vec<u8> {
    let parameters = " i32".repeat(config.compile.parameters as usize);
    let module = |count: usize| {
        let functions = format!("(func (param{parameters}))").repeat(count);
        let numbers: String = (0..count).map(|number| format!(" {number}")).collect();
        let text = format!(
            "(module (@custom \"faa.abi\" \"\\01\\00\\00\\00\") {functions}\
             (elem declare func{numbers}))"
        );
        wat::parse_str(text).expect("the study's modules are valid")
    };
    let accepted = |count: usize| inspect(&module(count), &config.limits, &config.compile).is_ok();
    module(largest(1 << 14, accepted))
}

/// The largest number up to `max` that is accepted.
fn largest(max: usize, accepted: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (1, 2);
    while high < max && accepted(high) {
        (low, high) = (high, 2 * high);
    }
    while high - low > 1 {
        let middle = low.midpoint(high);
        if accepted(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// Compiles a module, and prints its effort, how long that took, and the peak of memory.
fn compile_one(mut config: HostConfig, file: &str) {
    let module = fs::read(file).expect("the module can be read");
    let mut none = config.compile.clone();
    none.effort = 0;
    let refused = inspect(&module, &config.limits, &none).err();
    let effort = match refused.as_ref().map(PluginError::kind) {
        Some(PluginErrorKind::TooComplex { found, .. }) => *found,
        _ => 0,
    };
    config.cache = None;
    let host = Host::new(config).expect("there is a host");
    let start = Instant::now();
    // The study's modules have no exports, which is checked after compiling.
    if let Err(error) = host.load(&module) {
        let compiled = matches!(error.kind(), PluginErrorKind::MissingExport(_));
        assert!(compiled, "{error}");
    }
    let took = start.elapsed();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = peak.and_then(|text| text.trim().split(' ').next()?.parse::<f64>().ok());
    let megabytes = kilobytes.map_or("?".to_owned(), |kb| format!("{:.0}", kb / 1e3));
    println!("{effort} | {:.2} | {megabytes}", took.as_secs_f64());
}
