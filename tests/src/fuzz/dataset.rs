//! The fuzz target of data sets.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::LazyLock;

use faa_data::{DataError, DataSpec, Dataset, LoadOptions};
use image::{ImageFormat, RgbImage};

/// Reads an archive or files of CIFAR made from the input, as a whole and as a preview. The result
/// is a consistent data set, or an error with a message. A loaded data set starts with the preview's image.
///
/// The two lowest bits of the first byte choose: the rest as an archive; changes to a small valid
/// archive, three bytes each, an offset and a value; or the rest as every file of records of CIFAR-10
/// or CIFAR-100. With the third bit, the archive's checksums are corrected after the changes.
///
/// # Panics
///
/// If one of these conditions does not hold.
pub fn dataset(input: &[u8]) {
    let Some((choice, rest)) = input.split_first() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a temporary folder can be created");
    let file = folder.path().join("data.tar");
    let spec = match choice % 4 {
        0 => {
            write(&file, rest);
            DataSpec::Tar(file)
        }
        1 => {
            write(&file, &changed(rest, choice & 4 != 0));
            DataSpec::Tar(file)
        }
        2 => {
            for number in 1..=5 {
                write_records(
                    folder.path(),
                    &format!("data_batch_{number}.bin"),
                    rest,
                    number,
                );
            }
            write_records(folder.path(), "test_batch.bin", rest, 6);
            DataSpec::Cifar10(folder.path().to_owned())
        }
        _ => {
            for (number, name) in (1..).zip(["train.bin", "test.bin"]) {
                write_records(folder.path(), name, rest, number);
            }
            DataSpec::Cifar100(folder.path().to_owned())
        }
    };
    let options = LoadOptions::default();
    let preview = Dataset::preview(&spec, &options, NonZeroUsize::MIN);
    assert_consistent(preview.as_ref().map(|preview| &preview.dataset));
    let loaded = Dataset::load(&spec, &options);
    assert_consistent(loaded.as_ref());
    if let Ok(dataset) = loaded {
        let preview = preview.expect("a part of what can be loaded can be loaded");
        assert_eq!(preview.train_images, dataset.train.len());
        assert_eq!(preview.dataset.train.image(0), dataset.train.image(0));
    }
}

fn assert_consistent(result: Result<&Dataset, &DataError>) {
    let dataset = match result {
        Ok(dataset) => dataset,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let image = dataset.width * dataset.height * 3;
    for split in [&dataset.train, &dataset.test] {
        assert_eq!(split.pixels.len(), split.len() * image);
        let classes = dataset.classes.len();
        assert!(split.labels.iter().all(|label| (*label as usize) < classes));
    }
}

/// Writes a file of records, of which one pixel has this value: copies of one file are refused.
fn write_records(folder: &Path, name: &str, records: &[u8], value: u8) {
    let mut records = records.to_owned();
    if let Some(last) = records.last_mut() {
        *last = value;
    }
    write(&folder.join(name), &records);
}

fn write(path: &Path, content: &[u8]) {
    fs::write(path, content).expect("a file can be written");
}

/// The small archive, with some of its bytes changed and perhaps its end cut off.
fn changed(changes: &[u8], correct: bool) -> Vec<u8> {
    let mut archive = ARCHIVE.clone();
    let (whole, rest) = changes.as_chunks::<3>();
    for [high, low, value] in whole {
        let offset = usize::from(u16::from_be_bytes([*high, *low])) % archive.len();
        archive[offset] = *value;
    }
    if correct {
        correct_checksums(&mut archive);
    }
    if let [high, low] = rest {
        archive.truncate(usize::from(u16::from_be_bytes([*high, *low])) % archive.len());
    }
    archive
}

/// Gives every header its correct checksum, so that more than the checksum is tested.
fn correct_checksums(archive: &mut [u8]) {
    let blocks = archive.as_chunks_mut::<512>().0.iter_mut();
    for (block, before) in blocks.zip(ARCHIVE.as_chunks::<512>().0) {
        // It was a header before the changes.
        if before[257..].starts_with(b"ustar") {
            let mut header = tar::Header::new_old();
            *header.as_mut_bytes() = *block;
            header.set_cksum();
            *block = *header.as_bytes();
        }
    }
}

/// Two classes with one image in each split.
static ARCHIVE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut png = std::io::Cursor::new(Vec::new());
    RgbImage::from_pixel(2, 2, image::Rgb([9, 8, 7]))
        .write_to(&mut png, ImageFormat::Png)
        .expect("a small image can be encoded");
    let png = png.into_inner();
    let mut archive = tar::Builder::new(Vec::new());
    for folder in ["train/a", "train/b", "test/a", "test/b"] {
        let mut header = tar::Header::new_ustar();
        header.set_size(png.len() as u64);
        header.set_mode(0o644);
        let written = archive.append_data(&mut header, format!("{folder}/0.png"), png.as_slice());
        written.expect("memory can be written to");
    }
    archive.into_inner().expect("memory can be written to")
});
