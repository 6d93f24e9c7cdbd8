//! `faa-runtime augment` of data sets with boxes, outlines, keypoints and masks: COCO, YOLO, PNG.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use faa_tests::markers::{
    MARKERS, assert_about, cells, coco, edges_of_coco, edges_of_yolo, folder_bytes, indices,
    json_at, palette_png, street, yolo_line,
};
use faa_tests::pets::{lines, tree, unpacked};
use faa_tests::{assert_contains, assert_fails, output_of, stdout_of};
use image::{GrayImage, ImageFormat};
use serde_json::{Value, json};

#[test]
fn yolo_stays_yolo() {
    let folder = street();
    let call =
        "augment --policy policy.json --data yolo:street --copies 3 --keep --seed 5 --out more";
    let [_, errors] = output_of(&mut folder.faa_runtime(call));
    assert_contains(
        &errors,
        &[
            "images of the split val are not augmented, only copied",
            "kept",
            "of 9 objects",
        ],
    );
    let (source, out) = (tree(&folder, "street"), tree(&folder, "more"));
    for (name, content) in &source {
        assert_eq!(&out[name], content, "{name}");
    }
    // Three draws of four pictures, of which one has no labels; and the manifest.
    assert_eq!(out.len(), source.len() + 12 + 9 + 1);
    assert!(!out.contains_key("labels/train/empty-0.txt"));
    for line in lines(&folder, "more") {
        let (Some(label), Some(copy)) = (line["label"]["output"].as_str(), line["copy"].as_u64())
        else {
            continue;
        };
        let output = line["output"].as_str().unwrap();
        assert_eq!(
            output.replace("images/", "labels/").replace(".png", ".txt"),
            label
        );
        let picture = folder.pixels(&format!("more/{output}"));
        let text = folder.read(&format!("more/{label}"));
        assert_about(edges_of_yolo(&text), &picture, output);
        let kept = text.lines().count() as u64;
        let dropped = line["boxes"]["dropped"].as_array().unwrap().len() as u64;
        assert_eq!((&line["boxes"]["kept"], kept + dropped), (&json!(kept), 1));
        // A line of the manifest repeats its draw, with its boxes.
        folder.write("line.json", line.to_string());
        let input = line["input"].as_str().unwrap();
        let boxes = input.replace("images/", "labels/").replace(".png", ".txt");
        let again = format!(
            "apply --replay line.json --boxes street/{boxes} street/{input} --out again{copy} --force"
        );
        stdout_of(&mut folder.faa_runtime(&again));
        let stem = input.rsplit('/').next().unwrap().trim_end_matches(".png");
        assert_eq!(folder.read(&format!("again{copy}/{stem}.txt")), text);
        assert_eq!(folder.pixels(&format!("again{copy}/{stem}.png")), picture);
    }
    // It is a data set again.
    let again = "augment --policy policy.json --data yolo:more --split val --out val";
    stdout_of(&mut folder.faa_runtime(again));
    assert_eq!(tree(&folder, "val").len(), 4);
}

#[test]
fn coco_stays_coco() {
    let folder = coco();
    let call = "augment --policy policy.json --data coco:pictures,instances.json --copies 2 --keep --out more";
    stdout_of(&mut folder.faa_runtime(call));
    let (before, after) = (
        json_at(&folder, "instances.json"),
        json_at(&folder, "more/annotations.json"),
    );
    for key in ["info", "licenses", "categories"] {
        assert_eq!(after[key], before[key]);
    }
    let [images, annotations] = ["images", "annotations"].map(|key| after[key].as_array().unwrap());
    let ids = |of: &[Value]| {
        of.iter()
            .map(|it| it["id"].as_u64().unwrap())
            .collect::<Vec<u64>>()
    };
    assert_eq!(ids(images), (1..=12).collect::<Vec<u64>>());
    assert_eq!(
        ids(annotations),
        (1..=annotations.len() as u64).collect::<Vec<u64>>()
    );
    let mut names = BTreeSet::new();
    for image in images {
        let name = image["file_name"].as_str().unwrap();
        assert!(names.insert(name));
        assert_eq!(
            (&image["width"], &image["height"], &image["license"]),
            (&json!(96), &json!(72), &json!(2))
        );
        let picture = folder.pixels(&format!("more/images/{name}"));
        let own = annotations.iter().find(|it| it["image_id"] == image["id"]);
        assert_about(own.map(|it| edges_of_coco(&it["bbox"])), &picture, name);
    }
    // Of an original, everything is as it was.
    let original = images
        .iter()
        .find(|it| it["file_name"] == "p1.png")
        .unwrap();
    let mut found = annotations
        .iter()
        .find(|it| it["image_id"] == original["id"])
        .unwrap()
        .clone();
    let mut expected = before["annotations"][1].clone();
    for it in [&mut found, &mut expected] {
        (it["id"], it["image_id"]) = (Value::Null, Value::Null);
    }
    assert_eq!(found, expected);
    // It is a data set again, whose boxes can be limited.
    let again = "augment --policy policy.json --data coco:more/images,more/annotations.json --min-visible 0.9 --out again";
    let [_, errors] = output_of(&mut folder.faa_runtime(again));
    assert_contains(&errors, &["kept", "objects in the augmented images"]);
    let again = json_at(&folder, "again/annotations.json");
    assert_eq!(again["images"].as_array().unwrap().len(), 12);
    assert!(again["annotations"].as_array().unwrap().len() < annotations.len());
    // Boxes about outlines are never larger.
    let tight = "augment --policy policy.json --data coco:pictures,instances.json --copies 2 --keep --tight-boxes --out tight";
    stdout_of(&mut folder.faa_runtime(tight));
    let tight = json_at(&folder, "tight/annotations.json");
    for (a, b) in tight["annotations"]
        .as_array()
        .unwrap()
        .iter()
        .zip(annotations)
    {
        let (a, b) = (edges_of_coco(&a["bbox"]), edges_of_coco(&b["bbox"]));
        assert!(
            b[0] <= a[0] + 0.01
                && b[1] <= a[1] + 0.01
                && a[2] <= b[2] + 0.01
                && a[3] <= b[3] + 0.01
        );
    }
}

