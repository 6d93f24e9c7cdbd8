//! Data sets that are loaded from a folder and from an archive, which must give the same.

use std::fs;
use std::io::Cursor;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use image::codecs::gif::GifEncoder;
use image::codecs::jpeg::JpegEncoder;
use image::{
    DynamicImage, Frame, GrayImage, ImageBuffer, ImageFormat, Luma, LumaA, Rgb, RgbImage, Rgba,
};
use tempfile::TempDir;

use crate::{DataError, DataSpec, Dataset, LoadOptions, Preview, Split};

/// The files of a data set under construction, in a folder that goes away with it.
pub(crate) struct Files(TempDir);

impl Files {
    /// The classes `cat` and `dog` with one 4×3 image each in both splits.
    pub(crate) fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        for (path, shade) in [
            ("train/cat/1.png", 10),
            ("train/dog/1.png", 20),
            ("test/cat/1.png", 30),
            ("test/dog/1.png", 40),
        ] {
            files.put(path, plain(4, 3, shade));
        }
        files
    }

    /// A path in the folder.
    pub(crate) fn path(&self, inner: &str) -> PathBuf {
        self.0.path().join("set").join(inner)
    }

    pub(crate) fn put(&self, inner: &str, image: impl Into<DynamicImage>) -> &Self {
        self.write(inner, &encode(image, ImageFormat::Png))
    }

    /// Writes a file, or creates a folder if the path ends in `/`.
    pub(crate) fn write(&self, inner: &str, bytes: &[u8]) -> &Self {
        let path = self.path(inner);
        let folder = if inner.ends_with('/') {
            Some(path.as_path())
        } else {
            path.parent()
        };
        fs::create_dir_all(folder.unwrap()).unwrap();
        if !inner.ends_with('/') {
            fs::write(path, bytes).unwrap();
        }
        self
    }

    pub(crate) fn remove(&self, inner: &str) -> &Self {
        let path = self.path(inner);
        if path.is_dir() {
            fs::remove_dir_all(path)
        } else {
            fs::remove_file(path)
        }
        .unwrap();
        self
    }

    /// The folder, and an archive of it.
    pub(crate) fn specs(&self) -> [DataSpec; 2] {
        let [folder, archive] = ["set", "set.tar"].map(|name| self.0.path().join(name));
        let mut builder = tar::Builder::new(fs::File::create(&archive).unwrap());
        builder.append_dir_all("", &folder).unwrap();
        builder.finish().unwrap();
        [DataSpec::Folder(folder), DataSpec::Tar(archive)]
    }

    /// What the folder and the archive give, which must agree.
    pub(crate) fn both<T: PartialEq + std::fmt::Debug>(
        &self,
        load: impl Fn(&DataSpec) -> Result<T, DataError>,
    ) -> Result<T, DataError> {
        let [folder, archive] = self.specs().map(|spec| load(&spec));
        match (&folder, &archive) {
            (Ok(folder), Ok(archive)) => assert_eq!(folder, archive),
            (Err(folder), Err(archive)) => {
                assert_eq!(folder.kind(), archive.kind());
                assert_eq!(self.inner(folder), self.inner(archive));
            }
            _ => panic!("{folder:?}, but {archive:?}"),
        }
        folder
    }

    /// A message with paths from the data set's folder on.
    fn inner(&self, message: &DataError) -> String {
        let set = self.0.path().join("set").display().to_string();
        let message = message.to_string().replace(&format!("{set}.tar: "), "");
        message
            .replace(&format!("{set}.tar"), "SET")
            .replace(&format!("{set}/"), "")
            .replace(&set, "SET")
    }

    pub(crate) fn load(&self) -> Result<Dataset, DataError> {
        self.load_at(None)
    }

    /// Loads the folder only: warnings name it.
    fn load_folder(&self) -> Dataset {
        Dataset::load(&self.specs()[0], &LoadOptions::default()).unwrap()
    }

    fn load_at(&self, image_size: Option<u32>) -> Result<Dataset, DataError> {
        self.both(|spec| Dataset::load(spec, &LoadOptions::sized(image_size)))
    }

    /// Loads a file as the only image of the class `cat` in `train`, with all others of its size.
    fn load_one(bytes: &[u8], width: u32, height: u32) -> Vec<u8> {
        let files = Self(tempfile::tempdir().unwrap());
        for path in ["test/cat/1", "train/dog/1", "test/dog/1"] {
            files.put(path, plain(width, height, 0));
        }
        let data = files.write("train/cat/1", bytes).load().unwrap();
        assert_eq!((data.width, data.height), (width as usize, height as usize));
        data.train.image(0).to_vec()
    }

    /// Checks how the message begins, with paths from the data set's folder on.
    #[track_caller]
    pub(crate) fn refused(&self, start: &str) {
        let text = self.inner(&self.load().unwrap_err());
        assert!(text.starts_with(start), "{text}");
    }

    /// The reasons why these files, and no others, are unreadable.
    #[track_caller]
    fn unreadable<const N: usize>(&self, expected: [&str; N]) -> [String; N] {
        let error = self.load().unwrap_err();
        let (paths, reasons): (Vec<_>, Vec<_>) = error.unreadable().unzip();
        let expected: Vec<_> = expected.iter().map(|path| self.path(path)).collect();
        assert_eq!(paths, expected);
        let reasons: Vec<_> = reasons.into_iter().map(str::to_owned).collect();
        reasons.try_into().unwrap()
    }
}

