//! Splits the training images into those that a network is trained on and those that policies are scored
//! on.

use std::collections::HashMap;
use std::num::NonZeroUsize;

use crate::config::FoldConfig;
use crate::error::{ConfigError, ConfigErrorKind};
use crate::seeds::{Purpose, derive, shuffle};

/// One split, as ascending indices into the data set's training images.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fold {
    /// D_M: a network is trained on these.
    pub train: Vec<usize>,
    /// D_A: candidates are scored on these.
    pub validation: Vec<usize>,
}

impl Fold {
    /// A split into images to train on and images to score candidates on, each in ascending order.
    pub fn new(train: Vec<usize>, validation: Vec<usize>) -> Self {
        Self { train, validation }
    }
}

/// The class of every training image, and its group.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Labels<'a> {
    /// The class of every image.
    pub classes: &'a [u32],
    /// The group of every image. Images of a class and group, such as the frames of a video, stay on one
    /// side of every split. Empty if every image is a group of its own.
    pub groups: &'a [u32],
}

impl<'a> Labels<'a> {
    /// Classes, and groups of as many images or none.
    pub fn new(classes: &'a [u32], groups: &'a [u32]) -> Self {
        Self { classes, groups }
    }

    /// The groups of every class, in the order of their first images.
    fn groups_by_class(self) -> Vec<Vec<Group>> {
        let count = self
            .classes
            .iter()
            .max()
            .map_or(0, |last| *last as usize + 1);
        let mut classes: Vec<Vec<Group>> = vec![Vec::new(); count];
        let mut seen = HashMap::new();
        for (image, &label) in self.classes.iter().enumerate() {
            let class = &mut classes[label as usize];
            let index = match self.groups.get(image) {
                None => class.len(),
                Some(group) => *seen.entry((label, *group)).or_insert(class.len()),
            };
            match class.get_mut(index) {
                Some(group) => group.push(image),
                None => class.push(vec![image]),
            }
        }
        classes
    }
}

impl<'a> From<&'a Vec<u32>> for Labels<'a> {
    fn from(classes: &'a Vec<u32>) -> Self {
        Self::new(classes, &[])
    }
}

/// Images of one class that stay together.
type Group = Vec<usize>;

/// Splits images by class, so that every part has the classes in the same proportions, up to rounding and
/// the sizes of groups.
///
/// # Errors
///
/// [`ConfigError`] if the configuration does not fit the labels.
pub fn stratified_folds<'a>(
    labels: impl Into<Labels<'a>>,
    config: &FoldConfig,
    seed: u64,
) -> Result<Vec<Fold>, ConfigError> {
    let (folds, labels) = (config.count.get(), labels.into());
    let mut classes = labels.groups_by_class();
    for (class, groups) in classes.iter_mut().enumerate() {
        shuffle(groups, derive(seed, Purpose::Folds, &[0, class as u64]));
    }
    subsample(&mut classes, config.images, labels.classes.len())?;
    let needed = if config.held_out.is_some() { 2 } else { folds };
    check(&classes, config, needed)?;
    let fold = |fold| match config.held_out {
        None => partition_fold(&classes, fold, folds),
        Some(fraction) => {
            let seed = derive(seed, Purpose::Folds, &[1, fold as u64]);
            independent_fold(&classes, fraction, seed)
        }
    };
    Ok((0..folds).map(fold).collect())
}

/// One split that holds out a fraction of every class, at least one image and not all. With a fraction of 1
/// all images are held out.
///
/// # Errors
///
/// As [`stratified_folds`].
pub fn held_out_fold(
    labels: Labels<'_>,
    fraction: f64,
    images: Option<NonZeroUsize>,
    seed: u64,
) -> Result<Fold, ConfigError> {
    let config = FoldConfig {
        count: NonZeroUsize::MIN,
        held_out: Some(if fraction == 1.0 { 0.5 } else { fraction }),
        images,
    };
    let fold = stratified_folds(labels, &config, seed)?.swap_remove(0);
    if fraction < 1.0 {
        return Ok(fold);
    }
    let mut validation = [fold.train, fold.validation].concat();
    validation.sort_unstable();
    let train = Vec::new();
    Ok(Fold::new(train, validation))
}

/// Reduces the total to `images`, by the same fraction of every class. The cumulative counts are rounded,
/// so that the classes add up to the total. The groups of a class are reduced to about equal numbers of
/// images, since images of a group show almost the same.
fn subsample(
    classes: &mut [Vec<Group>],
    images: Option<NonZeroUsize>,
    found: usize,
) -> Result<(), ConfigError> {
    let Some(wanted) = images.map(NonZeroUsize::get) else {
        return Ok(());
    };
    if wanted > found {
        return Err(cannot_split(&format!(
            "--images is {wanted}, but the data set has only {found} training images"
        )));
    }
    let mut before = 0;
    for class in classes {
        let after = before + count(class);
        let left = after * wanted / found - before * wanted / found;
        reduce(class, left);
        before = after;
    }
    Ok(())
}

