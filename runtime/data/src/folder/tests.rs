use std::num::NonZeroUsize;
use std::path::PathBuf;

use image::codecs::gif::GifEncoder;
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, Frame, GrayImage, ImageBuffer, ImageFormat, Luma, LumaA, Rgb, Rgba};
use tempfile::TempDir;

use super::*;
use crate::dataset::{Dataset, Split};
use crate::error::Unreadable;
use crate::spec::DataSpec;

/// A data set under construction, in a folder that goes away with it.
struct Folder(TempDir);

impl Folder {
    /// The classes `cat` and `dog` with one 4×3 image each in both splits.
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (path, shade) in [
            ("train/cat/1.png", 10),
            ("train/dog/1.png", 20),
            ("test/cat/1.png", 30),
            ("test/dog/1.png", 40),
        ] {
            folder.put(path, plain(4, 3, shade));
        }
        folder
    }

    fn path(&self, inner: &str) -> PathBuf {
        self.0.path().join(inner)
    }

    fn put(&self, inner: &str, image: impl Into<DynamicImage>) -> &Self {
        self.write(inner, &encode(image, ImageFormat::Png))
    }

    fn write(&self, inner: &str, bytes: &[u8]) -> &Self {
        let path = self.path(inner);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self
    }

    fn remove(&self, inner: &str) -> &Self {
        let path = self.path(inner);
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
        self
    }

    fn load(&self) -> Result<Dataset, DataError> {
        self.load_at(None)
    }

    fn load_at(&self, image_size: Option<u32>) -> Result<Dataset, DataError> {
        let spec = DataSpec::Folder(self.0.path().into());
        Dataset::load(&spec, &LoadOptions { image_size })
    }

    /// Loads a file as the only image of the class `cat` in `train`, with all others of its size.
    fn load_one(bytes: &[u8], width: u32, height: u32) -> Vec<u8> {
        let folder = Self(tempfile::tempdir().unwrap());
        folder
            .write("train/cat/1", bytes)
            .put("test/cat/1", plain(width, height, 0));
        let data = folder.load().unwrap();
        assert_eq!((data.width, data.height), (width as usize, height as usize));
        data.train.pixels
    }

    fn unreadable(&self) -> Vec<Unreadable> {
        match self.load() {
            Err(DataError::Unreadable(files)) => files,
            other => panic!("{other:?}"),
        }
    }

    /// Checks what an error says of a path in the folder.
    #[track_caller]
    fn refused(&self, path: &str, words: &str) {
        let text = self.load().unwrap_err().to_string();
        let start = format!("{} {words}", self.path(path).display());
        assert!(text.starts_with(&start), "{text}");
    }

    #[track_caller]
    fn assert_paths(&self, files: &[Unreadable], expected: &[&str]) {
        let paths: Vec<_> = files.iter().map(|file| file.path.clone()).collect();
        let expected: Vec<_> = expected.iter().map(|path| self.path(path)).collect();
        assert_eq!(paths, expected);
    }
}

fn plain(width: u32, height: u32, shade: u8) -> image::RgbImage {
    ImageBuffer::from_pixel(width, height, Rgb([shade; 3]))
}

