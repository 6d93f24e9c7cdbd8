//! Files that somebody has planted in the working folder or in the temporary folder are not run.

#![cfg(unix)]

use std::fs;
use std::path::Path;
use std::process::Command;

use faa_tests::run;
use faa_tests::workdir::Workdir;
use faa_tests::worker::{FINISHED, beside_worker, write_program};
use serde_json::Value;

fn program_in(folder: &Workdir, name: &str, script: &str) {
    write_program(&folder.join(name), script);
}

/// `doctor --json` without a libtorch of its own, and what it finds.
fn doctor(folder: &Workdir, change: impl Fn(&mut Command)) -> Value {
    let mut doctor = folder.faa_runtime("doctor --json");
    doctor.env_remove("LIBTORCH");
    doctor.env("FAA_CACHE_DIR", folder.join("cache"));
    change(&mut doctor);
    serde_json::from_slice(&run(&mut doctor).stdout).unwrap()
}

/// A folder with a file that Python would run if it imported it from there, and a libtorch.
fn plant_modules(folder: &Workdir) {
    let leave = format!("open({:?}, 'w')\n", folder.join("planted"));
    for module in [
        "importlib.py",
        "importlib/__init__.py",
        "encodings.py",
        "torch/__init__.py",
    ] {
        folder.write(module, &leave);
    }
    folder.write("torch/lib/libtorch_cpu.so", "");
    folder.write("torch/version.py", "__version__ = '2.11.0'\n");
}

fn assert_nothing_ran(folder: &Workdir, found: &Value) {
    assert!(!folder.join("planted").exists(), "it was run");
    let at = found["libtorch"]["home"].as_str().unwrap_or_default();
    assert!(!Path::new(at).starts_with(folder.path()), "{found}");
}

#[test]
fn python_imports_nothing_of_the_working_folder_and_the_temporary_folder() {
    let folder = Workdir::new();
    plant_modules(&folder);
    let found = doctor(&folder, |doctor| {
        doctor.env("TMPDIR", folder.path());
        doctor.env("PYTHONPATH", folder.path());
        doctor.env("PYTHONUSERBASE", folder.path());
    });
    assert_nothing_ran(&folder, &found);
}

#[test]
fn programs_are_not_looked_for_in_the_working_folder() {
    let folder = Workdir::new();
    for name in ["python3", "bin/python3", "rustc", "bin/rustc"] {
        program_in(
            &folder,
            name,
            &format!("echo > {:?}", folder.join("planted")),
        );
    }
    for path in ["bin", "bin:", ":bin", "."] {
        let found = doctor(&folder, |doctor| {
            doctor.env("PATH", path);
        });
        assert_nothing_ran(&folder, &found);
    }
}

#[test]
fn no_toolchain_of_the_working_folder_is_run_or_installed() {
    let folder = Workdir::new();
    folder.write("toolchain/lib/empty", "");
    program_in(
        &folder,
        "toolchain/bin/rustc",
        &format!("echo > {:?}", folder.join("planted")),
    );
    let file = format!("[toolchain]\npath = {:?}\n", folder.join("toolchain"));
    folder.write("rust-toolchain.toml", file);
    let found = doctor(&folder, |doctor| {
        doctor.env_remove("RUSTUP_TOOLCHAIN");
    });
    assert_nothing_ran(&folder, &found);

    // What is asked, and where.
    let asked = folder.join("asked");
    let lines = format!("echo \"$PWD $RUSTUP_AUTO_INSTALL $RUSTUP_TOOLCHAIN $*\" >> {asked:?}");
    program_in(&folder, "rustup/rustc", &lines);
    doctor(&folder, |doctor| {
        doctor.env("PATH", folder.join("rustup"));
        doctor.env("RUSTUP_TOOLCHAIN", "named-by-the-folder");
    });
    let asked = fs::read_to_string(asked).unwrap();
    assert!(
        asked.lines().all(|line| line == "/ 0  --print sysroot"),
        "{asked}"
    );
}

fn with_libtorch(folder: &Workdir, name: &str) {
    folder.write(&format!("{name}/lib/libtorch_cpu.so"), "");
    folder.write(&format!("{name}/build-version"), "2.11.0");
}

#[test]
fn the_cache_is_preferred_and_python_s_last_line_counts() {
    let folder = Workdir::new();
    with_libtorch(&folder, "torch");
    let lines = format!("echo noise; echo {:?}", folder.join("torch"));
    program_in(&folder, "path/python3", &lines);
    let origin = || {
        doctor(&folder, |doctor| {
            doctor.env("PATH", folder.join("path"));
        })
    };
    assert_eq!(origin()["libtorch"]["origin"], "Python");
    with_libtorch(&folder, "cache/libtorch-2.11.0-cpu");
    assert_eq!(origin()["libtorch"]["origin"], "the download cache");
}

#[test]
fn python_s_libtorch_is_preferred_only_if_cuda_is_wanted_and_it_has_cuda() {
    let folder = Workdir::new();
    let cached = "cache/libtorch-2.11.0-cpu";
    for name in ["torch", cached] {
        with_libtorch(&folder, name);
    }
    program_in(
        &folder,
        "path/python3",
        &format!("echo {:?}", folder.join("torch")),
    );
    let script = format!("echo \"$LD_LIBRARY_PATH\" > used; echo '{FINISHED}'");
    let used = |device: &str| {
        let search = format!("search --data glyphs --out run --device {device}");
        let mut search = beside_worker(folder.path(), &script, &search);
        search.env_remove("LIBTORCH").env_remove("LD_LIBRARY_PATH");
        search.env("FAA_CACHE_DIR", folder.join("cache"));
        run(search.env("PATH", folder.join("path")));
        folder.read("used").trim().to_owned()
    };
    let libraries = |name: &str| folder.join(name).join("lib").display().to_string();
    assert_eq!(used("cuda:0"), libraries(cached));
    folder.write("torch/lib/libtorch_cuda.so", "");
    assert_eq!(used("cpu"), libraries(cached));
    assert_eq!(used("cuda:0"), libraries("torch"));
}

#[test]
fn a_python_that_fails_is_named() {
    let folder = Workdir::new();
    let missing = || {
        let found = doctor(&folder, |doctor| {
            doctor.env("PATH", folder.join("path"));
        });
        found["libtorch"]["missing"].as_str().unwrap().to_owned()
    };
    let none = missing();
    assert!(none.contains("Python: none on PATH"), "{none}");
    program_in(&folder, "path/python3", "exit 3");
    let expected = format!(
        "Python: {}: it ended with exit status: 3",
        folder.join("path/python3").display()
    );
    let failed = missing();
    assert!(failed.contains(&expected), "{failed}");
}
