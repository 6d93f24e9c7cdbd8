//! Files of networks and checkpoints are untrusted: damage and malice are errors that say so,
//! control no terminal, and cost no more memory than the file of the expected network.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::error::Error;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use faa_data::{Dataset, Split};
use faa_op::Stream;
use faa_op::text::is_display_control;
use faa_ops_builtin::builtin_ops;
use faa_search::backend::{BackendError, BackendErrorKind, TrainTask};
use faa_search::config::{Precision, Preset, RunConfig, TrainingConfig};
use faa_search::{Backend, NetworkFiles};
use faa_torch::network::Shape;
use faa_torch::{BackendConfig, TorchBackend};
use serde_json::{Value, json};
use tch::Device;

/// Counts the bytes of each thread.
struct Counting;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

#[expect(unsafe_code, reason = "only a global allocator sees every allocation")]
// SAFETY: Every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.set(LIVE.get() + layout.size() as isize);
        PEAK.set(PEAK.get().max(LIVE.get()));
        // SAFETY: The caller keeps to the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.set(LIVE.get() - layout.size() as isize);
        // SAFETY: The pointer came from `System` through `alloc`, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

type Edit = fn(&mut Value);

/// A backend, and a network of WRN-10-1 in two files.
struct Files {
    backend: TorchBackend,
    training: TrainingConfig,
    folder: tempfile::TempDir,
    network: Vec<u8>,
    checkpoint: Vec<u8>,
}

fn files() -> Files {
    let split = || Split::new(vec![100; 8 * 8 * 3], vec![0]);
    let classes = ["red", "green", "blue"].map(str::to_owned).to_vec();
    let dataset = Dataset::new(classes, (8, 8), split(), split());
    let config = BackendConfig::new(Device::Cpu, 1, Precision::Float32);
    let mut backend = TorchBackend::new(Arc::new(dataset), builtin_ops(), config);
    let training = RunConfig::for_search(Preset::Demo, "").common.training;
    let network = backend.begin(&task(&training)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    backend.save(&network, &file).unwrap();
    let whole = fs::read(&file).unwrap();
    backend.save_checkpoint(&network, 1, &file).unwrap();
    Files {
        backend,
        training,
        network: whole,
        checkpoint: fs::read(&file).unwrap(),
        folder,
    }
}

fn task(training: &TrainingConfig) -> TrainTask<'_> {
    TrainTask::new(&[0], training, 1)
}

impl Files {
    /// The errors of reading a file in all three ways: as a network, as one of any shape, and as a
    /// checkpoint. None has a character that could control a terminal.
    fn errors_of(&mut self, path: &Path) -> [Option<String>; 3] {
        let network = self.backend.load(&self.training, path);
        let any = self.backend.load_any(path);
        let task = task(&self.training);
        let checkpoint = self.backend.load_checkpoint(&task, path);
        let checkpoint = checkpoint.map(|(network, _)| network);
        [network, any, checkpoint].map(|read| Some(message_of(&read.err()?)))
    }

    fn errors(&mut self, content: &[u8]) -> [Option<String>; 3] {
        let path = self.path();
        fs::write(&path, content).unwrap();
        self.errors_of(&path)
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("file")
    }

    /// The files whose headers are what `edit` makes of them.
    fn edited(&self, edit: impl Fn(&mut Value)) -> [Vec<u8>; 2] {
        [&self.network, &self.checkpoint].map(|content| {
            let (header, data) = parts(content);
            let mut header = serde_json::from_slice(header).unwrap();
            edit(&mut header);
            joined(header.to_string().as_bytes(), data)
        })
    }
}

/// The error and its causes.
fn message_of(error: &BackendError) -> String {
    assert_eq!(error.kind(), BackendErrorKind::Other);
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        message += &format!(": {source}");
        cause = source.source();
    }
    assert!(!message.chars().any(is_display_control), "{message:?}");
    message
}

fn parts(content: &[u8]) -> (&[u8], &[u8]) {
    let length = u64::from_le_bytes(content[..8].try_into().unwrap());
    content[8..].split_at(length as usize)
}

fn joined(header: &[u8], data: &[u8]) -> Vec<u8> {
    let length = (header.len() as u64).to_le_bytes();
    [&length, header, data].concat()
}

/// Changes the JSON within the header's only metadata entry.
fn edit_metadata(header: &mut Value, edit: impl Fn(&mut Value)) {
    let entry = &mut header["__metadata__"]["faa-runtime"];
    let mut metadata = serde_json::from_str(entry.as_str().unwrap()).unwrap();
    edit(&mut metadata);
    *entry = metadata.to_string().into();
}

#[test]
fn whole_files_are_read() {
    let mut files = files();
    let (network, checkpoint) = (files.network.clone(), files.checkpoint.clone());
    let [as_network, as_any, as_checkpoint] = files.errors(&network);
    assert!(as_network.is_none() && as_any.is_none());
    assert!(
        as_checkpoint
            .unwrap()
            .contains("a different network: `momentum`")
    );
    let [as_network, as_any, as_checkpoint] = files.errors(&checkpoint);
    assert!(as_network.unwrap().contains("a different network: it has"));
    assert!(as_any.unwrap().contains("has no valid model"));
    assert!(as_checkpoint.is_none());
}