fn encode(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = io::Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

#[test]
fn images_are_ordered_by_class_and_name() {
    let folder = Folder::new();
    folder
        .put("train/cat/2.png", plain(4, 3, 12))
        .put("train/cat/10.png", plain(4, 3, 11))
        .put("train/Ant/x", plain(4, 3, 5))
        .put("test/Ant/x", plain(4, 3, 6));
    let data = folder.load().unwrap();
    assert_eq!(data.classes, ["Ant", "cat", "dog"]);
    assert_eq!((data.width, data.height), (4, 3));
    let shades = |split: &Split| -> Vec<_> {
        assert!(split.iter().all(|(image, _)| image == [image[0]; 36]));
        let shades = split.iter().map(|(image, label)| (image[0], label));
        shades.collect()
    };
    let train = [(5, 0), (10, 1), (11, 1), (12, 1), (20, 2)];
    assert_eq!(shades(&data.train), train);
    assert_eq!(shades(&data.test), [(6, 0), (30, 1), (40, 2)]);
}

#[test]
fn what_operating_systems_leave_behind_is_passed_over() {
    let folder = Folder::new();
    let expected = folder.load().unwrap();
    folder
        .write("train/cat/.DS_Store", b"?")
        .write("train/cat/Thumbs.db", b"?")
        .write("test/dog/desktop.ini", b"?")
        .write("train/.cache/x", b"?")
        .write("train/labels.csv", b"?")
        .write("README", b"?");
    assert_eq!(folder.load().unwrap(), expected);
}

#[test]
fn the_content_determines_the_format() {
    let image = plain(4, 3, 77);
    for format in [
        ImageFormat::Png,
        ImageFormat::Bmp,
        ImageFormat::Gif,
        ImageFormat::WebP,
        ImageFormat::Tiff,
        ImageFormat::Pnm,
    ] {
        let folder = Folder::new();
        folder.write("train/cat/1.png", &encode(image.clone(), format));
        let data = folder.load().unwrap();
        assert_eq!(data.train.image(0), image.as_raw().as_slice(), "{format:?}");
    }
}

#[test]
fn every_kind_of_sample_becomes_8_bit_rgb() {
    let png = |image: DynamicImage| Folder::load_one(&encode(image, ImageFormat::Png), 2, 1);
    let grey = GrayImage::from_raw(2, 1, vec![7, 200]).unwrap();
    assert_eq!(png(grey.into()), [7, 7, 7, 200, 200, 200]);
    // 16 bits are divided by 257 and rounded: 1000 becomes 4, not the high byte 3.
    let deep = ImageBuffer::<Luma<u16>, _>::from_raw(2, 1, vec![1000, 65535]).unwrap();
    assert_eq!(png(deep.into()), [4, 4, 4, 255, 255, 255]);
    let deep = ImageBuffer::<Rgb<u16>, _>::from_raw(2, 1, vec![0, 257, 514, 771, 1028, 1000]);
    assert_eq!(png(deep.unwrap().into()), [0, 1, 2, 3, 4, 4]);
    // Alpha is dropped, not blended.
    let clear = ImageBuffer::<Rgba<u8>, _>::from_raw(2, 1, vec![1, 2, 3, 0, 4, 5, 6, 255]);
    assert_eq!(png(clear.unwrap().into()), [1, 2, 3, 4, 5, 6]);
    let clear = ImageBuffer::<LumaA<u8>, _>::from_raw(2, 1, vec![9, 0, 8, 128]).unwrap();
    assert_eq!(png(clear.into()), [9, 9, 9, 8, 8, 8]);
}

#[test]
fn palettes_are_looked_up() {
    // A bottom-up BMP of 2×1 pixels with a palette of two: blue, green, red, unused.
    let mut bmp = b"BM".to_vec();
    let words: [u32; 13] = [66, 0, 62, 40, 2, 1, 1 | 8 << 16, 0, 4, 0, 0, 2, 0];
    bmp.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    bmp.extend([1, 2, 3, 0, 40, 50, 60, 0]);
    bmp.extend([1, 0, 0, 0]);
    assert_eq!(Folder::load_one(&bmp, 2, 1), [60, 50, 40, 3, 2, 1]);
}

#[test]
fn the_first_frame_of_an_animation_counts() {
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new(&mut bytes);
    for shade in [50, 150] {
        let frame = ImageBuffer::from_pixel(3, 2, Rgba([shade, shade, shade, 255]));
        encoder.encode_frame(Frame::new(frame)).unwrap();
    }
    drop(encoder);
    assert_eq!(Folder::load_one(&bytes, 3, 2), [50; 18]);
}

#[test]
fn the_exif_orientation_is_applied() {
    let mut picture = plain(16, 8, 0);
    for (x, _, pixel) in picture.enumerate_pixels_mut() {
        *pixel = Rgb([if x < 8 { 255 } else { 0 }; 3]);
    }
    let mut jpeg = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut jpeg, 100);
    DynamicImage::from(picture)
        .write_with_encoder(encoder)
        .unwrap();
    // An EXIF segment, after the start marker, whose one entry is the orientation 6: to be turned
    // clockwise, so that the bright left half becomes the upper one.
    let mut exif = b"\xff\xe1\0\x22Exif\0\0II*\0\x08\0\0\0\x01\0".to_vec();
    exif.extend(b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0");
    jpeg.splice(2..2, exif);
    let pixels = Folder::load_one(&jpeg, 8, 16);
    let (upper, lower) = pixels.split_at(8 * 8 * 3);
    assert!(upper.iter().all(|&sample| sample > 250), "{upper:?}");
    assert!(lower.iter().all(|&sample| sample < 5), "{lower:?}");
}

#[test]
fn the_middle_square_is_scaled() {
    // Red, white and blue stripes: the middle square has only white.
    let stripes = ImageBuffer::from_fn(12, 4, |x, _| match x {
        0..4 => Rgb([255, 0, 0]),
        4..8 => Rgb([255; 3]),
        _ => Rgb([0, 0, 255_u8]),
    });
    let folder = Folder::new();
    folder.put("train/cat/1.png", stripes);
    for size in [1, 2, 4, 7] {
        let data = folder.load_at(Some(size)).unwrap();
        assert_eq!((data.width, data.height), (size as usize, size as usize));
        assert_eq!(data.train.image(0), vec![255; (size * size * 3) as usize]);
        assert_eq!(data.train.image(1)[0], 20);
    }
}

#[test]
fn impossible_sizes_are_refused() {
    for size in [0, 4_097, u32::MAX] {
        let error = Folder::new().load_at(Some(size)).unwrap_err();
        assert!(matches!(error, DataError::ImageSize { size: found, .. } if found == size));
    }
}

#[test]
fn missing_folders_are_named() {
    let folder = Folder::new();
    folder.remove("test").refused("test", "is missing");
    (folder.remove("train").write("train", b"a file")).refused("train", "is missing");
    let nowhere = DataSpec::Folder(folder.path("nowhere"));
    let error = Dataset::load(&nowhere, &LoadOptions::default()).unwrap_err();
    assert!(matches!(error, DataError::MissingFolder(path) if path == folder.path("nowhere")));
}

#[test]
fn classes_are_checked() {
    let image = || plain(4, 3, 0);
    let folder = Folder::new();
    folder.remove("train/cat").remove("train/dog");
    (folder.put("train/1.png", image())).refused("train", "has no class folders");

    let folder = Folder::new();
    folder.remove("test/dog/1.png");
    (folder.write("test/dog/.DS_Store", b"?")).refused("test/dog", "has no images");

    let folder = Folder::new();
    folder
        .put("train/elk/1.png", image())
        .put("train/emu/1.png", image())
        .put("test/Dog/1.png", image());
    let text = folder.load().unwrap_err().to_string();
    let words = "different classes in train and test: only train has elk, emu; only test has Dog;";
    assert!(text.contains(words), "{text}");

    let folder = Folder::new();
    (folder.put("train/cat/more/2.png", image())).refused("train/cat/more", "is a folder within");
}

#[test]
fn every_unreadable_file_is_reported() {
    let folder = Folder::new();
    let png = encode(plain(64, 64, 9), ImageFormat::Png);
    let jpeg = encode(plain(64, 64, 9), ImageFormat::Jpeg);
    folder
        .write("train/cat/0.png", &png[..png.len() - 30])
        .write("train/cat/2.jpg", &jpeg[..40])
        .write("train/dog/3.txt", b"not an image")
        .write("test/dog/4.png", b"")
        .put("train/dog/other-size.png", plain(5, 3, 0));
    let files = folder.unreadable();
    let (first, second) = ("train/cat/0.png", "train/cat/2.jpg");
    folder.assert_paths(
        &files,
        &[first, second, "train/dog/3.txt", "test/dog/4.png"],
    );
    assert!(files[2].reason.contains("no known image format"));
    assert!(files.iter().all(|file| !file.reason.is_empty()));
}

#[test]
fn a_set_without_any_image_is_unreadable_as_a_whole() {
    let folder = Folder::new();
    for class in ["train/cat", "train/dog", "test/cat", "test/dog"] {
        folder.write(&format!("{class}/1.png"), b"?");
    }
    assert_eq!(folder.unreadable().len(), 4);
}

#[test]
fn bombs_are_refused_by_their_claim() {
    let folder = Folder::new();
    folder
        .write("train/cat/wide.png", &png_that_claims(60_000, 60_000))
        // Within the sides that are allowed, but 805 MB of pixels.
        .write("train/cat/wider.png", &png_that_claims(16_384, 16_384));
    let files = folder.unreadable();
    folder.assert_paths(&files, &["train/cat/wide.png", "train/cat/wider.png"]);
    let by_limit = files.iter().all(|file| file.reason.contains("limit"));
    assert!(by_limit, "{files:?}");
}

/// A small PNG whose header, checksum included, says that it has this size.
fn png_that_claims(width: u32, height: u32) -> Vec<u8> {
    let mut png = encode(plain(1, 1, 0), ImageFormat::Png);
    png[16..20].copy_from_slice(&width.to_be_bytes());
    png[20..24].copy_from_slice(&height.to_be_bytes());
    let crc = png[12..29].iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            crc >> 1 ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    });
    png[29..33].copy_from_slice(&(!crc).to_be_bytes());
    png
}

