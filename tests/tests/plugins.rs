//! Plugins: created, built, checked and used, as their authors and users do.

use std::env::consts::DLL_EXTENSION;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use faa_op::{Call, Channels, ImageMut, Op, OpError, OpErrorKind, OpSet, Scratch, Size, Warp};
use faa_plugin::{Host, HostConfig, OnFailure, Plugin};
use faa_tests::plugins::{
    RUST_EXAMPLES, abi_example, build_in, library_of, module_in_c, module_in_text, module_of,
    native_permission,
};
use faa_tests::workdir::Workdir;
use faa_tests::{
    assert_contains, assert_fails, faa_runtime, json_of, output_of, run, stdout_of, write_image,
};

/// The example ops, each with values below, within and above its range.
const CASES: &[(&str, &[f64])] = &[
    ("Elastic", &[-1.0, 0.0, 0.03, 0.2, 5.0]),
    ("Fade", &[-1.0, 0.0, 0.25, 0.7, 1.0, 1e9]),
    ("Fog", &[0.0, 0.4, 0.8, 2.0]),
    ("Rain", &[-1.0, -0.3, 0.0, 1.0, 30.0]),
    ("Snow", &[0.0, 1.0, 77.0, 200.0, 1e4]),
];
const SHAPES: &[(usize, usize)] = &[(1, 1), (1, 9), (9, 1), (31, 33), (64, 48), (224, 224)];
const CHANNELS: [Channels; 3] = [Channels::L, Channels::Rgb, Channels::Rgba];

fn host() -> Host {
    Host::new(HostConfig::default()).unwrap()
}

/// A host that optimises plugins as people write them.
fn optimising() -> Host {
    let mut config = HostConfig::default();
    config.compile.optimised_effort = 1_500_000;
    Host::new(config).unwrap()
}

fn library(host: &Host, path: &Path) -> Plugin {
    host.load_path(path, native_permission()).unwrap()
}

fn compiled_in() -> OpSet {
    let mut ops = OpSet::new();
    let mut insert = |op: Arc<dyn Op>| ops.insert(op).unwrap();
    insert(Arc::new(plugin_elastic::Elastic::default()));
    insert(Arc::new(plugin_fade::Fade::default()));
    insert(Arc::new(plugin_weather::Fog::default()));
    insert(Arc::new(plugin_weather::Rain::default()));
    insert(Arc::new(plugin_weather::Snow::default()));
    ops
}

fn picture((width, height): (usize, usize), channels: Channels) -> Vec<u8> {
    let sample = |index: usize| (index * 37 % 251 + index / 7 % 5) as u8;
    (0..width * height * channels.count()).map(sample).collect()
}

fn applied(
    op: &dyn Op,
    shape: (usize, usize),
    channels: Channels,
    value: f64,
    seed: u64,
) -> Result<Vec<u8>, OpError> {
    let mut pixels = picture(shape, channels);
    let mut image = ImageMut::new(&mut pixels, shape.0, shape.1, channels).unwrap();
    op.apply(&mut image, value, &mut Call::new(seed, &mut Scratch::new()))?;
    Ok(pixels)
}

