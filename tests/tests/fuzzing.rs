//! The fuzz targets on seeds, former findings and generated inputs, without a fuzzer. `cargo xtask fuzz` runs
//! the same functions with a fuzzer.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use faa_op::Stream;
use faa_tests::fuzz::{TARGETS, Target};

fn folder() -> PathBuf {
    faa_tests::root().join("tests/fuzz")
}

#[test]
fn the_fuzzer_has_the_same_targets() {
    let manifest = fs::read_to_string(folder().join("Cargo.toml")).unwrap();
    let binaries: BTreeSet<&str> = manifest
        .split("[[bin]]\nname = \"")
        .skip(1)
        .filter_map(|text| text.split('"').next())
        .collect();
    assert_eq!(binaries, TARGETS.iter().map(|target| target.name).collect());
    for name in binaries {
        let target = folder().join(format!("fuzz_targets/{name}.rs"));
        let call = format!("faa_tests::fuzz::{name}(bytes)");
        assert!(
            fs::read_to_string(target).unwrap().contains(&call),
            "{name}"
        );
    }
}

#[test]
fn seeds_and_former_findings_pass() {
    for target in TARGETS {
        let seeds = inputs_of(&folder().join("seeds").join(target.name));
        let found = inputs_of(&folder().join("regressions").join(target.name));
        for input in seeds.iter().chain(&found) {
            run(target, input);
        }
    }
}

#[test]
fn shipped_policies_pass() {
    let shipped = inputs_of(&faa_tests::root().join("policies"));
    assert!(shipped.len() >= 5);
    for target in &TARGETS[..3] {
        for policy in &shipped {
            run(*target, policy);
        }
    }
}

#[test]
fn generated_inputs_pass() {
    let words = dictionary();
    assert!(
        words.contains(&b"\"op\": ".to_vec()),
        "the dictionary was read"
    );
    for target in TARGETS {
        let seeds = inputs_of(&folder().join("seeds").join(target.name));
        let mut stream = Stream::for_op(5);
        for _ in 0..target.inputs {
            let input = match seeds.is_empty() {
                true => noise(&mut stream),
                false => changed(&seeds, &words, &mut stream),
            };
            run(target, &input);
        }
    }
}

/// Runs a target, and saves the input if it fails.
fn run(target: Target, input: &[u8]) {
    let Target { name, body, .. } = target;
    if catch_unwind(AssertUnwindSafe(|| body(input))).is_err() {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("finding-of-{name}"));
        fs::write(&file, input).unwrap();
        panic!("`{name}` fails on {}", file.display());
    }
}

/// The files of a folder, sorted by name; empty if there is no folder.
fn inputs_of(folder: &Path) -> Vec<Vec<u8>> {
    let Ok(files) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// The words of the fuzzer's dictionary.
fn dictionary() -> Vec<Vec<u8>> {
    let text = fs::read_to_string(folder().join("json.dict")).unwrap();
    let words = text.lines().filter_map(|line| {
        let word = line.strip_prefix('"')?.strip_suffix('"')?;
        Some(
            word.replace("\\\"", "\"")
                .replace("\\\\", "\\")
                .into_bytes(),
        )
    });
    words.collect()
}

fn noise(stream: &mut Stream) -> Vec<u8> {
    let length = stream.below(600);
    (0..length).map(|_| stream.next_u32() as u8).collect()
}

/// A seed with a few random changes.
fn changed(seeds: &[Vec<u8>], words: &[Vec<u8>], stream: &mut Stream) -> Vec<u8> {
    let mut below = |count: usize| stream.below(count as u64) as usize;
    let mut input = seeds[below(seeds.len())].clone();
    for _ in 0..=below(3) {
        let start = below(input.len());
        let end = input.len().min(start + below(12));
        let other = &seeds[below(seeds.len())];
        let new = match below(5) {
            0 => words[below(words.len())].clone(),
            1 => vec![below(256) as u8],
            2 => b"0123456789.-e"[below(13)..][..1].to_vec(),
            3 => other[below(other.len())..].to_vec(),
            _ => Vec::new(),
        };
        input.splice(start..end, new);
        if input.is_empty() {
            break;
        }
    }
    input
}
