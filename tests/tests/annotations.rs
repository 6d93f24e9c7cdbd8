//! `faa-runtime apply` and `augment` with boxes, outlines, keypoints and masks: COCO, YOLO, PNG.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use faa_tests::pets::{lines, tree, unpacked};
use faa_tests::workdir::Workdir;
use faa_tests::{assert_contains, assert_fails, json_of, output_of, stdout_of, write_image};
use image::{GrayImage, ImageBuffer, ImageFormat, Luma, Rgb, RgbImage};
use serde_json::{Value, json};

/// Only ops that move pixels, so that markers stay white.
const MOVES: &str = r#"{"format": "faa-policy", "version": 1, "name": "moves", "sub_policies": [
    [{"op": "Rotate", "probability": 0.8, "magnitude": 0.9}, {"op": "FlipX", "probability": 0.5}],
    [{"op": "ShearX", "probability": 0.9, "magnitude": 0.9}, {"op": "TranslateY", "probability": 0.9, "magnitude": 0.9}],
    [{"op": "FlipY", "probability": 1.0}, {"op": "TranslateX", "probability": 1.0, "magnitude": 0.2}]]}"#;

const SIDES: [f64; 2] = [96.0, 72.0];

/// The marker of each picture: its left, upper, right and lower edge.
const MARKERS: [[u32; 4]; 4] = [
    [10, 8, 40, 30],
    [30, 20, 90, 70],
    [0, 0, 30, 30],
    [60, 40, 80, 68],
];

/// A black picture of 96×72 pixels with a white rectangle.
fn write_marker(folder: &Workdir, name: &str, [left, top, right, bottom]: [u32; 4]) {
    let is_marked = |x, y| (left..right).contains(&x) && (top..bottom).contains(&y);
    let pixel = |x, y| Rgb([if is_marked(x, y) { 255 } else { 0 }; 3]);
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    RgbImage::from_fn(96, 72, pixel).save(path).unwrap();
}

fn yolo_line(marker: [u32; 4]) -> String {
    let [left, top, right, bottom] = marker.map(f64::from);
    let fractions = [
        (left + right) / 2.0 / SIDES[0],
        (top + bottom) / 2.0 / SIDES[1],
        (right - left) / SIDES[0],
        (bottom - top) / SIDES[1],
    ];
    format!("3{}\n", fractions.map(|it| format!(" {it}")).concat())
}

/// The edges of the box about the white pixels.
fn white(picture: &RgbImage) -> Option<[f64; 4]> {
    let marked = picture
        .enumerate_pixels()
        .filter(|(.., pixel)| pixel.0[0] > 0);
    let boxes = marked.map(|(x, y, _)| [x, y, x + 1, y + 1].map(f64::from));
    boxes.reduce(|a, b| {
        [
            a[0].min(b[0]),
            a[1].min(b[1]),
            a[2].max(b[2]),
            a[3].max(b[3]),
        ]
    })
}

/// Checks a box against the pixels of what it is about: those of a rectangle whose corners may have been cut off.
fn assert_about(found: Option<[f64; 4]>, picture: &RgbImage, context: &str) {
    let (Some(found), Some(expected)) = (found, white(picture)) else {
        // Slivers may have no pixel, or be dropped.
        let area = |it: [f64; 4]| (it[2] - it[0]) * (it[3] - it[1]);
        let rest = found.or(white(picture)).map_or(0.0, area);
        assert!(rest < 120.0, "{found:?} {context}");
        return;
    };
    for (edge, (a, b)) in found.into_iter().zip(expected).enumerate() {
        // Two steps round by half a pixel each, and a thin corner has no pixel's centre.
        assert!(
            (a - b).abs() < 4.0,
            "edge {edge}: {found:?} {expected:?} {context}"
        );
    }
}

