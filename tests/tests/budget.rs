//! The size that the executor adds to a program, and that the ops need no `std`.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use cargo_metadata::Message;
use faa_tests::{assert_contains, cargo, example_of_tests, profile_folder, root, stdout_of};

/// The maximum number of bytes that the executor with all built-in ops may add to a stripped program.
const MAX_ADDED: u64 = 1_000_000;

#[test]
fn the_executor_adds_less_than_a_megabyte_to_a_stripped_program() {
    let programs = ["empty", "executor"].map(stripped);
    let [without, with] = [0, 1].map(|index| fs::metadata(&programs[index]).unwrap().len());
    let added = with - without;
    println!("{added} bytes: {with} with the executor, {without} without");

    // The program that is measured does apply policies, with all ops that they name.
    let policy = root().join("policies/autoaugment-cifar10.json");
    let mut command = Command::new(&programs[1]);
    command.stdin(fs::File::open(policy).unwrap());
    let pixels = faa_tests::run(&mut command).stdout;
    assert_eq!(pixels.len(), 32 * 32 * 3);
    assert!(added > 50_000, "only {added} bytes");
    assert!(added < MAX_ADDED, "{added} bytes");

    // The linker drops the shipped policies from a program that names none.
    let program = fs::read(&programs[1]).unwrap();
    let holds = |text: &str| {
        program
            .windows(text.len())
            .any(|bytes| bytes == text.as_bytes())
    };
    assert!(holds("sub_policies") && !holds("cifar10-jpeg-wrn-40-2"));
}

/// The path of an example of this package, stripped of symbols.
fn stripped(example: &str) -> PathBuf {
    let built = example_of_tests(example);
    let stripped = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(example);
    stdout_of(Command::new("strip").arg("-o").args([&stripped, &built]));
    stripped
}

/// A crate with its own panic handler cannot be compiled together with `std`, because the compiler refuses
/// two panic handlers. If it compiles, neither the ops nor their dependencies use `std`. Unlike a build
/// for bare metal, this needs no further target to be installed.
#[test]
fn the_ops_need_no_std() {
    let libraries = libraries("faa-policy");
    let ops = "use faa_op as _; use faa_ops_builtin as _;";
    let (compiled, errors) = compile_with_own_panic_handler(ops, &libraries);
    assert!(compiled, "{errors}");

    // With a crate that needs `std`, it does not compile.
    let (compiled, errors) = compile_with_own_panic_handler("use faa_policy as _;", &libraries);
    assert!(!compiled);
    assert_contains(&errors, &["E0152", "panic_impl"]);
}

/// Builds a package, and returns the paths of its library and of its dependencies' libraries, by name.
fn libraries(package: &str) -> BTreeMap<String, PathBuf> {
    let arguments = ["build", "--quiet", "--package", package];
    let messages = stdout_of(cargo(&arguments).arg("--message-format=json"));
    let messages = Message::parse_stream(BufReader::new(messages.as_bytes()));
    let mut found = BTreeMap::new();
    for message in messages {
        let Message::CompilerArtifact(artifact) = message.unwrap() else {
            continue;
        };
        let library = (artifact.filenames.iter()).find(|file| file.extension() == Some("rlib"));
        if let Some(library) = library {
            found.insert(artifact.target.name.clone(), library.into());
        }
    }
    found
}

/// Whether a crate with these imports compiles, and the compiler's messages.
fn compile_with_own_panic_handler(
    uses: &str,
    libraries: &BTreeMap<String, PathBuf>,
) -> (bool, String) {
    let source = format!(
        "#![no_std] {uses} \
         #[panic_handler] fn panic(_: &core::panic::PanicInfo<'_>) -> ! {{ loop {{}} }}"
    );
    let folder = tempfile::tempdir().unwrap();
    let mut dependencies = OsString::from("dependency=");
    dependencies.push(profile_folder().join("deps"));
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(rustc);
    command
        .args("--edition 2024 --crate-type rlib --crate-name alone -".split(' '))
        .arg("--out-dir")
        .arg(folder.path())
        .arg("-L")
        .arg(dependencies);
    for name in ["faa_op", "faa_ops_builtin", "faa_policy"] {
        let library = libraries[name].display();
        command.args(["--extern", &format!("{name}={library}")]);
    }
    command.stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut compiler = command.spawn().unwrap();
    let mut input = compiler.stdin.take().unwrap();
    input.write_all(source.as_bytes()).unwrap();
    drop(input);
    let output = compiler.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.success(), errors)
}