fn plain(width: u32, height: u32, shade: u8) -> RgbImage {
    ImageBuffer::from_pixel(width, height, Rgb([shade; 3]))
}

fn encode(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn shades(split: &Split) -> Vec<(u8, u32)> {
    assert!(split.iter().all(|(image, _)| image == [image[0]; 36]));
    split
        .iter()
        .map(|(image, label)| (image[0], label))
        .collect()
}

#[test]
fn images_are_ordered_by_class_and_name() {
    let files = Files::new();
    files
        .put("train/cat/2.png", plain(4, 3, 12))
        .put("train/cat/10.png", plain(4, 3, 11))
        .put("train/Ant/x", plain(4, 3, 5))
        .put("test/Ant/x", plain(4, 3, 6));
    let data = files.load().unwrap();
    assert_eq!(data.classes, ["Ant", "cat", "dog"]);
    assert_eq!((data.width, data.height), (4, 3));
    let train = [(5, 0), (10, 1), (11, 1), (12, 1), (20, 2)];
    assert_eq!(shades(&data.train), train);
    assert_eq!(shades(&data.test), [(6, 0), (30, 1), (40, 2)]);
}

#[test]
fn what_operating_systems_leave_behind_is_passed_over() {
    let files = Files::new();
    let expected = files.load().unwrap();
    files
        .write("train/cat/.DS_Store", b"?")
        .write("train/cat/Thumbs.db", b"?")
        .write("train/cat/@eaDir/1.png/thumb.jpg", b"?")
        .write("train/@eaDir/cat/1.png", b"?")
        .write("train/Icon\r", b"?")
        .write("train/cat/Icon\r", b"?")
        .write("train/cat/ehthumbs.db", b"?")
        .write("train/__MACOSX/cat/._1.png", b"?")
        .write("test/dog/desktop.ini", b"?")
        .write("train/.cache/x", b"?")
        .write("README", b"?");
    assert_eq!(files.load().unwrap(), expected);
}

#[test]
fn files_beside_the_classes_are_a_warning() {
    let files = Files::new();
    let expected = files.load().unwrap();
    for name in ["dog.txt", "labels.csv", "README", "x"] {
        files.write(&format!("train/{name}"), b"?");
    }
    let found = files.load_folder();
    let words = "has files beside the class folders, which are not used (4): README, dog.txt, labels.csv, …";
    assert_eq!(
        found.warnings,
        [format!("{} {words}", files.path("train").display())]
    );
    assert!(expected.warnings.is_empty() && found.train == expected.train);
}

#[test]
fn one_class_is_no_data_set() {
    let files = Files::new();
    files.remove("train/dog").remove("test/dog");
    files.refused("SET has only one class, `cat`: there is nothing to classify;");
}

#[test]
fn classes_that_look_the_same_are_told_apart() {
    let image = || plain(4, 3, 0);
    let files = Files::new();
    files
        .put("train/caf\u{e9}/1", image())
        .put("test/cafe\u{301}/1", image());
    files.refused(
        "SET has different classes in train and test: only train has \"caf\\u{e9}\"; only test has \
         \"cafe\\u{301}\";",
    );

    let files = Files::new();
    files
        .put("train/cat /1", image())
        .put("test/cat /1", image());
    let words = "has different classes that look the same: \"cat\", \"cat \"";
    let found = files.load_folder();
    assert_eq!(
        found.warnings,
        [format!("{} {words}", files.path("").display()).replace("set/", "set")]
    );
}

#[test]
fn names_do_not_reach_a_terminal_as_they_are() {
    let files = Files::new();
    files.put("train/e\u{1b}[2Jlk/1", plain(4, 3, 0));
    files.refused("SET has different classes in train and test: only train has e [2Jlk;");
    files
        .remove("train/e\u{1b}[2Jlk")
        .write("test/cat/a\n\u{202e}b", b"?");
    let text = files.load().unwrap_err().to_string();
    assert!(
        text.ends_with("test/cat/a  b: its content is of no known image format"),
        "{text}"
    );
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
        let files = Files::new();
        files.write("train/cat/1.png", &encode(image.clone(), format));
        let data = files.load().unwrap();
        assert_eq!(data.train.image(0), image.as_raw().as_slice(), "{format:?}");
    }
}