#[test]
fn masks_stay_masks() {
    let folder = cells();
    let call = "augment --policy policy.json --data masks:cells --copies 4 --out more";
    stdout_of(&mut folder.faa_runtime(call));
    let out = tree(&folder, "more");
    assert_eq!(out.len(), 2 * 2 * 4 + 1);
    let palette = indices(&folder_bytes(&folder, "cells/train/masks/a.png")).1;
    let mut moved = 0;
    for (name, content) in out.iter().filter(|(name, _)| name.contains("/images/")) {
        let picture = image::load_from_memory_with_format(content, ImageFormat::Png)
            .unwrap()
            .into_luma8();
        let (labels, kept) = indices(&out[&name.replace("images", "masks")]);
        assert_eq!(labels, picture.into_raw(), "{name}");
        assert_eq!(kept, palette);
        let original = format!("cells/{}.png", name.rsplit_once('-').unwrap().0);
        moved += u32::from(
            image::open(folder.join(original))
                .unwrap()
                .into_luma8()
                .into_raw()
                != labels,
        );
    }
    assert!(moved >= 6, "{moved}");
    let filled =
        "augment --policy policy.json --data masks:cells --copies 4 --mask-fill 255 --out filled";
    stdout_of(&mut folder.faa_runtime(filled));
    let filled = tree(&folder, "filled");
    let labels = |from: &BTreeMap<String, Vec<u8>>| indices(&from["train/masks/a-0.png"]).0;
    let pairs = || labels(&out).into_iter().zip(labels(&filled));
    assert!(pairs().all(|(a, b)| a == b || (a, b) == (0, 255)));
}

/// Whatever a kill has left of an output folder or an archive, the same command ends with the same files.
#[test]
fn a_command_that_was_cut_anywhere_continues_to_the_same_files() {
    let (street, coco, cells) = (street(), coco(), cells());
    for (folder, data) in [
        (&street, "yolo:street"),
        (&coco, "coco:pictures,instances.json"),
        (&cells, "masks:cells"),
    ] {
        let call = format!("augment --policy policy.json --data {data} --copies 2 --keep --out");
        let run = |out: &str| stdout_of(&mut folder.faa_runtime(&format!("{call} {out}")));
        run("out");
        let whole = tree(folder, "out");
        let manifest = &whole["manifest.jsonl"];
        let header = manifest.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let step = (manifest.len() - header) / 7;
        for (number, cut) in (header..=manifest.len()).step_by(step).enumerate() {
            fs::write(folder.join("out/manifest.jsonl"), &manifest[..cut]).unwrap();
            let names: Vec<&String> = whole
                .keys()
                .filter(|name| *name != "manifest.jsonl")
                .collect();
            fs::remove_file(folder.join("out").join(names[number * 5 % names.len()])).unwrap();
            run("out");
            assert!(tree(folder, "out") == whole, "{data}, cut at {cut}");
        }
        run("tar:whole.tar");
        let mut files = whole.clone();
        files.remove("manifest.jsonl");
        let packed = |name: &str| {
            let mut files = unpacked(folder, name);
            files.remove("manifest.jsonl");
            files
        };
        assert!(packed("whole.tar") == files, "{data}");
        let archive = folder_bytes(folder, "whole.tar");
        let manifest = unpacked(folder, "whole.tar")["manifest.jsonl"].clone();
        for part in [3, 5, 9, 10] {
            folder.write("cut.tar", &archive[..archive.len() * part / 10]);
            folder.write("cut.tar.manifest.jsonl", &manifest);
            run("tar:cut.tar");
            assert!(
                folder_bytes(folder, "cut.tar") == archive,
                "{data}, {part} tenths"
            );
        }
    }
}

