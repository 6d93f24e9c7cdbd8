use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::results::Prediction;

/// One op at one value, measured: a line of `audit/points.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Point {
    /// The op's name.
    pub op: String,
    /// Its value; `None` if it has none.
    pub value: Option<f64>,
    /// The number of augmented versions of each image.
    pub draws: usize,
    /// The duration of the measurement.
    pub seconds: f64,
    /// What happened to the images of each class, in the order of labels.
    pub classes: Vec<ClassTally>,
}

/// What an op does to the held-out images of one class.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ClassTally {
    /// The number of images.
    pub images: usize,
    /// The sum over groups of (number of images)²; `images` if each is a group of its own.
    pub sizes: u64,
    /// How many of them are classified correctly without the op.
    pub before: usize,
    /// How many of their draws are classified correctly with the op.
    pub after: usize,
    /// The sum over groups of (draws × images correct without the op − correct draws)².
    pub squares: u64,
    /// The mean cross-entropy without the op, in nats.
    pub loss_before: f64,
    /// The mean cross-entropy of the draws with the op, in nats.
    pub loss_after: f64,
    /// The class that most draws are taken for of images that were classified correctly before; `None` if
    /// no such image is classified wrongly.
    pub confusion: Option<Confusion>,
}

/// Images that are classified correctly without an op, and taken for one other class with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Confusion {
    /// The class that they are taken for, an index.
    pub class: u32,
    /// The number of draws.
    pub count: usize,
    /// The first such image, as an index into the training split.
    pub image: usize,
    /// Its draw, from 0.
    pub draw: u32,
}

impl Point {
    /// Compares the predictions for `images`, indices into the training split, with those of `draws`
    /// augmented versions of each. There are `classes` classes. `groups` has the group of every image of the
    /// training split, or is empty.
    pub(crate) fn classes(
        images: &[usize],
        groups: &[u32],
        before: &[Prediction],
        after: &[Prediction],
        draws: usize,
        classes: usize,
    ) -> Vec<ClassTally> {
        let mut tallies = vec![ClassTally::default(); classes];
        let mut mistakes = vec![BTreeMap::<u32, Confusion>::new(); classes];
        // Of each group of a class, or each image: its images, and the correct draws that it loses.
        let mut lost = vec![BTreeMap::<usize, (u64, i64)>::new(); classes];
        for ((image, before), after) in images.iter().zip(before).zip(after.chunks(draws)) {
            let label = before.label as usize;
            let tally = &mut tallies[label];
            let correct = after.iter().filter(|it| it.is_correct()).count();
            let expected = if before.is_correct() { draws } else { 0 };
            let group = groups.get(*image).map_or(*image, |it| *it as usize);
            let group = lost[label].entry(group).or_default();
            group.0 += 1;
            group.1 += expected as i64 - correct as i64;
            tally.images += 1;
            tally.before += usize::from(before.is_correct());
            tally.after += correct;
            tally.loss_before += f64::from(before.loss);
            tally.loss_after += after.iter().map(|it| f64::from(it.loss)).sum::<f64>();
            if !before.is_correct() {
                continue;
            }
            for (draw, after) in (0..).zip(after).filter(|(_, it)| !it.is_correct()) {
                let first = Confusion {
                    class: after.class,
                    count: 0,
                    image: *image,
                    draw,
                };
                mistakes[label].entry(after.class).or_insert(first).count += 1;
            }
        }
        for ((tally, mistakes), lost) in tallies.iter_mut().zip(mistakes).zip(lost) {
            tally.sizes = lost.values().map(|it| it.0.pow(2)).sum();
            tally.squares = lost.values().map(|it| it.1.unsigned_abs().pow(2)).sum();
            let images = tally.images.max(1) as f64;
            tally.loss_before /= images;
            tally.loss_after /= images * draws as f64;
            // In reverse, so that the lowest of equally frequent classes is named.
            tally.confusion = mistakes.into_values().rev().max_by_key(|it| it.count);
        }
        tallies
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_compared_with_themselves() {
        let prediction = |(label, class)| Prediction::new(label, class, 1.0);
        // Images 10 to 13: three of class 0, of which the last is wrong before, and one of class 2.
        let before = [(0, 0), (0, 0), (0, 1), (2, 2)].map(prediction);
        let after = [
            [(0, 0), (0, 1)],
            [(0, 2), (0, 1)],
            [(0, 0), (0, 2)],
            [(2, 2), (2, 2)],
        ];
        let after = after.concat().into_iter().map(prediction);
        let after: Vec<Prediction> = after.collect();
        let compared = |groups| Point::classes(&[10, 11, 12, 13], groups, &before, &after, 2, 3);
        let tallies = compared(&[]);
        let confusion = Confusion {
            class: 1,
            count: 2,
            image: 10,
            draw: 1,
        };
        // Of the three images, 1, 2 and −1 of two draws are lost.
        let first = ClassTally {
            images: 3,
            sizes: 3,
            before: 2,
            after: 2,
            squares: 1 + 4 + 1,
            loss_before: 1.0,
            loss_after: 1.0,
            confusion: Some(confusion),
        };
        assert_eq!(tallies[0], first);
        assert_eq!(tallies[1], ClassTally::default());
        let unharmed = &tallies[2];
        assert_eq!(
            (unharmed.images, unharmed.after, unharmed.squares),
            (1, 2, 0)
        );
        assert_eq!(unharmed.confusion, None);
        // The first two are a group, which loses 3 draws together.
        let mut groups = vec![9; 10];
        groups.extend([4, 4, 5, 6]);
        let grouped = &compared(&groups)[0];
        assert_eq!((grouped.sizes, grouped.squares), (4 + 1, 9 + 1));
    }
}
