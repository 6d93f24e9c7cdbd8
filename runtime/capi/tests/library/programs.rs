//! Programs in C and C++ give Rust's bytes, stay within their images, and free what they are given.

use std::collections::BTreeSet;
use std::fs;

use crate::compile::{Link, Program, compiler, package};
use crate::reference::{digests, target_digests};

#[test]
fn c_gives_the_digests_of_rust_in_all_layouts_and_two_threads() {
    let expected = digests();
    assert!(expected.lines().count() > 200);
    for link in [Link::Shared, Link::Static] {
        let printed = Program::new("tests/c/digests.c", link, &[]).run(&[]);
        assert!(printed == expected, "{printed}\n\n{expected}");
    }
}

#[test]
fn targets_in_c_give_the_digests_of_rust_in_all_kinds_of_memory() {
    let expected = target_digests();
    assert!(expected.lines().count() > 50);
    let printed = Program::new("tests/c/targets.c", Link::Shared, &[]).run(&[]);
    assert!(printed == expected, "{printed}\n\n{expected}");
}

#[test]
fn cpp_gives_the_digests_of_rust() {
    let (expected, printed) = (
        digests(),
        Program::new("tests/c/classes.cpp", Link::Shared, &[]).run(&[]),
    );
    let expected: BTreeSet<_> = expected.lines().collect();
    let printed: BTreeSet<_> = printed.lines().collect();
    assert!(printed.len() >= 20, "{printed:?}");
    assert!(printed.is_subset(&expected), "{printed:?}");
}

#[test]
fn no_fields_of_images_make_a_call_touch_anything_outside() {
    let program = Program::new("tests/c/bounds.c", Link::Shared, &[]);
    for seed in 1..=4 {
        println!("{}", program.run(&[&seed.to_string(), "4000"]));
    }
}

#[test]
fn no_fields_of_masks_make_a_call_touch_anything_outside() {
    let program = Program::new("tests/c/mask_bounds.c", Link::Shared, &[]);
    for seed in 1..=4 {
        println!("{}", program.run(&[&seed.to_string(), "4000"]));
    }
}

/// Leaks of memory are found, too, so what the library gives away is freed by its functions.
#[test]
fn sanitizers_find_nothing() {
    const FLAGS: &[&str] = &["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("probe.c");
    fs::write(&source, "int main(void) { return 0; }\n").unwrap();
    let mut probe = compiler(&source);
    let probe = probe.args(FLAGS).arg(&source).arg("-o");
    let probed = probe.arg(folder.path().join("probe")).output().unwrap();
    if !probed.status.success() {
        println!("skipped: the compiler has no AddressSanitizer");
        return;
    }
    Program::new("tests/c/digests.c", Link::Shared, FLAGS).run(&[]);
    Program::new("tests/c/classes.cpp", Link::Shared, FLAGS).run(&[]);
    Program::new("tests/c/targets.c", Link::Shared, FLAGS).run(&[]);
    Program::new("tests/c/bounds.c", Link::Shared, FLAGS).run(&["5", "2000"]);
    Program::new("tests/c/mask_bounds.c", Link::Shared, FLAGS).run(&["5", "2000"]);
    Program::new("examples/loader.c", Link::Shared, FLAGS).run(&["--threads", "3"]);
}

#[test]
fn the_loader_s_digest_does_not_depend_on_threads() {
    let program = Program::new("examples/loader.c", Link::Shared, &[]);
    let run = |threads: &str| program.run(&["--epochs", "3", "--threads", threads]);
    let expected = run("1");
    assert!(expected.starts_with("768 images, digest "), "{expected}");
    for threads in ["2", "5"] {
        assert_eq!(run(threads), expected);
    }
    let other = program.run(&["--epochs", "3", "--seed", "2"]);
    assert_ne!(other, expected);

    // Files, and a policy from one.
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (color, grey, policy) = (path("color.ppm"), path("grey.pgm"), path("policy.json"));
    fs::write(
        &color,
        [&b"P6\n# a comment\n2 3\n255\n"[..], &[9; 18]].concat(),
    )
    .unwrap();
    fs::write(&grey, [&b"P5 3 2 255 "[..], &[9; 6]].concat()).unwrap();
    let json = r#"{"format": "faa-policy", "version": 1, "name": "inverting", "sub_policies": [
        [{"op": "Invert", "probability": 1}]]}"#;
    fs::write(&policy, json).unwrap();
    let printed = program.run(&["--policy", &policy, &color, &grey]);
    assert!(printed.starts_with("2 images, digest "), "{printed}");

    fs::write(&grey, "P5 3 2 255 ").unwrap();
    fs::write(&policy, json.replace("1}", "1.5}")).unwrap();
    for (arguments, message) in [
        (["--policy", "randaugment", &grey], "cannot read "),
        (
            ["--policy", &policy, &color],
            ": sub_policies[0][0].probability: ",
        ),
        (
            ["--policy", "randaugmented", &color],
            "did you mean `randaugment`?",
        ),
    ] {
        let output = program.command(&arguments).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn the_examples_of_the_readme_run() {
    let readme = fs::read_to_string(package().join("README.md")).unwrap();
    for (language, extension) in [("```c\n", "c"), ("```cpp\n", "cpp")] {
        let mut examples = readme.split(language).skip(1).peekable();
        assert!(examples.peek().is_some(), "no example in {extension}");
        for example in examples {
            let (text, _) = example.split_once("```").unwrap();
            println!("{}", Program::of_text(text, extension).run(&[]));
        }
    }
}

#[cfg(feature = "plugins")]
#[test]
fn plugins_are_ops_of_policies() {
    // The example for authors of plugins.
    let page = fs::read_to_string(package().join("../../plugin-sdk/ABI.md")).unwrap();
    let (_, rest) = page.split_once("```wat\n").unwrap();
    let module = wat::parse_str(rest.split_once("```").unwrap().0).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let plugins = folder.path().join("plugins");
    fs::create_dir(&plugins).unwrap();
    fs::write(plugins.join("flicker.wasm"), module).unwrap();
    fs::write(plugins.join("broken.wasm"), "no module").unwrap();
    let program = Program::new("tests/c/plugins.c", Link::Shared, &[]);
    let mut command = program.command(&[plugins.to_str().unwrap()]);
    crate::compile::successful(command.env("FAA_CACHE_DIR", folder.path().join("cache")));
}
