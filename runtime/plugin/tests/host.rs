//! The host, as an embedder uses it.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use faa_op::{Call, Channels, ImageMut, ImageRef, Op, OpError, OpErrorKind, Scratch};
use faa_plugin::{CallErrorKind, Host, HostConfig, OnFailure, Plugin};

/// The example in ABI.md: `Flicker` adds or subtracts levels.
fn flicker() -> Vec<u8> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugin-sdk/ABI.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, rest) = page.split_once("```wat\n").unwrap();
    wat::parse_str(rest.split_once("```").unwrap().0).unwrap()
}

/// Fails if the value is 1, loops forever if it is 2, and otherwise sets the first sample to the number
/// of calls so far.
const MOODY: &str = r#"(module
    (@custom "faa.abi" "\01\00\00\00")
    (memory (export "memory") 1)
    (global $calls (mut i32) (i32.const 0))
    (data (i32.const 16) "{\"ops\":[{\"name\":\"Moody\",\"low\":0,\"high\":2}]}")
    (data (i32.const 100) "not today")
    (func (export "faa_spec") (result i64) (i64.const 0x00000010_0000002b))
    (func (export "faa_error") (result i64) (i64.const 0x00000064_00000009))
    (func (export "faa_reserve") (param i32) (result i32) (i32.const 1024))
    (func (export "faa_apply")
      (param i32 i32 i32 i32 i32) (param $value f64) (param i64) (result i32)
      (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
      (i32.store8 (i32.const 1024) (global.get $calls))
      (if (f64.eq (local.get $value) (f64.const 2)) (then (loop (br 0))))
      (if (f64.eq (local.get $value) (f64.const 1)) (then (return (i32.const 2))))
      (i32.const 0)))"#;

fn host(change: impl FnOnce(&mut HostConfig)) -> Host {
    let mut config = HostConfig::default();
    config.cache = None;
    config.limits.call_time = Duration::from_millis(100);
    change(&mut config);
    Host::new(config).unwrap()
}

fn moody(host: &Host) -> Plugin {
    host.load(&wat::parse_str(MOODY).unwrap()).unwrap()
}

fn pixel(samples: &mut [u8; 3]) -> ImageMut<'_> {
    ImageMut::new(samples, 1, 1, Channels::Rgb).unwrap()
}

fn apply(plugin: &Plugin, value: f64) -> Result<u8, OpError> {
    let mut pixels = [99; 3];
    let scratch = &mut Scratch::new();
    plugin.ops()[0].apply(&mut pixel(&mut pixels), value, &mut Call::new(0, scratch))?;
    Ok(pixels[0])
}

#[test]
fn an_instance_that_failed_is_not_used_again() {
    let plugin = moody(&host(|_| {}));
    assert_eq!(apply(&plugin, 0.0), Ok(1));
    assert_eq!(apply(&plugin, 0.0), Ok(2));
    let said = Err(OpError::failed("not today"));
    assert_eq!(apply(&plugin, 1.0), said);
    assert_eq!(apply(&plugin, 0.0), Ok(1));
    assert_eq!(plugin.ops()[0].failures(), 1);
}

#[test]
fn failures_can_be_skipped_and_are_counted() {
    let plugin = moody(&host(|config| config.on_failure = OnFailure::Skip));
    for failing in [1.0, 2.0] {
        assert_eq!(apply(&plugin, failing), Ok(99), "the image is as it was");
    }
    let op = &plugin.ops()[0];
    assert_eq!(op.failures(), 2);
    // From a source, the result is the source.
    let (source, mut pixels) = ([7; 3], [0; 3]);
    let source = ImageRef::new(&source, 1, 1, Channels::Rgb).unwrap();
    let (image, scratch) = (&mut pixel(&mut pixels), &mut Scratch::new());
    op.apply_from(source, image, 1.0, &mut Call::new(0, scratch))
        .unwrap();
    assert_eq!(pixels, [7; 3]);
}

