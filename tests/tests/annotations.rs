//! `faa-runtime apply` with boxes, outlines, keypoints and masks: COCO, YOLO, PNG.

use faa_tests::markers::{MOVES, assert_about, coco, edges_of_coco, edges_of_yolo, json_at};
use faa_tests::pets::tree;
use faa_tests::workdir::Workdir;
use faa_tests::{assert_contains, assert_fails, json_of, output_of, stdout_of};
use image::{GrayImage, ImageBuffer, Luma, RgbImage};
use serde_json::{Value, json};

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
        for number in 0..3_usize {
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
    for point in
        [0, 3].map(|at: usize| [0, 1, 2].map(|axis: usize| keypoints[at + axis].as_f64().unwrap()))
    {
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

/// Numbers of a file may be any, and drawing ends.
#[test]
fn boxes_and_outlines_far_outside_are_drawn() {
    let folder = coco();
    let annotation = json!({"id": 1, "image_id": 40, "bbox": [-1e300, 0, 2e300, 10],
        "segmentation": [[0, 0, 1e12, 1e12, 1e15, 5]]});
    let images = json!([{"id": 40, "file_name": "p0.png"}]);
    let file = json!({"images": images, "annotations": [annotation]});
    folder.write("far.json", file.to_string());
    let call = "apply --policy policy.json --grid 1 --boxes far.json pictures/p0.png --out far";
    stdout_of(&mut folder.faa_runtime(call));
}

#[test]
fn limits_hold_for_tight_boxes_and_for_outlines_alone() {
    let folder = coco();
    let flat = json!({"id": 1, "image_id": 40, "bbox": [20, 20, 40, 40],
        "segmentation": [[20, 20, 60, 20, 60, 23, 20, 23]]});
    let images = json!([{"id": 40, "file_name": "p0.png"}]);
    let file = json!({"images": images, "annotations": [flat]});
    folder.write("flat.json", file.to_string());
    for (size, kept) in [(3, 1), (10, 0)] {
        let call = format!(
            "apply --op Identity --tight-boxes --min-size {size} --boxes flat.json pictures/p0.png --out tight{size}"
        );
        stdout_of(&mut folder.faa_runtime(&call));
        let written = json_at(&folder, &format!("tight{size}/flat.json"));
        assert_eq!(written["annotations"].as_array().unwrap().len(), kept);
    }
    // An outline without an area, of which a part is cut off.
    folder.write("line.txt", "0 0.25 0.25 0.5 0.5 0.75 0.75\n");
    let call = "apply --op TranslateX --value 0.4 --boxes line.txt pictures/p0.png --out line";
    stdout_of(&mut folder.faa_runtime(call));
    for line in folder.read("line/p0.txt").lines() {
        assert!(line.split(' ').count() > 6, "{line}");
    }
}

#[test]
fn misuse_is_refused() {
    let folder = coco();
    GrayImage::new(5, 5).save(folder.join("small.png")).unwrap();
    folder.write("a.txt", "0 0.1 0.2\n");
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
            2,
            format!("{apply} --boxes a.xml"),
            "is neither COCO's FILE.json nor YOLO's FILE.txt",
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