#[test]
fn one_source_gives_the_same_bytes_in_all_builds() {
    let host = host();
    let [mut modules, mut optimised, mut libraries] = [(); 3].map(|()| OpSet::new());
    for example in RUST_EXAMPLES {
        let file = module_of(example);
        let module = host.load_file(&file).unwrap();
        module.add_to(&mut modules).unwrap();
        assert_eq!(module.is_optimised(), Some(false));
        let module = optimising().load_file(&file).unwrap();
        module.add_to(&mut optimised).unwrap();
        assert_eq!(module.is_optimised(), Some(true), "{example}");
        let library = library(&host, &library_of(example));
        library.add_to(&mut libraries).unwrap();
    }
    let compiled_in = compiled_in();
    let mut changed = 0;
    for &(name, values) in CASES {
        let [own, module, optimised, library] = [&compiled_in, &modules, &optimised, &libraries]
            .map(|ops| ops.get(name).unwrap().as_ref());
        assert_eq!(own.spec(), module.spec());
        assert_eq!(own.spec(), library.spec());
        for &value in values {
            for &shape in SHAPES {
                for channels in CHANNELS {
                    for seed in [0, 1, u64::MAX] {
                        let [expected, by_module, by_optimised, by_library] =
                            [own, module, optimised, library]
                                .map(|op| applied(op, shape, channels, value, seed));
                        let context = (name, value, shape, channels, seed);
                        assert!(expected.is_ok(), "{context:?}");
                        assert_eq!(by_module, expected, "{context:?}");
                        assert_eq!(by_optimised, expected, "{context:?}");
                        assert_eq!(by_library, expected, "{context:?}");
                        changed += usize::from(expected.unwrap() != picture(shape, channels));
                    }
                }
            }
            for &(width, height) in SHAPES {
                let size = Size { width, height };
                for seed in [0, 1, u64::MAX] {
                    let warp = own.warp(value, size, seed);
                    let field = |op: &dyn Op| {
                        let mut sources = vec![[7; 2]; width * height];
                        op.field(value, size, seed, &mut sources).map(|()| sources)
                    };
                    assert_eq!(warp == Warp::Field, name == "Elastic" && value != 0.0);
                    for op in [module, optimised, library] {
                        assert_eq!(op.warp(value, size, seed), warp, "{name} {value} {size:?}");
                        if warp == Warp::Field {
                            assert_eq!(field(op), field(own), "{value} {size:?} {seed}");
                        }
                    }
                }
            }
            for channels in CHANNELS {
                let tables = own.lookup_tables(value, channels);
                assert_eq!(tables.is_some(), name == "Fade");
                assert_eq!(module.lookup_tables(value, channels), tables);
                assert_eq!(library.lookup_tables(value, channels), tables);
            }
        }
    }
    // Without this, ops that change nothing would pass.
    assert!(changed > 800, "{changed}");
}

#[test]
fn every_example_passes_the_check() {
    let mut files = RUST_EXAMPLES.map(module_of).to_vec();
    files.extend([module_in_c(), module_in_text()]);
    let mut command = faa_runtime();
    command.args(["plugin", "check", "--json"]).args(&files);
    let reports = json_of(&mut command);
    for report in reports.as_array().unwrap() {
        assert_eq!(report["ok"], true, "{report:#}");
        assert_eq!(report["abi"]["major"], 1);
        assert!(report["checks"].as_array().unwrap().len() >= 9);
    }
    let names = [2, 3, 4].map(|index| {
        let ops = reports[index]["ops"].as_array().unwrap().iter();
        ops.map(|op| op["name"].as_str().unwrap())
            .collect::<Vec<_>>()
            .join(" ")
    });
    assert_eq!(names, ["Fog Rain Snow", "Halftone", "ChannelSwap"]);
    assert_eq!(reports[2]["ops"][1]["mirrored"], true);

    let text = stdout_of(faa_runtime().args(["plugin", "check"]).arg(&files[1]));
    assert_contains(
        &text,
        &["same bytes: the op runs in one pass with neighbouring ops"],
    );
    assert!(!text.contains("FAILS"), "{text}");
}

#[test]
fn impure_and_broken_plugins_fail_the_check() {
    let folder = tempfile::tempdir().unwrap();
    for (case, complaint) in [
        ("apply-counts-calls", "the second time"),
        ("apply-remembers-image", "different bytes"),
        ("lookup-tables-differs", "different bytes than without them"),
        ("apply-trap", "unreachable"),
        (
            "abi-major-2",
            "version 2.0 of the plugin ABI, but this host supports versions 1.x",
        ),
        ("import-wasi", "not for WASI"),
    ] {
        let hostile = Path::new(env!("CARGO_MANIFEST_DIR")).join("hostile");
        let source = hostile.join(case).with_extension("wat");
        let module = folder.path().join(case).with_extension("wasm");
        fs::write(&module, wat::parse_file(source).unwrap()).unwrap();
        let output = run(faa_runtime().args(["plugin", "check"]).arg(&module));
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{case}: {text}");
        // The table may break a line anywhere.
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_contains(&words, &[complaint, "→"]);
    }
}

