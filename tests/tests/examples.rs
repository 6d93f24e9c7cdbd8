//! The programs of the folder `examples`, run as users do.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use faa_tests::workdir::{POLICY, Workdir};
use faa_tests::{assert_contains, assert_fails, example, output_of, stdout_of, write_image};

/// A folder with seven images of several sizes, in two classes.
fn pets() -> Workdir {
    let folder = Workdir::empty();
    for number in 0..7 {
        let class = ["cats", "dogs"][number as usize % 2];
        let path = folder.join(format!("{class}/{number}.png"));
        write_image(&path, 40 + 9 * (number % 3), 40, number);
    }
    folder
}

fn embed_pipeline(folder: &Workdir, arguments: &[&str]) -> Command {
    let mut command = example("embed-pipeline");
    command
        .arg(folder.path())
        .args(["--size", "32", "--batch", "3"])
        .args(arguments);
    command
}

/// The lines that were printed, without numbers of threads and rates, with which each must end.
fn without_rates(printed: &str) -> Vec<String> {
    let line = |line: &str| {
        let (start, end) = line.rsplit_once(", ").unwrap();
        assert!(
            end.ends_with(" images/s") || end.ends_with(" threads"),
            "{line}"
        );
        start.to_owned()
    };
    printed.lines().map(line).collect()
}

#[test]
fn the_loader_gives_the_same_batches_on_any_number_of_threads() {
    let folder = pets();
    let printed = |threads: &str| {
        let arguments = ["--epochs", "2", "--threads", threads];
        without_rates(&stdout_of(&mut embed_pipeline(&folder, &arguments)))
    };
    let one = printed("1");
    assert_eq!(one[0], "7 files, 2 classes");
    assert_eq!(one.len(), 3);
    assert!(one[1].starts_with("epoch 0: 7 images in 3 batches, mean "));
    let mean = |line: &str| line.rsplit_once(' ').unwrap().1.to_owned();
    assert_ne!(mean(&one[1]), mean(&one[2]));
    assert_eq!(printed("4"), one);

    let other_seed = ["--epochs", "2", "--seed", "1"];
    let other_seed = stdout_of(&mut embed_pipeline(&folder, &other_seed));
    assert_ne!(without_rates(&other_seed), one);
}

#[test]
fn the_loader_names_unreadable_files_and_reads_policies_from_files() {
    let folder = pets();
    folder.write("dogs/broken.png", "no image");
    folder.write("policy.json", POLICY);
    let policy = folder.join("policy.json");
    let arguments = ["--policy", policy.to_str().unwrap(), "--epochs", "2"];
    let [printed, errors] = output_of(&mut embed_pipeline(&folder, &arguments));
    assert_contains(&printed, &["epoch 1: 7 images in"]);
    assert_contains(&errors, &["broken.png"]);
    assert_eq!(errors.lines().count(), 1, "{errors}");

    let unknown = &mut embed_pipeline(&folder, &["--policy", "unknown"]);
    assert_fails(
        unknown,
        1,
        &["unknown is neither a shipped policy nor a file"],
    );
}

#[test]
fn one_core_augments_images_from_input_to_output() {
    let image = |level: u8| {
        let header = b"P6\n16 8\n255\n".to_vec();
        let levels = (0..16 * 8 * 3).map(|index| level.wrapping_add(index as u8));
        header.into_iter().chain(levels).collect::<Vec<_>>()
    };
    let (first, second) = (image(3), image(90));
    let both = [first.clone(), second].concat();
    let output = single_core("5", &both);
    assert!(output.status.success());
    assert_eq!(output.stdout.len(), both.len());
    assert_ne!(output.stdout, both);
    // A result does not depend on later images, and different seeds give different results.
    let alone = single_core("5", &first).stdout;
    assert_eq!(alone, output.stdout[..first.len()]);
    let others = (0..8).map(|seed| single_core(&seed.to_string(), &first).stdout);
    let others: BTreeSet<_> = others.collect();
    assert!(others.len() > 2, "{} different results", others.len());

    let cut = single_core("5", &first[..40]);
    assert!(!cut.status.success());
    assert!(String::from_utf8_lossy(&cut.stderr).starts_with("single-core: "));
}

fn single_core(seed: &str, input: &[u8]) -> Output {
    let mut program = example("single-core")
        .arg(seed)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = program.stdin.take().unwrap();
    stdin.write_all(input).unwrap();
    drop(stdin);
    program.wait_with_output().unwrap()
}
