//! Measures how long the worst modules within the limits take to compile, and how much memory.
//!
//! ```sh
//! cargo run --release -p faa-plugin --example compile_study plain
//! cargo run --release -p faa-plugin --example compile_study plain search SECONDS SEED
//! ```
//!
//! `plain` measures how modules are compiled by default, and `optimised` how they are with
//! `CompileLimits::optimised_effort`, up to three times the effort of the largest example.
//!
//! Each kind of code is repeated until it fills the largest function that is accepted, and that
//! function until it fills the largest module, so the result is an upper bound for modules of that
//! kind. The search looks for worse kinds among random programs. Each module is compiled in a separate
//! process, whose peak memory is read at its end. It runs on Linux.

mod measure;
mod processor;
mod program;
mod search;

use std::env;
use std::time::Duration;

use crate::measure::{effort, measure, measure_here};
use crate::program::{Compilation, FOUND, Generator, Program, largest};
use crate::search::search;

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
        ("indirect calls, without locals", 0, "i32", "(call_indirect (i32.const 0))"),
        ("reads of a table", 0, "i32", "(drop (table.get 0 (i32.const 0)))"),
        ("copies of a table's segment", 0, "i32",
         "(table.init 0 $segment (i32.const 0) (i32.const 0) (i32.const 0))"),
        ("empty loops", 0, "i32", "(loop)"),
        ("sums over calls", 1, "i64", "(local.set 0 (i64.add (local.get 0) (call 0)))"),
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
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (compilation, arguments) = [Compilation::Plain, Compilation::Optimised]
        .into_iter()
        .find_map(|compilation| Some((compilation, arguments.strip_prefix(&[compilation.name()])?)))
        .expect("the first argument is `plain` or `optimised`");
    match arguments {
        [] => measure_kinds(compilation),
        ["one", file] => measure_here(compilation, file),
        ["search", seconds, seed] => search(
            compilation,
            Duration::from_secs(seconds.parse().expect("a number of seconds")),
            seed.parse().expect("a number"),
        ),
        _ => panic!("no further arguments, or: search SECONDS SEED"),
    }
}

fn measure_kinds(compilation: Compilation) {
    let limits = compilation.config().compile;
    let accepted = |module: &[u8]| compilation.accepts(module);
    let generator = Generator::new();
    let found = FOUND.map(|(name, choices)| {
        let choices = choices.to_vec();
        let program = Program { choices };
        let module = |repetitions, copies| generator.module(&program, repetitions, copies);
        let repetitions = largest(limits.function, |n| accepted(&module(n, 1)));
        let copies = largest(limits.functions as usize, |n| {
            accepted(&module(repetitions, n))
        });
        (name, module(repetitions, copies))
    });
    println!("| a module full of | bytes | effort | CPU seconds | peak memory (MB) |");
    println!("| :-- | --: | --: | --: | --: |");
    let kinds = kinds();
    let kinds = kinds
        .iter()
        .map(|kind| (kind.0, largest_module(kind, compilation)));
    let escaping = escaping_functions(compilation);
    let escaping = ("functions with many parameters, in a table", escaping);
    for (name, module) in kinds.chain([escaping]).chain(found) {
        let (bytes, effort) = (module.len(), effort(&module));
        let measured = measure(compilation, &module).expect("it is compiled");
        let (seconds, megabytes) = (measured.seconds, measured.megabytes);
        println!("| {name} | {bytes} | {effort} | {seconds:.2} | {megabytes:.0} |");
    }
}

/// A module of this kind, with the largest function that is accepted, repeated as often as is accepted.
fn largest_module((_, count, of, code): &Kind, compilation: Compilation) -> Vec<u8> {
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
            "(module (@custom \"faa.abi\" \"\\01\\00\\00\\00\") (memory 1) (table 1 funcref) (elem $segment func 0)\
             (func (result i64) (i64.const 1)) {})",
            one.repeat(copies)
        );
        wat::parse_str(text).expect("the study's modules are valid")
    };
    let limits = compilation.config().compile;
    let accepted = |module: &[u8]| compilation.accepts(module);
    let units = largest(limits.function, |units| accepted(&module(units, 1)));
    let copies = largest(1 << 14, |copies| accepted(&module(units, copies)));
    module(units, copies)
}

/// As many functions as are accepted, with as many parameters as are accepted, all of which others
/// may call, since an element segment lists them.
fn escaping_functions(compilation: Compilation) -> Vec<u8> {
    let limits = compilation.config().compile;
    let parameters = " i32".repeat(limits.parameters as usize);
    let module = |count: usize| {
        let functions = format!("(func (param{parameters}))").repeat(count);
        let numbers: String = (0..count).map(|number| format!(" {number}")).collect();
        let text = format!(
            "(module (@custom \"faa.abi\" \"\\01\\00\\00\\00\") {functions}\
             (elem declare func{numbers}))"
        );
        wat::parse_str(text).expect("the study's modules are valid")
    };
    module(largest(1 << 14, |count| {
        compilation.accepts(&module(count))
    }))
}