/// Keeps `images` images: one of every group, then a second one of every group that has more, and so on.
/// Those of a group are evenly spaced.
fn reduce(groups: &mut Vec<Group>, images: usize) {
    let mut kept = vec![0; groups.len()];
    let turns = (0..).flat_map(|turn| (0..groups.len()).map(move |group| (turn, group)));
    let has_more = |(turn, group): &(usize, usize)| *turn < groups[*group].len();
    for (_, group) in turns.filter(has_more).take(images) {
        kept[group] += 1;
    }
    for (group, kept) in groups.iter_mut().zip(kept) {
        *group = (0..kept)
            .map(|index| group[index * group.len() / kept])
            .collect();
    }
    groups.retain(|group| !group.is_empty());
}

fn count(groups: &[Group]) -> usize {
    groups.iter().map(Vec::len).sum()
}

fn check(classes: &[Vec<Group>], config: &FoldConfig, needed: usize) -> Result<(), ConfigError> {
    match config.held_out {
        None if config.count.get() < 2 => {
            return Err(cannot_split(
                "one fold needs --held-out, the fraction of images to score candidates on; or use \
                 at least 2 folds",
            ));
        }
        Some(fraction) if !(fraction > 0.0 && fraction < 1.0) => {
            return Err(cannot_split(&format!(
                "the held-out fraction {fraction} is not between 0 and 1"
            )));
        }
        _ => {}
    }
    let Some(class) = classes.iter().position(|groups| groups.len() < needed) else {
        return Ok(());
    };
    let (images, groups) = (count(&classes[class]), classes[class].len());
    let in_groups = match groups < images {
        true => format!(" (groups: {groups})"),
        false => String::new(),
    };
    Err(cannot_split(&format!(
        "the class of label {class}, counted from 0 in the order of names, has {images} images in \
         use{in_groups}, too few for these folds: at least {needed} are needed"
    )))
}

fn cannot_split(why: &str) -> ConfigError {
    ConfigError::new(
        ConfigErrorKind::Images,
        format!("cannot split the training images: {why}"),
    )
}

/// The fold whose D_A is one of `folds` parts of every class, which are equal up to the sizes of groups.
fn partition_fold(classes: &[Vec<Group>], fold: usize, folds: usize) -> Fold {
    split(classes, |groups| {
        let mut sizes = vec![0; folds];
        let smallest = |group: &Group| {
            let part = (0..folds).min_by_key(|part| sizes[*part]).unwrap_or(0);
            sizes[part] += group.len();
            part == fold
        };
        groups.iter().map(smallest).collect()
    })
}

/// A fold whose D_A is drawn independently: a fraction of every class, at least one group and not all.
fn independent_fold(classes: &[Vec<Group>], fraction: f64, seed: u64) -> Fold {
    let mut classes = classes.to_vec();
    for (class, groups) in classes.iter_mut().enumerate() {
        shuffle(groups, derive(seed, Purpose::Folds, &[class as u64]));
    }
    split(&classes, |groups| {
        let wanted = (fraction * count(groups) as f64).round() as usize;
        let (mut held_out, last) = (0, groups.len() - 1);
        let is_held_out = |(index, group): (usize, &Group)| {
            let takes = index == 0 || (held_out < wanted && index < last);
            held_out += if takes { group.len() } else { 0 };
            takes
        };
        groups.iter().enumerate().map(is_held_out).collect()
    })
}

