//! Once it is warm, the executor allocates nothing for an image.
//!
//! Not in Miri, where this many images would take hours.
#![cfg(all(feature = "builtin", not(miri)))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use faa_op::{Channels, DrawKey, ImageMut, ImageRef, Size};
use faa_policy::{
    BoundingBox, Erased, Executor, Keypoint, Mask, Policy, RotatedBox, Targets, Workspace,
};

struct Counting;

/// By all threads, those of the test harness among them.
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// By this thread.
    static OWN: Cell<usize> = const { Cell::new(0) };
}

#[expect(unsafe_code, reason = "only a global allocator sees every allocation")]
// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        OWN.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps to the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `System` through `alloc`, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// All ops that use scratch, fused and alone, and a sampler.
fn executors() -> [Executor; 2] {
    let policies = [
        r#"{"format": "faa-policy", "version": 1, "name": "all", "sub_policies": [
            [{"op": "Rotate", "probability": 0.9, "magnitude": 0.9},
             {"op": "Sharpness", "probability": 0.9, "magnitude": 0.9}],
            [{"op": "ShearY", "probability": 0.9, "magnitude": 0.2},
             {"op": "CropPad", "probability": 0.9, "value": 4}],
            [{"op": "TranslateX", "probability": 0.9, "magnitude": 0.2},
             {"op": "Equalize", "probability": 0.9},
             {"op": "Contrast", "probability": 0.9, "magnitude": 0.2}],
            [{"op": "Invert", "probability": 1},
             {"op": "Solarize", "probability": 1, "magnitude": 0.2},
             {"op": "Cutout", "probability": 0.9, "magnitude": 0.9}]]}"#,
        r#"{"format": "faa-policy", "version": 1, "name": "sampler", "sampler": {
            "count": 2, "bins": 31, "ops": [
                {"op": "Rotate", "low": 0, "high": 135, "centre": 0}, {"op": "Sharpness"},
                {"op": "Posterize", "low": 8, "high": 2, "integer": true}, {"op": "Invert"},
                {"op": "AutoContrast"}]}}"#,
    ];
    policies.map(|json| Executor::builtin(&Policy::parse(json.as_bytes()).unwrap()).unwrap())
}

const SIDES: [usize; 2] = [32, 224];

fn key(index: u64) -> DrawKey {
    DrawKey::new(1, 0, index)
}

#[test]
fn single_images_allocate_nothing() {
    for executor in executors() {
        for side in SIDES {
            let source: Vec<u8> = (0..side * side * 3).map(|index| index as u8).collect();
            let mut result = source.clone();
            let own = &mut Workspace::new();
            let mut pass = || {
                for index in 0..400 {
                    let source = ImageRef::new(&source, side, side, Channels::Rgb).unwrap();
                    let mut image = ImageMut::new(&mut result, side, side, Channels::Rgb).unwrap();
                    executor
                        .apply_to(source, &mut image, key(index), own)
                        .unwrap();
                    executor.apply(&mut image, key(index + 1), own).unwrap();
                }
            };
            pass();
            let before = OWN.get();
            pass();
            assert_eq!(OWN.get() - before, 0, "at {side}×{side}");
        }
    }
}

#[test]
fn targets_allocate_nothing() {
    for executor in executors() {
        for side in SIDES {
            let size = Size {
                width: side,
                height: side,
            };
            let mut pixels: Vec<u8> = (0..side * side * 3).map(|index| index as u8).collect();
            let mut other = pixels.clone();
            let (mut narrow, mut wide) = (vec![1; side * side], vec![2; side * side]);
            let own = &mut Workspace::new();
            let mut polygons = [Vec::new()];
            let mut pass = || {
                for index in 0..400 {
                    polygons[0].clear();
                    polygons[0].extend([[2.0, 3.0], [25.0, 17.0], [2.0, 17.0]]);
                    let mut masks = [
                        Mask::u8(&mut narrow, size, 0).unwrap(),
                        Mask::u16(&mut wide, size, 0).unwrap(),
                    ];
                    let other = ImageMut::new(&mut other, side, side, Channels::Rgb);
                    let mut images = [other.unwrap()];
                    let mut boxes = [BoundingBox::new(2.0, 3.0, 25.0, 17.0)];
                    let mut rotated = [RotatedBox::new([9.0, 9.0], 11.0, 7.0, 45.0)];
                    let mut points = [Keypoint::new(2.0, 3.0)];
                    let mut targets = Targets::new();
                    targets.images = &mut images;
                    targets.masks = &mut masks;
                    targets.boxes = &mut boxes;
                    targets.rotated_boxes = &mut rotated;
                    targets.polygons = &mut polygons;
                    targets.keypoints = &mut points;
                    targets.erased = Erased::Removed;
                    let mut image = ImageMut::new(&mut pixels, side, side, Channels::Rgb).unwrap();
                    executor
                        .apply_with_targets(&mut image, &mut targets, key(index), own)
                        .unwrap();
                }
            };
            pass();
            let before = OWN.get();
            pass();
            assert_eq!(OWN.get() - before, 0, "at {side}×{side}");
        }
    }
}

/// Applies the executor to a batch again and again, as often as `enough` asks for.
fn repeat(executor: &Executor, side: usize, mut enough: impl FnMut(&mut dyn FnMut()) -> bool) {
    const IMAGES: usize = 48;
    let mut pixels: Vec<u8> = (0..IMAGES * side * side * 3)
        .map(|index| index as u8)
        .collect();
    let mut batch: Vec<_> = (0..)
        .zip(pixels.chunks_exact_mut(side * side * 3))
        .map(|(index, pixels)| {
            let image = ImageMut::new(pixels, side, side, Channels::Rgb).unwrap();
            (key(index), image)
        })
        .collect();
    let own = &mut Workspace::new();
    let mut apply = || executor.apply_batch(&mut batch, own).unwrap();
    assert!(
        (0..2000).any(|_| enough(&mut apply)),
        "batches of {side}×{side} never stop allocating"
    );
}

#[cfg(not(feature = "rayon"))]
#[test]
fn batches_allocate_nothing_for_an_image() {
    for executor in executors() {
        for side in SIDES {
            repeat(&executor, side, |apply| {
                apply();
                let before = OWN.get();
                (0..20).for_each(|_| apply());
                assert_eq!(OWN.get() - before, 0, "at {side}×{side}");
                true
            });
        }
    }
}

/// A thread may be idle for many batches and then begin with an empty workspace, and other threads
/// of this program allocate now and then. So what is asked is that allocations come to an end: many
/// images in a row for which there are none.
#[cfg(feature = "rayon")]
#[test]
fn batches_on_any_number_of_threads_allocate_nothing_for_an_image() {
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let pool = pool.build().unwrap();
        for executor in executors() {
            for side in SIDES {
                let mut quiet = 0;
                let enough = |apply: &mut dyn FnMut()| {
                    let before = ALLOCATIONS.load(Ordering::Relaxed);
                    apply();
                    let none = ALLOCATIONS.load(Ordering::Relaxed) == before;
                    quiet = if none { quiet + 1 } else { 0 };
                    quiet == 20
                };
                pool.install(|| repeat(&executor, side, enough));
            }
        }
    }
}
