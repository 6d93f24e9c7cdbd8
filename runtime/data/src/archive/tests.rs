use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};

use super::*;
use crate::dataset::Dataset;
use crate::error::DataErrorKind;
use crate::spec::DataSpec;

mod hostile;

struct Tar(Builder<Vec<u8>>);

impl Tar {
    fn new() -> Self {
        Self(Builder::new(Vec::new()))
    }

    /// The classes `cat` and `dog` with one 2×1 image each in both splits, in no order.
    fn pets(root: &str) -> Self {
        [
            ("test/dog/1", 40),
            ("train/dog/1", 20),
            ("test/cat/1", 30),
            ("train/cat/1", 10),
        ]
        .into_iter()
        .fold(Self::new(), |tar, (path, shade)| {
            tar.file(&format!("{root}{path}"), &image(shade))
        })
    }

    fn file(self, path: &str, bytes: &[u8]) -> Self {
        self.entry(path.as_bytes(), EntryType::Regular, bytes)
    }

    fn folder(self, path: &str) -> Self {
        self.entry(path.as_bytes(), EntryType::Directory, b"")
    }

    /// Writes the path as it is; the crate would refuse some that are tried here.
    fn entry(mut self, path: &[u8], kind: EntryType, bytes: &[u8]) -> Self {
        let header = header(path, kind, bytes.len() as u64);
        self.0.append(&header, bytes).unwrap();
        self
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }

    fn load(self) -> Result<Dataset, DataError> {
        load(&self.bytes())
    }

    /// Checks what the message says after the path of the file.
    #[track_caller]
    fn refused(self, expected: &str) {
        assert_refused(&self.bytes(), expected);
    }
}

fn header(path: &[u8], kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..path.len()].copy_from_slice(path);
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_cksum();
    header
}

/// An image of 2×1 pixels, in the simplest format that there is.
fn image(shade: u8) -> Vec<u8> {
    [b"P6\n2 1\n255\n".as_slice(), &[shade; 6]].concat()
}

#[track_caller]
fn assert_refused(bytes: &[u8], expected: &str) {
    let text = load(bytes).unwrap_err().to_string();
    let (_, words) = text.split_once("set.tar").unwrap();
    assert!(words.contains(expected), "{text}");
}

fn load(bytes: &[u8]) -> Result<Dataset, DataError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("set.tar");
    std::fs::write(&file, bytes).unwrap();
    Dataset::load(&DataSpec::Tar(file), &LoadOptions::default())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A zstd frame without compression and checksum, whose window is 2 to the power of 10 + `window`.
/// `zeros` blocks of 64 KiB that repeat a zero follow the bytes.
fn zstd(bytes: &[u8], window: u8, zeros: usize) -> Vec<u8> {
    const RAW: usize = 0;
    const REPEAT: usize = 1;
    const LENGTH: usize = 64 << 10;
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, window << 3];
    let mut block = |last: bool, kind: usize, length: usize, content: &[u8]| {
        let header = usize::from(last) | kind << 1 | length << 3;
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.extend_from_slice(content);
    };
    for chunk in bytes.chunks(LENGTH) {
        block(false, RAW, chunk.len(), chunk);
    }
    for _ in 0..zeros {
        block(false, REPEAT, LENGTH, &[0]);
    }
    block(true, RAW, 0, &[]);
    frame
}

/// What `zstd -19 --long=27` makes of a stream that has the four images of [`Tar::pets`]: its
/// window is that of 128 MiB, and it ends in a checksum.
const BY_ZSTD: [u8; 134] = [
    40, 181, 47, 253, 4, 136, 205, 3, 0, 66, 132, 14, 18, 144, 207, 1, 192, 144, 203, 52, 198, 252,
    214, 200, 38, 237, 191, 239, 123, 73, 1, 196, 180, 64, 109, 235, 11, 10, 78, 119, 208, 125,
    128, 25, 7, 164, 117, 230, 83, 102, 235, 61, 143, 55, 43, 197, 124, 190, 57, 124, 132, 18, 223,
    20, 203, 90, 145, 145, 81, 27, 26, 32, 144, 175, 207, 1, 253, 215, 3, 251, 10, 22, 174, 155,
    138, 127, 105, 152, 33, 30, 10, 10, 247, 141, 138, 31, 164, 65, 0, 243, 180, 95, 1, 225, 220,
    168, 172, 1, 168, 15, 96, 176, 117, 197, 176, 57, 71, 73, 144, 102, 152, 97, 129, 3, 131, 2,
    172, 38, 74, 7, 88, 45, 96, 179,
];

