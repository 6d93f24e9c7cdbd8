use std::fs;

use tempfile::TempDir;

use super::*;
use crate::{DataSpec, ImageFiles};

fn folder(files: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    folder
}

fn paths(files: &ImageFiles) -> Vec<(String, String, u64)> {
    let file = |it: &crate::ImageFile| {
        let label = it.label_inner_path().unwrap_or_default().to_owned();
        (it.inner_path(), label, it.index)
    };
    files.files().iter().map(file).collect()
}

fn expected(of: &[(&str, &str, u64)]) -> Vec<(String, String, u64)> {
    let owned = |(image, label, index): &(&str, &str, u64)| {
        ((*image).to_owned(), (*label).to_owned(), *index)
    };
    of.iter().map(owned).collect()
}

#[test]
fn splits_are_in_either_order_or_missing() {
    let inside = folder(&[
        "images/val2017/b.jpg",
        "images/train2017/b.jpg",
        "images/train2017/a.png",
        "labels/train2017/a.txt",
        "labels/train2017/c.txt",
        "labels/val2017/b.txt",
        "coco.yaml",
        "README.md",
    ]);
    fs::write(inside.path().join("coco.yaml"), "path: /data\nnames: [a]\n").unwrap();
    let files = ImageFiles::list(&DataSpec::Yolo(inside.path().into())).unwrap();
    let list = expected(&[
        ("images/train2017/a.png", "labels/train2017/a.txt", 0),
        ("images/train2017/b.jpg", "labels/train2017/b.txt", 1),
        ("images/val2017/b.jpg", "labels/val2017/b.txt", 0),
    ]);
    assert_eq!(paths(&files), list);
    assert_eq!(files.beside()[0].0, "coco.yaml");
    assert_eq!(files.warnings().len(), 3);
    assert!(files.warnings()[1].contains("1 of 2 images in"));
    assert!(files.warnings()[2].contains("coco.yaml has `path`"));
    assert!(files.warnings()[0].ends_with("files without an image, which are not used (1): c.txt"));
    // One of two has no file, and so no objects.
    assert_eq!(files.read_label(0).unwrap(), Some(Vec::new()));
    assert_eq!(files.read_label(1).unwrap(), None);

    let outside = folder(&[
        "train/images/a.png",
        "train/masks/a.png",
        "valid/images/b.png",
        "valid/masks/x.md",
    ]);
    let files = ImageFiles::list(&DataSpec::Masks(outside.path().into())).unwrap();
    let list = expected(&[
        ("train/images/a.png", "train/masks/a.png", 0),
        ("valid/images/b.png", "valid/masks/b.png", 0),
    ]);
    assert_eq!(paths(&files), list);
    assert_eq!(files.files()[1].split, Some(ImageSplit::Val));
    let missing = files.read_label(1).unwrap_err();
    assert_eq!(missing.kind(), DataErrorKind::Unreadable);

    let without = folder(&["images/a.png", "masks/a.png"]);
    let files = ImageFiles::list(&DataSpec::Masks(without.path().into())).unwrap();
    assert_eq!(
        paths(&files),
        expected(&[("images/a.png", "masks/a.png", 0)])
    );
}

#[test]
fn test_images_of_yolo_need_no_labels_and_lists_of_files_are_warned_of() {
    let inside = folder(&[
        "images/train/a.png",
        "labels/train/a.txt",
        "images/test/b.png",
    ]);
    let yaml = "train: images/train\ntest: test.txt\n";
    fs::write(inside.path().join("data.yaml"), yaml).unwrap();
    let files = ImageFiles::list(&DataSpec::Yolo(inside.path().into())).unwrap();
    assert_eq!(files.files().len(), 2);
    let warnings = files.warnings();
    assert!(warnings.iter().any(|it| it.contains("1 of 1 images in")));
    assert!(warnings.iter().any(|it| it.contains("or a list of files")));
}

#[test]
fn coco_names_its_images() {
    let folder = folder(&["in/b.jpg"]);
    let json = r#"{"images": [{"id": 5, "file_name": "b.jpg"}, {"id": 3, "file_name": "a/z.jpg"}], "annotations":
        [{"id": 1, "image_id": 5, "bbox": [0, 0, 1, 1]}]}"#;
    let file = folder.path().join("a.json");
    fs::write(&file, json).unwrap();
    let spec = DataSpec::Coco {
        images: folder.path().join("in"),
        annotations: file.clone(),
    };
    let files = ImageFiles::list(&spec).unwrap();
    let list = expected(&[("images/a/z.jpg", "", 1), ("images/b.jpg", "", 0)]);
    let mut found = paths(&files);
    found.sort();
    // Those of the folder itself come first.
    assert_eq!(found, list);
    assert_eq!(files.coco_image(0).unwrap().annotations.len(), 1);
    assert!(files.fetch(0).unwrap().is_empty() && files.fetch(1).is_err());
    let digest = files.digest();
    fs::write(&file, json.replace("[0, 0", "[1, 0")).unwrap();
    assert_ne!(ImageFiles::list(&spec).unwrap().digest(), digest);
    fs::write(&file, "{").unwrap();
    let error = ImageFiles::list(&spec).unwrap_err();
    assert_eq!(error.kind(), DataErrorKind::Damaged);
    assert!(
        error
            .to_string()
            .contains("a.json cannot be used: EOF while parsing"),
        "{error}"
    );
}

#[test]
fn other_layouts_are_refused_with_what_to_do() {
    let cases: [(&[&str], &str); 7] = [
        (
            &["a.png"],
            "has no folder of images; a data set is DIR/images/train and DIR/labels/train",
        ),
        (&["images/a.png"], "labels is not a folder"),
        (
            &["images/train/a.png", "labels/a.txt"],
            "labels/train is not a folder",
        ),
        (
            &["images/train/a.png", "images/b.png", "labels/train/a.txt"],
            "b.png is beside the splits",
        ),
        (
            &["images/train/x/a.png", "labels/train/a.txt"],
            "x is a folder of images in a folder of images",
        ),
        (
            &["images/left/a.png", "labels/left/a.txt"],
            "left is beside the splits",
        ),
        (
            &[
                "val/images/a.png",
                "valid/images/a.png",
                "val/labels/a",
                "valid/labels/a",
            ],
            "has a split twice",
        ),
    ];
    for (files, words) in cases {
        let folder = folder(files);
        let error = ImageFiles::list(&DataSpec::Yolo(folder.path().into())).unwrap_err();
        assert_eq!(error.kind(), DataErrorKind::Layout);
        assert!(error.to_string().contains(words), "{error}");
    }
    let pose = folder(&["images/a.png", "labels/a.txt"]);
    fs::write(
        pose.path().join("data.yaml"),
        "names: x\nkpt_shape: [17, 3]\n",
    )
    .unwrap();
    let error = ImageFiles::list(&DataSpec::Yolo(pose.path().into())).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("labels of poses are not supported"),
        "{error}"
    );
}
