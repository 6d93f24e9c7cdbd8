#![cfg(unix)]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};

use image::{Rgb, RgbImage};

use super::*;
use crate::tests::Files;
use crate::{DataSpec, Dataset};

/// Links and permissions are those of the folder, so that no archive is made of it.
fn load(files: &Files) -> Result<Dataset, DataError> {
    Dataset::load(&DataSpec::Folder(files.path("")), &LoadOptions::default())
}

#[track_caller]
fn refused(files: &Files, path: &str, words: &str) {
    let text = load(files).unwrap_err().to_string();
    let start = format!("{} {words}", files.path(path).display());
    assert!(text.starts_with(&start), "{text}");
}

#[test]
fn a_missing_folder_is_named() {
    let files = Files::new();
    refused(files.remove(""), "", "is not a folder");
}

#[test]
fn links_are_followed_and_circles_reported() {
    let files = Files::new();
    files.put("elsewhere/1.png", RgbImage::from_pixel(4, 3, Rgb([99; 3])));
    let link = |to: &str, from: &str| symlink(files.path(to), files.path(from)).unwrap();
    link("elsewhere/1.png", "train/cat/2.png");
    link("elsewhere", "train/elk");
    link("elsewhere", "test/elk");
    let data = load(&files).unwrap();
    assert_eq!(data.classes, ["cat", "dog", "elk"]);
    assert_eq!((data.train.image(1)[0], data.train.image(3)[0]), (99, 99));

    link("train/cat/circle", "train/cat/circle");
    link("nowhere", "train/cat/dangling");
    assert_eq!(load(&files).unwrap_err().unreadable().len(), 2);
    files
        .remove("train/cat/circle")
        .remove("train/cat/dangling");
    link("train", "train/cat/up");
    refused(&files, "train/cat/up", "is a folder within a class");
}

#[test]
fn only_regular_files_are_opened() {
    let files = Files::new();
    symlink("/dev/zero", files.path("train/cat/endless")).unwrap();
    let error = load(&files).unwrap_err();
    let (_, reason) = error.unreadable().next().unwrap();
    assert_eq!(reason, "it is not a regular file");
}

#[test]
fn class_names_are_unicode() {
    let files = Files::new();
    let name = OsStr::from_bytes(b"caf\xe9");
    // Some file systems refuse such a name themselves.
    if fs::create_dir(files.path("train").join(name)).is_ok() {
        refused(
            &files,
            "train/caf\\xE9",
            "is a class folder whose name is not Unicode",
        );
    }
}

#[test]
fn what_may_not_be_read_is_named() {
    let files = Files::new();
    let class = files.path("train/cat");
    fs::set_permissions(&class, fs::Permissions::from_mode(0o000)).unwrap();
    // The superuser may read it all the same.
    if fs::read_dir(&class).is_err() {
        refused(&files, "train/cat", "cannot be read");
    }
    fs::set_permissions(&class, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_class_that_is_a_link_to_nowhere_is_an_error() {
    let files = Files::new();
    for split in ["train", "test"] {
        symlink("nowhere", files.path(split).join("elk")).unwrap();
    }
    refused(&files, "train/elk", "is a link that leads nowhere (");
}
