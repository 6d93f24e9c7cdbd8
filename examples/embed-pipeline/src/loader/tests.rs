use std::fs;
use std::sync::atomic::AtomicUsize;

use faa_op::{Call, ImageMut, Op, OpErrorKind, OpResult, OpSpec};
use faa_policy::{Policy, shipped};
use image::{Rgb, RgbImage};
use tempfile::TempDir;

use super::*;

const SIDE: u32 = 8;

/// Two classes of pictures, `count` in all.
fn pictures(count: usize) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..count {
        let class = folder.path().join(["cats", "dogs"][number % 2]);
        fs::create_dir_all(&class).unwrap();
        let level = |x: u32, y: u32| ((x * 7 + y * 13) as usize + number * 31) as u8;
        let picture = RgbImage::from_fn(SIDE, SIDE, |x, y| Rgb([level(x, y), x as u8, y as u8]));
        picture
            .save(class.join(format!("{number:03}.png")))
            .unwrap();
    }
    folder
}

fn options(threads: usize) -> Options {
    Options {
        size: SIDE,
        batch: 4,
        threads,
        ..Options::default()
    }
}

fn loader(folder: &TempDir, executor: Executor, options: Options) -> Loader {
    Loader::new(Folder::open(folder.path()).unwrap(), executor, options).unwrap()
}

fn shipped_executor() -> Executor {
    Executor::builtin(&shipped()[0].policy().unwrap()).unwrap()
}

/// Images, labels and indices of every batch of an epoch.
fn contents(loader: &Loader, epoch: u32) -> Vec<(Vec<f32>, Vec<u32>, Vec<usize>)> {
    let contents = |mut batch: Batch| {
        let (labels, indices) = (batch.labels.clone(), batch.indices.clone());
        (mem::take(&mut batch.images), labels, indices)
    };
    let batches = loader.epoch(epoch).unwrap().map(Result::unwrap);
    batches.map(contents).collect()
}

/// An op that counts its calls, and panics at one of them or fails at one.
struct Counting {
    spec: OpSpec,
    calls: Arc<AtomicUsize>,
    panics_at: Option<usize>,
    fails_at: Option<usize>,
}

impl Op for Counting {
    fn spec(&self) -> &OpSpec {
        &self.spec
    }

    fn apply(&self, _: &mut ImageMut<'_>, _: f64, _: &mut Call<'_>) -> OpResult {
        let call = Some(self.calls.fetch_add(1, Ordering::SeqCst));
        assert_ne!(call, self.panics_at, "the op is broken");
        if call == self.fails_at {
            return Err(OpErrorKind::NoPartner.into());
        }
        Ok(())
    }
}

/// An executor that applies [`Counting`] to every image, and its count.
fn counting(panics_at: Option<usize>, fails_at: Option<usize>) -> (Executor, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let mut ops = faa_op::OpSet::new();
    ops.replace(Arc::new(Counting {
        spec: OpSpec::new("Counting", ""),
        calls: calls.clone(),
        panics_at,
        fails_at,
    }));
    let json = br#"{"format": "faa-policy", "version": 1, "name": "counting", "sub_policies": [
        [{"op": "Counting", "probability": 1}]]}"#;
    let executor = Executor::new(&Policy::parse(json).unwrap(), &ops).unwrap();
    (executor, calls)
}

#[test]
fn batches_are_the_same_for_any_number_of_threads() {
    let folder = pictures(18);
    let one = contents(&loader(&folder, shipped_executor(), options(1)), 3);
    let four = contents(&loader(&folder, shipped_executor(), options(4)), 3);
    assert!(one == four);
    let counts: Vec<_> = one.iter().map(|(_, labels, _)| labels.len()).collect();
    assert_eq!(counts, [4, 4, 4, 4, 2]);
    let mut indices: Vec<_> = one.iter().flat_map(|batch| &batch.2).copied().collect();
    indices.sort_unstable();
    assert!(indices.into_iter().eq(0..18));
}

#[test]
fn epochs_differ_in_order_and_pixels_and_can_be_repeated() {
    let folder = pictures(12);
    let shuffled = loader(&folder, shipped_executor(), options(2));
    let (first, second) = (contents(&shuffled, 0), contents(&shuffled, 1));
    assert!(first == contents(&shuffled, 0));
    assert_ne!(first[0].2, second[0].2);

    let straight = Options {
        shuffle: false,
        ..options(2)
    };
    let straight = loader(&folder, shipped_executor(), straight);
    let (first, second) = (contents(&straight, 0), contents(&straight, 1));
    assert_eq!(first[0].2, [0, 1, 2, 3]);
    assert_eq!(first[1].2, second[1].2);
    assert_eq!(first[1].1, [0, 0, 1, 1]);
    assert!(first[1].0 != second[1].0);
}