fn edges_of_yolo(text: &str) -> Option<[f64; 4]> {
    let numbers: Vec<f64> = text
        .split_whitespace()
        .skip(1)
        .map(|it| it.parse().unwrap())
        .collect();
    let [x, y, width, height] = numbers.try_into().ok()?;
    Some([
        (x - width / 2.0) * SIDES[0],
        (y - height / 2.0) * SIDES[1],
        (x + width / 2.0) * SIDES[0],
        (y + height / 2.0) * SIDES[1],
    ])
}

fn edges_of_coco(bbox: &Value) -> [f64; 4] {
    let [x, y, width, height] = [0, 1, 2, 3].map(|at| bbox[at].as_f64().unwrap());
    [x, y, x + width, y + height]
}

/// Pictures with markers in the layout of YOLO: two splits, one picture without objects.
fn street() -> Workdir {
    let folder = Workdir::empty();
    folder.write("policy.json", MOVES);
    folder.write(
        "street/data.yaml",
        "train: images/train\nval: images/val\nnames: [a, b, c, marker]\n",
    );
    for (number, marker) in MARKERS.into_iter().enumerate() {
        let split = if number == 3 { "val" } else { "train" };
        write_marker(
            &folder,
            &format!("street/images/{split}/p{number}.png"),
            marker,
        );
        folder.write(
            &format!("street/labels/{split}/p{number}.txt"),
            yolo_line(marker),
        );
    }
    write_image(&folder.join("street/images/train/empty.png"), 20, 10, 1);
    folder
}

/// The same in COCO's form, with an outline and keypoints for each marker.
fn coco() -> Workdir {
    let folder = street();
    let (mut images, mut annotations) = (Vec::new(), Vec::new());
    for (number, marker) in MARKERS.into_iter().enumerate() {
        let id = 40 - number;
        images.push(json!({"id": id, "file_name": format!("p{number}.png"), "width": 96, "height": 72, "license": 2}));
        let [l, t, r, b] = marker;
        annotations.push(
            json!({"id": 7 * number, "image_id": id, "category_id": 3, "iscrowd": 0, "note": "kept",
            "bbox": [l, t, r - l, b - t], "area": (r - l) * (b - t),
            "segmentation": [[l, t, r, t, r, b, l, b]],
            "keypoints": [l, t, 2, r - 1, t, 2, 0, 0, 0], "num_keypoints": 2}),
        );
        fs::create_dir_all(folder.join("pictures")).unwrap();
        write_marker(&folder, &format!("pictures/p{number}.png"), marker);
    }
    let file = json!({"info": {"year": 2026}, "licenses": [{"id": 2}], "images": images, "annotations": annotations,
        "categories": [{"id": 3, "name": "marker", "keypoints": ["left_top", "right_top", "nose"]}]});
    folder.write("instances.json", file.to_string());
    folder
}

fn json_at(folder: &Workdir, name: &str) -> Value {
    serde_json::from_str(&folder.read(name)).unwrap()
}