#[test]
fn the_content_determines_how_the_file_is_packed() {
    let tar = Tar::pets("").bytes();
    let expected = load(&tar).unwrap();
    let (half, rest) = tar.split_at(tar.len() / 2);
    let (first, second) = (zstd(half, 7, 0), zstd(rest, 7, 0));
    let skipped: &[u8] = &[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 7, 7, 7];
    for packed in [
        gzip(&tar),
        [gzip(half), gzip(rest)].concat(),
        zstd(&tar, 7, 0),
        zstd(&tar, 17, 0),
        [skipped, &first, skipped, &second, skipped].concat(),
        BY_ZSTD.to_vec(),
    ] {
        assert_eq!(load(&packed).unwrap(), expected);
    }
}

#[test]
fn windows_above_128_mib_are_refused() {
    assert_refused(&zstd(&Tar::pets("").bytes(), 18, 0), "window");
}

#[test]
fn checksums_are_compared() {
    let mut tar = gzip(&Tar::pets("").bytes());
    // The length of the content is behind it.
    let checksum = tar.len() - 8;
    tar[checksum] ^= 1;
    assert_refused(&tar, "checksum");

    let mut tar = BY_ZSTD;
    tar[BY_ZSTD.len() - 1] ^= 1;
    assert_refused(&tar, "checksum");
}

#[test]
fn the_splits_may_lie_in_a_folder() {
    let expected = Tar::pets("").load().unwrap();
    for root in "./ pets/ ./sets/pets/ test/ train// a/train/".split(' ') {
        assert_eq!(Tar::pets(root).load().unwrap(), expected, "{root}");
    }
    // Of two, the one nearer to the top counts.
    let mut tar = Tar::pets("");
    for path in ["old/train/cat/1", "old/test/cat/1", "old/test/elk/1"] {
        tar = tar.file(path, &image(99));
    }
    assert_eq!(tar.load().unwrap(), expected);

    let mut tar = Tar::pets("a/");
    for path in ["b/train/cat/1", "b/test/cat/1"] {
        tar = tar.file(path, &image(99));
    }
    tar.refused("in `a/` and one in `b/`");
}

#[test]
fn what_is_not_part_of_a_data_set_is_skipped() {
    let expected = Tar::pets("").load().unwrap();
    let tar = Tar::pets("")
        .folder("./")
        .folder("train/")
        .folder("train/cat")
        .entry(b"train/dog/", EntryType::Regular, b"")
        .file("README", b"?")
        .file("._train", b"?")
        .file("train/._cat", b"?")
        .file("train/cat/._1", b"?")
        .file("train/cat/Thumbs.db", b"?")
        .file("__MACOSX/train/cat/._1", b"?")
        .file(".cache/train/cat/1", b"?")
        .file("/train/cat/2", b"?")
        .file("train/../train/cat/2", b"?")
        .file("../train/cat/2", b"?")
        .entry(
            b"pax_global_header",
            EntryType::XGlobalHeader,
            b"11 a=bcdef\n",
        )
        .entry(b"latest", EntryType::Symlink, b"");
    let mut found = tar.load().unwrap();
    let warning = found.warnings.pop().unwrap();
    assert!(warning.contains("(3, such as `/train/cat/2`)"), "{warning}");
    assert_eq!(found, expected);
}

/// As `tar -P` writes them.
#[test]
fn an_archive_of_absolute_paths_has_an_error_that_names_one() {
    let folder = tempfile::tempdir().unwrap();
    let spec = DataSpec::Tar(folder.path().join("set.tar"));
    for (safe, expected) in [(false, "has no images"), (true, "without `-P`")] {
        let mut tar = Tar::new()
            .file("/pets/cat/1", b"?")
            .file("/pets/cat/2", b"?");
        if safe {
            tar = tar.file("cat/1", b"?");
        }
        std::fs::write(folder.path().join("set.tar"), tar.bytes()).unwrap();
        let message = match crate::ImageFiles::list(&spec) {
            Ok(files) => files.warnings().join("\n"),
            Err(error) => error.to_string(),
        };
        assert!(message.contains(expected), "{message}");
        assert!(message.contains("(2, such as `/pets/cat/1`)"), "{message}");
    }
}

