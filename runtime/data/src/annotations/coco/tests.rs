use faa_op::Stream;
use serde_json::json;

use super::*;
use crate::annotations::region::Region;

fn parse(value: &Value) -> Result<Coco, AnnotationError> {
    Coco::parse(value.to_string().as_bytes())
}

fn value(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

fn of_annotation(annotation: impl Into<Value>) -> Value {
    let annotation = annotation.into();
    json!({"images": [{"id": 7, "file_name": "a/b.jpg", "width": 4, "height": 3}],
        "annotations": [annotation]})
}

#[test]
fn what_is_known_is_read_and_the_rest_is_kept() {
    let annotation = json!({"id": 1, "image_id": 7, "category_id": 3, "bbox": [1, 0.5, 2, 1],
        "segmentation": [[1, 0.5, 3, 0.5, 3, 1.5]], "area": 1.0, "iscrowd": 0,
        "keypoints": [1, 2, 2, 0, 0, 0], "num_keypoints": 1, "score": {"a": [null, true, "x", -1, 0.25]}});
    let mut file = of_annotation(annotation.clone());
    file["info"] = json!({"year": 2017});
    file["categories"] =
        json!([{"id": 3, "keypoints": ["Left eye", "Right eye", "nose"]}, {"id": 4}]);
    let coco = parse(&file).unwrap();
    let image = &coco.images()[0];
    assert_eq!(value(&coco.other_keys())["info"], file["info"]);
    assert_eq!((coco.sides(3), coco.sides(4)), (&[[0, 1]][..], &[][..]));
    let object = &image.objects((4, 3)).unwrap()[0];
    let point = |x, y, visibility| ObjectPoint {
        position: [x, y],
        visibility,
    };
    let expected = Object {
        class: 3,
        bounds: Some([1.0, 0.5, 3.0, 1.5]),
        outlines: vec![vec![[1.0, 0.5], [3.0, 0.5], [3.0, 1.5]]],
        region: None,
        keypoints: vec![point(1.5, 2.5, 2), point(0.5, 0.5, 0)],
    };
    assert_eq!(*object, expected);
    let written = value(&image.annotations[0].moved(object, object));
    // Whole numbers have no fraction.
    assert_eq!(
        written.to_string(),
        annotation.to_string().replace("1.0,", "1,")
    );
    let entry = json!({"id": 9, "file_name": "c.png", "width": 4, "height": 3});
    assert_eq!(value(&image.entry(9, "c.png", (4, 3))), entry);
}

#[test]
fn what_has_moved_is_written_and_nothing_else() {
    let annotation = json!({"id": 1, "image_id": 7, "category_id": 3, "bbox": [1, 0, 2, 2],
        "area": 2, "keypoints": [1, 2, 1, 3, 2, 2], "num_keypoints": 2, "iscrowd": 0});
    let coco = parse(&of_annotation(annotation)).unwrap();
    let image = &coco.images()[0];
    let before = &image.objects((4, 3)).unwrap()[0];
    let mut after = before.clone();
    after.bounds = Some([0.12345, 0.0, 1.0, 1.0]);
    after.keypoints[0].position = [2.0, 1.25];
    after.keypoints[1].visibility = 0;
    let moved = value(&image.annotations[0].moved(before, &after));
    let expected = json!({"id": 1, "image_id": 7, "category_id": 3, "bbox": [0.123, 0, 0.877, 1],
        "area": 0.438, "keypoints": [1.5, 0.75, 1, 0, 0, 0], "num_keypoints": 1, "iscrowd": 0});
    assert_eq!(moved, expected);
}

#[test]
fn regions_keep_their_form() {
    let (runs, text) = (json!([1, 2, 3, 4, 2]), json!("1232O"));
    for counts in [runs.clone(), text.clone()] {
        let annotation = json!({"id": 1, "image_id": 7, "area": 9, "iscrowd": 1,
            "segmentation": {"counts": counts, "size": [3, 4]}});
        let coco = parse(&of_annotation(annotation.clone())).unwrap();
        let image = &coco.images()[0];
        let mut objects = match image.objects((4, 3)) {
            Ok(objects) => objects,
            Err(error) => panic!("{error}"),
        };
        let before = objects[0].clone();
        assert_eq!(
            (before.extent(), before.area()),
            (Some([0.0, 0.0, 4.0, 3.0]), 6.0)
        );
        assert_eq!(value(&image.annotations[0].to_json()), annotation);
        let pixels = vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1];
        objects[0].region = Some(Region::new(4, 3, pixels));
        let moved = value(&image.annotations[0].moved(&before, &objects[0]));
        assert_eq!(moved["area"], 2);
        let again = parse(&of_annotation(moved.clone())).unwrap();
        assert_eq!(again.images()[0].objects((4, 3)).unwrap()[0], objects[0]);
        let is_text = moved["segmentation"]["counts"].is_string();
        assert_eq!(is_text, counts.is_string());
    }
}

