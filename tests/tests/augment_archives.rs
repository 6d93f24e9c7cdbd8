//! `faa-runtime augment --out tar:FILE`: the same files in one archive.

use std::fs;

use faa_tests::pets::{augment, images, pack, pets, tree, unpacked};
use faa_tests::workdir::Workdir;
use faa_tests::{assert_all_fail, assert_contains, assert_fails, output_of, stdout_of};

const COMMAND: &str = "--data folder:pets --copies 2 --keep --out";

/// While it is written, the manifest is beside it.
const BESIDE: &str = "out.tar.manifest.jsonl";

#[test]
fn an_archive_has_what_the_folder_has_for_any_number_of_threads() {
    let folder = pets();
    stdout_of(&mut augment(&folder, &format!("{COMMAND} out")));
    let [_, errors] = output_of(&mut augment(&folder, &format!("{COMMAND} tar:new/out.tar")));
    assert_contains(&errors, &["wrote 11 files to tar:new/out.tar"]);
    assert!(unpacked(&folder, "new/out.tar") == tree(&folder, "out"));
    // Nothing is beside it.
    assert_eq!(fs::read_dir(folder.join("new")).unwrap().count(), 1);
    let whole = fs::read(folder.join("new/out.tar")).unwrap();
    for threads in [1, 7] {
        let command = format!("{COMMAND} tar:{threads}.tar --threads {threads}");
        stdout_of(&mut augment(&folder, &command));
        assert!(fs::read(folder.join(format!("{threads}.tar"))).unwrap() == whole);
    }
    // It is a data set.
    let [_, errors] = output_of(&mut augment(&folder, "--data tar:new/out.tar --out again"));
    assert!(!errors.contains("warning"), "{errors}");
    assert_eq!(images(&folder, "again").len(), 9);
    // The same command has nothing to do.
    let [_, errors] = output_of(&mut augment(&folder, &format!("{COMMAND} tar:new/out.tar")));
    assert_contains(
        &errors,
        &["wrote no files to tar:new/out.tar (11 already there)"],
    );
    assert!(fs::read(folder.join("new/out.tar")).unwrap() == whole);
    assert_eq!(fs::read_dir(folder.join("new")).unwrap().count(), 1);
}

/// Long names take several headers; images that mix are read from their own archive.
#[test]
fn names_and_sources_of_all_kinds() {
    let folder = pets();
    let long = format!("pets/train/cats/{}.bmp", "x".repeat(200));
    fs::copy(folder.join("pets/train/cats/felix.bmp"), folder.join(long)).unwrap();
    folder.write("pets/train/dogs/broken.png", "no image");
    pack(&folder);
    let command = "--data tar:pets.tar --skip-unreadable --out";
    stdout_of(&mut augment(&folder, &format!("{command} out")));
    stdout_of(&mut augment(&folder, &format!("{command} tar:out.tar")));
    assert!(unpacked(&folder, "out.tar") == tree(&folder, "out"));
}

/// An archive and a manifest that were cut anywhere, as by a kill or a power cut.
#[test]
fn an_archive_that_was_cut_anywhere_continues_to_the_same_bytes() {
    let folder = pets();
    let command = format!("{COMMAND} tar:out.tar");
    stdout_of(&mut augment(&folder, &command));
    let whole = fs::read(folder.join("out.tar")).unwrap();
    let manifest = unpacked(&folder, "out.tar")["manifest.jsonl"].clone();
    let header = manifest.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let lines = (header..manifest.len())
        .step_by(397)
        .chain([manifest.len()]);
    for (number, line) in lines.enumerate() {
        for cut in [
            0,
            number * 1031 % whole.len(),
            whole.len() * 2 / 3,
            whole.len(),
        ] {
            fs::write(folder.join("out.tar"), &whole[..cut]).unwrap();
            fs::write(folder.join(BESIDE), &manifest[..line]).unwrap();
            stdout_of(&mut augment(&folder, &command));
            assert!(
                fs::read(folder.join("out.tar")).unwrap() == whole,
                "{line} {cut}"
            );
            assert!(!folder.join(BESIDE).exists());
        }
    }
    // Content that a power cut has taken is written again.
    let mut zeros = whole.clone();
    zeros[whole.len() / 2..].fill(0);
    fs::write(folder.join("out.tar"), zeros).unwrap();
    fs::write(folder.join(BESIDE), &manifest).unwrap();
    stdout_of(&mut augment(&folder, &command));
    assert!(fs::read(folder.join("out.tar")).unwrap() == whole);
}