#[test]
fn unequal_sizes_are_refused_with_both() {
    let folder = Folder::new();
    folder
        .put("train/dog/2.png", plain(4, 5, 0))
        .put("test/cat/0.png", plain(9, 9, 0));
    let first = folder.path("train/cat/1.png");
    let words = format!(
        "is 4×5, but {} is 4×3; all images must have",
        first.display()
    );
    folder.refused("train/dog/2.png", &words);
    assert!(folder.load_at(Some(3)).is_ok());
}

#[test]
fn a_preview_decodes_the_chosen_images_only() {
    let folder = Folder::new();
    folder
        .put("train/dog/2.png", plain(4, 3, 21))
        .write("train/cat/2.png", b"?")
        .write("train/dog/3.png", b"?")
        .write("test/cat/1.png", b"?");
    let preview = |count| {
        let spec = DataSpec::Folder(folder.0.path().into());
        let count = NonZeroUsize::new(count).unwrap();
        Dataset::preview(&spec, &LoadOptions::default(), count)
    };
    // Of the five images, those with the indices 0 and 2.
    let some = preview(2).unwrap();
    assert_eq!(some.train_images, 5);
    assert_eq!(some.dataset.classes, ["cat", "dog"]);
    assert_eq!(some.dataset.train.labels, [0, 1]);
    assert_eq!(some.dataset.train.pixels, [[10; 36], [20; 36]].concat());
    assert!(some.dataset.test.is_empty());
    let outcome = preview(5);
    assert!(
        matches!(&outcome, Err(DataError::Unreadable(files)) if files.len() == 2),
        "{outcome:?}"
    );
}

