//! `faa-runtime augment`: whole folders and tar files.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use faa_op::{Channels, DrawKey, ImageMut};
use faa_ops_builtin::builtin_ops;
use faa_policy::{Executor, Plan, Policy, Workspace};
use faa_tests::workdir::{POLICY, Workdir};
use faa_tests::{
    assert_all_fail, assert_contains, assert_fails, failure_of, json_of, output_of, stdout_of,
    write_image,
};
use image::{DynamicImage, GrayImage, ImageFormat, Luma, Rgba, RgbaImage};
use serde_json::{Value, json};

/// Two classes in both splits, in the folder `pets`, and the policy.
fn pets() -> Workdir {
    let folder = Workdir::empty();
    folder.write("policy.json", POLICY);
    for (number, name) in [
        "train/cats/tom.png",
        "train/cats/felix.bmp",
        "train/dogs/rex.png",
        "test/cats/kitty.png",
        "test/dogs/spot.png",
    ]
    .into_iter()
    .enumerate()
    {
        let number = number as u32;
        write_image(&folder.join("pets").join(name), 20 + 4 * number, 20, number);
    }
    folder
}

/// An archive `pets.tar` of the folder `pets`.
fn pack(folder: &Workdir) {
    let mut tar = tar::Builder::new(File::create(folder.join("pets.tar")).unwrap());
    tar.append_dir_all("pets", folder.join("pets")).unwrap();
    tar.finish().unwrap();
}

fn augment(folder: &Workdir, arguments: &str) -> Command {
    folder.faa_runtime(&format!("augment --policy policy.json {arguments}"))
}