#[test]
fn a_limit_of_time_holds() {
    let plugin = moody(&host(|_| {}));
    let start = Instant::now();
    let op = &plugin.ops()[0];
    let error = op.try_apply(&mut pixel(&mut [0; 3]), 2.0, 0).unwrap_err();
    let took = start.elapsed();
    let limit = Duration::from_millis(100);
    assert_eq!(error.kind(), &CallErrorKind::Time(limit));
    assert_eq!(error.message(), Some("not today"));
    assert!(took >= limit && took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn values_that_are_not_finite_are_refused_before_a_call() {
    let plugin = moody(&host(|_| {}));
    let value = f64::INFINITY;
    let refused = Err(OpErrorKind::NotFinite { value }.into());
    assert_eq!(apply(&plugin, value), refused);
    assert_eq!(apply(&plugin, 0.0), Ok(1));
}

#[test]
fn an_image_that_does_not_fit_the_memory_is_refused() {
    let host = host(|config| config.limits.memory = 1 << 20);
    let plugin = host.load(&flicker()).unwrap();
    let op = &plugin.ops()[0];
    let mut pixels = vec![1; 1 << 20];
    let mut image = ImageMut::new(&mut pixels, 1 << 10, 1 << 10, Channels::L).unwrap();
    let error = op.try_apply(&mut image, 1.0, 1).unwrap_err();
    assert_eq!(error.kind(), &CallErrorKind::NoBuffer(1 << 20));
    let mut image = ImageMut::new(&mut pixels[..1 << 19], 1 << 9, 1 << 10, Channels::L).unwrap();
    op.try_apply(&mut image, 1.0, 1).unwrap();
}

#[test]
fn every_thread_has_a_separate_instance() {
    let plugin = moody(&host(|_| {}));
    assert_eq!(apply(&plugin, 0.0), Ok(1));
    let calls = || [(); 3].map(|()| apply(&plugin, 0.0).unwrap());
    let in_threads = thread::scope(|scope| {
        let threads = [(); 4].map(|()| scope.spawn(calls));
        threads.map(|thread| thread.join().unwrap())
    });
    // Instances of threads that ended are used again by threads that begin.
    for [first, second, third] in in_threads {
        assert_eq!([second, third], [first + 1, first + 2]);
    }
    assert_eq!(apply(&plugin, 0.0), Ok(2));
}

/// A source whose rows are not contiguous, which is read row by row.
#[test]
fn parts_of_larger_images_are_sources_too() {
    let plugin = host(|_| {}).load(&flicker()).unwrap();
    let samples: Vec<u8> = (0..8 * 6).collect();
    let whole = ImageRef::new(&samples, 8, 6, Channels::L).unwrap();
    let part = whole.crop(2, 1, 4, 3).unwrap();
    let mut pixels = [0; 12];
    let mut image = ImageMut::new(&mut pixels, 4, 3, Channels::L).unwrap();
    let scratch = &mut Scratch::new();
    let op = &plugin.ops()[0];
    op.apply_from(part, &mut image, 1.0, &mut Call::new(1, scratch))
        .unwrap();
    let expected: Vec<u8> = part.rows().flatten().map(|level| level + 1).collect();
    assert_eq!(image.samples(), expected);
    let other = ImageRef::new(&samples, 6, 8, Channels::L).unwrap();
    let error = op.apply_from(other, &mut image, 1.0, &mut Call::new(1, scratch));
    assert_eq!(error, Err(OpErrorKind::SourceShape.into()));
}

#[cfg(unix)]
mod cache {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn entries(folder: &Path) -> Vec<std::path::PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    fn works(host: &Host) {
        let plugin = host.load(&flicker()).unwrap();
        let mut pixels = [100; 3];
        let op = &plugin.ops()[0];
        op.try_apply(&mut pixel(&mut pixels), 7.0, 1).unwrap();
        assert_eq!(pixels, [107; 3]);
    }

    #[test]
    fn a_damaged_entry_is_created_again() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("plugins");
        let with_cache = || host(|config| config.cache = Some(cache.clone()));
        works(&with_cache());
        let found = entries(&cache);
        assert_eq!(found.len(), 1);
        let mode = fs::metadata(&cache).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let whole = fs::read(&found[0]).unwrap();
        for damage in [
            |entry: &mut Vec<u8>| entry.truncate(1000),
            |entry: &mut Vec<u8>| entry.clear(),
            |entry: &mut Vec<u8>| *entry.last_mut().unwrap() ^= 1,
            |entry: &mut Vec<u8>| entry[5] ^= 1,
        ] {
            let mut entry = whole.clone();
            damage(&mut entry);
            fs::write(&found[0], &entry).unwrap();
            works(&with_cache());
            assert_eq!(fs::read(&found[0]).unwrap(), whole, "it is whole again");
        }
        // A whole entry is read and not created again.
        let written = || fs::metadata(&found[0]).unwrap().modified().unwrap();
        let before = written();
        works(&with_cache());
        assert_eq!(written(), before);
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        works(&host(|config| {
            config.cache = Some(folder.path().to_owned());
        }));
        assert!(entries(folder.path()).is_empty());
    }

    #[test]
    fn a_cache_that_cannot_be_written_to_is_done_without() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        works(&host(|config| config.cache = Some(file.join("plugins"))));
    }

    /// An engine with different settings has separate entries.
    #[test]
    fn entries_belong_to_an_engine_s_settings() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("plugins");
        works(&host(|config| config.cache = Some(cache.clone())));
        works(&host(|config| {
            config.cache = Some(cache.clone());
            config.canonical_nans = false;
        }));
        assert_eq!(entries(&cache).len(), 2);
    }
}
