use std::fs;

use super::*;
use crate::tests::Files;
use crate::{Dataset, LoadOptions};

/// The inner path, split and index of every image, in the order of the splits, with the length of its content,
/// which must be the same from `read` and from `fetch`.
fn listed(files: &Files) -> Vec<(String, Option<ImageSplit>, u64, usize)> {
    let list = |spec: &DataSpec| {
        let images = ImageFiles::list(spec)?;
        let all: Vec<usize> = (0..images.files().len()).collect();
        let mut contents = vec![Vec::new(); all.len()];
        images.read(&all, |position, image| {
            contents[position] = image.into_bytes().unwrap();
            ControlFlow::Continue(())
        })?;
        images.spool(&std::env::temp_dir())?;
        let mut listed = Vec::new();
        for (position, file) in images.files().iter().enumerate() {
            assert_eq!(images.fetch(position)?, contents[position]);
            let length = contents[position].len();
            listed.push((file.inner_path(), file.split, file.index, length));
        }
        listed.sort_by_key(|(_, split, index, _)| (*split, *index));
        Ok(listed)
    };
    files.both(list).unwrap()
}

fn names(files: &Files) -> Vec<String> {
    listed(files).into_iter().map(|(name, ..)| name).collect()
}

/// Files with these contents and no other.
fn only(names: &[&str]) -> Files {
    let files = Files::new();
    files.remove("");
    for name in names {
        files.write(name, name.as_bytes());
    }
    files
}

#[test]
fn indices_are_those_of_the_loaded_splits() {
    let files = Files::new();
    files.write(
        "train/cat/0.png",
        &fs::read(files.path("test/dog/1.png")).unwrap(),
    );
    let found = listed(&files);
    let of_split = |split| found.iter().filter(move |(_, of, ..)| *of == Some(split));
    let data = files.load().unwrap();
    for (split, loaded) in [
        (ImageSplit::Train, &data.train),
        (ImageSplit::Test, &data.test),
    ] {
        assert_eq!(of_split(split).count(), loaded.len());
        for (name, _, index, _) in of_split(split) {
            let image = image::open(files.path(name)).unwrap().into_rgb8();
            assert_eq!(loaded.image(*index as usize), &*image.into_raw(), "{name}");
        }
    }
    assert_eq!(found[0].0, "train/cat/0.png");
    let spec = &files.specs()[1];
    let options = LoadOptions::default();
    assert_eq!(Dataset::load(spec, &options).unwrap(), data);
}

#[test]
fn splits_and_classes_are_optional() {
    let cases: [(&[&str], &[&str]); 6] = [
        (&["dog/b", "cat/a"], &["cat/a", "dog/b"]),
        (&["cat/a", "README", "cat/.b"], &["cat/a"]),
        (&["b", "a"], &["a", "b"]),
        (&["train/cat/a", "val/cat/a"], &["train/cat/a"]),
        (&["test/cat/a", "train/plane"], &["test/cat/a"]),
        // Vehicles.
        (&["train/a", "plane/b"], &["plane/b", "train/a"]),
    ];
    for (files, expected) in cases {
        assert_eq!(names(&only(files)), expected, "{files:?}");
    }
}

#[test]
fn an_archive_may_have_its_class_folders_in_a_folder() {
    let files = only(&["pets/cat/a", "pets/dog/b", "pets/README"]);
    let names = |files: &Files| -> Vec<String> {
        let listed = ImageFiles::list(&files.specs()[1]).unwrap();
        listed.files().iter().map(ImageFile::inner_path).collect()
    };
    let mut found = names(&files);
    found.sort();
    assert_eq!(found, ["cat/a", "dog/b"]);
    assert_eq!(names(&only(&["pets/cat/a"])), ["cat/a"]);
}

#[test]
fn what_is_not_used_is_a_warning() {
    let warnings = |names: &[&str]| {
        let files = only(names);
        let listed = ImageFiles::list(&files.specs()[0]).unwrap();
        listed.warnings().join("; ")
    };
    let found = warnings(&["train/cat/a", "val/cat/a"]);
    assert!(
        found.contains("other folders in it are not used: val"),
        "{found}"
    );
    let found = warnings(&["cat/a", "README"]);
    assert!(
        found.contains("beside the class folders") && found.contains("README"),
        "{found}"
    );
    assert_eq!(warnings(&["a", "b"]), "");
}

#[test]
fn a_set_without_image_files_is_refused() {
    let error = |spec: &str| ImageFiles::list(&spec.parse().unwrap()).unwrap_err();
    assert_eq!(error("glyphs").kind(), DataErrorKind::Usage);
    assert_eq!(error("folder:/no/such").kind(), DataErrorKind::Layout);
    let files = only(&["cat/"]);
    for spec in files.specs() {
        let error = ImageFiles::list(&spec).unwrap_err();
        assert_eq!(error.kind(), DataErrorKind::Layout, "{error}");
    }
    let files = only(&["cat/a/b", "dog/c"]);
    let error = ImageFiles::list(&files.specs()[0]).unwrap_err().to_string();
    assert!(error.contains("is a folder within a class"), "{error}");
}

#[test]
fn reading_stops_where_it_is_told_to() {
    for spec in Files::new().specs() {
        let images = ImageFiles::list(&spec).unwrap();
        let mut taken = Vec::new();
        let read = images.read(&[0, 2, 3], |position, _| {
            taken.push(position);
            match taken.len() {
                2 => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        });
        read.unwrap();
        assert_eq!(taken, [0, 2]);
    }
}
