//! Every plugin of the folder `hostile` fails with the expected error, and affects neither the host nor other
//! plugins.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use faa_op::{Channels, ImageMut, Size, Warp};
use faa_plugin::{Host, HostConfig, Plugin};
use faa_tests::plugins::abi_example;

/// The result that the header of a case states.
#[derive(Debug, PartialEq)]
struct Expected {
    fails: String,
    kind: Option<String>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("hostile")
}

fn cases() -> Vec<PathBuf> {
    let paths = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let is_case = |path: &PathBuf| path.extension().is_some_and(|found| found == "wat");
    let mut cases: Vec<PathBuf> = paths.filter(is_case).collect();
    cases.sort();
    cases
}

fn expected(text: &str) -> Expected {
    let header = |key: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(key));
        value.map(|value| value.trim().to_owned())
    };
    Expected {
        fails: header(";; fails:").expect("every case has a line `;; fails:`"),
        kind: header(";; kind:"),
    }
}

/// A host with short time limits, which are still enough on a busy machine.
fn host() -> Host {
    let mut config = HostConfig::default();
    config.limits.call_time = Duration::from_millis(300);
    config.limits.start_time = Duration::from_millis(300);
    config.cache = None;
    Host::new(config).unwrap()
}

/// Loads a module into a set with the built-in ops, and applies its first op.
fn outcome(host: &Host, module: &[u8]) -> Expected {
    let failed = |fails: &str, kind: &str| Expected {
        fails: fails.to_owned(),
        kind: Some(kind.to_owned()),
    };
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bad.wasm"), module).unwrap();
    let mut ops = faa_ops_builtin::builtin_ops();
    let found = host.load_folder(folder.path(), None, &mut ops).unwrap();
    if let Some(broken) = found.broken.first() {
        assert!(found.loaded.is_empty());
        assert!(!broken.error.to_string().is_empty());
        return failed("load", broken.error.code());
    }
    let plugin = &found.loaded[0];
    let mut pixels = [100; 8 * 8 * 3];
    let mut image = ImageMut::new(&mut pixels, 8, 8, Channels::Rgb).unwrap();
    let op = &plugin.ops()[0];
    let tables = op.try_lookup_tables(0.5, Channels::Rgb).err();
    let tables = tables.map(|error| error.code());
    // After a failure, the op has no tables, and the plugin is not called again.
    if tables.is_some() {
        assert_eq!(op.try_lookup_tables(0.5, Channels::Rgb), Ok(None));
    }
    let size = Size {
        width: 8,
        height: 8,
    };
    let warp = op.try_warp(0.5, size, 1);
    let mut sources = [[0; 2]; 64];
    let field = match warp {
        Ok(Warp::Field) => op.try_field(0.5, size, 1, &mut sources),
        _ => Ok(()),
    };
    let moving = [("warp", warp.err()), ("field", field.err())];
    let moving = moving
        .into_iter()
        .find_map(|(fails, error)| Some((fails, error?.code())));
    let asked = u64::from(tables.is_some()) + u64::from(moving.is_some());
    let first = op.try_apply(&mut image, 0.5, 1);
    // After a failure, this is a call in a new instance, which must fail too.
    let second = op.try_apply(&mut image, 0.5, 1);
    match (first, second) {
        (Ok(()), Ok(())) => match (tables, moving) {
            (Some(kind), _) => failed("lookup-tables", kind),
            (None, Some((fails, kind))) => failed(fails, kind),
            (None, None) => Expected {
                fails: "never".to_owned(),
                kind: None,
            },
        },
        (Err(first), Err(second)) => {
            assert_eq!(first.code(), second.code());
            assert_eq!(op.failures(), 2 + asked);
            let unchanged = pixels == [100; 8 * 8 * 3];
            assert!(unchanged, "a failure leaves the image as it was");
            failed("apply", first.code())
        }
        (first, second) => panic!("{first:?}, and then {second:?}"),
    }
}

fn works(plugin: &Plugin) {
    let mut pixels = [100; 12];
    let mut image = ImageMut::new(&mut pixels, 2, 2, Channels::Rgb).unwrap();
    plugin.ops()[0].try_apply(&mut image, 7.0, 1).unwrap();
    assert_eq!(pixels, [107; 12]);
}

#[test]
fn hostile_plugins_fail_as_expected() {
    let host = host();
    let good = host.load(&abi_example()).unwrap();
    let mut wrong = Vec::new();
    let cases = cases();
    assert!(cases.len() > 150, "there are {} cases", cases.len());
    for case in cases {
        let name = case.file_stem().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&case).unwrap();
        let module = wat::parse_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let start = Instant::now();
        let (found, expected) = (outcome(&host, &module), expected(&text));
        if found != expected {
            wrong.push(format!("{name}: expected {expected:?}, found {found:?}"));
        }
        // There is at most a start, a specification, and four calls, each with an error message.
        let took = start.elapsed();
        assert!(took < Duration::from_secs(60), "{name} took {took:?}");
        works(&good);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn modules_that_are_too_large_are_refused_before_they_are_compiled() {
    let host = host();
    let refused = |text: String, code: &str| {
        let text = format!("(module (@custom \"faa.abi\" \"\\01\\00\\00\\00\") {text})");
        let module = wat::parse_str(text).unwrap();
        let error = host.load(&module).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    };
    let function = |instructions| format!("(func {})", "(drop (i32.const 1))".repeat(instructions));
    for text in [
        function(30_000),
        format!("(type (func (param{})))", " i32".repeat(33)),
        format!("(func {}{})", "(block ".repeat(1001), ")".repeat(1001)),
        format!("(func) (elem declare func{})", " 0".repeat(10_001)),
        "(func)".repeat(2001),
        format!("(func (local{}))", " i32".repeat(1001)),
        format!("(func {})", "(loop) ".repeat(8_000)),
    ] {
        refused(text, "too-complex");
    }
    // A module within the limits fails only because of its exports.
    refused(function(10), "missing-export");
}

/// One plugin exceeds its time limit repeatedly, while another one works.
#[test]
fn one_plugin_s_limit_never_stops_another_s_call() {
    let host = host();
    let endless = wat::parse_file(folder().join("apply-endless-loop.wat")).unwrap();
    let [endless, good] = [endless, abi_example()].map(|module| host.load(&module).unwrap());
    std::thread::scope(|scope| {
        let looping = scope.spawn(|| {
            let mut pixels = [0; 3];
            let mut image = ImageMut::new(&mut pixels, 1, 1, Channels::Rgb).unwrap();
            let mut apply = || endless.ops()[0].try_apply(&mut image, 0.0, 0);
            [(); 3].map(|()| apply().unwrap_err().code())
        });
        // Each call takes a large part of the limit, while calls of the other plugin exceed it.
        let mut pixels = vec![100; 3000 * 3000 * 3];
        while !looping.is_finished() {
            let mut image = ImageMut::new(&mut pixels, 3000, 3000, Channels::Rgb).unwrap();
            good.ops()[0].try_apply(&mut image, 1.0, 0).unwrap();
        }
        assert_eq!(looping.join().unwrap(), ["time"; 3]);
    });
}