/// What was read and written is read again to the same.
#[test]
fn random_files_survive_a_round_trip() {
    let stream = &mut Stream::for_op(4);
    for _ in 0..200 {
        let number = |stream: &mut Stream| (stream.unit() - 0.25) * 1e3;
        let list = |stream: &mut Stream, count: u64| -> Vec<f64> {
            (0..count).map(|_| number(stream)).collect()
        };
        let images = (1..=1 + stream.below(3)).collect::<Vec<_>>();
        let annotation = |id: u64, stream: &mut Stream| {
            let mut annotation =
                json!({"id": id, "image_id": 1 + stream.below(images.len() as u64)});
            if stream.below(2) == 0 {
                annotation["bbox"] = json!(list(stream, 4));
            }
            let count = 6 + 2 * stream.below(5);
            let outlines: Vec<_> = (0..stream.below(3)).map(|_| list(stream, count)).collect();
            annotation["segmentation"] = json!(outlines);
            annotation["note"] = json!({"n": number(stream)});
            annotation
        };
        let annotations: Vec<Value> = (0..stream.below(5))
            .map(|id| annotation(id, stream))
            .collect();
        let entry =
            |id: &u64| json!({"id": id, "file_name": format!("{id}.png"), "width": 9, "height": 9});
        let file = json!({"images": images.iter().map(entry).collect::<Vec<_>>(),
            "annotations": annotations, "info": 1});
        let coco = parse(&file).unwrap();
        let written = coco.images().iter().flat_map(|image| {
            let objects = image.objects((9, 9)).unwrap();
            let pairs = image.annotations.iter().zip(objects);
            pairs
                .map(|(it, object)| value(&it.moved(&object, &object)))
                .collect::<Vec<_>>()
        });
        let mut again = file.clone();
        again["annotations"] = written.collect();
        assert_eq!(parse(&again).unwrap(), coco);
        let count: usize = coco.images().iter().map(|it| it.annotations.len()).sum();
        assert_eq!(count, annotations.len());
    }
}