#[test]
fn boxes_of_apply_are_about_their_pixels() {
    let folder = coco();
    for seed in 0..8 {
        let yolo = format!(
            "apply --policy policy.json --seed {seed} --boxes street/labels/train \
            street/images/train/p0.png street/images/train/p1.png street/images/train/p2.png --out y{seed}"
        );
        let [_, errors] = output_of(&mut folder.faa_runtime(&yolo));
        assert_contains(&errors, &["wrote 3 images", "of 1 boxes"]);
        let coco = format!(
            "apply --policy policy.json --seed {seed} --boxes instances.json --json \
            pictures/p0.png pictures/p1.png pictures/p2.png --out c{seed}"
        );
        let rows = json_of(&mut folder.faa_runtime(&coco));
        let file = json_at(&folder, &format!("c{seed}/instances.json"));
        assert_eq!(
            (
                &file["info"]["year"],
                file["images"].as_array().unwrap().len()
            ),
            (&json!(2026), 3)
        );
        for number in 0..3 {
            let picture = folder.pixels(&format!("y{seed}/p{number}.png"));
            assert_eq!(picture, folder.pixels(&format!("c{seed}/p{number}.png")));
            let context = format!("seed {seed}, picture {number}");
            let text = folder.read(&format!("y{seed}/p{number}.txt"));
            assert_about(edges_of_yolo(&text), &picture, &context);
            let annotations = file["annotations"].as_array().unwrap().iter();
            let mut own = annotations.filter(|it| it["image_id"] == 40 - number);
            let annotation = own.next();
            assert_about(
                annotation.map(|it| edges_of_coco(&it["bbox"])),
                &picture,
                &context,
            );
            let kept = &rows[number]["boxes"][0][0]["kept"];
            assert_eq!(*kept, annotation.is_some(), "{context}");
            let Some(annotation) = annotation else {
                continue;
            };
            // The area is that of the outline, and so of the pixels.
            let count = picture.pixels().filter(|pixel| pixel.0[0] > 0).count() as f64;
            let area = annotation["area"].as_f64().unwrap();
            assert!((area - count).abs() < 250.0, "{area} {count} {context}");
            assert_eq!(
                (&annotation["note"], &annotation["category_id"]),
                (&json!("kept"), &json!(3))
            );
            assert_keypoints(&annotation["keypoints"], &picture, &context);
        }
    }
}

/// Keypoints in the upper corners of the marker, the left one first: a visible one is at a white pixel.
fn assert_keypoints(keypoints: &Value, picture: &RgbImage, context: &str) {
    for point in [0, 3].map(|at| [0, 1, 2].map(|axis| keypoints[at + axis].as_f64().unwrap())) {
        if point[2] == 0.0 {
            assert_eq!(point, [0.0; 3]);
            continue;
        }
        let near = |x: i64, y: i64| {
            let inside = (0..96).contains(&x) && (0..72).contains(&y);
            inside && picture.get_pixel(x as u32, y as u32).0[0] > 0
        };
        let [x, y] = [point[0], point[1]].map(|at| at.round() as i64);
        let found = (x - 2..=x + 2).any(|x| (y - 2..=y + 2).any(|y| near(x, y)));
        assert!(found, "{point:?} {context}");
    }
}

#[test]
fn a_mirrored_picture_has_its_left_on_the_other_side() {
    let folder = coco();
    for op in ["FlipX", "FlipY", "Identity"] {
        let call = format!("apply --op {op} --boxes instances.json pictures/p0.png --out {op}");
        stdout_of(&mut folder.faa_runtime(&call));
    }
    let points = |op: &str| {
        json_at(&folder, &format!("{op}/instances.json"))["annotations"][0]["keypoints"].clone()
    };
    // Pixels 10 and 39 of row 8, in rows of 96.
    assert_eq!(points("Identity"), json!([10, 8, 2, 39, 8, 2, 0, 0, 0]));
    assert_eq!(points("FlipX"), json!([56, 8, 2, 85, 8, 2, 0, 0, 0]));
    assert_eq!(points("FlipY"), json!([39, 63, 2, 10, 63, 2, 0, 0, 0]));
}