#[test]
fn every_kind_of_sample_becomes_8_bit_rgb() {
    let png = |image: DynamicImage| Files::load_one(&encode(image, ImageFormat::Png), 2, 1);
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
    assert_eq!(Files::load_one(&bmp, 2, 1), [60, 50, 40, 3, 2, 1]);
}

#[test]
fn tiffs_that_are_not_read_are_refused_with_a_way_out() {
    // Photometric interpretation, bits per sample, samples per pixel, sample format.
    let palette = (3, 8, 1, 1);
    let (ycbcr, whole, float) = ((6, 8, 3, 1), (1, 32, 1, 1), (1, 32, 1, 3));
    for (photometric, bits, samples, format) in [palette, ycbcr, whole, float] {
        let tags: [(u16, u32); 10] = [
            (256, 1),
            (257, 1),
            (258, bits),
            (259, 1),
            (262, photometric),
            (273, 8),
            (277, samples),
            (278, 1),
            (279, 4),
            (339, format),
        ];
        // The pixel's four bytes come before the tags, all of which are 32-bit numbers.
        let mut tiff = b"II*\0\x0c\0\0\0\x01\x02\x03\x04\x0a\0".to_vec();
        for (tag, value) in tags {
            tiff.extend(tag.to_le_bytes().iter().chain(&[4, 0, 1, 0, 0, 0]));
            tiff.extend(value.to_le_bytes());
        }
        tiff.extend([0; 4]);
        let files = Files::new();
        let [reason] = files
            .write("train/cat/1.tif", &tiff)
            .unreadable(["train/cat/1.tif"]);
        assert!(
            reason.starts_with("it is a TIFF of a kind that is not read: save it"),
            "{reason}"
        );
    }
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
    assert_eq!(Files::load_one(&bytes, 3, 2), [50; 18]);
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
    let pixels = Files::load_one(&jpeg, 8, 16);
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
    let files = Files::new();
    files.put("train/cat/1.png", stripes);
    for size in [1, 2, 4, 7] {
        let data = files.load_at(Some(size)).unwrap();
        assert_eq!((data.width, data.height), (size as usize, size as usize));
        assert_eq!(data.train.image(0), vec![255; (size * size * 3) as usize]);
        assert_eq!(data.train.image(1)[0], 20);
    }
}

#[test]
fn impossible_sizes_are_refused() {
    for size in [0, 4_097, u32::MAX] {
        let error = Files::new().load_at(Some(size)).unwrap_err();
        let words = format!("`--image-size {size}` is not possible");
        assert!(error.to_string().starts_with(&words), "{error}");
    }
}

#[test]
fn training_images_are_grouped_by_their_names() {
    let files = Files::new();
    for name in ["a-1.png", "a-2.png", "b-1.png"] {
        files.put(&format!("train/cat/{name}"), plain(4, 3, 0));
    }
    files.put("train/dog/a-1.png", plain(4, 3, 0));
    let by = |text: &str| LoadOptions::default().grouped_by(Some(text.to_owned()));
    let data = files.both(|spec| Dataset::load(spec, &by("-"))).unwrap();
    assert_eq!(data.train.groups, [0, 1, 1, 2, 3, 4]);
    assert!(data.test.groups.is_empty() && files.load().unwrap().train.groups.is_empty());

    for (data, text, words) in [
        (&files.specs()[0], "_", "`--group-by _` groups nothing"),
        (&files.specs()[0], "", "`--group-by ` groups nothing"),
        (
            &"glyphs".parse().unwrap(),
            "-",
            "`--group-by` needs the names",
        ),
        (
            &"cifar10:none".parse().unwrap(),
            "-",
            "`--group-by` needs the names",
        ),
    ] {
        let error = Dataset::load(data, &by(text)).unwrap_err();
        assert_eq!(error.kind(), crate::DataErrorKind::Usage);
        assert!(error.to_string().starts_with(words), "{error}");
    }
}

#[test]
fn missing_folders_are_named() {
    let files = Files::new();
    files.remove("test").refused("test is missing");
    (files.remove("train").write("train", b"a file")).refused("train is missing");
}

