//! The built-in data set: small coloured shapes in ten classes, 32×32, drawn by the program.
//!
//! It replaces photographs when there are none. As with photographs, new images vary more than the
//! collected ones: the training split shows glyphs upright, centred, of one size and in even light,
//! and the test split shows them in all [`Conditions`]. So a network that is trained on the training
//! split as it is errs on the test split, and one that was taught the right variations errs less.
//! Images are rendered from a scene's geometry and light; the renderer shares nothing with the ops
//! that policies are made of.
//!
//! Every image has a random stream of its own, given by its seed, split and index. Only functions
//! that give the same bits on every platform are used, so that one seed gives the same bytes
//! everywhere.

use faa_op::{DrawKey, Stream};
use rayon::prelude::*;

use crate::dataset::{Dataset, Split};
use crate::error::DataError;
use crate::options::{LoadOptions, Preview, Selection, impossible_size};
use conditions::Conditions;
use scene::{SIDE, Scene};
use shape::Shape;

mod conditions;
mod render;
mod scene;
mod shape;
#[cfg(test)]
mod tests;

const STRIDE: usize = SIDE * SIDE * 3;
const TRAIN_IMAGES: usize = 1_000;
const TEST_IMAGES: usize = 2_000;
/// The splits' keys of random streams, in place of the epoch.
const TRAIN_STREAMS: u32 = 0;
const TEST_STREAMS: u32 = 1;

pub(crate) fn load(
    seed: u64,
    options: &LoadOptions,
    selection: Selection<'_>,
) -> Result<Preview, DataError> {
    if let Some(size) = options.image_size.filter(|&size| size as usize != SIDE) {
        return Err(impossible_size(
            size,
            "glyphs are drawn at 32×32; omit the option",
        ));
    }
    let train = selection.train((0..TRAIN_IMAGES).collect());
    let test = selection.test((0..TEST_IMAGES).collect());
    let classes = Shape::ALL.map(Shape::name).into();
    let train = draw(seed, TRAIN_STREAMS, &train, &Conditions::TRAIN);
    let test = draw(seed, TEST_STREAMS, &test, &Conditions::TEST);
    Ok(Preview {
        dataset: Dataset::new(classes, (SIDE, SIDE), train, test),
        train_images: TRAIN_IMAGES,
    })
}

/// Draws images of a split. Its classes alternate, so that ten images in a row have one of each.
fn draw(seed: u64, epoch: u32, indices: &[usize], conditions: &Conditions) -> Split {
    let class = |index: usize| index % Shape::ALL.len();
    let mut pixels = vec![0; indices.len() * STRIDE];
    let images = pixels.par_chunks_exact_mut(STRIDE).zip(indices);
    images.for_each(|(image, &index)| {
        let mut stream = Stream::for_image(DrawKey::new(seed, epoch, index as u64));
        let scene = Scene::draw(Shape::ALL[class(index)], conditions, &mut stream);
        render::render(&scene, &mut stream, image);
    });
    let labels = indices.iter().map(|&index| class(index) as u32).collect();
    Split::new(pixels, labels)
}