#[test]
fn the_example_of_the_abi_works() {
    let plugin = host().load(&abi_example()).unwrap();
    let op = plugin.ops()[0].as_ref();
    let mut pixels = vec![0, 100, 250, 255];
    for (seed, expected) in [(1, [10, 110, 255, 255]), (2, [0, 100, 245, 245])] {
        let mut image = ImageMut::new(&mut pixels, 4, 1, Channels::L).unwrap();
        op.try_apply(&mut image, 10.0, seed).unwrap();
        assert_eq!(pixels, expected);
    }
    // An image that needs more memory than the module starts with.
    applied(op, (400, 400), Channels::Rgba, 1.0, 0).unwrap();
}

/// The commands are those of the README and of `plugin new`.
#[test]
fn a_new_plugin_can_be_built_checked_and_used() {
    let folder = Workdir::new();
    let command = |arguments: &str| folder.faa_runtime(arguments);
    stdout_of(&mut command("plugin new soft-glow"));
    assert_fails(&mut command("plugin new soft-glow"), 1, &["exists"]);
    assert_fails(&mut command("plugin new rotate"), 2, &["a built-in op"]);
    stdout_of(&mut command("plugin build"));
    let mut cargo = Command::new("cargo");
    cargo
        .args(["test", "--lib"])
        .current_dir(folder.join("soft-glow"));
    assert_contains(&stdout_of(&mut cargo), &["1 passed"]);
    stdout_of(&mut command("plugin check soft-glow.wasm"));
    let module = fs::read(folder.join("soft-glow.wasm")).unwrap();
    let optimised = optimising().load(&module).unwrap();
    assert_eq!(optimised.is_optimised(), Some(true));
    folder.write("plugins/soft-glow.wasm", module);

    let ops = json_of(&mut command("ops --plugins plugins --json"));
    let op = ops.as_array().unwrap().last().unwrap();
    assert_eq!(op["name"], "SoftGlow");
    assert_eq!((&op["low"], &op["high"]), (&0.0.into(), &1.0.into()));
    assert_eq!(op["source"], "plugins/soft-glow.wasm");

    let apply = "apply --op SoftGlow --value 0.6 --plugins plugins cat.png --out out";
    stdout_of(&mut command(apply));
    let [before, after] = ["cat.png", "out/cat.png"].map(|name| folder.pixels(name));
    let kept = |level: u8| (f64::from(level) * 0.4).round() as u8;
    assert_eq!(
        after.get_pixel(39, 29).0,
        before.get_pixel(39, 29).0.map(kept)
    );

    let bench = json_of(&mut command(
        "bench --op SoftGlow --size 32 --plugins plugins --json",
    ));
    let rate = bench["images_per_second"].as_u64().unwrap();
    assert!(rate > 100, "{bench}");
    let bench = stdout_of(&mut command("plugin bench soft-glow.wasm --size 32"));
    assert_contains(&bench, &["SoftGlow"]);

    // The crate contains no path of the machine that built the program.
    let checkout = faa_tests::root().display().to_string();
    let files = files_in(&folder.join("soft-glow"));
    assert!(files.len() > 15, "{files:?}");
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        assert!(!text.contains(&checkout), "{}", file.display());
    }
}

/// The files of a crate, except what cargo builds.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            files.push(path);
        } else if !path.ends_with("target") {
            files.extend(files_in(&path));
        }
    }
    files
}

/// A crate created by `plugin new`, in whose source the first `from` is replaced by `to`.
fn new_plugin(folder: &Workdir, from: &str, to: &str) -> PathBuf {
    stdout_of(&mut folder.faa_runtime("plugin new faulty"));
    let source = "faulty/src/lib.rs";
    let text = folder.read(source);
    assert!(text.contains(from));
    folder.write(source, text.replacen(from, to, 1));
    folder.join("faulty")
}

/// The error has the panic's message and location, and later calls are unaffected.
#[test]
fn panics_become_errors_in_both_builds() {
    let folder = Workdir::empty();
    let check = "assert!(value < 0.9, \"too much: {}\", (value * 100.0) as u32);\nlet (width,";
    let faulty = new_plugin(&folder, "let (width,", check);
    let host = host();
    let module = build_in(folder.path(), &faulty, &[]);
    let module = host.load_file(&module).unwrap();
    let library = library(&host, &build_in(folder.path(), &faulty, &["--native"]));
    for plugin in [module, library] {
        let op = plugin.ops()[0].as_ref();
        let good = || applied(op, (9, 9), Channels::Rgb, 0.5, 0);
        let before = good().unwrap();
        let error = applied(op, (9, 9), Channels::Rgb, 1.0, 0).unwrap_err();
        let OpErrorKind::Failed(message) = error.kind() else {
            panic!("{error:?}")
        };
        assert_contains(message, &["too much: 100", "lib.rs"]);
        assert_eq!(good().unwrap(), before);
        assert_eq!(op.failures(), 1);
    }
}