#[test]
fn a_policy_that_does_nothing_leaves_the_normalised_pixels() {
    let folder = pictures(1);
    let (executor, _) = counting(None, None);
    let batches = contents(&loader(&folder, executor, options(1)), 0);
    let images = &batches[0].0;
    let plane = (SIDE * SIDE) as usize;
    assert_eq!(images.len(), 3 * plane);
    // The picture's pixel at (5, 2) is (61, 5, 2).
    let index = (2 * SIDE + 5) as usize;
    for (channel, expected) in [
        (0, (61.0 / 255.0 - 0.485) / 0.229),
        (1, (5.0 / 255.0 - 0.456) / 0.224),
        (2, (2.0 / 255.0 - 0.406) / 0.225),
    ] {
        let found = f64::from(images[channel * plane + index]);
        assert!((found - expected).abs() < 1e-6, "{found} for {expected}");
    }
}

#[test]
fn a_slow_consumer_stops_the_threads_and_memory_is_used_again() {
    let folder = pictures(80);
    let (executor, calls) = counting(None, None);
    let loader = loader(&folder, executor, options(2));
    let mut taken = 0;
    for batch in loader.epoch(0).unwrap() {
        batch.unwrap();
        taken += 1;
        // In addition, each of the two threads has one batch that waits in the channel and one that
        // waits for room in it. Threads that went on would be found in one of the rounds.
        let max = 80.min((taken + 2 * 2) * 4);
        while calls.load(Ordering::SeqCst) < max {
            thread::yield_now();
        }
        assert_eq!(calls.load(Ordering::SeqCst), max);
    }
    assert_eq!(taken, 20);
    assert_eq!(loader.epoch(1).unwrap().count(), 20);
    assert!((1..=5).contains(&loader.shared.pool.idle()));
}

#[test]
fn a_consumer_may_keep_all_batches() {
    let folder = pictures(40);
    let loader = loader(&folder, shipped_executor(), options(3));
    let kept: Vec<_> = loader.epoch(0).unwrap().map(Result::unwrap).collect();
    assert_eq!(kept.len(), 10);
}

#[test]
fn dropping_the_iterator_early_ends_the_threads() {
    let folder = pictures(40);
    for taken in [0, 1, 5] {
        let loader = loader(&folder, shipped_executor(), options(3));
        let mut batches = loader.epoch(0).unwrap();
        assert!(batches.by_ref().take(taken).all(|batch| batch.is_ok()));
        drop(batches);
        // Each thread has a reference to this.
        assert_eq!(Arc::strong_count(&loader.shared), 1);
    }
}

#[test]
fn a_panic_or_an_op_that_fails_is_an_error_and_ends_the_epoch() {
    let folder = pictures(40);
    let error = |(executor, _): (Executor, _)| {
        let loader = loader(&folder, executor, options(3));
        let mut batches = loader.epoch(0).unwrap();
        let error = batches.find_map(Result::err).unwrap();
        assert!(batches.next().is_none());
        error
    };
    let panic = error(counting(Some(14), None));
    assert!(panic.to_string().contains("the op is broken"), "{panic}");
    let failure = error(counting(None, Some(14)));
    assert!(
        failure.to_string().starts_with("cannot augment "),
        "{failure}"
    );
}

#[test]
fn files_that_are_no_images_are_named_and_left_out() {
    let folder = pictures(6);
    let broken = folder.path().join("cats/\x1b[2Jbroken.png");
    fs::write(&broken, "no image").unwrap();
    let loader = loader(&folder, shipped_executor(), options(2));
    let batches: Vec<_> = loader.epoch(0).unwrap().map(Result::unwrap).collect();
    let skipped: Vec<_> = batches.iter().flat_map(|batch| &batch.skipped).collect();
    assert_eq!(skipped.len(), 1);
    assert_eq!(skipped[0].path, broken);
    assert!(!skipped[0].reason.is_empty());
    // An untrusted name does not control the terminal.
    let message = skipped[0].to_string();
    assert!(message.contains("[2Jbroken.png: "), "{message}");
    assert!(!message.contains(char::is_control), "{message}");
    let counts: Vec<_> = batches.iter().map(|batch| batch.labels.len()).collect();
    assert_eq!(counts.iter().sum::<usize>(), 6);
    let plane = (SIDE * SIDE) as usize;
    for batch in &batches {
        assert_eq!(batch.images.len(), batch.labels.len() * 3 * plane);
    }
}

#[test]
fn what_cannot_work_is_refused_at_once() {
    let folder = pictures(2);
    let open = || Folder::open(folder.path()).unwrap();
    let refusal = |executor, options| {
        let error = Loader::new(open(), executor, options).err().unwrap();
        error.to_string()
    };
    let zero = refusal(shipped_executor(), options(0));
    assert_eq!(zero, "threads must be at least 1");

    let json = br#"{"format": "faa-policy", "version": 1, "name": "mixing", "sub_policies": [
        [{"op": "SamplePairing", "probability": 1, "magnitude": 1}]]}"#;
    let mixing = Executor::builtin(&Policy::parse(json).unwrap()).unwrap();
    let mixing = refusal(mixing, options(1));
    assert!(
        mixing.starts_with("the policy's op SamplePairing needs a partner"),
        "{mixing}"
    );
}
