//! The built-in data set: small coloured shapes in ten classes, 32×32, drawn by the program.
//!
//! It stands in for photographs where there are none. As with photographs, what is met later
//! varies more than what was collected: the training split shows its glyphs upright, in the
//! middle, of one size and in even light, and the test split shows them as they come
//! ([`Conditions`] holds how). So a network that is trained on the training split as it is errs
//! on the test split, and one that was taught the right variations errs less. The pictures are
//! drawn from the scene's geometry and light by a renderer of their own; it knows nothing of the
//! ops that policies are made of.
//!
//! Every picture has its own random stream, that of its seed, split and place. Only functions that
//! give the same bits on every platform are used, so the same seed gives the same bytes anywhere.

use rayon::prelude::*;

use faa_op::{DrawKey, Stream};

use super::{DataError, Dataset, LoadOptions, Split};
use conditions::Conditions;
use scene::Scene;
use shape::Shape;

mod conditions;
mod render;
mod scene;
mod shape;
#[cfg(test)]
mod tests;

/// Width and height of every picture, in pixels.
const SIDE: usize = 32;
const STRIDE: usize = SIDE * SIDE * 3;
const TRAIN_IMAGES: usize = 1_000;
const TEST_IMAGES: usize = 2_000;
/// What stands for the split where a stream's key has the epoch.
const TRAIN_STREAMS: u32 = 0;
const TEST_STREAMS: u32 = 1;

pub(super) fn load(seed: u64, options: &LoadOptions) -> Result<Dataset, DataError> {
    if let Some(size) = options.image_size.filter(|&size| size as usize != SIDE) {
        let advice = "glyphs are drawn at 32×32; leave the option out";
        return Err(DataError::ImageSize { size, advice });
    }
    Ok(Dataset {
        classes: Shape::ALL.map(|shape| shape.name().to_owned()).into(),
        width: SIDE,
        height: SIDE,
        train: split(seed, TRAIN_STREAMS, TRAIN_IMAGES, &Conditions::TRAIN),
        test: split(seed, TEST_STREAMS, TEST_IMAGES, &Conditions::TEST),
    })
}

/// Draws a split whose classes take turns, so that every run of ten pictures holds each once.
fn split(seed: u64, epoch: u32, images: usize, conditions: &Conditions) -> Split {
    let class = |index: usize| index % Shape::ALL.len();
    let mut pixels = vec![0; images * STRIDE];
    let places = pixels.par_chunks_exact_mut(STRIDE).enumerate();
    places.for_each(|(index, place)| {
        let mut stream = Stream::for_image(DrawKey {
            seed,
            epoch,
            index: index as u64,
        });
        let scene = Scene::draw(Shape::ALL[class(index)], conditions, &mut stream);
        render::render(&scene, &mut stream, place);
    });
    Split {
        pixels,
        labels: (0..images).map(|index| class(index) as u32).collect(),
    }
}
