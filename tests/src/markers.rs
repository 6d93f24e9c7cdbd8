//! Data sets of pictures with markers, whose boxes, outlines and masks are known.

use std::fs;
use std::io::Cursor;

use image::{GrayImage, Luma, Rgb, RgbImage};
use serde_json::{Value, json};

use crate::workdir::Workdir;
use crate::write_image;

/// Only ops that move pixels, so that markers stay white.
pub const MOVES: &str = r#"{"format": "faa-policy", "version": 1, "name": "moves", "sub_policies": [
    [{"op": "Rotate", "probability": 0.8, "magnitude": 0.9}, {"op": "FlipX", "probability": 0.5}],
    [{"op": "ShearX", "probability": 0.9, "magnitude": 0.9}, {"op": "TranslateY", "probability": 0.9, "magnitude": 0.9}],
    [{"op": "FlipY", "probability": 1.0}, {"op": "TranslateX", "probability": 1.0, "magnitude": 0.2}]]}"#;

/// The sides of the pictures.
pub const SIDES: [f64; 2] = [96.0, 72.0];

/// The marker of each picture: its left, upper, right and lower edge.
pub const MARKERS: [[u32; 4]; 4] = [
    [10, 8, 40, 30],
    [30, 20, 90, 70],
    [0, 0, 30, 30],
    [60, 40, 80, 68],
];

/// A black picture of 96×72 pixels with a white rectangle.
///
/// # Panics
///
/// If it cannot be read or written, or is something else.
pub fn write_marker(folder: &Workdir, name: &str, [left, top, right, bottom]: [u32; 4]) {
    let is_marked = |x, y| (left..right).contains(&x) && (top..bottom).contains(&y);
    let pixel = |x, y| Rgb([if is_marked(x, y) { 255 } else { 0 }; 3]);
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("it is there")).expect("it is there");
    RgbImage::from_fn(96, 72, pixel)
        .save(path)
        .expect("it is there");
}

/// A line of YOLO for a marker.
pub fn yolo_line(marker: [u32; 4]) -> String {
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
pub fn white(picture: &RgbImage) -> Option<[f64; 4]> {
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
///
/// # Panics
///
/// If it cannot be read or written, or is something else.
pub fn assert_about(found: Option<[f64; 4]>, picture: &RgbImage, context: &str) {
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

/// The edges of the first box in a file of YOLO, if it has one.
///
/// # Panics
///
/// If it cannot be read or written, or is something else.
pub fn edges_of_yolo(text: &str) -> Option<[f64; 4]> {
    let numbers: Vec<f64> = text
        .split_whitespace()
        .skip(1)
        .map(|it| it.parse().expect("it is there"))
        .collect();
    let [x, y, width, height] = numbers.try_into().ok()?;
    Some([
        (x - width / 2.0) * SIDES[0],
        (y - height / 2.0) * SIDES[1],
        (x + width / 2.0) * SIDES[0],
        (y + height / 2.0) * SIDES[1],
    ])
}

/// The edges of a box of COCO.
///
/// # Panics
///
/// If it cannot be read or written, or is something else.
pub fn edges_of_coco(bbox: &Value) -> [f64; 4] {
    let [x, y, width, height] =
        [0, 1, 2, 3].map(|at: usize| bbox[at].as_f64().expect("it is there"));
    [x, y, x + width, y + height]
}

/// Pictures with markers in the layout of YOLO: two splits, one picture without objects.
///
/// # Panics
///
/// If it cannot be read or written, or is something else.
pub fn street() -> Workdir {
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
///
/// # Panics
///
/// If it cannot be read or written, or is something else.
pub fn coco() -> Workdir {
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
        fs::create_dir_all(folder.join("pictures")).expect("it is there");
        write_marker(&folder, &format!("pictures/p{number}.png"), marker);
    }
    let file = json!({"info": {"year": 2026}, "licenses": [{"id": 2}], "images": images, "annotations": annotations,
        "categories": [{"id": 3, "name": "marker", "keypoints": ["left_top", "right_top", "nose"]}]});
    folder.write("instances.json", file.to_string());
    folder
}

/// The JSON of a file.
///
/// # Panics
///
/// If it cannot be read or written, or is something else.
pub fn json_at(folder: &Workdir, name: &str) -> Value {
    serde_json::from_str(&folder.read(name)).expect("it is there")
}

/// Masks of indices of a palette, of pictures that are the same labels in grey.
///
/// # Panics
///
/// If it cannot be read or written, or is something else.
pub fn cells() -> Workdir {
    let folder = Workdir::empty();
    folder.write("policy.json", MOVES);
    for (split, name, seed) in [("train", "a", 1), ("train", "b", 2), ("valid", "c", 3)] {
        let pixel = |x: u32, y: u32| ((x * 7 + y * 3 + x * y * seed) % 200) as u8;
        fs::create_dir_all(folder.join(format!("cells/{split}/images"))).expect("it is there");
        let picture = GrayImage::from_fn(30, 20, |x, y| Luma([pixel(x, y)]));
        picture
            .save(folder.join(format!("cells/{split}/images/{name}.png")))
            .expect("it is there");
        folder.write(
            &format!("cells/{split}/masks/{name}.png"),
            palette_png(&picture),
        );
    }
    folder
}

/// A PNG whose indices are the picture's levels, with a palette of 256 colours.
///
/// # Panics
///
/// If it cannot be read or written, or is something else.
pub fn palette_png(picture: &GrayImage) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, picture.width(), picture.height());
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_palette((0..768).map(|byte| (byte * 5) as u8).collect::<Vec<u8>>());
    let mut writer = encoder.write_header().expect("it is there");
    writer
        .write_image_data(picture.as_raw())
        .expect("it is there");
    writer.finish().expect("it is there");
    file
}

/// The indices of a PNG with a palette, and the palette.
///
/// # Panics
///
/// If it cannot be read or written, or is something else.
pub fn indices(png: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut decoder = png::Decoder::new(Cursor::new(png));
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder.read_info().expect("it is there");
    let palette = reader
        .info()
        .palette
        .clone()
        .expect("it is there")
        .into_owned();
    let mut samples = vec![0; reader.output_buffer_size().expect("it is there")];
    reader.next_frame(&mut samples).expect("it is there");
    (samples, palette)
}

/// The content of a file.
///
/// # Panics
///
/// If it cannot be read or written, or is something else.
pub fn folder_bytes(folder: &Workdir, name: &str) -> Vec<u8> {
    fs::read(folder.join(name)).expect("it is there")
}
