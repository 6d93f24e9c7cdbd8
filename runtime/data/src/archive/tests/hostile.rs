//! Archives that are damaged, or made to harm.

use faa_op::Stream;

use super::entries::Limits;
use super::*;

impl Tar {
    /// A sparse file that claims a hole of `hole` bytes, and what follows its header.
    fn sparse(mut self, path: &str, hole: u64, follows: &[u8]) -> Self {
        let mut header = header(path.as_bytes(), EntryType::GNUSparse, 0);
        let gnu = header.as_gnu_mut().unwrap();
        let octal: [u8; 12] = format!("{hole:011o}\0").into_bytes().try_into().unwrap();
        gnu.sparse[0].offset = octal;
        gnu.sparse[0].numbytes = *b"00000000000\0";
        gnu.realsize = octal;
        gnu.isextended = [u8::from(!follows.is_empty())];
        header.set_cksum();
        self.0.append(&header, follows).unwrap();
        self
    }
}

/// The usual limits, but this number of bytes.
fn bytes(bytes: u64) -> Limits {
    Limits { bytes, ..LIMITS }
}

/// The archive of [`Tar::pets`] in every form that it can have.
fn forms() -> [Vec<u8>; 4] {
    let tar = Tar::pets("").bytes();
    let (gzip, zstd) = (gzip(&tar), zstd(&tar, 7, 0));
    [tar, gzip, zstd, BY_ZSTD.to_vec()]
}

/// The files that cannot be read, by their paths in the archive, each with the reason.
fn unreadable(bytes: &[u8]) -> Vec<(String, String)> {
    let error = load(bytes).unwrap_err();
    assert_eq!(error.kind(), DataErrorKind::Unreadable, "{error}");
    let inner = |(path, reason): (&Path, &str)| {
        let (_, inner) = path.to_str().unwrap().split_once("set.tar: ").unwrap();
        (inner.to_owned(), reason.to_owned())
    };
    error.unreadable().map(inner).collect()
}

#[test]
fn links_and_devices_are_not_followed() {
    for (kind, reason) in [
        (EntryType::Symlink, "it is a link"),
        (EntryType::Link, "it is a link"),
        (EntryType::Char, "it is a device"),
        (EntryType::Block, "it is a device"),
        (EntryType::Fifo, "it is a device"),
    ] {
        for path in ["train/cat/2", "train/elk"] {
            let tar = Tar::pets("").entry(path.as_bytes(), kind, b"").bytes();
            let files = unreadable(&tar);
            assert_eq!(files.len(), 1, "{kind:?}");
            assert_eq!(files[0].0, path);
            assert!(files[0].1.starts_with(reason), "{files:?}");
        }
    }
}

#[test]
fn files_claimed_to_be_large_are_passed_over() {
    let claimed = 256 << 20 | 1;
    let mut tar = Tar::pets("").bytes();
    // Without the mark at the end, of two blocks of 512 bytes.
    tar.truncate(tar.len() - 1024);
    let header = header(b"train/cat/2", EntryType::Regular, claimed);
    tar.extend_from_slice(header.as_bytes());
    // The zeros fill the claim and the block that it ends in, and leave some for the mark.
    let files = unreadable(&zstd(&tar, 7, (claimed >> 16) as usize + 1));
    assert_eq!(files.len(), 1);
    assert_eq!(files[0].0, "train/cat/2");
    assert_eq!(
        files[0].1,
        "the file has 268435457 bytes; the limit is 268435456"
    );
}

#[test]
fn a_claim_beyond_the_file_allocates_nothing() {
    for claimed in [1 << 20, 200 << 20, u64::MAX] {
        let header = header(b"train/cat/1", EntryType::Regular, claimed);
        assert_refused(header.as_bytes(), "cannot be read after");
    }
}

fn refusal(file: &Path, limits: Limits) -> String {
    entries::list(file, limits).err().unwrap().to_string()
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
            let text = refusal(&file, bytes(limit));
            let words = format!("set.tar has more than {limit} bytes when decompressed");
            assert!(text.contains(&words), "{text}");
        }
        assert!(entries::list(&file, bytes(length)).is_ok());
    }
}

#[test]
fn the_entries_are_limited() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("set.tar");
    std::fs::write(&file, Tar::pets("").bytes()).unwrap();
    let limits = |entries| Limits { entries, ..LIMITS };
    let text = refusal(&file, limits(3));
    assert!(text.contains("set.tar has more than 3 entries"), "{text}");
    assert_eq!(entries::list(&file, limits(4)).unwrap().entries.len(), 4);
}

#[test]
fn the_headers_of_an_entry_are_limited() {
    let name = vec![b'a'; 2 << 20];
    let extended = |tar: Tar, kind| tar.entry(b"name", kind, &name);
    let half = vec![b'a'; 600 << 10];
    let mut blocks = vec![0; 2 << 20];
    // All of them say that another one follows.
    for block in blocks.chunks_mut(512) {
        block[504] = 1;
    }
    for tar in [
        extended(Tar::pets(""), EntryType::GNULongName),
        extended(Tar::pets(""), EntryType::GNULongLink),
        extended(Tar::pets(""), EntryType::XHeader),
        Tar::new()
            .entry(b"name", EntryType::GNULongName, &half)
            .entry(b"link", EntryType::GNULongLink, &half),
        Tar::pets("").sparse("train/cat/2", 0, &blocks),
        // What a sparse file claims to yield is no room for headers.
        extended(
            Tar::pets("").sparse("train/cat/2", 1 << 32, b""),
            EntryType::GNULongName,
        ),
    ] {
        let tar = tar.file("train/cat/3", &image(9));
        tar.refused("the headers of an entry are larger than 1 MiB");
    }
}