#[test]
fn malformed_files_are_refused_with_their_place() {
    let annotation = |key: &str, value: Value| {
        let mut annotation = json!({"id": 1, "image_id": 7});
        annotation[key] = value;
        of_annotation(annotation).to_string()
    };
    let image = |key: &str, value: Value| {
        let mut file = of_annotation(json!({"id": 1, "image_id": 7}));
        file["images"][0][key] = value;
        file.to_string()
    };
    let cases = [
        ("{}".to_owned(), "missing field `images`"),
        ("[]".to_owned(), "invalid type"),
        ("{\"images\": []} x".to_owned(), "trailing characters"),
        ("{\"images\": [".to_owned(), "images: EOF while parsing"),
        (
            "{\"images\": [], \"images\": []}".to_owned(),
            "duplicate field `images`",
        ),
        (
            "{\"images\": [], \"info\": {\"a\": 1, \"a\": 2}}".to_owned(),
            "duplicate key `a`",
        ),
        (
            "{\"images\": [], \"info\": 1, \"info\": 2}".to_owned(),
            "duplicate key `info`",
        ),
        (
            image("id", json!("7")),
            "images[0].id: invalid type: string \"7\"",
        ),
        (
            image("id", json!(-7)),
            "images[0].id: invalid value: integer `-7`",
        ),
        (
            image("id", json!(8)),
            "annotations[0]: no image has the id 7",
        ),
        (image("width", json!(1.5)), "images[0].width: invalid type"),
        (
            image("file_name", json!("../b.jpg")),
            "images[0]: `../b.jpg` is not the path of a file",
        ),
        (
            image("file_name", json!("/b.jpg")),
            "images[0]: `/b.jpg` is not",
        ),
        (image("file_name", json!("")), "images[0]: `` is not"),
        (
            image("file_name", json!("a//b")),
            "images[0]: `a//b` is not",
        ),
        (
            image("file_name", json!("a\\b")),
            "images[0]: `a\\b` is not",
        ),
        (
            annotation("image_id", json!(null)),
            "annotations[0].image_id: invalid type: null",
        ),
        (
            annotation("bbox", json!([1, 2, 3])),
            "annotations[0]: 3 values, expected a box of 4",
        ),
        (
            annotation("bbox", json!([1, 2, 3, "4"])),
            "annotations[0].bbox[3]: invalid type",
        ),
        (
            annotation("bbox", json!(7)),
            "annotations[0].bbox: invalid type",
        ),
        (
            annotation("keypoints", json!([1, 2])),
            "annotations[0]: 2 values, expected keypoints of 3",
        ),
        (
            annotation("keypoints", json!([1, 2, 3])),
            "annotations[0]: 3 is not the visibility",
        ),
        (
            annotation("segmentation", json!([[1, 2, 3, 4]])),
            "annotations[0]: 4 values, expected outlines",
        ),
        (
            annotation("segmentation", json!([1, 2])),
            "annotations[0].segmentation[0]: invalid type",
        ),
        (
            annotation("segmentation", json!({"size": [3, 4]})),
            "annotations[0].segmentation: missing field `counts`",
        ),
        (
            annotation("segmentation", json!({"counts": 1, "size": [3, 4]})),
            "annotations[0].segmentation.counts: invalid",
        ),
        (
            annotation("segments_info", json!([])),
            "annotations[0]: not supported: panoptic",
        ),
    ];
    for (file, expected) in cases {
        let error = Coco::parse(file.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}, expected {expected}");
    }
    let mut twice = of_annotation(json!({"id": 1, "image_id": 7}));
    let again = twice["annotations"][0].clone();
    twice["annotations"].as_array_mut().unwrap().push(again);
    let error = parse(&twice).unwrap_err().to_string();
    assert_eq!(error, "annotations[1]: duplicate id 1");
    let deep = "[".repeat(100_000);
    let error = Coco::parse(format!("{{\"images\": [], \"info\": {deep}").as_bytes()).unwrap_err();
    assert!(error.to_string().contains("recursion limit"), "{error}");
}

#[test]
fn annotations_of_a_different_size_are_refused() {
    let size = |annotation| {
        let coco = parse(&of_annotation(annotation)).unwrap();
        move |size| coco.images()[0].objects(size).unwrap_err().to_string()
    };
    let plain = size(json!({"id": 1, "image_id": 7}));
    assert!(
        plain((3, 4))
            .starts_with("the image with the id 7: made for 4×3 pixels, but the image has 3×4")
    );
    let region = |counts: Value, size: [u32; 2]| json!({"id": 1, "image_id": 7, "segmentation": {"counts": counts, "size": size}});
    let swapped = size(region(json!([12]), [4, 3]))((4, 3));
    assert!(
        swapped.starts_with("the annotation with the id 1: made for 3×4 pixels"),
        "{swapped}"
    );
    let short = size(region(json!([11]), [3, 4]))((4, 3));
    assert!(
        short.ends_with("the runs do not add up to the image's pixels"),
        "{short}"
    );
}
