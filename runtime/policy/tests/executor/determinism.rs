//! An image's result depends on seed, epoch and index alone.

use faa_op::{Channels, DrawKey, ImageMut};
use faa_policy::{Executor, Plan, Workspace};

use crate::doubles::{executor, key, noise, policy, sampler};

// Miri takes a thousand times as long for every pixel.
const SHAPE: (usize, usize) = if cfg!(miri) { (5, 3) } else { (16, 12) };
const IMAGE: usize = SHAPE.0 * SHAPE.1 * 3;
const IMAGES: usize = if cfg!(miri) { 8 } else { 60 };

fn executors() -> [Executor; 2] {
    let policy = policy(&[
        &[("Cutout", 0.9, 1.0), ("Rotate", 0.5, 0.8)],
        &[
            ("Invert", 0.5, 0.0),
            ("Posterize", 0.7, 0.2),
            ("Color", 1.0, 0.1),
        ],
        &[("ShearX", 0.8, 0.9), ("Equalize", 0.4, 0.0)],
    ]);
    [
        Executor::builtin(&policy).unwrap(),
        executor(&sampler(2, None)),
    ]
}

fn image(pixels: &mut [u8]) -> ImageMut<'_> {
    ImageMut::new(pixels, SHAPE.0, SHAPE.1, Channels::Rgb).unwrap()
}

fn images() -> Vec<u8> {
    noise(IMAGES, SHAPE, Channels::Rgb)
}

/// All images of an epoch, one by one and from the last.
fn backwards(executor: &Executor, epoch: u32) -> Vec<u8> {
    let mut pixels = images();
    let own = &mut Workspace::new();
    for (index, pixels) in pixels.chunks_exact_mut(IMAGE).enumerate().rev() {
        executor
            .apply(&mut image(pixels), key(9, epoch, index as u64), own)
            .unwrap();
    }
    pixels
}

fn in_batches(executor: &Executor, epoch: u32, size: usize) -> Vec<u8> {
    let mut pixels = images();
    let mut all: Vec<(DrawKey, ImageMut<'_>)> = pixels
        .chunks_exact_mut(IMAGE)
        .enumerate()
        .map(|(index, pixels)| (key(9, epoch, index as u64), image(pixels)))
        .collect();
    let own = &mut Workspace::new();
    for batch in all.chunks_mut(size) {
        executor.apply_batch(batch, own).unwrap();
    }
    pixels
}

#[test]
fn order_and_batch_size_change_nothing() {
    for executor in executors() {
        let expected = backwards(&executor, 4);
        for size in [1, 7, IMAGES] {
            let found = in_batches(&executor, 4, size);
            assert_eq!(found, expected, "batches of {size}");
        }
        assert_ne!(expected, images());
    }
}

#[cfg(feature = "rayon")]
#[test]
fn threads_change_nothing() {
    for executor in executors() {
        let expected = backwards(&executor, 4);
        for threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            let found = pool
                .build()
                .unwrap()
                .install(|| in_batches(&executor, 4, 25));
            assert_eq!(found, expected, "{threads} threads");
        }
    }
}

#[test]
fn epochs_and_seeds_differ() {
    for executor in executors() {
        assert_ne!(backwards(&executor, 0), backwards(&executor, 1));
        let plan = |key| executor.plan(key, &Workspace::new());
        let plans =
            |seed| -> Vec<Plan> { (0..100).map(|index| plan(key(seed, 0, index))).collect() };
        assert_ne!(plans(1), plans(2));
        assert_eq!(plans(2), plans(2));
    }
}