/// Each library has one fault, and is built without the SDK.
#[test]
fn libraries_that_violate_the_abi_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let table = |header: &str, pointers: &str| {
        format!(
            "#[repr(C)] pub struct Table {{ header: (u16, u16, u32), pointers: [usize; 3] }}\n\
             #[unsafe(no_mangle)] pub static faa_plugin: Table =\n\
             Table {{ header: ({header}), pointers: [{pointers}] }};"
        )
    };
    let with_symbol = |source: &str| {
        source
            .replace("(u16, u16, u32)", "Header")
            .replace("header: (", "header: Header(")
            + "#[repr(C)] pub struct Header(u16, u16, u32);"
    };
    let cases = [
        ("major", table("2, 0, 32", "1, 1, 1"), "wrong-major"),
        ("short", table("1, 0, 24", "1, 1, 1"), "wrong-export"),
        ("no_spec", table("1, 0, 32", "0, 1, 1"), "wrong-export"),
        ("no_apply", table("1, 0, 32", "1, 0, 1"), "wrong-export"),
        (
            "no_symbol",
            "pub fn nothing() {}".to_owned(),
            "missing-export",
        ),
    ];
    let host = host();
    for (name, source, code) in cases {
        let file = folder.path().join(name).with_extension("rs");
        fs::write(&file, with_symbol(&source)).unwrap();
        let library = file.with_extension(DLL_EXTENSION);
        let mut rustc = Command::new("rustc");
        rustc.args(["--edition", "2024", "--crate-type", "cdylib", "-o"]);
        stdout_of(rustc.arg(&library).arg(&file));
        let error = host.load_path(&library, native_permission()).unwrap_err();
        assert_eq!(error.code(), code, "{name}: {error}");
        let refused = host.load_path(&library, None).unwrap_err();
        assert_eq!(refused.code(), "native-not-allowed");
    }
    let text = folder.path().join("text").with_extension(DLL_EXTENSION);
    fs::write(&text, "no library").unwrap();
    let error = host.load_path(&text, native_permission()).unwrap_err();
    assert_eq!(error.code(), "not-native");
}

/// A library changes the image in place, so the image must be restored.
#[test]
fn a_failure_of_a_library_can_be_skipped() {
    let folder = Workdir::empty();
    let faulty = new_plugin(&folder, "        Ok(())\n", "panic!(\"half done\")\n");
    let library = build_in(folder.path(), &faulty, &["--native"]);
    let mut config = HostConfig::default();
    config.on_failure = OnFailure::Skip;
    let host = Host::new(config).unwrap();
    let plugin = host.load_path(&library, native_permission()).unwrap();
    let op = plugin.ops()[0].as_ref();
    let before = picture((9, 9), Channels::Rgb);
    assert_eq!(applied(op, (9, 9), Channels::Rgb, 1.0, 0), Ok(before));
    assert_eq!(op.failures(), 1);
}

/// Endless files are not read, even if they are named like plugins.
#[cfg(unix)]
#[test]
fn only_files_are_plugins() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("a.wasm");
    stdout_of(Command::new("mkfifo").arg(&pipe));
    std::os::unix::fs::symlink("/dev/zero", folder.path().join("b.wasm")).unwrap();
    let mut ops = OpSet::new();
    let found = host().load_folder(folder.path(), None, &mut ops).unwrap();
    let kinds: Vec<_> = found
        .broken
        .iter()
        .map(|broken| broken.error.code())
        .collect();
    assert_eq!(kinds, ["read", "read"]);
}