#[test]
fn sets_beyond_memory_are_refused_by_count() {
    // 171 images of 4096² pixels take 8.6 GB. The files themselves are small.
    let folder = Folder::new();
    for index in 2..=168 {
        folder.put(&format!("train/cat/{index}.png"), plain(1, 1, 0));
    }
    let text = folder.load_at(Some(4_096)).unwrap_err().to_string();
    let words =
        "171 images of 4096×4096 take 8606711808 bytes of memory, and the limit is 8589934592;";
    assert!(text.starts_with(words), "{text}");
}

#[cfg(unix)]
mod unix {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_and_circles_reported() {
        let folder = Folder::new();
        folder.put("elsewhere/1.png", plain(4, 3, 99));
        let link = |to: &str, from: &str| symlink(folder.path(to), folder.path(from)).unwrap();
        link("elsewhere/1.png", "train/cat/2.png");
        link("elsewhere", "train/elk");
        link("elsewhere", "test/elk");
        let data = folder.load().unwrap();
        assert_eq!(data.classes, ["cat", "dog", "elk"]);
        assert_eq!((data.train.image(1)[0], data.train.image(3)[0]), (99, 99));

        link("train/cat/circle", "train/cat/circle");
        link("nowhere", "train/cat/dangling");
        assert_eq!(folder.unreadable().len(), 2);
        folder
            .remove("train/cat/circle")
            .remove("train/cat/dangling");
        link("train", "train/cat/up");
        assert!(matches!(folder.load(), Err(DataError::NestedFolder(_))));
    }

    #[test]
    fn only_regular_files_are_opened() {
        let folder = Folder::new();
        symlink("/dev/zero", folder.path("train/cat/endless")).unwrap();
        let files = folder.unreadable();
        assert_eq!(files[0].reason, "it is not a regular file");
    }

    #[test]
    fn class_names_are_unicode() {
        let folder = Folder::new();
        let name = std::ffi::OsStr::from_bytes(b"caf\xe9");
        // Some file systems refuse such a name themselves.
        if fs::create_dir(folder.path("train").join(name)).is_ok() {
            assert!(matches!(folder.load(), Err(DataError::ClassName(_))));
        }
    }

    #[test]
    fn what_may_not_be_read_is_named() {
        use std::os::unix::fs::PermissionsExt;

        let folder = Folder::new();
        let class = folder.path("train/cat");
        fs::set_permissions(&class, fs::Permissions::from_mode(0o000)).unwrap();
        // The superuser may read it all the same.
        if fs::read_dir(&class).is_err() {
            assert!(matches!(folder.load(), Err(DataError::Io { path, .. }) if path == class));
        }
        fs::set_permissions(&class, fs::Permissions::from_mode(0o755)).unwrap();
    }
}
