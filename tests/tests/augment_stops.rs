//! `faa-runtime augment`: interruptions, and what is refused.

use std::fs;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use faa_tests::pets::{augment, images, lines, pack, pets, tree};
use faa_tests::workdir::{POLICY, Workdir};
use faa_tests::{
    assert_all_fail, assert_contains, assert_fails, output_of, stdout_of, write_image,
};

/// Whatever a kill has left: files without lines, half a line, half of an image's lines, half a file.
#[test]
fn a_command_that_was_cut_anywhere_continues_to_the_same_files() {
    let folder = pets();
    let command = "--data folder:pets --copies 2 --keep --out out";
    stdout_of(&mut augment(&folder, command));
    let whole = tree(&folder, "out");
    let manifest = whole["manifest.jsonl"].clone();
    let header = manifest.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let cuts = (header..manifest.len())
        .step_by(301)
        .chain([manifest.len()]);
    for (number, cut) in cuts.enumerate() {
        fs::write(folder.join("out/manifest.jsonl"), &manifest[..cut]).unwrap();
        folder.write("out/train/cats/.partial-x1", "half a");
        let images = images(&folder, "out");
        let lost = &images[number % images.len()];
        match number % 3 {
            0 => fs::remove_file(folder.join("out").join(lost)).unwrap(),
            // A power cut.
            1 => fs::write(folder.join("out").join(lost), "").unwrap(),
            // A kill while it was written, which its line would have followed.
            _ if !String::from_utf8_lossy(&manifest[..cut]).contains(lost.as_str()) => {
                let content = whole.get(lost).map_or(&[][..], |it| &it[..it.len() / 2]);
                fs::write(folder.join("out").join(lost), content).unwrap();
            }
            _ => {}
        }
        stdout_of(&mut augment(&folder, command));
        assert!(tree(&folder, "out") == whole, "cut at {cut}");
    }
    // Without a header, nothing was begun.
    fs::remove_dir_all(folder.join("out")).unwrap();
    folder.write("out/.partial-x1", "{\"copies\"");
    stdout_of(&mut augment(&folder, command));
    assert!(tree(&folder, "out") == whole);
}

/// A data set whose second half is unreadable: without a reader of its events, the command waits within it.
fn half_unreadable() -> Workdir {
    let folder = pets();
    for number in 0..1200 {
        folder.write(&format!("pets/train/dogs/z{number:04}.png"), "x");
    }
    folder
}

const HALF: &str = "--data folder:pets --copies 3 --skip-unreadable --json --out";

/// Starts the command on half-unreadable data, and returns once it is within the unreadable half.
fn start(folder: &Workdir, out: &str) -> Child {
    let mut command = augment(folder, &format!("{HALF} {out}"));
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let manifest = folder.join(out).join("manifest.jsonl");
    // The limit is generous, because the machine may be busy.
    let deadline = Instant::now() + Duration::from_secs(120);
    while fs::read(&manifest)
        .unwrap_or_default()
        .split(|byte| *byte == b'\n')
        .count()
        < 60
    {
        assert!(Instant::now() < deadline, "the manifest does not grow");
        thread::sleep(Duration::from_millis(1));
    }
    child
}

#[cfg(unix)]
#[test]
fn a_killed_command_continues() {
    let folder = half_unreadable();
    stdout_of(&mut augment(&folder, &format!("{HALF} whole")));
    let mut child = start(&folder, "killed");
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().code(), None);
    let count = lines_until_torn(&folder.read("killed/manifest.jsonl"));
    assert!(count < 1209, "it was not killed in the middle");
    stdout_of(&mut augment(&folder, &format!("{HALF} killed")));
    assert!(tree(&folder, "killed") == tree(&folder, "whole"));
}

fn lines_until_torn(manifest: &str) -> usize {
    manifest.matches('\n').count() - 1
}