#[test]
fn broken_plugins_are_reported_and_the_others_work() {
    let folder = Workdir::empty();
    folder.write("plugins/a-broken.wasm", "not WebAssembly");
    folder.write("plugins/flicker.wasm", abi_example());
    folder.write("plugins/other.wasm", abi_example());
    folder.write("plugins/notes.txt", "ignored");
    let library = library_of("fade");
    let copy = folder.join("plugins").join(library.file_name().unwrap());
    fs::copy(&library, copy).unwrap();
    let ops = |plugins: &str| folder.faa_runtime(&format!("ops --plugins {plugins}"));
    let [listed, warnings] = output_of(&mut ops("plugins"));
    assert!(
        listed.contains("Flicker") && !listed.contains("Fade"),
        "{listed}"
    );
    let reasons = [
        "a-broken.wasm was not loaded: not a WebAssembly module",
        "other.wasm was not loaded: its op `Flicker` has the same name as an op of ",
        "was not loaded: a native library, which runs without a sandbox",
    ];
    assert_contains(&warnings, &reasons);
    assert!(!warnings.contains("notes.txt"), "{warnings}");
    let native = stdout_of(ops("plugins").arg("--allow-native"));
    assert_contains(&native, &["Fade"]);
    assert_fails(&mut ops("none"), 1, &[]);
}

#[test]
fn no_plugin_that_was_asked_for_is_left_out() {
    let folder = Workdir::empty();
    let module = abi_example();
    folder.write("plugins/flicker.wasm", &module[..module.len() / 2]);
    folder.write("misnamed/flicker.WASM", &module);
    for work in ["search", "audit"] {
        let command = |plugins: &str| {
            format!("{work} --data glyphs --preset demo --plugins {plugins} --out run")
        };
        let left_out = format!(
            "the {work} would leave out the plugin plugins/flicker.wasm: repair or remove it, or name \
             the ops to use with --ops"
        );
        let damaged = "plugins/flicker.wasm was not loaded";
        let mut broken = folder.faa_runtime(&command("plugins"));
        assert_fails(&mut broken, 1, &[damaged, &left_out]);
        let none =
            format!("there is no plugin in misnamed, so the {work} would use built-in ops only");
        assert_fails(&mut folder.faa_runtime(&command("misnamed")), 1, &[&none]);
        // With --ops, other plugins were not asked for; here an op is missing.
        let named = format!("{} --ops Rotate,Flicker", command("plugins"));
        assert_fails(&mut folder.faa_runtime(&named), 2, &["Flicker"]);
        assert!(!folder.join("run").exists());
    }
    // Nothing else needs them all.
    let [_, warning] = output_of(&mut folder.faa_runtime("ops --plugins misnamed"));
    assert_eq!(warning, "warning: there is no plugin in misnamed\n");
}

#[test]
fn policies_name_the_plugins_that_they_need() {
    let folder = Workdir::new();
    folder.write("plugins/flicker.wasm", abi_example());
    let write_policy = |op: &str, sha256: &str| {
        let policy = format!(
            r#"{{"format": "faa-policy", "version": 1, "name": "mine",
                "sub_policies": [[{{"op": "{op}", "probability": 1.0, "magnitude": 0.5}}]],
                "provenance": {{"plugins": [{{"op": "{op}", "sha256": "{sha256}"}}]}}}}"#
        );
        folder.write("policy.json", policy);
    };
    let apply = |options: &str| {
        folder.faa_runtime(&format!("apply --policy policy.json cat.png {options}"))
    };
    let check = || folder.faa_runtime("policy check policy.json --plugins plugins");
    let sha256 = host().load(&abi_example()).unwrap().sha256();

    write_policy("Flicker", &sha256);
    stdout_of(&mut check());
    stdout_of(&mut apply("--plugins plugins --out out"));
    let parts = ["policy.json", "`Flicker`", "--plugins DIR", &sha256];
    assert_fails(&mut apply("--out out2"), 1, &parts);

    // The error about an unknown op has the nearest name and the folders.
    write_policy("Flickr", "");
    let parts = [
        "`Flickr`",
        "the plugins of plugins",
        "did you mean `Flicker`?",
    ];
    assert_fails(&mut check(), 1, &parts);

    // The policy was found with a different module.
    write_policy("Flicker", &"0".repeat(64));
    assert_fails(&mut check(), 1, &["a different module for `Flicker`"]);
    let [_, warnings] = output_of(&mut apply("--plugins plugins --force --out out"));
    let warning = "warning: policy.json: the policy was found with a different module";
    assert_contains(&warnings, &[warning]);
}