/// They are named, and neither waited for nor read.
#[test]
fn what_is_not_a_file_is_refused() {
    let mut files = files();
    let pipe = files.folder.path().join("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let folder = files.folder.path().to_owned();
    for path in [pipe.as_path(), &folder, "/dev/zero".as_ref()] {
        for error in files.errors_of(path) {
            let error = error.unwrap();
            assert_eq!(error, format!("{} is not a regular file", path.display()));
        }
    }
    for error in files.errors_of(&folder.join("missing")) {
        assert!(error.unwrap().starts_with("cannot read "));
    }
}

/// Each in both files, and read in every way.
#[test]
fn headers_that_do_not_describe_the_network_are_refused() {
    let mut files = files();
    let values = [
        // Overlapping, in reverse, and beyond the end.
        ("/stem.weight/data_offsets", json!([4, 1732])),
        ("/stem.weight/data_offsets", json!([1728, 0])),
        ("/stem.weight/data_offsets", json!([0, 1_u64 << 63])),
        ("/bn.bias/dtype", json!("F16")),
        ("/bn.bias/dtype", json!("I32")),
        ("/bn.bias/dtype", json!("\u{1b}[2J")),
        ("/stem.weight/shape", json!([432])),
        ("/bn.bias/shape", json!([1_u64 << 63])),
        ("/bn.bias/shape", json!(vec![1_u64 << 32; 3])),
        ("/bn.bias/shape", json!([-64])),
        ("/bn.bias", json!(null)),
        ("/__metadata__", json!(null)),
        ("/__metadata__/faa-runtime", json!("")),
        ("", json!([])),
    ];
    let mut contents = Vec::new();
    for (pointer, value) in values {
        contents.extend(files.edited(|it| *it.pointer_mut(pointer).unwrap() = value.clone()));
    }
    let digest = |header: &mut Value| edit_metadata(header, |it| it["sha256"] = json!("0"));
    contents.extend(files.edited(digest));
    contents.extend(files.edited(|it| {
        let renamed = it.as_object_mut().unwrap().remove("bn.bias").unwrap();
        it["bn.bi\u{202e}as"] = renamed;
    }));
    contents.extend(files.edited(|it| {
        it["more"] = json!({"dtype": "F32", "shape": [0], "data_offsets": [0, 0]});
    }));
    // Equal names, of which JSON's reader keeps one.
    let (header, data) = parts(&files.network);
    let header = String::from_utf8(header.to_vec()).unwrap();
    let twice = header.replacen("\"bn.weight\"", "\"bn.bias\"", 1);
    contents.push(joined(twice.as_bytes(), data));
    contents.push(joined("[".repeat(100_000).as_bytes(), &[]));
    for content in contents {
        let accepted = files.errors(&content).iter().any(Option::is_none);
        assert!(!accepted, "{}", String::from_utf8_lossy(parts(&content).0));
    }
}

/// A network that states itself what it is.
#[test]
fn descriptions_are_checked() {
    let mut files = files();
    let cases: &[(Edit, &str)] = &[
        (
            |it| it["model"] = json!("wrn-16-1"),
            "holds a different network",
        ),
        (|it| it["model"] = json!("wrn-10000-1"), "has no valid"),
        (
            |it| it["model"] = json!("wrn-1000-100"),
            "holds a different network",
        ),
        (|it| it["std"] = json!([0.1, 0.1, null]), "has no valid"),
        (
            |it| it["mean"] = json!([0.1, 0.1, 1e300]),
            "has no valid model",
        ),
        (
            |it| it["size"] = json!([8, u64::MAX]),
            "was trained on images of 8×18446744073709551615",
        ),
        (
            |it| it["classes"] = json!(["red\u{1b}]0;x\u{7}", "\u{202e}", "blue"]),
            "(red ]0;x",
        ),
        (
            |it| it["classes"] = json!(vec!["x".repeat(1_000); 1_000]),
            "x…, …",
        ),
    ];
    for (edit, message) in cases {
        let [content, _] = files.edited(|header| {
            edit_metadata(header, |it| {
                if let Some(network) = it.get_mut("network") {
                    edit(network);
                }
            });
        });
        let [_, error, _] = files.errors(&content);
        let error = error.unwrap();
        assert!(error.contains(message) && error.len() < 2_000, "{error}");
    }
}

/// A training would continue at another epoch, and images would be normalised in another way.
#[test]
fn metadata_that_has_changed_is_damage() {
    let mut files = files();
    let replaced = |from: &str, to: &str| {
        files.edited(|header| {
            let entry = &mut header["__metadata__"]["faa-runtime"];
            let text = entry.as_str().unwrap().replace(from, to);
            *entry = text.into();
        })
    };
    let [_, checkpoint] = replaced("\"epochs\":1", "\"epochs\":2");
    let [network, _] = replaced("0.39", "0.38");
    let [_, _, of_checkpoint] = files.errors(&checkpoint);
    let [_, of_network, _] = files.errors(&network);
    for error in [of_checkpoint, of_network] {
        let error = error.unwrap();
        let expected = "is damaged (its content does not have the SHA-256 that it states)";
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_checkpoint_of_an_earlier_version_is_named() {
    let mut files = files();
    for alignment in [json!(null), json!(2)] {
        let [_, content] =
            files.edited(|header| edit_metadata(header, |it| it["alignment"] = alignment.clone()));
        let [_, _, error] = files.errors(&content);
        let error = error.unwrap();
        let expected = "file is a checkpoint of an earlier version";
        assert!(error.contains(expected), "{error}");
    }
}

/// Its file has a terabyte of which the disk holds nothing.
#[test]
fn a_network_too_large_to_be_one_is_not_read() {
    let mut files = files();
    let shape = Shape::new("wrn-1000-100".parse().unwrap(), 3);
    let (mut header, mut end) = (serde_json::Map::new(), 0);
    for spec in shape.tensors() {
        let start = end;
        end += 4 * spec.len();
        let info = json!({"dtype": "F32", "shape": spec.size, "data_offsets": [start, end]});
        header.insert(spec.name, info);
    }
    let (original, _) = parts(&files.network);
    let mut original: Value = serde_json::from_slice(original).unwrap();
    edit_metadata(&mut original, |it| {
        it["network"]["model"] = json!("wrn-1000-100");
    });
    header.insert("__metadata__".to_owned(), original["__metadata__"].take());
    let header = Value::from(header).to_string();
    let path = files.path();
    fs::write(&path, joined(header.as_bytes(), &[])).unwrap();
    let length = 8 + header.len() as u64 + end as u64;
    if File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(length)
        .is_err()
    {
        eprintln!("skipped: this file system has no files of {length} bytes");
        return;
    }
    let [as_network, as_any, as_checkpoint] = files.errors_of(&path).map(Option::unwrap);
    assert!(
        as_any.contains("is larger than 4294967296 bytes"),
        "{as_any}"
    );
    for error in [as_network, as_checkpoint] {
        assert!(error.contains("holds a different network"), "{error}");
    }
}

/// Bits, cuts, and lengths of headers, drawn with a fixed seed. What is still read is a whole network.
#[test]
fn damage_is_an_error_and_bounded_in_memory() {
    let mut files = files();
    let originals = [files.network.clone(), files.checkpoint.clone()];
    let max = 10 * originals[1].len() as isize;
    let mut stream = Stream::for_op(9);
    let mut read = 0;
    for case in 0..600 {
        let original = &originals[case % 2];
        let mut content = original.clone();
        let header = 8 + parts(original).0.len() as u64;
        let random_length = |stream: &mut Stream| stream.next_u64() >> stream.below(64);
        match case / 2 % 5 {
            0 => content[stream.below(header) as usize] ^= 1 << stream.below(8),
            1 => content[stream.below(original.len() as u64) as usize] ^= 1 << stream.below(8),
            2 => content.truncate(stream.below(original.len() as u64) as usize),
            3 => content[..8].copy_from_slice(&random_length(&mut stream).to_le_bytes()),
            _ => {
                for _ in 0..3 {
                    let byte = stream.next_u32() as u8;
                    content[stream.below(header) as usize] = byte;
                }
            }
        }
        if content == *original {
            continue;
        }
        PEAK.set(LIVE.get());
        let before = LIVE.get();
        let errors = files.errors(&content);
        assert!(
            PEAK.get() - before < max,
            "case {case}: {} bytes",
            PEAK.get() - before
        );
        read += errors.iter().filter(|error| error.is_none()).count();
        let tensors_changed = parts_differ(&content, original);
        assert!(
            !tensors_changed || errors.iter().all(Option::is_some),
            "case {case}"
        );
    }
    // The statistics, for example, may change.
    assert!(read < 120, "{read}");
    for length in [0, 1, u64::from(u32::MAX), 1 << 63, u64::MAX] {
        let mut content = originals[0].clone();
        content[..8].copy_from_slice(&length.to_le_bytes());
        assert!(
            files.errors(&content).iter().all(Option::is_some),
            "{length}"
        );
    }
}

/// Whether anything but the header differs.
fn parts_differ(content: &[u8], original: &[u8]) -> bool {
    let (header, data) = parts(original);
    content.get(8 + header.len()..) != Some(data)
}

/// Layers of the same name and size are in both.
#[test]
fn a_deeper_network_is_a_different_one() {
    let mut files = files();
    let mut deeper = files.training.clone();
    deeper.model = "wrn-16-1".parse().unwrap();
    let network = files.backend.begin(&task(&deeper)).unwrap();
    let path = files.path();
    files.backend.save(&network, &path).unwrap();
    let [as_network, as_any, _] = files.errors_of(&path);
    assert!(as_network.unwrap().contains("a different network: it has"));
    assert!(as_any.is_none());
}
