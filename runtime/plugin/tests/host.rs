//! The host, as an embedder uses it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use faa_op::{Call, Channels, ImageMut, ImageRef, Op, OpError, OpErrorKind, OpSet, Scratch};
use faa_plugin::{
    CallErrorKind, Found, Host, HostConfig, HostErrorKind, OnFailure, Plugin, PluginErrorKind,
    inspect,
};

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
    let said = Err(OpError::failed("not today (`Moody`)"));
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
    assert!(took >= limit, "{took:?}");
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

/// Spins while a buffer is reserved, and as long again while the op is applied, for as many rounds as
/// the image has bytes.
const SLOW: &str = r#"(module
    (@custom "faa.abi" "\01\00\00\00")
    (memory (export "memory") 1)
    (data (i32.const 16) "{\"ops\":[{\"name\":\"Slow\"}]}")
    (func $spin (param $rounds i32)
      (local.set $rounds (i32.mul (local.get $rounds) (i32.const 10000)))
      (loop (br_if 0 (local.tee $rounds (i32.sub (local.get $rounds) (i32.const 1))))))
    (func (export "faa_spec") (result i64) (i64.const 0x00000010_00000019))
    (func (export "faa_reserve") (param $size i32) (result i32)
      (call $spin (local.get $size)) (i32.const 1024))
    (func (export "faa_apply")
      (param i32 i32) (param $width i32) (param i32 i32 f64 i64) (result i32)
      (call $spin (local.get $width)) (i32.const 0)))"#;

/// The limit is less than both parts of the call take together, and more than each.
#[test]
fn all_parts_of_a_call_have_one_deadline() {
    let module = wat::parse_str(SLOW).unwrap();
    let mut pixels = vec![0; 10_000];
    let mut call = |limit| {
        let plugin = host(|config| config.limits.call_time = limit)
            .load(&module)
            .unwrap();
        let mut image = ImageMut::new(&mut pixels, 10_000, 1, Channels::L).unwrap();
        let begun = Instant::now();
        let result = plugin.ops()[0].try_apply(&mut image, 0.0, 0);
        (result.map_err(|error| error.code()), begun.elapsed())
    };
    // Repeated, because the speed of a machine may change between the two calls.
    let exceeds = |_| {
        let (result, took) = call(Duration::from_secs(600));
        assert_eq!(result, Ok(()));
        call(took * 5 / 8).0 == Err("time")
    };
    assert!((0..20).any(exceeds));
}

/// Each plugin's first instance, which returns the specification, is dropped, so they load; but only
/// one at a time may have an instance.
#[test]
fn the_memory_of_all_plugins_together_is_limited() {
    let host = host(|config| config.limits.total_memory = 100 << 10);
    let [first, second] = [(); 2].map(|()| moody(&host));
    assert_eq!(
        (first.memory(), second.memory()),
        (Some(64 << 10), Some(64 << 10))
    );
    for (user, other) in [(&first, &second), (&second, &first)] {
        assert_eq!(apply(user, 0.0), Ok(1));
        let op = &other.ops()[0];
        let error = op.try_apply(&mut pixel(&mut [0; 3]), 0.0, 0).unwrap_err();
        assert_eq!(error.kind(), &CallErrorKind::HostMemory(100 << 10));
        user.drop_instance();
    }
    // What an instance gets later counts too.
    let larger = host.load(&flicker()).unwrap();
    let mut pixels = vec![0; 1 << 17];
    let mut image = ImageMut::new(&mut pixels, 1 << 17, 1, Channels::L).unwrap();
    let error = larger.ops()[0].try_apply(&mut image, 1.0, 0).unwrap_err();
    assert_eq!(error.code(), "host-memory", "{error}");
    assert_eq!(apply(&first, 0.0), Ok(1));
}

#[test]
fn errors_name_the_op_and_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("moods.wasm");
    fs::write(&file, wat::parse_str(MOODY).unwrap()).unwrap();
    let plugin = host(|_| {}).load_file(&file).unwrap();
    let error = apply(&plugin, 1.0).unwrap_err().to_string();
    assert_eq!(error, format!("not today (`Moody` of {})", file.display()));
}