#[test]
fn classes_are_checked() {
    let image = || plain(4, 3, 0);
    let files = Files::new();
    files.remove("train/cat").remove("train/dog");
    (files.put("train/1.png", image())).refused("train has no class folders");

    let files = Files::new();
    files.remove("test/dog/1.png");
    (files.write("test/dog/.DS_Store", b"?")).refused("test/dog has no images");

    let files = Files::new();
    files
        .put("train/elk/1.png", image())
        .put("train/emu/1.png", image())
        .put("test/Dog/1.png", image());
    files.refused(
        "SET has different classes in train and test: only train has elk, emu; only test has Dog;",
    );

    let files = Files::new();
    (files.put("train/cat/more/2.png", image())).refused("train/cat/more is a folder within");
}

#[test]
fn every_unreadable_file_is_reported() {
    let files = Files::new();
    let png = encode(plain(64, 64, 9), ImageFormat::Png);
    let jpeg = encode(plain(64, 64, 9), ImageFormat::Jpeg);
    files
        .write("train/cat/0.png", &png[..png.len() - 30])
        .write("train/cat/2.jpg", &jpeg[..40])
        .write("train/dog/3.txt", b"not an image")
        .write("test/dog/4.png", b"")
        .put("train/dog/other-size.png", plain(5, 3, 0));
    let (first, second) = ("train/cat/0.png", "train/cat/2.jpg");
    let reasons = files.unreadable([first, second, "train/dog/3.txt", "test/dog/4.png"]);
    assert!(reasons[2].contains("no known image format"));
    assert!(reasons.iter().all(|reason| !reason.is_empty()));
}

#[test]
fn a_set_without_any_image_is_unreadable_as_a_whole() {
    let files = Files::new();
    let all = [
        "train/cat/1.png",
        "train/dog/1.png",
        "test/cat/1.png",
        "test/dog/1.png",
    ];
    for path in all {
        files.write(path, b"?");
    }
    files.unreadable(all);
}

#[test]
fn bombs_are_refused_by_their_claim() {
    let files = Files::new();
    files
        .write("train/cat/wide.png", &png_that_claims(60_000, 60_000))
        // Within the sides that are allowed, but 805 MB of pixels.
        .write("train/cat/wider.png", &png_that_claims(16_384, 16_384));
    let reasons = files.unreadable(["train/cat/wide.png", "train/cat/wider.png"]);
    let expected = [
        "it has 60000×60000 pixels; the limit is 16384 pixels per side",
        "it has 16384×16384 pixels; the limit is 256 MiB of memory",
    ];
    assert_eq!(reasons, expected);
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
    let files = Files::new();
    files
        .put("train/dog/2.png", plain(4, 5, 0))
        .put("test/cat/0.png", plain(9, 9, 0));
    files.refused("train/dog/2.png is 4×5, but train/cat/1.png is 4×3; all images must have");
    assert!(files.load_at(Some(3)).is_ok());
}

#[test]
fn a_preview_decodes_the_chosen_images_only() {
    let files = Files::new();
    files
        .put("train/dog/2.png", plain(4, 3, 21))
        .write("train/cat/2.png", b"?")
        .write("train/dog/3.png", b"?")
        .write("test/cat/1.png", b"?");
    let preview = |count| {
        let count = NonZeroUsize::new(count).unwrap();
        files.both(|spec| Dataset::preview(spec, &LoadOptions::default(), count))
    };
    // Of the five images, those with the indices 0 and 2.
    let some: Preview = preview(2).unwrap();
    assert_eq!(some.train_images, 5);
    assert_eq!(some.dataset.classes, ["cat", "dog"]);
    assert_eq!(some.dataset.train.labels, [0, 1]);
    assert_eq!(some.dataset.train.pixels, [[10; 36], [20; 36]].concat());
    assert!(some.dataset.test.is_empty());
    let error = preview(5).unwrap_err();
    assert_eq!(error.unreadable().len(), 2, "{error}");
}

#[test]
fn sets_beyond_memory_are_refused_by_count() {
    // 171 images of 4096² pixels take 8.6 GB. The files themselves are small.
    let files = Files::new();
    for index in 2..=168 {
        files.put(&format!("train/cat/{index}.png"), plain(1, 1, 0));
    }
    let text = files.load_at(Some(4_096)).unwrap_err().to_string();
    let words =
        "171 images of 4096×4096 take 8606711808 bytes of memory, and the limit is 8589934592;";
    assert!(text.starts_with(words), "{text}");
}