/// By SIGTERM, which is handled as Ctrl-C is: shells have programs in the background ignore SIGINT.
#[cfg(unix)]
#[test]
fn a_stopped_command_continues() {
    let folder = half_unreadable();
    stdout_of(&mut augment(&folder, &format!("{HALF} whole")));
    let mut child = start(&folder, "out");
    // A second process is refused.
    let second = &mut augment(&folder, &format!("{HALF} out"));
    assert_fails(second, 1, &["out is in use by another process"]);
    let kill = Command::new("kill")
        .args(["-s", "TERM", &child.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    let mut errors = child.stderr.take().unwrap();
    let mut heard = Vec::new();
    while !heard.ends_with(b"stopping; press Ctrl-C again to quit immediately\n") {
        let mut byte = [0];
        errors.read_exact(&mut byte).unwrap();
        heard.push(byte[0]);
    }
    // Only now are its events read, so that it goes on.
    let reader = child.stdout.take().unwrap();
    thread::spawn(move || std::io::copy(&mut { reader }, &mut std::io::sink()));
    let mut rest = String::new();
    errors.read_to_string(&mut rest).unwrap();
    assert!(
        rest.ends_with("stopped; the same command continues\n"),
        "{rest}"
    );
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(lines(&folder, "out").len() < 1209);
    stdout_of(&mut augment(&folder, &format!("{HALF} out")));
    assert!(tree(&folder, "out") == tree(&folder, "whole"));
}

#[test]
fn other_options_are_refused_and_so_is_what_would_be_overwritten() {
    let folder = pets();
    let command = "--data folder:pets --copies 2 --out out";
    stdout_of(&mut augment(&folder, command));
    let whole = tree(&folder, "out");
    folder.write("strange/file", "untrusted");
    let cases = "
        1 --data folder:pets --copies 3 --out out => copies was 2 and is 3
        1 --data folder:pets --copies 2 --seed 1 --out out => seed was 0 and is 1
        1 --data folder:pets --copies 2 --keep --out out => keep was false and is true
        1 --data folder:pets --copies 2 --split all --out out => split was \"train\" and is \"all\"
        1 --data folder:pets --copies 2 --format webp --out out => encoding was \"png\" and is \"webp\"
        1 --data folder:pets/train --copies 2 --out out => listing differs
        1 --data folder:pets --out strange => strange is not empty, and was not begun by this command
        2 --data folder:pets --out pets/more => --out pets/more is in the data set
        2 --data folder:pets --out pets => --out pets is in the data set
        2 --data folder:pets --quality 5 --out new => --quality is that of JPEG
        2 --data folder:pets --format webp --quality 5 --out new => without loss
        2 --data folder:pets --format jpeg --quality 101 --out new => must be a number from 1 to 100
        2 --data folder:pets --copies 0 --out new => must be a number from 1 to 10000
        2 --data folder:pets/train --split train --out new => has no splits: omit --split
        1 --data folder:nowhere --out new => is not a folder
        1 --data glyphs --out new => has no image files; give `folder:DIR`, `tar:FILE`
    ";
    assert_all_fail(|arguments| augment(&folder, arguments), cases);
    let other = format!("augment --policy trivialaugment-wide {command}");
    assert_fails(&mut folder.faa_runtime(&other), 1, &["policy differs"]);
    assert!(tree(&folder, "out") == whole);
    assert!(!folder.join("new").exists());

    // A file that was edited is not overwritten, whether it has a line or not.
    folder.write("out/train/cats/tom-1.png", "edited");
    assert_fails(
        &mut augment(&folder, command),
        1,
        &["tom-1.png is not as it was written"],
    );
    let header = String::from_utf8(whole["manifest.jsonl"].clone()).unwrap();
    let header = header.split_inclusive('\n').next().unwrap();
    folder.write("out/manifest.jsonl", header);
    assert_fails(
        &mut augment(&folder, command),
        1,
        &["tom-1.png exists and is different"],
    );
    assert_eq!(folder.read("out/train/cats/tom-1.png"), "edited");
    fs::remove_file(folder.join("out/train/cats/tom-1.png")).unwrap();
    stdout_of(&mut augment(&folder, command));
    assert!(tree(&folder, "out") == whole);

    // No link leads out of the folder.
    #[cfg(unix)]
    {
        fs::rename(folder.join("out/train"), folder.join("elsewhere")).unwrap();
        std::os::unix::fs::symlink("../elsewhere", folder.join("out/train")).unwrap();
        assert_fails(&mut augment(&folder, command), 1, &["out/train is a link"]);
        fs::remove_file(folder.join("out/train")).unwrap();
        fs::rename(folder.join("elsewhere"), folder.join("out/train")).unwrap();
    }

    // So is an image that has changed, and a damaged line. A data set that has moved is the same.
    let line = String::from_utf8(whole["manifest.jsonl"].clone()).unwrap();
    folder.write(
        "out/manifest.jsonl",
        line.replacen("\"copy\":1", "\"copy\":0", 1),
    );
    assert_fails(
        &mut augment(&folder, command),
        1,
        &["manifest.jsonl, line 3, is damaged"],
    );
    folder.write("out/manifest.jsonl", &line);
    fs::rename(folder.join("pets"), folder.join("moved")).unwrap();
    stdout_of(&mut augment(
        &folder,
        "--data folder:moved --copies 2 --out out",
    ));
    write_image(&folder.join("moved/train/cats/tom.png"), 9, 9, 1);
    let changed = &mut augment(&folder, "--data folder:moved --copies 2 --out out");
    assert_fails(changed, 1, &["tom.png has changed since it was augmented"]);
}

/// The first image of the training split.
const FELIX: &str = "pets/train/cats/felix.bmp";

/// Also if its length is the same, and one of its outputs must be written again.
#[test]
fn a_changed_image_is_refused() {
    for data in ["folder:pets", "tar:pets.tar"] {
        let folder = pets();
        pack(&folder);
        let command = format!("--data {data} --copies 2 --skip-unreadable --out out");
        stdout_of(&mut augment(&folder, &command));
        let mut content = fs::read(folder.join(FELIX)).unwrap();
        *content.last_mut().unwrap() ^= 1;
        fs::write(folder.join(FELIX), &content).unwrap();
        pack(&folder);
        for lost in ["out/train/cats/tom-1.png", "out/train/cats/felix-1.png"] {
            fs::remove_file(folder.join(lost)).unwrap();
            let changed = "felix.bmp has changed since it was augmented: choose a different --out";
            assert_fails(&mut augment(&folder, &command), 1, &[changed]);
        }
    }
}

/// Before its own line is there, too.
#[test]
fn a_partner_that_has_changed_is_refused() {
    let folder = Workdir::empty();
    let step = serde_json::json!({"op": "SamplePairing", "probability": 1.0, "value": 0.4});
    let policy = serde_json::json!(
        {"format": "faa-policy", "version": 1, "name": "mix", "sub_policies": [[step]]});
    folder.write("policy.json", policy.to_string());
    for number in 0..6 {
        write_image(&folder.join(format!("set/{number}.png")), 8, 8, number);
    }
    let command = "--data folder:set --copies 3 --out out";
    stdout_of(&mut augment(&folder, command));
    let found = lines(&folder, "out");
    // A kill after the lines of the first image, and a change of an image that it has mixed in.
    let partners = found[..3]
        .iter()
        .map(|it| it["partners"][0]["input"].as_str().unwrap());
    let other = partners
        .filter(|&it| it != "0.png")
        .max()
        .expect("none has a different partner");
    let manifest = folder.read("out/manifest.jsonl");
    let kept: String = manifest.split_inclusive('\n').take(4).collect();
    folder.write("out/manifest.jsonl", kept);
    write_image(&folder.join("set").join(other), 8, 8, 9);
    let changed = format!("{other} has changed since it was augmented: choose a different --out");
    assert_fails(&mut augment(&folder, command), 1, &[&changed]);
}

#[test]
fn a_skipped_image_is_tried_again_once_it_has_changed() {
    for data in ["folder:pets", "tar:pets.tar"] {
        let folder = pets();
        let content = fs::read(folder.join(FELIX)).unwrap();
        folder.write(FELIX, "no image");
        pack(&folder);
        let command = format!("--data {data} --copies 2 --skip-unreadable --out");
        stdout_of(&mut augment(&folder, &format!("{command} out")));
        let [_, errors] = output_of(&mut augment(&folder, &format!("{command} out")));
        assert_contains(&errors, &["wrote no files to out (4 already there)"]);
        fs::write(folder.join(FELIX), content).unwrap();
        pack(&folder);
        let [_, errors] = output_of(&mut augment(&folder, &format!("{command} out")));
        assert_contains(&errors, &["felix.bmp was skipped and has changed"]);
        stdout_of(&mut augment(&folder, &format!("{command} whole")));
        assert!(tree(&folder, "out") == tree(&folder, "whole"));
    }
}

#[test]
fn files_that_are_written_again_are_counted_as_written() {
    let folder = pets();
    let command = "--data folder:pets --copies 2 --out out";
    stdout_of(&mut augment(&folder, command));
    fs::remove_file(folder.join("out/train/cats/tom-1.png")).unwrap();
    // What is not a file is no incomplete file.
    fs::create_dir(folder.join("out/train/cats/.partial-z")).unwrap();
    let [_, errors] = output_of(&mut augment(&folder, command));
    assert_contains(&errors, &["wrote 1 file to out (5 already there)"]);
}

/// Nothing outside of the output folder is written.
#[cfg(unix)]
#[test]
fn a_manifest_that_is_a_link_is_refused() {
    let folder = pets();
    let command = "--data folder:pets --copies 2 --out";
    stdout_of(&mut augment(&folder, &format!("{command} other")));
    let manifest = folder.read("other/manifest.jsonl");
    folder.write("other/manifest.jsonl", &manifest[..manifest.len() - 9]);
    let other = tree(&folder, "other");
    fs::create_dir(folder.join("out")).unwrap();
    std::os::unix::fs::symlink("../other/manifest.jsonl", folder.join("out/manifest.jsonl"))
        .unwrap();
    let linked = &mut augment(&folder, &format!("{command} out"));
    assert_fails(linked, 1, &["out/manifest.jsonl is a link"]);
    assert!(tree(&folder, "other") == other);
}

#[test]
fn without_its_first_line_a_manifest_is_of_no_use() {
    let folder = pets();
    let command = "--data folder:pets --out out";
    stdout_of(&mut augment(&folder, command));
    let manifest = folder.read("out/manifest.jsonl");
    assert!(
        manifest
            .lines()
            .next()
            .unwrap()
            .contains(&format!("\"program\":\"{}+", env!("CARGO_PKG_VERSION")))
    );
    for damaged in ["", &manifest[..99], &manifest.replacen("seed", "sead", 1)] {
        folder.write("out/manifest.jsonl", damaged);
        let advice = "choose a different --out";
        assert_fails(
            &mut augment(&folder, command),
            1,
            &["manifest.jsonl", advice],
        );
    }
}

/// Within the copies of an image, too.
#[cfg(unix)]
#[test]
fn a_stop_does_not_wait_for_all_copies() {
    let folder = pets();
    write_image(&folder.join("set/x.png"), 256, 256, 1);
    let mut command = augment(&folder, "--data folder:set --copies 10000 --out out");
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    // The limit is generous, because the machine may be busy.
    let deadline = Instant::now() + Duration::from_secs(120);
    while !folder.join("out/x-9.png").exists() {
        assert!(Instant::now() < deadline, "nothing is written");
        thread::sleep(Duration::from_millis(1));
    }
    let kill = Command::new("kill")
        .args(["-s", "TERM", &child.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    let mut errors = String::new();
    let mut stderr = child.stderr.take().unwrap();
    stderr.read_to_string(&mut errors).unwrap();
    assert_contains(&errors, &["stopped; the same command continues"]);
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let written = images(&folder, "out").len();
    assert!(written < 10_000, "all copies were written");
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_cannot_be_written_are_told_with_advice() {
    use std::os::unix::ffi::OsStrExt;
    let folder = pets();
    write_image(&folder.join("long").join("x".repeat(250) + ".png"), 4, 4, 1);
    let long = &mut augment(&folder, "--data folder:long --out out");
    assert_fails(long, 1, &["its name is too long: rename the image"]);
    let name = std::ffi::OsStr::from_bytes(b"x\xFF.png");
    fs::create_dir(folder.join("bytes")).unwrap();
    if fs::write(folder.join("bytes").join(name), "").is_ok() {
        let bytes = &mut augment(&folder, "--data folder:bytes --out bytes-out");
        assert_fails(bytes, 1, &["bytes/x", "not UTF-8"]);
    }
}

#[test]
fn names_that_clash_are_refused() {
    for (names, options, parts) in [
        (
            ["a/x.png", "a/x.bmp"],
            "",
            ["a/x.png", "would both be written to a/x-0.png"],
        ),
        (
            ["a/x.png", "a/X.bmp"],
            "",
            ["a/X.bmp", "would both be written to a/"],
        ),
        (
            ["a/x.png", "A/y.png"],
            "",
            ["a", "would be one on some systems"],
        ),
        (
            ["a/x.png", "a/x-0.png"],
            "--keep",
            ["a/x.png", "would both be written to a/x-0.png"],
        ),
        (
            ["manifest.jsonl/x.png", "a/y.png"],
            "",
            ["manifest.jsonl", "the name of the manifest"],
        ),
    ] {
        let folder = Workdir::empty();
        folder.write("policy.json", POLICY);
        for name in names {
            write_image(&folder.join("set").join(name), 4, 4, 1);
        }
        if images(&folder, "set").len() < 2 && options.is_empty() && names[0].starts_with("a/") {
            // A file system that does not distinguish cases.
            continue;
        }
        let clash = format!("--data folder:set {options} --out out");
        assert_fails(&mut augment(&folder, &clash), 1, &parts);
        assert!(!folder.join("out").exists());
    }
    // These are different.
    let folder = Workdir::empty();
    folder.write("policy.json", POLICY);
    for name in ["x.png", "x-0.png", "x-00.png", "x-9.png"] {
        write_image(&folder.join("set/a").join(name), 4, 4, 1);
    }
    stdout_of(&mut augment(
        &folder,
        "--data folder:set --copies 2 --out out",
    ));
    assert_eq!(images(&folder, "out").len(), 8);
}
