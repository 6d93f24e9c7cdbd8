//! A target that is given files of data sets.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use faa_data::{DataError, DataSpec, Dataset, LoadOptions};
use image::{ImageFormat, RgbImage};

/// Reads an archive or files of CIFAR that the input makes. What can be read is a data set that
/// holds together; what cannot has a reason.
///
/// The first byte chooses by its two lowest bits: the rest as an archive; changes of a small archive
/// that is in order, three bytes each, a place and a value; or the rest as every file of records of
/// CIFAR-10 or CIFAR-100. By the third bit, the archive's checksums are made to fit the changes.
///
/// # Panics
///
/// If that is not so.
pub fn dataset(input: &[u8]) {
    let Some((choice, rest)) = input.split_first() else {
        return;
    };
    let folder = tempfile::tempdir().expect("there is room for a folder");
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
            for name in [
                "data_batch_1",
                "data_batch_2",
                "data_batch_3",
                "data_batch_4",
            ] {
                write(&folder.path().join(name).with_extension("bin"), rest);
            }
            write(&folder.path().join("data_batch_5.bin"), rest);
            write(&folder.path().join("test_batch.bin"), rest);
            DataSpec::Cifar10(folder.path().to_owned())
        }
        _ => {
            for name in ["train.bin", "test.bin"] {
                write(&folder.path().join(name), rest);
            }
            DataSpec::Cifar100(folder.path().to_owned())
        }
    };
    match Dataset::load(&spec, &LoadOptions::default()) {
        Ok(dataset) => assert_whole(&dataset),
        Err(error) => assert_explained(&error),
    }
}

fn assert_whole(dataset: &Dataset) {
    for split in [&dataset.train, &dataset.test] {
        assert_eq!(
            split.pixels.len(),
            split.len() * dataset.width * dataset.height * 3
        );
        let classes = dataset.classes.len();
        assert!(split.labels.iter().all(|label| (*label as usize) < classes));
    }
}

fn assert_explained(error: &DataError) {
    assert!(!error.to_string().is_empty());
}

fn write(path: &Path, content: &[u8]) {
    fs::write(path, content).expect("there is room for a file");
}

/// The small archive, with some of its bytes changed and perhaps its end cut off.
fn changed(changes: &[u8], mend: bool) -> Vec<u8> {
    let mut archive = ARCHIVE.clone();
    let (whole, rest) = changes.as_chunks::<3>();
    for [high, low, value] in whole {
        let place = usize::from(u16::from_be_bytes([*high, *low])) % archive.len();
        archive[place] = *value;
    }
    if mend {
        mend_checksums(&mut archive);
    }
    if let [high, low] = rest {
        archive.truncate(usize::from(u16::from_be_bytes([*high, *low])) % archive.len());
    }
    archive
}

/// Gives every header the checksum that it should have, so that more than the checksum is tried.
fn mend_checksums(archive: &mut [u8]) {
    let blocks = archive.as_chunks_mut::<512>().0.iter_mut();
    for (block, before) in blocks.zip(ARCHIVE.as_chunks::<512>().0) {
        // What was a header before it was changed.
        if before[257..].starts_with(b"ustar") {
            let mut header = tar::Header::new_old();
            *header.as_mut_bytes() = *block;
            header.set_cksum();
            *block = *header.as_bytes();
        }
    }
}

/// Two classes of one image a split.
static ARCHIVE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut png = std::io::Cursor::new(Vec::new());
    RgbImage::from_pixel(2, 2, image::Rgb([9, 8, 7]))
        .write_to(&mut png, ImageFormat::Png)
        .expect("a small image can be encoded");
    let png = png.into_inner();
    let mut archive = tar::Builder::new(Vec::new());
    for name in [
        "train/a/0.png",
        "train/b/0.png",
        "test/a/0.png",
        "test/b/0.png",
    ] {
        let mut header = tar::Header::new_ustar();
        header.set_size(png.len() as u64);
        header.set_mode(0o644);
        archive
            .append_data(&mut header, name, png.as_slice())
            .expect("memory can be written to");
    }
    archive.into_inner().expect("memory can be written to")
});
