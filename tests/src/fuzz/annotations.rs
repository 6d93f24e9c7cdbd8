//! The fuzz targets of annotations.

use faa_data::{AnnotationError, Coco, CocoImage, LabelMask, MaskLabels, Object, Yolo};
use faa_op::text::is_display_control;
use serde_json::Value;

/// The size of the images that objects are in.
const SIZE: (u32, u32) = (24, 16);

/// Reads a file of COCO's. What was read can be written, and is read again to the same.
///
/// # Panics
///
/// If it cannot, or if an object is what its image cannot have.
pub fn coco(file: &[u8]) {
    let Some(coco) = accepted(Coco::parse(file)) else {
        return;
    };
    let value = |json: &str| serde_json::from_str::<Value>(json).expect("it is JSON");
    let size_of = |image: &CocoImage| {
        (
            image.width.unwrap_or(SIZE.0),
            image.height.unwrap_or(SIZE.1),
        )
    };
    let entry = |it: &CocoImage| value(&it.entry(it.id, &it.file_name, size_of(it)));
    let images = coco.images();
    let annotations = images.iter().flat_map(|image| &image.annotations);
    let mut written = value(&coco.other_keys());
    written["annotations"] = annotations.map(|it| value(&it.to_json())).collect();
    written["images"] = images.iter().map(entry).collect();
    let again = Coco::parse(written.to_string().as_bytes()).expect("what was written can be read");
    assert_eq!(again.other_keys(), coco.other_keys());
    for (a, b) in images.iter().zip(again.images()) {
        assert_eq!(
            (a.id, &a.file_name, &a.annotations),
            (b.id, &b.file_name, &b.annotations)
        );
    }
    let shifted = |object: &Object| {
        let mut object = object.clone();
        let corners = object.outlines.iter_mut().flatten();
        corners.for_each(|corner| corner[0] += 0.25);
        object
    };
    for image in images {
        let size = size_of(image);
        if u64::from(size.0) * u64::from(size.1) > 1 << 16 {
            continue;
        }
        let Some(objects) = accepted(image.objects(size)) else {
            continue;
        };
        assert_eq!(objects.len(), image.annotations.len());
        for (annotation, object) in image.annotations.iter().zip(&objects) {
            let area = u64::from(size.0) * u64::from(size.1);
            let region = object.region.as_ref();
            assert!(
                region
                    .is_none_or(|it| it.pixels().len() as u64 == area && it.count() as u64 <= area)
            );
            for pair in coco.sides(object.class) {
                assert_ne!(pair[0], pair[1]);
            }
            assert_eq!(annotation.moved(object, object), annotation.to_json());
            let moved = value(&annotation.moved(object, &shifted(object)));
            assert_eq!(moved["id"], annotation.id);
        }
    }
}

/// Reads YOLO's labels. What was read can be written, and is read again to the same.
///
/// # Panics
///
/// If it cannot.
pub fn yolo(file: &[u8]) {
    let Some(yolo) = accepted(Yolo::parse(file)) else {
        return;
    };
    let objects = yolo.objects(SIZE);
    let text = yolo.to_text(objects.iter().enumerate(), SIZE);
    assert_eq!(Yolo::parse(text.as_bytes()), Ok(yolo));
    for object in &objects {
        assert_eq!(object.bounds.is_some(), object.outlines.is_empty());
        let [left, top, right, bottom] = object.extent().expect("it has a box or an outline");
        assert!(left <= right && top <= bottom);
    }
}

/// Reads a mask. What was read can be written, and is read again to the same.
///
/// # Panics
///
/// If it cannot, or if its labels are not as many as its pixels.
pub fn mask(file: &[u8]) {
    let Some(mask) = accepted(LabelMask::parse(file)) else {
        return;
    };
    let count = match &mask.labels {
        MaskLabels::U8(labels) => labels.len(),
        MaskLabels::U16(labels) => labels.len(),
    };
    assert_eq!(count as u64, u64::from(mask.width) * u64::from(mask.height));
    if count > 1 << 20 {
        return;
    }
    let written = mask.to_png().expect("what was read can be written");
    assert_eq!(LabelMask::parse(&written), Ok(mask));
}

/// The accepted value. An error has a message that neither fills a terminal nor controls it.
fn accepted<T>(result: Result<T, AnnotationError>) -> Option<T> {
    let checked = result.inspect_err(|error| {
        let message = error.to_string();
        assert!((1..=501).contains(&message.chars().count()), "{message}");
        assert!(!message.contains(is_display_control), "{message:?}");
    });
    checked.ok()
}