/// What an image that was only mixed in has as annotations was not read.
#[test]
fn a_command_that_mixes_images_continues() {
    let folder = cells();
    let mixing = r#"{"format": "faa-policy", "version": 1, "name": "mix", "sub_policies": [
        [{"op": "SamplePairing", "probability": 1.0, "magnitude": 1.0}]]}"#;
    folder.write("mix.json", mixing);
    let call = "augment --policy mix.json --data masks:cells --copies 4 --out out";
    stdout_of(&mut folder.faa_runtime(call));
    let whole = tree(&folder, "out");
    let manifest = folder.read("out/manifest.jsonl");
    let until_first: String = manifest.split_inclusive('\n').take(5).collect();
    assert!(until_first.contains("b.png"), "{until_first}");
    folder.write("out/manifest.jsonl", until_first);
    stdout_of(&mut folder.faa_runtime(call));
    assert!(tree(&folder, "out") == whole);
}

/// A copied `data.yaml` may be changed, as the warning about `path` advises.
#[test]
fn a_changed_data_yaml_stays() {
    let folder = street();
    folder.write(
        "street/data.yaml",
        "path: /data/street\ntrain: images/train\n",
    );
    let call = "augment --policy policy.json --data yolo:street --out out";
    let [_, errors] = output_of(&mut folder.faa_runtime(call));
    assert_contains(
        &errors,
        &["data.yaml has `path`", "1 of 4 images", "no objects"],
    );
    folder.write("out/data.yaml", "train: images/train\n");
    stdout_of(&mut folder.faa_runtime(call));
    assert_eq!(folder.read("out/data.yaml"), "train: images/train\n");
}

#[test]
fn what_has_changed_is_not_continued() {
    let folder = street();
    let call = "augment --policy policy.json --data yolo:street --out out";
    stdout_of(&mut folder.faa_runtime(call));
    let limited = format!("{call} --min-visible 0.5");
    assert_fails(&mut folder.faa_runtime(&limited), 1, &["labels differs"]);
    folder.write("street/labels/train/p1.txt", "0 0.5 0.5 1 1\n");
    assert_fails(
        &mut folder.faa_runtime(call),
        1,
        &["p1.png has changed since it was augmented"],
    );

    let folder = coco();
    let call = "augment --policy policy.json --data coco:pictures,instances.json --out out";
    stdout_of(&mut folder.faa_runtime(call));
    folder.write("out/annotations.json", "{}");
    assert_fails(
        &mut folder.faa_runtime(call),
        1,
        &["annotations.json exists and is different"],
    );
    let changed = folder.read("instances.json").replace("kept", "lost");
    folder.write("instances.json", changed);
    assert_fails(&mut folder.faa_runtime(call), 1, &["listing differs"]);
}

#[test]
fn annotations_that_cannot_be_used_are_named_and_can_be_skipped() {
    let folder = street();
    folder.write("street/labels/train/p1.txt", "0 0.5 0.5 1 1\n0 12 7 1 1\n");
    let call = "augment --policy policy.json --data yolo:street --out out";
    let words = [
        "p1.txt: line 2: 12 is not a fraction of the image's width",
        "--skip-unreadable",
    ];
    assert_fails(&mut folder.faa_runtime(call), 1, &words);
    let skipping = format!("{call} --skip-unreadable");
    let [_, errors] = output_of(&mut folder.faa_runtime(&skipping));
    assert_contains(
        &errors,
        &["skipped, because they cannot be read (1)", "p1.txt: line 2"],
    );
    // Once it is mended, it is tried again.
    folder.write("street/labels/train/p1.txt", yolo_line(MARKERS[1]));
    let [_, errors] = output_of(&mut folder.faa_runtime(&skipping));
    assert_contains(&errors, &["was skipped and has changed"]);
    assert!(folder.join("out/labels/train/p1-0.txt").exists());

    let cells = cells();
    let small = GrayImage::new(29, 20);
    cells.write("cells/train/masks/a.png", palette_png(&small));
    fs::remove_file(cells.join("cells/train/masks/b.png")).unwrap();
    let call = "augment --policy policy.json --data masks:cells --out out";
    let words = ["a.png: made for 29×20 pixels, but the image has 30×20"];
    assert_fails(&mut cells.faa_runtime(call), 1, &words);
    let all =
        "augment --policy policy.json --data masks:cells --skip-unreadable --split all --out all";
    let [_, errors] = output_of(&mut cells.faa_runtime(all));
    assert_contains(&errors, &["(2)", "b.png: No such file"]);
    assert_eq!(tree(&cells, "all").len(), 3);
}
