//! The built-in data sets: small coloured shapes in ten classes, drawn by the program. They replace
//! photographs when there are none. The renderer shares nothing with the ops that policies are made of:
//! it computes colours from a scene's geometry and light.
//!
//! # `glyphs`: why to search
//!
//! 500 training and 2,000 test images, 16×16, of upright squares and of squares turned by 45° (diamonds),
//! each in red, orange, green, cyan and blue. So every class has a twin that differs in orientation only,
//! and four siblings that differ in colour only.
//!
//! Both splits vary in the same ways, which are [`Conditions::ALIKE`]: position, size, a tilt of up to 8°,
//! slant, ground, noise and above all light. So gentle ops show a network more of what the few images vary
//! in. Strong ones change the label: a rotation by more than 20° makes squares diamonds, and `Invert` makes
//! red cyan and orange blue. Fixed policies such as TrivialAugment contain those, and so do random ones.
//! A network that was trained without an op shows where it begins to do harm, so an audit or a search can
//! find out. Mirroring changes no label.
//!
//! # `glyphs:shifted`: why the test split matters
//!
//! 1,000 training and 2,000 test images, 32×32, in classes that differ in shape. As with photographs,
//! new images vary more than the collected ones: the training split shows glyphs upright, centred, of one
//! size and in even light ([`Conditions::POSED`]), and the test split shows them in
//! [`Conditions::MET`]. So nearly any policy helps, a random one included, and a search, which sees the
//! training split alone, cannot know which does.
//!
//! # Randomness
//!
//! Every image has a random stream of its own, given by its seed, split and index. Only functions
//! that give the same bits on every platform are used, so that one seed gives the same bytes
//! everywhere.

use faa_op::{DrawKey, Stream};
use rayon::prelude::*;

use crate::dataset::{Dataset, Split};
use crate::error::DataError;
use crate::options::{LoadOptions, Preview, Selection, impossible_size};
use class::{CLASSES, Class, SHAPES};
use conditions::Conditions;
use scene::Scene;

mod class;
mod conditions;
mod render;
mod scene;
mod shape;
#[cfg(test)]
mod tests;

/// What a built-in set consists of.
struct Set {
    /// Width and height of its images, in pixels.
    side: usize,
    classes: &'static [Class],
    train: Part,
    test: Part,
}

/// What a split consists of.
struct Part {
    images: usize,
    conditions: Conditions,
    /// The key of its random streams, in place of the epoch.
    epoch: u32,
}

impl Part {
    const fn new(epoch: u32, images: usize, conditions: Conditions) -> Self {
        Self {
            images,
            conditions,
            epoch,
        }
    }
}

const GLYPHS: Set = Set {
    side: 16,
    classes: &CLASSES,
    train: Part::new(0, 500, Conditions::ALIKE),
    test: Part::new(1, 2_000, Conditions::ALIKE),
};

const SHIFTED: Set = Set {
    side: 32,
    classes: &SHAPES,
    train: Part::new(0, 1_000, Conditions::POSED),
    test: Part::new(1, 2_000, Conditions::MET),
};

pub(crate) fn load(
    shifted: bool,
    seed: u64,
    options: &LoadOptions,
    selection: Selection<'_>,
) -> Result<Preview, DataError> {
    let set = if shifted { SHIFTED } else { GLYPHS };
    let side = set.side;
    if let Some(size) = options.image_size.filter(|&size| size as usize != side) {
        let advice = format!("its images are drawn at {side}×{side}; omit the option");
        return Err(impossible_size(size, &advice));
    }
    let train = selection.train((0..set.train.images).collect());
    let test = selection.test((0..set.test.images).collect());
    let classes = set.classes.iter().map(|class| class.name.into()).collect();
    let train = set.draw(&set.train, seed, &train);
    let test = set.draw(&set.test, seed, &test);
    Ok(Preview {
        dataset: Dataset::new(classes, (side, side), train, test),
        train_images: set.train.images,
    })
}

impl Set {
    /// Draws images of a split. Its classes alternate, so that ten images in a row have one of each.
    fn draw(&self, part: &Part, seed: u64, indices: &[usize]) -> Split {
        let class = |index: usize| index % self.classes.len();
        let stride = self.side * self.side * 3;
        let mut pixels = vec![0; indices.len() * stride];
        let images = pixels.par_chunks_exact_mut(stride).zip(indices);
        images.for_each(|(image, &index)| {
            let mut stream = Stream::for_image(DrawKey::new(seed, part.epoch, index as u64));
            let class = &self.classes[class(index)];
            let scene = Scene::draw(class, self.side, &part.conditions, &mut stream);
            render::render(&scene, &mut stream, image);
        });
        let labels = indices.iter().map(|&index| class(index) as u32).collect();
        Split::new(pixels, labels)
    }
}
