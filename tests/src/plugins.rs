//! Plugins for tests: those of `examples/plugins`, and the example in `plugin-sdk/ABI.md`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex};

use faa_plugin::NativePermission;
use tempfile::TempDir;

use crate::{faa_runtime, root, stdout_of};

/// The example module in `plugin-sdk/ABI.md`.
///
/// # Panics
///
/// If it is missing or not valid.
pub fn abi_example() -> Vec<u8> {
    let page = fs::read_to_string(root().join("plugin-sdk/ABI.md")).expect("the page can be read");
    let (_, rest) = page
        .split_once("```wat\n")
        .expect("the page has an example");
    let (text, _) = rest.split_once("```").expect("the example ends");
    wat::parse_str(text).expect("the example is valid")
}

/// The folders of the example plugins in Rust.
pub const RUST_EXAMPLES: [&str; 3] = ["elastic", "fade", "weather"];

/// Builds an example plugin in Rust to a WebAssembly module.
///
/// # Panics
///
/// If it cannot be built; the message is that of `faa-runtime plugin build`.
pub fn module_of(example: &str) -> PathBuf {
    build_in(modules().path(), &examples().join(example), &[])
}

/// Builds an example plugin in Rust to a native library.
///
/// # Panics
///
/// If it cannot be built.
pub fn library_of(example: &str) -> PathBuf {
    static LIBRARIES: LazyLock<TempDir> = LazyLock::new(new_folder);
    build_in(LIBRARIES.path(), &examples().join(example), &["--native"])
}

/// Creates a crate with `faa-runtime plugin new vignette`, and builds it with these options.
///
/// # Panics
///
/// If it cannot be created or built.
pub fn new_plugin(options: &[&str]) -> PathBuf {
    static CRATE: LazyLock<TempDir> = LazyLock::new(|| {
        let folder = new_folder();
        let mut command = faa_runtime();
        command.args(["plugin", "new", "vignette", "--in"]);
        stdout_of(command.arg(folder.path()));
        folder
    });
    build_in(CRATE.path(), &CRATE.path().join("vignette"), options)
}

/// The permission to load the libraries that tests build.
#[expect(unsafe_code, reason = "the tests' own libraries")]
pub fn native_permission() -> Option<NativePermission> {
    // SAFETY: the source of each library is in this repository.
    Some(unsafe { NativePermission::new() })
}

/// Builds the example in C.
///
/// # Panics
///
/// If no clang is installed that builds for WebAssembly.
pub fn module_in_c() -> PathBuf {
    let module = modules().path().join("halftone.wasm");
    let source = examples().join("halftone-c/halftone.c");
    let compilers = ["clang", "clang-22"];
    let built = compilers.iter().any(|clang| {
        Command::new(clang)
            .args("--target=wasm32 -O3 -msimd128 -nostdlib -Wl,--no-entry -o".split(' '))
            .args([&module, &source])
            .output()
            .is_ok_and(|output| output.status.success())
    });
    assert!(
        built,
        "no installed clang builds for WebAssembly: apt-get install clang-22 lld-22"
    );
    module
}

/// Assembles the example in text.
///
/// # Panics
///
/// If it is not valid.
pub fn module_in_text() -> PathBuf {
    let module = modules().path().join("channel-swap.wasm");
    let bytes = wat::parse_file(examples().join("channel-swap/channel-swap.wat"));
    fs::write(&module, bytes.expect("the example is valid")).expect("the folder exists");
    module
}

/// Runs `faa-runtime plugin build` on a crate's folder, and returns the path of the plugin.
///
/// # Panics
///
/// If it fails.
pub fn build_in(out: &Path, folder: &Path, options: &[&str]) -> PathBuf {
    // The tests of a program run in parallel, but two builds would write the same files.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock();
    let mut command = faa_runtime();
    command.args(["plugin", "build"]).arg(folder).args(options);
    command.arg("--out").arg(out);
    let printed = stdout_of(&mut command);
    let (file, _) = printed
        .rsplit_once(" (")
        .expect("the path of the plugin is printed");
    file.into()
}

fn modules() -> &'static TempDir {
    static MODULES: LazyLock<TempDir> = LazyLock::new(new_folder);
    &MODULES
}

fn new_folder() -> TempDir {
    tempfile::tempdir().expect("temporary folders can be created")
}

fn examples() -> PathBuf {
    root().join("examples/plugins")
}