/// The truth about a mask is what the ops make of it as an image.
#[test]
fn masks_of_apply_are_moved_as_images_are() {
    let folder = Workdir::empty();
    folder.write("policy.json", MOVES);
    GrayImage::from_fn(16, 16, |x, y| Luma([(16 * y + x) as u8]))
        .save(folder.join("labels.png"))
        .unwrap();
    let wide = ImageBuffer::from_fn(16, 16, |x, y| Luma([257 * (16 * y + x) as u16]));
    wide.save(folder.join("wide.png")).unwrap();
    let mut outside = 0;
    for seed in 0..6 {
        for mask in ["labels", "wide"] {
            let call = format!(
                "apply --policy policy.json --seed {seed} --mask {mask}.png labels.png --out {mask}{seed}"
            );
            stdout_of(&mut folder.faa_runtime(&call));
        }
        let open = |name: &str| image::open(folder.join(name)).unwrap();
        let truth = open(&format!("labels{seed}/labels.png")).into_luma8();
        assert_eq!(
            open(&format!("labels{seed}/labels-mask.png")).into_luma8(),
            truth
        );
        let wide = open(&format!("wide{seed}/labels-mask.png"));
        let wide = wide.as_luma16().expect("it has 16 bits");
        assert!(
            wide.pixels()
                .zip(truth.pixels())
                .all(|(a, b)| a.0[0] == 257 * u16::from(b.0[0]))
        );
        // A fill that no label has.
        let call = format!(
            "apply --policy policy.json --seed {seed} --mask wide.png --mask-fill 7 labels.png --out f{seed}"
        );
        stdout_of(&mut folder.faa_runtime(&call));
        let filled = open(&format!("f{seed}/labels-mask.png"));
        let filled = filled.as_luma16().unwrap();
        let pairs = || filled.pixels().zip(wide.pixels());
        assert!(pairs().all(|(a, b)| a == b || (a.0[0], b.0[0]) == (7, 0)));
        outside += pairs().filter(|(a, _)| a.0[0] == 7).count();
    }
    assert!(outside > 100, "{outside}");
}

#[test]
fn a_contact_sheet_shows_boxes_and_masks() {
    let folder = coco();
    let plain = "apply --policy policy.json --grid 3 pictures/p0.png --out plain";
    stdout_of(&mut folder.faa_runtime(plain));
    GrayImage::from_fn(96, 72, |x, _| Luma([u8::from(x > 90)]))
        .save(folder.join("mask.png"))
        .unwrap();
    let drawn = "apply --policy policy.json --grid 3 --boxes instances.json --mask mask.png pictures/p0.png --out drawn";
    let [_, errors] = output_of(&mut folder.faa_runtime(drawn));
    assert_contains(&errors, &["p0.png: kept", "in 3 draws"]);
    let names: Vec<String> = tree(&folder, "drawn").into_keys().collect();
    assert_eq!(names, ["p0.png"]);
    let [plain, drawn] = ["plain", "drawn"].map(|name| folder.pixels(&format!("{name}/p0.png")));
    assert_eq!(plain.dimensions(), drawn.dimensions());
    // Tiles of 96×72 with gaps of 4: within the first marker it is tinted, and at its edge it is a colour.
    let at = |x: u32, y: u32| drawn.get_pixel(4 + x, 4 + y).0;
    assert_eq!(
        (
            plain.get_pixel(4 + 10, 4 + 20).0,
            plain.get_pixel(4 + 93, 4 + 60).0
        ),
        ([255; 3], [0; 3])
    );
    let has_colour = |[r, g, b]: [u8; 3]| r != g || g != b;
    assert!(has_colour(at(10, 20)) && has_colour(at(25, 20)) && has_colour(at(93, 60)));
    assert_eq!(at(70, 60), [0; 3]);
}

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

/// Masks of indices of a palette, of pictures that are the same labels in grey.
fn cells() -> Workdir {
    let folder = Workdir::empty();
    folder.write("policy.json", MOVES);
    for (split, name, seed) in [("train", "a", 1), ("train", "b", 2), ("valid", "c", 3)] {
        let pixel = |x: u32, y: u32| ((x * 7 + y * 3 + x * y * seed) % 200) as u8;
        fs::create_dir_all(folder.join(format!("cells/{split}/images"))).unwrap();
        let picture = GrayImage::from_fn(30, 20, |x, y| Luma([pixel(x, y)]));
        picture
            .save(folder.join(format!("cells/{split}/images/{name}.png")))
            .unwrap();
        folder.write(
            &format!("cells/{split}/masks/{name}.png"),
            palette_png(&picture),
        );
    }
    folder
}

