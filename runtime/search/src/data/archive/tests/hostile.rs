//! Archives that are damaged, or made to harm.

use faa_op::Stream;

use super::*;

/// The archive of [`Tar::pets`] in every form that it can have.
fn forms() -> [Vec<u8>; 4] {
    let tar = Tar::pets("").bytes();
    let (gzip, zstd) = (gzip(&tar), zstd(&tar, 7, 0));
    [tar, gzip, zstd, BY_ZSTD.to_vec()]
}

fn unreadable(bytes: &[u8]) -> Vec<(String, String)> {
    let Err(DataError::Unreadable { files }) = load(bytes) else {
        panic!("the archive should have unreadable files");
    };
    let inner = |path: &Path| {
        let path = path.to_str().unwrap();
        path.split_once("set.tar: ").unwrap().1.to_owned()
    };
    files
        .into_iter()
        .map(|file| (inner(&file.path), file.reason))
        .collect()
}

#[test]
fn files_that_are_no_images_are_reported_together() {
    let tar = Tar::pets("a/")
        .file("a/test/dog/2", b"")
        .file("a/train/cat/2", b"not an image")
        .file("a/train/dog/0", &image(9)[..12])
        .bytes();
    let files = unreadable(&tar);
    let places: Vec<_> = files.iter().map(|(place, _)| place.as_str()).collect();
    assert_eq!(places, ["a/train/cat/2", "a/train/dog/0", "a/test/dog/2"]);
    assert!(files[0].1.contains("no known image format"), "{files:?}");
    assert!(files.iter().all(|(_, reason)| !reason.is_empty()));
}

#[test]
fn links_and_devices_are_not_followed() {
    for kind in [
        EntryType::Symlink,
        EntryType::Link,
        EntryType::Char,
        EntryType::Block,
        EntryType::Fifo,
    ] {
        for place in ["train/cat/2", "train/elk"] {
            let tar = Tar::pets("").entry(place.as_bytes(), kind, b"").bytes();
            let files = unreadable(&tar);
            assert_eq!(files.len(), 1, "{kind:?}");
            assert_eq!(files[0].0, place);
            assert!(files[0].1.starts_with("it is a link"), "{files:?}");
        }
    }
}

#[test]
fn files_claimed_to_be_large_are_passed_over() {
    let claimed = 256 << 20 | 1;
    let mut tar = Tar::pets("").bytes();
    // Without the mark at the end, of two blocks of 512 bytes.
    tar.truncate(tar.len() - 1024);
    let mut header = header(b"train/cat/2", EntryType::Regular, claimed);
    header.set_cksum();
    tar.extend_from_slice(header.as_bytes());
    // The zeros fill the claim and the block that it ends in, and leave some for the mark.
    let files = unreadable(&zstd(&tar, 7, (claimed >> 16) as usize + 1));
    assert_eq!(files.len(), 1);
    assert_eq!(files[0].0, "train/cat/2");
    assert_eq!(files[0].1, "the file is larger than 256 MiB");
}

#[test]
fn a_claim_beyond_the_file_allocates_nothing() {
    for claimed in [1 << 20, 200 << 20, u64::MAX] {
        let mut header = header(b"train/cat/1", EntryType::Regular, claimed);
        header.set_cksum();
        let text = load(header.as_bytes()).unwrap_err().to_string();
        assert!(text.contains("cannot be read beyond"), "{text}");
    }
}

#[test]
fn the_unpacked_bytes_are_limited() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("set.tar");
    let tar = Tar::pets("").bytes();
    let length = tar.len() as u64;
    for form in [tar.clone(), gzip(&tar), zstd(&tar, 7, 0)] {
        std::fs::write(&file, form).unwrap();
        for limit in [0, 600, length - 1] {
            let outcome = entries::read(&file, limit);
            let Err(DataError::ArchiveTooLarge { limit: told, .. }) = outcome else {
                panic!("{limit} bytes should not be enough");
            };
            assert_eq!(told, limit);
        }
        assert!(entries::read(&file, length).is_ok());
    }
}

#[test]
fn archives_that_were_cut_off_are_told() {
    let [tar, gzip, zstd, by_zstd] = forms();
    // A tar file without the mark at its end, of two blocks of 512 bytes, has lost something.
    let uncut = [tar.len() - 1023, gzip.len(), zstd.len(), by_zstd.len()];
    for (form, uncut) in [tar, gzip, zstd, by_zstd].iter().zip(uncut) {
        let lengths = (0..uncut)
            .step_by(37)
            .chain(uncut.saturating_sub(20)..uncut);
        for length in lengths {
            match load(&form[..length]) {
                Err(DataError::DamagedArchive { .. }) => {}
                other => panic!("{length} bytes: {other:?}"),
            }
        }
    }
    let text = load(&forms()[0][..1_100]).unwrap_err().to_string();
    assert!(
        text.contains("set.tar cannot be read beyond 1 entries"),
        "{text}"
    );
}

#[test]
fn other_files_are_no_archives() {
    let text = load(&[7; 3000]).unwrap_err().to_string();
    assert!(text.contains("beyond 0 entries"), "{text}");
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().to_owned(), folder.path().join("nowhere")] {
        let outcome = Dataset::load(&DataSpec::Tar(path.clone()), &LoadOptions::default());
        let Err(DataError::Io { path: told, .. }) = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(told, path);
    }
}

/// What comes of damage is an error, or a data set of which some sample differs; never a panic.
#[test]
fn random_damage_never_panics() {
    let mut stream = Stream::for_op(4);
    for form in forms() {
        for _ in 0..150 {
            let mut bytes = form.clone();
            for _ in 0..=stream.below(3) {
                let place = stream.below(bytes.len() as u64) as usize;
                bytes[place] ^= 1 << stream.below(8);
            }
            if stream.chance(0.3) {
                bytes.truncate(stream.below(bytes.len() as u64) as usize);
            }
            if let Err(error) = load(&bytes) {
                assert!(!error.to_string().is_empty());
            }
        }
    }
}