#[test]
fn folders_are_limited_in_files_and_time() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.wasm", "b.wasm", "._a.wasm", "._b.wasm", "c.txt"] {
        fs::write(folder.path().join(name), "").unwrap();
    }
    let load = |change: fn(&mut HostConfig)| {
        host(change).load_folder(folder.path(), None, &mut OpSet::new())
    };
    let codes = |found: Found| -> Vec<_> {
        found
            .broken
            .iter()
            .map(|broken| broken.error.code())
            .collect()
    };
    let found = load(|config| config.limits.folder_files = 2).unwrap();
    assert_eq!(codes(found), ["not-wasm", "not-wasm"]);
    let found = load(|config| config.limits.folder_time = Duration::ZERO).unwrap();
    assert_eq!(codes(found), ["folder-time", "folder-time"]);
    let error = load(|config| config.limits.folder_files = 1).unwrap_err();
    let limit = matches!(error.kind(), HostErrorKind::TooManyPlugins { limit: 1, .. });
    assert!(limit, "{error}");
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

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Whether it is the folder itself, one above it, or the target of a link to it.
    #[test]
    fn a_folder_that_others_can_change_is_not_used() {
        let root = tempfile::tempdir().unwrap();
        let (parent, link) = (root.path().join("parent"), root.path().join("link"));
        let folder = parent.join("plugins");
        fs::create_dir_all(&folder).unwrap();
        std::os::unix::fs::symlink(&parent, &link).unwrap();
        let works_in = |cache: &Path| {
            works(&host(|config| config.cache = Some(cache.to_owned())));
        };
        for (path, mode) in [(&folder, 0o777), (&parent, 0o777), (&parent, 0o775)] {
            set_mode(path, mode);
            works_in(&folder);
            works_in(&link.join("plugins"));
            assert!(entries(&folder).is_empty(), "{mode:o}");
            set_mode(path, 0o755);
        }
        // A forged entry is not even read: it is not created again.
        works_in(&folder);
        let entry = entries(&folder).remove(0);
        fs::write(&entry, "forged").unwrap();
        set_mode(&parent, 0o777);
        works_in(&folder);
        assert_eq!(fs::read(&entry).unwrap(), b"forged");
        // Others can add to a sticky folder, but not replace what is in it.
        set_mode(&parent, 0o1777);
        works_in(&folder);
        assert_ne!(fs::read(&entry).unwrap(), b"forged");
        works_in(Path::new("relative"));
        assert!(!Path::new("relative").exists());
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

/// A module, with further functions that are never called.
fn padded(functions: usize) -> Vec<u8> {
    let function = format!("(func {})", "(loop)".repeat(20));
    let text = MOODY.strip_suffix(')').unwrap();
    wat::parse_str(format!("{text} {})", function.repeat(functions))).unwrap()
}

/// The estimated effort of compiling a module.
fn effort(module: &[u8]) -> u64 {
    let mut config = HostConfig::default();
    config.compile.effort = 0;
    let error = inspect(module, &config.limits, &config.compile).unwrap_err();
    match error.kind() {
        PluginErrorKind::TooComplex { what, found, .. } if what.contains("effort") => *found,
        other => panic!("{other}"),
    }
}

#[test]
fn only_modules_of_small_effort_are_optimised_and_all_work() {
    let limit = 1_000_000;
    let optimising = host(|config| config.compile.optimised_effort = limit);
    let default = host(|_| {}).load(&padded(0)).unwrap();
    assert_eq!(default.is_optimised(), Some(false));
    let each = effort(&padded(1)) - effort(&padded(0));
    let max = ((limit - effort(&padded(0))) / each) as usize;
    for (functions, optimised) in [(0, true), (max, true), (max + 1, false)] {
        let module = padded(functions);
        assert_eq!(effort(&module) <= limit, optimised);
        let plugin = optimising.load(&module).unwrap();
        assert_eq!(plugin.is_optimised(), Some(optimised), "{functions}");
        assert_eq!(apply(&plugin, 0.0), Ok(1));
        let error = apply(&plugin, 2.0).unwrap_err();
        assert!(error.to_string().contains("today"), "{error}");
        assert_eq!(apply(&plugin, 0.0), Ok(1));
    }
}

#[test]
fn cached_modules_are_those_that_would_be_compiled() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().canonicalize().unwrap().join("plugins");
    let module = wat::parse_str(MOODY).unwrap();
    let host = |optimised_effort| {
        host(|config| {
            config.compile.optimised_effort = optimised_effort;
            config.cache = Some(cache.clone());
        })
    };
    let effort = effort(&module);
    let hosts = [(host(effort), true), (host(effort - 1), false)];
    let entries = || -> BTreeMap<PathBuf, Vec<u8>> {
        let entries = fs::read_dir(&cache).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect()
    };
    let mut found = Vec::new();
    for (number, (host, optimised)) in (1..).zip(&hosts) {
        let plugin = host.load(&module).unwrap();
        assert_eq!(plugin.is_optimised(), Some(*optimised));
        assert_eq!(entries().len(), number);
        let new = entries().into_iter().find(|entry| !found.contains(entry));
        found.push(new.unwrap());
    }
    // Each finds its own, and makes it again if it is the other's.
    for (number, (host, optimised)) in hosts.iter().enumerate() {
        let ((path, own), (_, other)) = (&found[number], &found[1 - number]);
        assert_ne!(own, other);
        for content in [own, other] {
            fs::write(path, content).unwrap();
            let plugin = host.load(&module).unwrap();
            assert_eq!(plugin.is_optimised(), Some(*optimised));
            assert_eq!(apply(&plugin, 0.0), Ok(1));
            assert_eq!(entries(), found.iter().cloned().collect());
        }
    }
}

#[cfg(unix)]
#[test]
fn a_library_that_is_too_large_is_not_too_complex() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.so");
    fs::File::create(&path)
        .unwrap()
        .set_len((256 << 20) + 1)
        .unwrap();
    // SAFETY: it is not loaded.
    #[expect(unsafe_code, reason = "that it is not loaded is tested")]
    let error = unsafe { host(|_| {}).load_native(&path) }.unwrap_err();
    assert_eq!(error.code(), "library-too-large");
    assert!(error.to_string().contains("256 MiB"), "{error}");
}