#[test]
fn what_would_be_overwritten_is_refused() {
    let folder = pets();
    pack(&folder);
    let command = "--data folder:pets --copies 2 --out tar:out.tar";
    stdout_of(&mut augment(&folder, command));
    let whole = fs::read(folder.join("out.tar")).unwrap();
    let mine = |folder: &Workdir| fs::read(folder.join("mine.tar")).unwrap();
    fs::copy(folder.join("pets.tar"), folder.join("mine.tar")).unwrap();
    folder.write("text.tar", "no archive");
    fs::create_dir(folder.join("folder.tar")).unwrap();
    let cases = "
        1 --data folder:pets --out tar:mine.tar => mine.tar exists, and was not written by this command
        1 --data folder:pets --out tar:text.tar => text.tar exists, and was not written by this command
        1 --data folder:pets --out tar:folder.tar => folder.tar is not a file
        1 --data folder:pets --copies 3 --out tar:out.tar => copies was 2 and is 3
        2 --data folder:pets --out tar:pets/new.tar => is in the data set
        2 --data tar:pets.tar --out tar:pets.tar => is in the data set
        2 --data folder:pets --out tar:new.tar.gz => archives are not compressed
        2 --data folder:pets --out tar: => names no file
    ";
    assert_all_fail(|arguments| augment(&folder, arguments), cases);
    assert!(mine(&folder) == fs::read(folder.join("pets.tar")).unwrap());
    assert!(fs::read(folder.join("out.tar")).unwrap() == whole);
    for name in ["mine.tar", "text.tar", "out.tar", "pets.tar"] {
        assert!(!folder.join(format!("{name}.manifest.jsonl")).exists());
    }

    // A different archive in its place, while the manifest is beside it, is not cut.
    let manifest = unpacked(&folder, "out.tar")["manifest.jsonl"].clone();
    let header = manifest.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for length in [header, manifest.len()] {
        fs::copy(folder.join("pets.tar"), folder.join("out.tar")).unwrap();
        fs::write(folder.join(BESIDE), &manifest[..length]).unwrap();
        let other = &mut augment(&folder, command);
        assert_fails(other, 1, &["which this command has not written"]);
        assert!(
            fs::read(folder.join("out.tar")).unwrap() == fs::read(folder.join("pets.tar")).unwrap()
        );
    }
    fs::remove_file(folder.join(BESIDE)).unwrap();

    // Nor is one that someone has added to.
    let mut builder = tar::Builder::new(whole[..whole.len() - 1024].to_vec());
    builder
        .append_path_with_name(folder.join("policy.json"), "policy.json")
        .unwrap();
    let added = builder.into_inner().unwrap();
    fs::write(folder.join("out.tar"), &added).unwrap();
    assert_fails(
        &mut augment(&folder, command),
        1,
        &["has files that were added to it"],
    );
    assert!(fs::read(folder.join("out.tar")).unwrap() == added);

    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("mine.tar", folder.join("link.tar")).unwrap();
        let linked = &mut augment(&folder, "--data folder:pets --out tar:link.tar");
        assert_fails(linked, 1, &["link.tar is not a file"]);
    }
}

#[test]
fn a_skipped_image_is_tried_again_in_an_archive_too() {
    let folder = pets();
    let path = folder.join("pets/train/cats/felix.bmp");
    let content = fs::read(&path).unwrap();
    fs::write(&path, "no image").unwrap();
    let command = "--data folder:pets --copies 2 --skip-unreadable --out tar:out.tar";
    stdout_of(&mut augment(&folder, command));
    fs::write(&path, content).unwrap();
    let [_, errors] = output_of(&mut augment(&folder, command));
    assert_contains(&errors, &["felix.bmp was skipped and has changed"]);
    stdout_of(&mut augment(
        &folder,
        &command.replace("out.tar", "whole.tar"),
    ));
    let [out, whole] = ["out.tar", "whole.tar"].map(|name| fs::read(folder.join(name)).unwrap());
    assert!(out == whole);
}

/// Partners of a data set in an archive are spooled beside the new one; many copies of one image are made on
/// several threads.
#[test]
fn many_copies_of_few_images_are_those_of_one_thread() {
    let folder = pets();
    for threads in [1, 3] {
        for out in ["many", "tar:many.tar"] {
            let arguments =
                format!("--data folder:pets/train/dogs --copies 100 --threads {threads}");
            stdout_of(&mut augment(
                &folder,
                &format!("{arguments} --out {out}{threads}"),
            ));
        }
    }
    let one = tree(&folder, "many1");
    assert_eq!(one.len(), 101);
    assert!(one == tree(&folder, "many3"));
    assert!(one == unpacked(&folder, "many.tar1") && one == unpacked(&folder, "many.tar3"));
}