#[test]
fn long_names_are_whole() {
    let class = "c".repeat(200);
    let mut tar = Tar::pets("");
    for split in ["train", "test"] {
        let image = image(1);
        let mut header = header(b"", EntryType::Regular, image.len() as u64);
        let path = format!("{split}/{class}/1");
        tar.0
            .append_data(&mut header, path, image.as_slice())
            .unwrap();
    }
    assert_eq!(tar.load().unwrap().classes, ["cat", &class, "dog"]);
}

#[test]
fn splits_and_classes_are_checked() {
    let cat = image(1);
    let one = |path| Tar::new().file(path, &cat);
    one("pets/train/cat/1").refused(": pets/test is missing");
    one("cat/1").refused(": train is missing");
    one("test/cat/1")
        .file("train", b"?")
        .refused(": train is missing");
    one("test/cat/1")
        .folder("train")
        .refused(": train has no class folders");
    Tar::pets("")
        .folder("train/elk")
        .refused("only train has elk");
    let elks = Tar::pets("a/").folder("a/train/elk").folder("a/test/elk");
    elks.refused(": a/train/elk has no images");
    for inner in ["train/cat/more/", "train/cat/more/2", "train/cat/more/a/2"] {
        let tar = Tar::pets("").file(inner, &cat);
        tar.refused(": train/cat/more is a folder within");
    }
    let tar = Tar::pets("").entry(b"train/caf\xe9/1", EntryType::Regular, &cat);
    tar.refused(": train/caf\\xE9 is a class folder whose name is not Unicode");
    let tar = Tar::pets("").file("./test//cat/1", &cat);
    tar.refused(": test/cat/1 is in the archive twice");
}

#[test]
fn archives_that_follow_each_other_are_all_read() {
    let pets = Tar::pets("").bytes();
    let more = Tar::new().file("train/cat/2", &image(9)).bytes();
    let expected = Tar::pets("").file("train/cat/2", &image(9)).load().unwrap();
    let zeros = vec![0; 3 << 20];
    for joined in [
        [pets.as_slice(), &more].concat(),
        [pets.as_slice(), &zeros, &more, &zeros].concat(),
        gzip(&[pets.as_slice(), &more].concat()),
        [gzip(&pets), gzip(&more)].concat(),
        [zstd(&pets, 7, 0), zstd(&more, 7, 0)].concat(),
    ] {
        assert_eq!(load(&joined).unwrap(), expected);
    }
    // Nothing else may follow, and the last one is whole.
    for rest in [
        b"garbage".as_slice(),
        &gzip(&more),
        &more[..more.len() - 1_024],
    ] {
        let joined = [pets.as_slice(), rest].concat();
        assert_eq!(load(&joined).unwrap_err().kind(), DataErrorKind::Damaged);
    }
    // An image is in one of them.
    assert_refused(&pets.repeat(2), "is in the archive twice");
}

#[test]
fn hard_links_have_the_content_of_an_earlier_file() {
    let link = |tar: Tar, path: &str, target: &str| {
        let mut header = header(path.as_bytes(), EntryType::Link, 0);
        header.set_link_name(target).unwrap();
        header.set_cksum();
        let Tar(mut builder) = tar;
        builder.append(&header, &b""[..]).unwrap();
        Tar(builder)
    };
    let pets = || Tar::pets("").file("pool/9", &image(9));
    let expected = Tar::pets("")
        .file("train/cat/2", &image(9))
        .file("train/cat/3", &image(9))
        .file("test/cat/2", &image(10));
    let linked = link(pets(), "train/cat/2", "pool/9");
    let linked = link(linked, "train/cat/3", "./train/cat/2");
    let linked = link(linked, "test/cat/2", "train/cat/1");
    assert_eq!(linked.load().unwrap(), expected.load().unwrap());

    for target in ["nowhere", "/etc/passwd", "train/cat", "train/dog/2"] {
        let later = link(pets(), "train/cat/2", target).file("train/dog/2", &image(1));
        let reason =
            "train/cat/2: it is a link to something other than an earlier file of the archive";
        later.refused(reason);
    }
}

#[test]
fn other_packings_are_refused_with_a_way_out() {
    for (start, name) in [
        (&[0xfd, b'7', b'z', b'X', b'Z', 0][..], "xz"),
        (b"BZh9", "bzip2"),
        (b"LZIP\x01", "lzip"),
        (b"PK\x03\x04", "zip"),
        (b"7z\xbc\xaf\x27\x1c", "7z"),
    ] {
        let file = [start, &[7; 600]].concat();
        assert_refused(
            &file,
            &format!(" is packed as {name}, but tar files may be plain, or"),
        );
        assert_refused(&file, "convert it, for example with `");
    }
}