/// The files below a folder, by their paths.
fn tree(folder: &Workdir, name: &str) -> BTreeMap<String, Vec<u8>> {
    fn add(root: &Path, folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                add(root, &path, found);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap();
                found.insert(name.to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    let (root, mut found) = (folder.join(name), BTreeMap::new());
    add(&root, &root, &mut found);
    found
}

/// The names of images below a folder.
fn images(folder: &Workdir, name: &str) -> Vec<String> {
    let mut names: Vec<String> = tree(folder, name).into_keys().collect();
    names.retain(|name| name != "manifest.jsonl");
    names
}

/// The lines of a manifest behind its header.
fn lines(folder: &Workdir, name: &str) -> Vec<Value> {
    let text = folder.read(&format!("{name}/manifest.jsonl"));
    let lines = text.lines().skip(1);
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn classes_and_splits_are_kept() {
    let folder = pets();
    pack(&folder);
    let [_, errors] = output_of(&mut augment(
        &folder,
        "--data folder:pets --copies 2 --out a",
    ));
    assert_contains(
        &errors,
        &[
            "images of the split test are not augmented",
            "6 files to write",
            "wrote 6 files to a",
        ],
    );
    let train = [
        "train/cats/felix-0.png",
        "train/cats/felix-1.png",
        "train/cats/tom-0.png",
        "train/cats/tom-1.png",
        "train/dogs/rex-0.png",
        "train/dogs/rex-1.png",
    ];
    assert_eq!(images(&folder, "a"), train);
    stdout_of(&mut augment(
        &folder,
        "--data tar:pets.tar --copies 2 --out b",
    ));
    let without_manifest = |name: &str| {
        let mut tree = tree(&folder, name);
        tree.remove("manifest.jsonl");
        tree
    };
    assert_eq!(without_manifest("a"), without_manifest("b"));

    stdout_of(&mut augment(
        &folder,
        "--data folder:pets --split all --out all",
    ));
    assert_eq!(images(&folder, "all").len(), 5);
    stdout_of(&mut augment(
        &folder,
        "--data folder:pets --split test --out test",
    ));
    let test = ["test/cats/kitty-0.png", "test/dogs/spot-0.png"];
    assert_eq!(images(&folder, "test"), test);

    // Without splits, and without classes.
    stdout_of(&mut augment(&folder, "--data folder:pets/train --out c"));
    let classes = ["cats/felix-0.png", "cats/tom-0.png", "dogs/rex-0.png"];
    assert_eq!(images(&folder, "c"), classes);
    stdout_of(&mut augment(
        &folder,
        "--data folder:pets/train/cats --out d",
    ));
    assert_eq!(images(&folder, "d"), ["felix-0.png", "tom-0.png"]);
}

#[test]
fn originals_are_kept_byte_for_byte_those_of_the_test_split_too() {
    let folder = pets();
    stdout_of(&mut augment(&folder, "--data folder:pets --keep --out out"));
    let (source, out) = (tree(&folder, "pets"), tree(&folder, "out"));
    assert_eq!(out.len(), 5 + 3 + 1);
    for (name, content) in source {
        assert_eq!(out[&name], content, "{name}");
    }
    // It is a data set.
    stdout_of(&mut augment(&folder, "--data folder:out --out again"));
    assert_eq!(images(&folder, "again").len(), 6);
}

/// Copy, index and seed are the key; the index is the position among the images of the split.
#[test]
fn a_draw_is_that_of_the_executor_and_of_apply() {
    let folder = pets();
    stdout_of(&mut augment(
        &folder,
        "--data folder:pets --copies 3 --seed 7 --out out",
    ));
    let order = ["cats/felix.bmp", "cats/tom.png", "dogs/rex.png"];
    let executor = Executor::builtin(&Policy::parse(POLICY.as_bytes()).unwrap()).unwrap();
    for (index, name) in (0..).zip(order) {
        let stem = name.split('.').next().unwrap();
        for epoch in 0..3 {
            let mut image = folder.pixels(&format!("pets/train/{name}"));
            let (width, height) = (image.width() as usize, image.height() as usize);
            let mut pixels = ImageMut::new(&mut image, width, height, Channels::Rgb).unwrap();
            let key = DrawKey {
                seed: 7,
                epoch,
                index,
            };
            let workspace = &mut Workspace::new();
            executor.apply(&mut pixels, key, workspace).unwrap();
            let written = folder.pixels(&format!("out/train/{stem}-{epoch}.png"));
            assert_eq!(written, image, "{stem}-{epoch}");
        }
    }
    // The first copy, to the byte, and the plans of all.
    let inputs = order.map(|name| format!("pets/train/{name}")).join(" ");
    let apply = format!("apply --policy policy.json --seed 7 {inputs} --json --out");
    stdout_of(&mut folder.faa_runtime(&format!("{apply} applied")));
    let plans = json_of(&mut folder.faa_runtime(&format!("{apply} sheets --grid 3")));
    let lines = lines(&folder, "out");
    for (index, name) in order.into_iter().enumerate() {
        let stem = name.split('.').next().unwrap();
        let file = |name: String| fs::read(folder.join(name)).unwrap();
        let base = stem.split('/').nth(1).unwrap();
        assert_eq!(
            file(format!("applied/{base}.png")),
            file(format!("out/train/{stem}-0.png"))
        );
        for copy in 0..3 {
            let line = &lines[3 * index + copy];
            assert_eq!(line["draw"], plans[index]["draws"][copy]);
            assert_eq!(line["input"], json!(format!("train/{name}")));
            assert_eq!(line["output"], json!(format!("train/{stem}-{copy}.png")));
            assert_eq!(
                [&line["copy"], &line["index"], &line["seed"]],
                [&json!(copy), &json!(index), &json!(7)]
            );
            assert_eq!(line["class"], json!(name.split('/').next().unwrap()));
        }
    }
}

#[test]
fn the_manifest_can_be_replayed() {
    let folder = pets();
    stdout_of(&mut augment(
        &folder,
        "--data folder:pets --copies 2 --format jpeg --out out",
    ));
    for line in lines(&folder, "out") {
        let text = |key: &str| line[key].as_str().unwrap();
        let plan = Plan::parse(line["draw"].to_string().as_bytes()).unwrap();
        let mut image = folder.pixels(&format!("pets/{}", text("input")));
        let (width, height) = (image.width() as usize, image.height() as usize);
        let mut pixels = ImageMut::new(&mut image, width, height, Channels::Rgb).unwrap();
        plan.replay(&builtin_ops(), &mut pixels, &mut Workspace::new())
            .unwrap();
        let mut jpeg = Vec::new();
        let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 90);
        image.write_with_encoder(encoder).unwrap();
        let written = fs::read(folder.join("out").join(text("output"))).unwrap();
        assert_eq!(written, jpeg, "{line}");
        assert_eq!(line["output_bytes"], json!(jpeg.len()));
    }
}

#[test]
fn formats_and_channels() {
    let folder = Workdir::empty();
    folder.write("policy.json", POLICY);
    let save = |name: &str, image: DynamicImage| {
        fs::create_dir_all(folder.join("set/a")).unwrap();
        image.save(folder.join("set/a").join(name)).unwrap();
    };
    save(
        "grey.png",
        GrayImage::from_fn(9, 9, |x, y| Luma([(x * 9 + y) as u8])).into(),
    );
    let alpha = RgbaImage::from_fn(9, 9, |x, y| Rgba([(x * 20) as u8, 7, 9, (y * 20) as u8]));
    save("alpha.png", alpha.into());
    write_image(&folder.join("set/a/rgb.png"), 9, 9, 1);
    let color = |format: &str, name: &str| {
        let file = folder.join(format!("{format}/a/{name}"));
        let (content, extension) = (
            fs::read(&file).unwrap(),
            file.extension().unwrap().to_owned(),
        );
        let found = image::guess_format(&content).unwrap();
        assert_eq!(Some(found), ImageFormat::from_extension(extension));
        image::load_from_memory(&content)
            .unwrap()
            .color()
            .channel_count()
    };
    for format in ["png", "jpeg", "webp"] {
        let arguments = format!("--data folder:set --format {format} --out {format}");
        let [_, errors] = output_of(&mut augment(&folder, &arguments));
        let dropped = "JPEG has no alpha; that of 1 images was dropped";
        assert_eq!(errors.contains(dropped), format == "jpeg", "{errors}");
    }
    let channels = |format, extension: &str| {
        ["grey", "alpha", "rgb"].map(|name| color(format, &format!("{name}-0.{extension}")))
    };
    assert_eq!(channels("png", "png"), [1, 4, 3]);
    assert_eq!(channels("jpeg", "jpg"), [1, 3, 3]);
    // WebP has no grey.
    assert_eq!(channels("webp", "webp"), [3, 4, 3]);
    let pixels = |name: &str| folder.pixels(name).into_raw();
    assert_eq!(pixels("png/a/rgb-0.png"), pixels("webp/a/rgb-0.webp"));

    let low = "--data folder:set --format jpeg --quality 5 --out low";
    stdout_of(&mut augment(&folder, low));
    let length = |name: &str| fs::metadata(folder.join(name)).unwrap().len();
    assert!(length("low/a/rgb-0.jpg") < length("jpeg/a/rgb-0.jpg"));
}

#[test]
fn a_policy_that_mixes_images_takes_those_of_the_split() {
    let folder = Workdir::empty();
    let step = json!({"op": "SamplePairing", "probability": 1.0, "value": 0.4});
    let policy =
        json!({"format": "faa-policy", "version": 1, "name": "mix", "sub_policies": [[step]]});
    folder.write("policy.json", policy.to_string());
    for number in 0..6 {
        let class = ["a", "b"][number as usize % 2];
        write_image(
            &folder.join(format!("pets/train/{class}/{number}.png")),
            8,
            8,
            number,
        );
    }
    write_image(&folder.join("pets/test/a/x.png"), 9, 9, 7);
    pack(&folder);
    stdout_of(&mut augment(
        &folder,
        "--data folder:pets --copies 2 --out folder",
    ));
    stdout_of(&mut augment(
        &folder,
        "--data tar:pets.tar --copies 2 --out tar",
    ));
    let order = ["a/0", "a/2", "a/4", "b/1", "b/3", "b/5"];
    let mut partners = Vec::new();
    for line in lines(&folder, "folder") {
        let partner = line["draw"]["steps"][0]["partner"].as_u64().unwrap();
        partners.push(partner);
        let [input, other] = [&line["index"].as_u64().unwrap(), &partner]
            .map(|index| folder.pixels(&format!("pets/train/{}.png", order[*index as usize])));
        let output = line["output"].as_str().unwrap();
        let mixed = folder.pixels(&format!("folder/{output}"));
        for ((mixed, a), b) in mixed.iter().zip(input.iter()).zip(other.iter()) {
            let expected = 0.6 * f64::from(*a) + 0.4 * f64::from(*b);
            assert!((f64::from(*mixed) - expected).abs() <= 1.0, "{output}");
        }
        let from_tar = folder.pixels(&format!("tar/{output}"));
        assert_eq!(from_tar, mixed);
    }
    partners.sort_unstable();
    partners.dedup();
    assert!(partners.len() > 2, "{partners:?}");

    // A draw whose partner cannot be read is skipped, and no other.
    folder.write("pets/train/b/z.png", "no image");
    let skip = "--data folder:pets --copies 9 --skip-unreadable --out skipped";
    stdout_of(&mut augment(&folder, skip));
    let found = lines(&folder, "skipped");
    let failed = found
        .iter()
        .filter(|line| line["error"].is_string())
        .count();
    assert_eq!(images(&folder, "skipped").len() + failed, 6 * 9 + 1);
    assert!(failed > 1, "no draw has this partner");
    let [_, errors] = output_of(&mut augment(&folder, skip));
    assert_contains(
        &errors,
        &[
            "wrote no files to skipped",
            &format!("cannot be read ({failed}):"),
        ],
    );
    fs::remove_file(folder.join("pets/train/b/z.png")).unwrap();

    write_image(&folder.join("pets/train/c/large.png"), 9, 8, 1);
    let sizes = "size and channels must match";
    let other = &mut augment(&folder, "--data folder:pets --copies 9 --out other");
    assert_fails(other, 1, &[sizes, "train/c/large.png is 9×8 RGB"]);
}

#[test]
fn unreadable_images_are_named() {
    let folder = pets();
    folder.write("pets/train/dogs/broken.png", "no image");
    let command = "--data folder:pets --copies 2 --out out";
    let (code, errors) = failure_of(&mut augment(&folder, command));
    assert_eq!(code, 1);
    assert_contains(
        &errors,
        &[
            "train/dogs/broken.png: its content is of no known image format",
            "add --skip-unreadable",
        ],
    );
    // What came before it is not lost.
    assert_eq!(lines(&folder, "out").len(), 4);
    let skip = format!("{command} --skip-unreadable");
    let [_, errors] = output_of(&mut augment(&folder, &skip));
    assert_contains(
        &errors,
        &["(4 already there)", "cannot be read (1):", "broken.png"],
    );
    assert_eq!(images(&folder, "out").len(), 6);
    let lines = lines(&folder, "out");
    assert_eq!(lines.len(), 7);
    assert!(
        lines[4]["error"]
            .as_str()
            .unwrap()
            .contains("no known image format")
    );
    assert_eq!(lines[4]["input"], "train/dogs/broken.png");

    // It stays named, and is an event.
    let events = stdout_of(augment(&folder, &skip).arg("--json"));
    let events: Vec<Value> = events
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        (&events[0]["event"], &events[0]["total"]),
        (&json!("started"), &json!(8))
    );
    let finished = events.last().unwrap();
    assert_eq!(finished["event"], "finished");
    assert_eq!(
        (&finished["written"], &finished["already_there"]),
        (&json!(0), &json!(8))
    );
    assert_eq!(finished["skipped"][0]["input"], "train/dogs/broken.png");
}

#[test]
fn threads_change_nothing() {
    let folder = pets();
    for threads in [1, 2, 7] {
        let arguments =
            format!("--data folder:pets --copies 9 --threads {threads} --out {threads}");
        stdout_of(&mut augment(&folder, &arguments));
    }
    let [one, two, seven] = ["1", "2", "7"].map(|out| tree(&folder, out));
    assert!(one == two && two == seven);
}

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

#[cfg(unix)]
#[test]
fn ctrl_c_stops_and_the_same_command_continues() {
    let folder = half_unreadable();
    stdout_of(&mut augment(&folder, &format!("{HALF} whole")));
    let mut child = start(&folder, "out");
    // A second process is refused.
    let second = &mut augment(&folder, &format!("{HALF} out"));
    assert_fails(second, 1, &["out is in use by another process"]);
    let kill = Command::new("kill")
        .args(["-s", "INT", &child.id().to_string()])
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
    folder.write("strange/file", "a stranger's");
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
        1 --data glyphs --out new => has no image files; give `folder:DIR` or `tar:FILE`
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