/// A PNG whose indices are the picture's levels, with a palette of 256 colours.
fn palette_png(picture: &GrayImage) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, picture.width(), picture.height());
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_palette((0..768).map(|byte| (byte * 5) as u8).collect::<Vec<u8>>());
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(picture.as_raw()).unwrap();
    writer.finish().unwrap();
    file
}

fn indices(png: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(png));
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder.read_info().unwrap();
    let palette = reader.info().palette.clone().unwrap().into_owned();
    let mut samples = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut samples).unwrap();
    (samples, palette)
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

fn folder_bytes(folder: &Workdir, name: &str) -> Vec<u8> {
    fs::read(folder.join(name)).unwrap()
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

#[test]
fn misuse_is_refused() {
    let folder = coco();
    GrayImage::new(5, 5).save(folder.join("small.png")).unwrap();
    folder.write("a.txt", "0 1 2\n");
    folder.write(
        "bad.json",
        r#"{"images": [], "annotations": [{"id": 1, "image_id": "x"}]}"#,
    );
    let apply = "apply --op FlipX --out out pictures/p0.png";
    let augment = "augment --policy policy.json --out out";
    for (code, call, words) in [
        (
            2,
            format!("{apply} --min-visible 0.5"),
            "need --boxes or --mask",
        ),
        (
            2,
            format!("{apply} pictures/p1.png --boxes a.txt"),
            "is the file of one image, and 2 are given",
        ),
        (
            2,
            format!("{apply} --boxes instances.json --min-visible 2"),
            "must be a number from 0 to 1",
        ),
        (
            1,
            format!("{apply} --boxes a.txt"),
            "a.txt: line 1: 3 values, expected",
        ),
        (
            1,
            format!("{apply} --boxes bad.json"),
            "bad.json: annotations[0].image_id: invalid type",
        ),
        (
            1,
            format!("{apply} --boxes none.json"),
            "cannot read none.json",
        ),
        (
            1,
            format!("{apply} --mask small.png"),
            "the mask has 5×5 pixels, but the image has 96×72",
        ),
        (
            1,
            format!("{apply} --mask pictures/p0.png"),
            "p0.png: not supported: a mask of colours",
        ),
        (
            1,
            "apply --op FlipX --out out small.png --boxes instances.json".to_owned(),
            "has no image small.png",
        ),
        (
            1,
            "apply --op FlipX --out out small.png --mask small.png --mask-fill 256".to_owned(),
            "--mask-fill 256 does not fit",
        ),
        (
            2,
            format!("{augment} --data folder:street/images --mask-fill 255"),
            "need a data set that has some",
        ),
        (
            2,
            format!("{augment} --data coco:pictures"),
            "give both, as in `coco:IMAGES,FILE.json`",
        ),
        (
            1,
            format!("{augment} --data coco:pictures,bad.json"),
            "bad.json cannot be used: annotations[0].image_id",
        ),
        (
            1,
            format!("{augment} --data yolo:pictures"),
            "a data set is DIR/images/train and DIR/labels/train",
        ),
        (
            2,
            "augment --policy policy.json --data yolo:street --out street/more".to_owned(),
            "is in the data set",
        ),
    ] {
        assert_fails(&mut folder.faa_runtime(&call), code, &[words]);
    }
    assert!(!folder.join("out/p0.png").exists());
    // What exists is not replaced.
    let whole = format!("{apply} --boxes instances.json");
    stdout_of(&mut folder.faa_runtime(&whole));
    let [_, errors] = output_of(&mut folder.faa_runtime(&whole));
    assert_contains(&errors, &["(1 already there)"]);
    folder.write("out/instances.json", "{}");
    assert_fails(
        &mut folder.faa_runtime(&whole),
        1,
        &["out/instances.json exists and is different"],
    );
    stdout_of(&mut folder.faa_runtime(&format!("{whole} --force")));
    assert_eq!(
        json_at(&folder, "out/instances.json")["images"][0]["file_name"],
        "p0.png"
    );
}