/// A split, given for the groups of a class which of them are for validation.
fn split(classes: &[Vec<Group>], for_validation: impl Fn(&[Group]) -> Vec<bool>) -> Fold {
    let (mut train, mut validation) = (Vec::new(), Vec::new());
    for groups in classes {
        for (group, is_validation) in groups.iter().zip(for_validation(groups)) {
            match is_validation {
                true => validation.extend(group),
                false => train.extend(group),
            }
        }
    }
    train.sort_unstable();
    validation.sort_unstable();
    Fold::new(train, validation)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn config(count: usize, held_out: Option<f64>, images: Option<usize>) -> FoldConfig {
        FoldConfig {
            count: NonZeroUsize::new(count).unwrap(),
            held_out,
            images: images.and_then(NonZeroUsize::new),
        }
    }

    /// 60 images of class 0, 40 of class 1, 20 of class 2, interleaved.
    fn labels() -> Vec<u32> {
        [0, 0, 0, 1, 1, 2].repeat(20)
    }

    /// The number of images of each class.
    fn counts(images: &[usize]) -> [usize; 3] {
        let labels = labels();
        [0, 1, 2].map(|class| images.iter().filter(|it| labels[**it] == class).count())
    }

    #[test]
    fn a_partition_scores_every_image_once_and_trains_on_the_rest() {
        let folds = stratified_folds(&labels(), &config(5, None, None), 1).unwrap();
        let mut scored: Vec<_> = folds.iter().flat_map(|it| it.validation.clone()).collect();
        scored.sort_unstable();
        assert_eq!(scored, (0..120).collect::<Vec<_>>());
        for fold in &folds {
            let mut all = [fold.train.clone(), fold.validation.clone()].concat();
            all.sort_unstable();
            assert_eq!(all, (0..120).collect::<Vec<_>>());
            assert_eq!(counts(&fold.validation), [12, 8, 4]);
        }
    }

    #[test]
    fn independent_folds_hold_out_their_fraction_and_overlap() {
        let folds = stratified_folds(&labels(), &config(5, Some(0.4), None), 1).unwrap();
        for fold in &folds {
            assert_eq!(counts(&fold.validation), [24, 16, 8]);
            let mut validation = fold.validation.iter();
            assert!(validation.all(|image| !fold.train.contains(image)));
        }
        assert_ne!(folds[0].validation, folds[1].validation);
    }

    #[test]
    fn one_fold_holds_out_a_fraction_or_everything() {
        let fold = |fraction, images| {
            let images = NonZeroUsize::new(images);
            held_out_fold((&labels()).into(), fraction, images, 1).unwrap()
        };
        let quarter = fold(0.25, 0);
        assert_eq!(counts(&quarter.validation), [15, 10, 5]);
        assert_eq!(counts(&quarter.train), [45, 30, 15]);
        let all = fold(1.0, 60);
        assert_eq!(counts(&all.validation), [30, 20, 10]);
        assert!(all.train.is_empty() && all.validation.is_sorted());
    }

    #[test]
    fn a_subset_has_the_class_proportions_of_all_images() {
        let folds = stratified_folds(&labels(), &config(2, None, Some(60)), 1).unwrap();
        let used = [folds[0].train.clone(), folds[0].validation.clone()].concat();
        assert_eq!(counts(&used), [30, 20, 10]);
    }

    #[test]
    fn groups_stay_together() {
        // Each group has two to four images, which are far apart.
        let (labels, groups) = (
            labels(),
            (0..120).map(|image| image % 42).collect::<Vec<_>>(),
        );
        let labels = Labels::new(&labels, &groups);
        let group = |image: &usize| (labels.classes[*image], labels.groups[*image]);
        for config in [
            config(3, None, None),
            config(3, Some(0.3), None),
            config(2, Some(0.5), Some(60)),
        ] {
            for fold in stratified_folds(labels, &config, 1).unwrap() {
                let validation: HashSet<_> = fold.validation.iter().map(group).collect();
                assert!(
                    !fold
                        .train
                        .iter()
                        .any(|image| validation.contains(&group(image)))
                );
                let all = fold.train.len() + fold.validation.len();
                assert_eq!(all, config.images.map_or(120, usize::from));
                let wanted = config.held_out.unwrap_or(1.0 / 3.0) * all as f64;
                // A class exceeds its fraction by less than a group.
                let excess = fold.validation.len() as f64 - wanted;
                assert!(excess.abs() <= 3.0 * 4.0, "{config:?}: {excess}");
            }
        }
        let two = Labels::new(&[0, 0, 0, 1, 1], &[0, 0, 1, 2, 2]);
        let error = stratified_folds(two, &config(2, None, None), 0).unwrap_err();
        let expected =
            "label 1, counted from 0 in the order of names, has 2 images in use (groups: 1)";
        assert!(error.to_string().contains(expected), "{error}");
    }

    #[test]
    fn the_split_depends_on_the_seed_alone() {
        let folds = |seed| stratified_folds(&labels(), &config(3, None, None), seed).unwrap();
        assert_eq!(folds(1), folds(1));
        assert_ne!(folds(1), folds(2));
    }

    #[test]
    fn configurations_that_do_not_fit_are_rejected() {
        for (config, expected) in [
            (config(1, None, None), "one fold needs --held-out"),
            (config(2, Some(1.0), None), "fraction 1 is not between"),
            (
                config(2, None, Some(121)),
                "--images is 121, but the data set has only 120",
            ),
            (
                config(21, None, None),
                "label 2, counted from 0 in the order of names, has 20",
            ),
        ] {
            let error = stratified_folds(&labels(), &config, 0)
                .unwrap_err()
                .to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
