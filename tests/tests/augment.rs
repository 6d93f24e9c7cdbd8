//! `faa-runtime augment`: whole folders and tar files.

use std::fs;

use faa_op::{Channels, DrawKey, ImageMut};
use faa_ops_builtin::builtin_ops;
use faa_policy::{Executor, Plan, Policy, Workspace};
use faa_tests::pets::{augment, images, lines, pack, pets, tree};
use faa_tests::workdir::{POLICY, Workdir};
use faa_tests::{
    assert_contains, assert_fails, failure_of, json_of, output_of, stdout_of, write_image,
};
use image::{DynamicImage, GrayImage, ImageFormat, Luma, Rgba, RgbaImage};
use serde_json::{Value, json};

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

/// With one command, to the byte, also where images are mixed in.
#[test]
fn a_line_can_be_replayed_from_the_command_line() {
    let folder = pets();
    let mix = json!({"op": "SamplePairing", "probability": 1.0, "value": 0.3});
    let steps = [&mix, &json!({"op": "FlipX", "probability": 1.0}), &mix];
    let policy =
        json!({"format": "faa-policy", "version": 1, "name": "mix", "sub_policies": [steps]});
    folder.write("mix.json", policy.to_string());
    for number in 0..4 {
        write_image(&folder.join(format!("set/{number}.png")), 8, 8, number);
    }
    folder.write("set/x.png", "no image");
    stdout_of(&mut augment(
        &folder,
        "--data folder:pets --copies 2 --keep --out out",
    ));
    let mixed = "augment --policy mix.json --data folder:set --skip-unreadable --out mixed";
    stdout_of(&mut folder.faa_runtime(mixed));
    let mut replayed = 0;
    for (set, out) in [("pets", "out"), ("set", "mixed")] {
        for (number, line) in lines(&folder, out).iter().enumerate() {
            folder.write("line.json", line.to_string());
            let input = line["input"].as_str().unwrap();
            let again = format!("again/{out}/{number}");
            let partners = line["partners"].as_array().into_iter().flatten();
            let partners =
                partners.map(|it| format!("--partner {set}/{}", it["input"].as_str().unwrap()));
            let partners: Vec<String> = partners.collect();
            let replay = &mut folder.faa_runtime(&format!(
                "apply --replay line.json {} {set}/{input} --out {again}",
                partners.join(" ")
            ));
            if line["draw"].is_null() {
                assert_fails(replay, 1, &["line.json is a line without a draw"]);
                continue;
            }
            stdout_of(replay);
            let stem = input.rsplit('/').next().unwrap().split('.').next().unwrap();
            let again = fs::read(folder.join(format!("{again}/{stem}.png"))).unwrap();
            let output = line["output"].as_str().unwrap();
            assert!(
                again == fs::read(folder.join(out).join(output)).unwrap(),
                "{line}"
            );
            assert_eq!(partners.len(), if set == "set" { 2 } else { 0 });
            replayed += 1;
        }
    }
    assert!(replayed >= 7, "{replayed}");
    for (arguments, code, part) in [
        (
            "--replay mixed/manifest.jsonl",
            1,
            "is neither one line of a manifest nor a plan",
        ),
        ("--replay line.json --seed 1", 2, "cannot be used with"),
        (
            "--replay line.json --policy randaugment",
            2,
            "cannot be used with",
        ),
        ("--replay mix.json", 1, "is neither one line"),
    ] {
        let command = format!("apply {arguments} set/0.png --out other");
        assert_fails(&mut folder.faa_runtime(&command), code, &[part]);
    }
    let line = lines(&folder, "mixed")
        .into_iter()
        .find(|it| it["draw"].is_object());
    folder.write("line.json", line.unwrap().to_string());
    let missing = &mut folder.faa_runtime("apply --replay line.json set/0.png --out other");
    assert_fails(missing, 2, &["mixes in 2 images, and 0 are given"]);
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
        let dropped = "JPEG has no alpha; that of 1 image was dropped";
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
        (&json!(0), &json!(6))
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
