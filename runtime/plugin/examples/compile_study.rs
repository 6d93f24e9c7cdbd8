//! How long the worst modules take to compile that the limits let through, and how much memory.
//!
//! ```sh
//! cargo run --release -p faa-plugin --example compile_study
//! ```
//!
//! Each kind of code is repeated until it fills the largest function that is accepted, and that
//! function until it fills the largest module; so it is measured what a module of that kind costs at
//! most. With a module's file as the argument, it measures that one. Each module is compiled in a process of its own, whose peak of memory is read at its end.

use std::env;
use std::fmt::Write;
use std::fs;
use std::process::Command;
use std::time::Instant;

use faa_plugin::{Host, HostConfig, PluginError, inspect};

/// A kind of code that some part of a compiler takes long over.
struct Kind {
    name: &'static str,
    /// Locals, by type.
    locals: (usize, &'static str),
    /// What is repeated, given how often it was already.
    unit: fn(usize) -> String,
}

const KINDS: &[Kind] = &[
    Kind {
        name: "constants, dropped",
        locals: (0, "i32"),
        unit: |n| format!("(drop (i32.const {n}))"),
    },
    Kind {
        name: "sums over all locals",
        locals: (800, "i32"),
        unit: |n| {
            let (a, b) = (n % 800, (n * 7 + 3) % 800);
            format!("(local.set {a} (i32.add (local.get {b}) (local.get {a})))")
        },
    },
    Kind {
        name: "branches, each with a local set",
        locals: (800, "i32"),
        unit: |n| {
            format!(
                "(block (br_if 0 (local.get 0)) (local.set {} (local.get 1)))",
                n % 800
            )
        },
    },
    Kind {
        name: "loops that change locals",
        locals: (800, "i32"),
        unit: |n| {
            let local = n % 800;
            format!(
                "(loop (local.set {local} (i32.add (local.get {local}) (i32.const 1))) (br_if 0 (local.get 0)))"
            )
        },
    },
    Kind {
        name: "calls with everything alive",
        locals: (800, "i64"),
        unit: |n| {
            let local = n % 800;
            format!("(local.set {local} (i64.add (local.get {local}) (call 0)))")
        },
    },
    Kind {
        name: "float vectors",
        locals: (800, "v128"),
        unit: |n| {
            let (a, b) = (n % 800, (n * 7 + 3) % 800);
            format!(
                "(local.set {a} (f64x2.mul (local.get {b}) (f64x2.min (local.get {a}) (local.get 1))))"
            )
        },
    },
    Kind {
        name: "shuffles of vectors",
        locals: (800, "v128"),
        unit: |n| {
            let (a, b, lane) = (n % 800, (n * 7 + 3) % 800, n % 16);
            format!(
                "(local.set {a} (i8x16.shuffle {lane} 17 3 30 5 6 7 8 9 1 11 12 13 2 15 0 (local.get {b}) (local.get {a})))"
            )
        },
    },
    Kind {
        name: "conversions of floats",
        locals: (800, "f64"),
        unit: |n| {
            let local = n % 800;
            format!("(local.set {local} (f64.convert_i64_u (i64.trunc_f64_u (local.get {local}))))")
        },
    },
    Kind {
        name: "indirect calls",
        locals: (800, "i64"),
        unit: |n| {
            let local = n % 800;
            format!(
                "(local.set {local} (call_indirect (result i64) (i32.wrap_i64 (local.get {local}))))"
            )
        },
    },
    Kind {
        name: "copies of memory",
        locals: (800, "i32"),
        unit: |n| {
            let local = n % 800;
            format!("(memory.copy (local.get {local}) (local.get 0) (local.get 1))")
        },
    },
    Kind {
        name: "stores and loads",
        locals: (800, "i32"),
        unit: |n| {
            let (a, b) = (n % 800, (n * 7 + 3) % 800);
            format!("(i32.store (local.get {a}) (i32.load offset=8 (local.get {b})))")
        },
    },
    Kind {
        name: "tables of branches",
        locals: (1, "i32"),
        unit: |_| format!("(block (br_table {}(local.get 0)))", "0 ".repeat(100)),
    },
    Kind {
        name: "selections",
        locals: (800, "i64"),
        unit: |n| {
            let (a, b) = (n % 800, (n * 7 + 3) % 800);
            format!(
                "(local.set {a} (select (local.get {b}) (local.get {a}) (i64.lt_s (local.get 0) (local.get {b}))))"
            )
        },
    },
    Kind {
        name: "blocks with a result, one after the other",
        locals: (1, "i32"),
        unit: |n| format!("(drop (block (result i32) (i32.const {n})))"),
    },
    Kind {
        name: "blocks with a result, inside each other",
        locals: (1, "i32"),
        unit: |_| {
            let (open, close) = ("(i32.eqz (block (result i32) ", "))");
            format!(
                "(drop {}(i32.const 1){})",
                open.repeat(900),
                close.repeat(900)
            )
        },
    },
    Kind {
        name: "conditions inside conditions",
        locals: (800, "i32"),
        unit: |n| {
            format!(
                "(if (local.get {}) (then (local.set {} (i32.const 1))) (else (local.set 0 (local.get 2))))",
                n % 800,
                (n * 3) % 800
            )
        },
    },
];

fn main() {
    let mut config = HostConfig::default();
    config.cache = None;
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [file] = &arguments[..] {
        return compile_one(config, file);
    }
    println!("| a module full of | bytes | effort | seconds | MB at the peak |");
    println!("| :-- | --: | --: | --: | --: |");
    let kinds = KINDS.iter().chain([&NESTED]);
    let mut modules: Vec<_> = kinds
        .map(|kind| (kind.name, largest_module(kind, &config)))
        .collect();
    modules.push((ESCAPING, escaping_functions(&config)));
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

/// Functions with as many parameters as they may have, all of which others may call.
const ESCAPING: &str = "functions with many parameters, in a table";

/// Blocks inside each other, and at the innermost a table that leads to each.
const NESTED: Kind = Kind {
    name: "blocks inside blocks, with a table to all",
    locals: (1, "i32"),
    unit: |_| {
        let depth = 900;
        let targets: String = (0..depth).fold(String::new(), |mut text, n| {
            let _ = write!(text, "{n} ");
            text
        });
        format!(
            "{}(br_table {targets}(local.get 0)){}",
            "(block ".repeat(depth),
            ")".repeat(depth)
        )
    },
};

/// A module of this kind: as many functions as are accepted, each as large as is accepted.
fn largest_module(kind: &Kind, config: &HostConfig) -> Vec<u8> {
    let (count, of) = kind.locals;
    let each = |text: fn(&str, usize) -> String| -> String {
        (0..count).map(|local| text(of, local)).collect()
    };
    let locals = format!("(local{})", format!(" {of}").repeat(count));
    // Unknown at first and needed in the end, so that nothing about them is left out.
    let first =
        each(|of, local| format!("(local.set {local} ({of}.load (i32.const {})))", 16 * local));
    let last = each(|of, local| {
        format!(
            "({of}.store (i32.const {}) (local.get {local}))",
            16 * local
        )
    });
    let module = |units: usize, copies: usize| {
        let body: String = (0..units).map(kind.unit).collect();
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

/// As many functions as are accepted, each of which an element segment hands out.
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

/// The largest number up to `most` that is accepted.
fn largest(most: usize, accepted: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (1, 2);
    while high < most && accepted(high) {
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
    let effort = match inspect(&module, &config.limits, &none) {
        Err(PluginError::TooComplex { found, .. }) => found,
        _ => 0,
    };
    config.cache = None;
    let host = Host::new(config).expect("there is a host");
    let start = Instant::now();
    // The study's modules have no exports, which is found out after they were compiled.
    match host.load(&module) {
        Ok(_) | Err(PluginError::MissingExport(_)) => {}
        Err(error) => panic!("{error}"),
    }
    let took = start.elapsed();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = peak.and_then(|text| text.trim().split(' ').next()?.parse::<f64>().ok());
    let megabytes = kilobytes.map_or("?".to_owned(), |kb| format!("{:.0}", kb / 1e3));
    println!("{effort} | {:.2} | {megabytes}", took.as_secs_f64());
}