/// Where address space is limited, a plugin reserves no more of it than it may use.
#[cfg(target_os = "linux")]
#[test]
fn plugins_work_with_little_address_space() {
    let folder = tempfile::tempdir().unwrap();
    let mut files: Vec<_> = RUST_EXAMPLES
        .iter()
        .map(|example| module_of(example))
        .collect();
    files.push(module_in_text());
    for file in &files {
        fs::copy(file, folder.path().join(file.file_name().unwrap())).unwrap();
    }
    write_image(&folder.path().join("cat.png"), 60, 40, 1);
    let program = faa_runtime().get_program().to_owned();
    let run = |limit: &str, arguments: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -v {limit}; exec \"$0\" {arguments}")]);
        // Threads take address space too, and how many there are depends on the machine.
        shell
            .arg(&program)
            .env("RAYON_NUM_THREADS", "2")
            .current_dir(folder.path());
        shell
            .env("MALLOC_ARENA_MAX", "2")
            .env("FAA_CACHE_DIR", folder.path().join("cache"));
        stdout_of(&mut shell)
    };
    let listed = run("4000000", "ops --plugins .");
    for op in ["Elastic", "Fade", "Fog", "Rain", "Snow", "ChannelSwap"] {
        assert!(listed.contains(op), "{listed}");
        let magnitude = if op == "ChannelSwap" {
            ""
        } else {
            "--magnitude 0.7"
        };
        let apply = format!("apply --op {op} {magnitude} --seed 3 --plugins . cat.png");
        let pixels = |limit: &str, out: &str| {
            run(limit, &format!("{apply} --out {out}{op}"));
            fs::read(folder.path().join(format!("{out}{op}/cat.png"))).unwrap()
        };
        assert_eq!(
            pixels("4000000", "small"),
            pixels("unlimited", "large"),
            "{op}"
        );
    }
}

/// The digest of a library is that of the code that runs, because both are of one copy.
#[cfg(target_os = "linux")]
#[test]
fn a_library_runs_from_the_copy_that_was_hashed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fade.so");
    fs::copy(library_of("fade"), &file).unwrap();
    let host = host();
    let fade = library(&host, &file);
    let mapped = fs::read_to_string("/proc/self/maps").unwrap();
    assert!(!mapped.contains(file.to_str().unwrap()), "{mapped}");
    assert!(mapped.contains("memfd:faa-plugin"), "{mapped}");
    // Another library under the same name is another plugin.
    let op = fade.ops()[0].as_ref();
    let before = applied(op, (9, 9), Channels::Rgb, 0.5, 0).unwrap();
    fs::write(&file, fs::read(library_of("elastic")).unwrap()).unwrap();
    let elastic = library(&host, &file);
    assert_eq!(elastic.ops()[0].spec().name(), "Elastic");
    assert_ne!(elastic.sha256(), fade.sha256());
    assert_eq!(applied(op, (9, 9), Channels::Rgb, 0.5, 0), Ok(before));
}

/// The program works without the cache, and `doctor` says why it is not used.
#[cfg(unix)]
#[test]
fn doctor_says_why_a_cache_is_not_used() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    let libraries = folder.join(format!(
        "libtorch-{}-cpu/lib",
        faa_system::libtorch::VERSION
    ));
    fs::create_dir_all(&libraries).unwrap();
    fs::write(libraries.join("libtorch_cpu.so"), "").unwrap();
    fs::write(
        libraries.join("../build-version"),
        faa_system::libtorch::VERSION,
    )
    .unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    let mut doctor = faa_runtime();
    doctor.arg("doctor").env("FAA_CACHE_DIR", &folder);
    let text = String::from_utf8(run(&mut doctor).stdout).unwrap();
    let advice = format!("run `chmod go-w {}`", folder.display());
    let lines = |name: &str| {
        text.lines()
            .find(|line| line.starts_with(name))
            .unwrap()
            .to_owned()
    };
    for line in [lines("libtorch "), lines("plugins ")] {
        assert!(
            line.contains("NOT USED") && line.contains(&advice),
            "{text}"
        );
    }
}
