use image::codecs::jpeg::JpegEncoder;
use image::{GrayImage, ImageEncoder, Luma, Rgb, RgbImage};

use super::*;
use crate::decode;

// 27×20 pixels, from Pillow: `save(…, quality=60, progressive=True)`, and with
// `restart_marker_blocks=3`. Both have chroma at half the resolution.
const PROGRESSIVE: &[u8] = include_bytes!("progressive.jpg");
const RESTARTS: &[u8] = include_bytes!("restarts.jpg");

/// Files of the kinds of JPEG that there are, each of which ends in its end marker.
fn files() -> Vec<Vec<u8>> {
    let encode = |picture: &[u8], colour: image::ExtendedColorType| {
        let mut jpeg = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut jpeg, 80);
        // Data that looks like the end of a file, as a small picture within a file is.
        encoder
            .set_icc_profile(b"\xff\xda\0\x02 \xff\xd9".to_vec())
            .unwrap();
        encoder.encode(picture, 27, 20, colour).unwrap();
        jpeg
    };
    let level = |x: u32, y: u32| (x * 9 + y * y) as u8;
    let grey = GrayImage::from_fn(27, 20, |x, y| Luma([level(x, y)]));
    let rgb = RgbImage::from_fn(27, 20, |x, y| Rgb([level(x, y), level(y, x), x as u8]));
    vec![
        encode(&grey, image::ExtendedColorType::L8),
        encode(&rgb, image::ExtendedColorType::Rgb8),
        PROGRESSIVE.to_vec(),
        RESTARTS.to_vec(),
    ]
}

#[test]
fn the_exif_block_is_found() {
    let exif = b"II*\0\x08\0\0\0\0\0\0\0\0\0";
    let mut jpeg = Vec::new();
    let mut encoder = JpegEncoder::new(&mut jpeg);
    encoder.set_exif_metadata(exif.to_vec()).unwrap();
    encoder.encode_image(&GrayImage::new(8, 8)).unwrap();
    assert_eq!(jpeg_exif(&jpeg), Some(&exif[..]));
    assert_eq!(jpeg_exif(&jpeg[1..]), None);
    for file in files() {
        assert_eq!(jpeg_exif(&file), None);
    }
}

#[test]
fn a_file_that_is_cut_anywhere_is_refused_unless_only_its_end_marker_is_missing() {
    for file in files() {
        let whole = decode::read_bytes(&file, None).unwrap();
        for length in [file.len() - 1, file.len() - 2] {
            assert_eq!(decode::read_bytes(&file[..length], None).unwrap(), whole);
        }
        for length in 0..file.len() - 2 {
            let Err(refusal) = decode::read_bytes(&file[..length], None) else {
                panic!("{length} of {} bytes are not a picture", file.len());
            };
            assert!(!refusal.0.is_empty());
        }
        let cut = decode::read_bytes(&file[..file.len() - 20], None).unwrap_err();
        assert_eq!(
            cut.0,
            "the file ends before its picture does; copy or download it again"
        );
    }
}

/// What a file claims costs neither memory nor time.
#[test]
fn claims_of_more_than_a_picture_has_are_refused() {
    let frame = |side: usize, components: u8| {
        let [high, low] = (side as u16).to_be_bytes();
        let ids = (0..components).flat_map(|id| [id, 0x11, 0]);
        let start = [8, high, low, high, low, components];
        start.into_iter().chain(ids).collect::<Vec<u8>>()
    };
    let mut picture = Picture::default();
    assert!(picture.start(&frame(MAX_SIDE + 1, 1), true).is_none());
    assert!(Picture::default().start(&frame(64, 5), true).is_none());
    let mut picture = Picture::default();
    picture.start(&frame(64, 3), true).unwrap();
    assert!(picture.start(&frame(64, 3), true).is_none());

    // One code, a zero bit: the block ends.
    let table = [&[0x10, 1][..], &[0; 15], &[0]].concat();
    picture.add_tables(&table).unwrap();
    // The bits of a scan are zeros, of which there are enough for all blocks. Scans that refine the first
    // coefficient have a bit per block.
    let mut read = |components: &[u8], band: [u8; 3]| {
        let count = [components.len() as u8];
        let coded: Vec<u8> = components.iter().flat_map(|id| [*id, 0]).collect();
        let header = [&count, &coded[..], &band].concat();
        picture.read_scan(&header, &[0; 4_096]).is_some()
    };
    assert!(read(&[0, 1, 2], [0, 0, 0x10]));
    assert!(read(&[1], [1, 63, 0x10]));
    assert!(!read(&[], [0, 0, 0x10]));
    assert!(!read(&[0, 0], [0, 0, 0x10]));
    assert!(!read(&[0, 1], [1, 63, 0x10]));
    assert!(!read(&[0], [0, 63, 0x10]));
}

#[test]
fn headers_without_picture_data_are_refused() {
    for file in files() {
        let scan = file
            .windows(2)
            .rposition(|pair| pair == [0xff, SCAN])
            .unwrap();
        let headers = &file[..scan + 2 + usize::from(file[scan + 3])];
        let ended = [&file[..20], &[0xff, END]].concat();
        assert!(jpeg_ends_early(headers) && jpeg_ends_early(&ended));
        assert!(decode::read_bytes(&ended, None).is_err());
    }
}

#[test]
fn what_follows_the_end_marker_does_not_matter() {
    for mut file in files() {
        file.extend(b"\xff\xd8 another picture");
        assert!(!jpeg_ends_early(&file));
    }
}

#[test]
fn random_damage_never_panics() {
    let mut stream = faa_op::Stream::for_op(5);
    for file in files() {
        for _ in 0..2_000 {
            let mut bytes = file[..file.len() - 2].to_vec();
            for _ in 0..=stream.below(4) {
                let index = stream.below(bytes.len() as u64) as usize;
                bytes[index] = stream.below(256) as u8;
            }
            let _ = jpeg_ends_early(&bytes);
        }
    }
}

#[test]
fn other_formats_are_not_checked() {
    assert!(!jpeg_ends_early(b"") && !jpeg_ends_early(b"\x89PNG\r\n\x1a\n"));
}