#[test]
fn sparse_files_are_not_read() {
    let tar = Tar::pets("").sparse("train/cat/2", 1 << 32, b"").bytes();
    let files = unreadable(&tar);
    assert_eq!(files.len(), 1);
    assert_eq!(files[0].0, "train/cat/2");
    let tar = Tar::pets("").sparse("other", 1 << 32, b"");
    assert_eq!(tar.load().unwrap(), Tar::pets("").load().unwrap());
}

/// Those of GNU tar in the format `posix`: their header names a different file, which the extensions
/// correct, and their content begins with a map of the holes.
#[test]
fn sparse_files_by_extensions_are_named() {
    for records in [
        b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n31 GNU.sparse.name=train/cat/2\n29 GNU.sparse.realsize=10485\n".as_slice(),
        b"25 GNU.sparse.size=12345\n",
    ] {
        let name = match records.len() {
            25 => "train/cat/2",
            _ => "train/cat/GNUSparseFile.7/2",
        };
        let tar = Tar::pets("")
            .entry(b"name", EntryType::XHeader, records)
            .file(name, &image(9));
        tar.refused("train/cat/2: it is stored as a sparse file; create the archive without");
    }
}

#[test]
fn the_paths_are_limited() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("set.tar");
    std::fs::write(&file, Tar::pets("").bytes()).unwrap();
    let limits = |paths| Limits { paths, ..LIMITS };
    // `train/cat/1` and `train/dog/1`, `test/cat/1` and `test/dog/1`.
    assert!(entries::list(&file, limits(42)).is_ok());
    let text = refusal(&file, limits(41));
    assert!(
        text.contains("has paths that are too long together"),
        "{text}"
    );
}

/// A bomb of many files that are no images: they are decoded, and dropped, as they are read.
#[test]
fn few_encoded_images_are_in_memory() {
    const LENGTH: usize = 10_000;
    let mut tar = Tar::pets("");
    for index in 0..100 {
        tar = tar.file(&format!("train/cat/x{index}"), &[0; LENGTH]);
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("set.tar");
    std::fs::write(&file, gzip(&tar.bytes())).unwrap();
    let wanted = (1..=104)
        .map(|number| (number, vec![number as usize]))
        .collect();
    let limits = Limits {
        held: 5 * LENGTH,
        ..LIMITS
    };
    let mut read = 0;
    let outcome = entries::read(&file, limits, &wanted, |images| {
        let bytes = images.iter().map(|(_, content)| match content {
            Content::Held(bytes) => bytes.len(),
            _ => 0,
        });
        assert!(bytes.sum::<usize>() < 6 * LENGTH);
        read += images.len();
        Ok(())
    });
    outcome.unwrap();
    assert_eq!(read, 104);
    assert_eq!(
        load(&std::fs::read(&file).unwrap())
            .unwrap_err()
            .unreadable()
            .len(),
        100
    );
}

#[test]
fn long_paths_are_passed_over() {
    let long = |length| {
        let mut path = b"train/cat/".to_vec();
        path.resize(length, b'a');
        let tar = Tar::pets("").entry(b"name", EntryType::GNULongName, &path);
        tar.file("train/cat/2", &image(9)).load().unwrap()
    };
    let expected = Tar::pets("").load().unwrap();
    for length in [4_097, 1_000_000] {
        let mut found = long(length);
        let warning = found.warnings.pop().unwrap();
        assert!(warning.contains("over 4,096 bytes (1, such as `train/cat/aaa"));
        assert!(warning.len() < 500, "{warning}");
        assert_eq!(found, expected);
    }
    assert_eq!(long(4_096).train.len(), 3);
}

#[test]
fn archives_that_were_cut_off_are_noticed() {
    let [tar, gzip, zstd, by_zstd] = forms();
    // A tar file without the mark at its end, of two blocks of 512 bytes, has lost something.
    let uncut = [tar.len() - 1023, gzip.len(), zstd.len(), by_zstd.len()];
    for (form, uncut) in [tar, gzip, zstd, by_zstd].iter().zip(uncut) {
        let lengths = (0..uncut)
            .step_by(37)
            .chain(uncut.saturating_sub(20)..uncut);
        for length in lengths {
            let error = load(&form[..length]).unwrap_err();
            assert_eq!(
                error.kind(),
                DataErrorKind::Damaged,
                "{length} bytes: {error}"
            );
        }
    }
    assert_refused(&forms()[0][..1_100], " cannot be read after 1 entries");
}

#[test]
fn other_files_are_no_archives() {
    assert_refused(&[7; 3000], "after 0 entries");
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().to_owned(), folder.path().join("nowhere")] {
        let outcome = Dataset::load(&DataSpec::Tar(path.clone()), &LoadOptions::default());
        let text = outcome.unwrap_err().to_string();
        let words = format!("{} cannot be read: ", path.display());
        assert!(text.starts_with(&words), "{text}");
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
                let index = stream.below(bytes.len() as u64) as usize;
                bytes[index] ^= 1 << stream.below(8);
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
