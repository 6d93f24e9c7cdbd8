//! Splits the training images into those that a network is trained on and those that policies are scored
//! on.

use std::num::NonZeroUsize;

use crate::config::FoldConfig;
use crate::error::ConfigError;
use crate::seeds::{Purpose, derive, shuffle};

/// One split, as ascending indices into the data set's training images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fold {
    /// D_M: a network is trained on these.
    pub train: Vec<usize>,
    /// D_A: candidates are scored on these.
    pub validation: Vec<usize>,
}

/// Splits images by class, so that every part has the classes in the same proportions, up to rounding.
///
/// # Errors
///
/// [`ConfigError`] if the configuration does not fit the labels.
pub fn stratified_folds(
    labels: &[u32],
    config: &FoldConfig,
    seed: u64,
) -> Result<Vec<Fold>, ConfigError> {
    let folds = config.count.get();
    let mut classes = images_by_class(labels);
    for (class, images) in classes.iter_mut().enumerate() {
        shuffle(images, derive(seed, Purpose::Folds, &[0, class as u64]));
    }
    subsample(&mut classes, config.images, labels.len())?;
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
    labels: &[u32],
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
    Ok(Fold { train, validation })
}

fn images_by_class(labels: &[u32]) -> Vec<Vec<usize>> {
    let count = labels.iter().max().map_or(0, |last| *last as usize + 1);
    let mut classes = vec![Vec::new(); count];
    for (image, label) in labels.iter().enumerate() {
        classes[*label as usize].push(image);
    }
    classes
}

/// Reduces the total to `images`, by the same fraction of every class. The cumulative counts are rounded,
/// so that the classes add up to the total.
fn subsample(
    classes: &mut [Vec<usize>],
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
        let after = before + class.len();
        class.truncate(after * wanted / found - before * wanted / found);
        before = after;
    }
    Ok(())
}

fn check(classes: &[Vec<usize>], config: &FoldConfig, needed: usize) -> Result<(), ConfigError> {
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
    match classes.iter().position(|images| images.len() < needed) {
        Some(class) => Err(cannot_split(&format!(
            "the class of label {class}, counted from 0 in the order of names, has {} images in \
             use, too few for these folds: at least {needed} are needed",
            classes[class].len()
        ))),
        None => Ok(()),
    }
}

fn cannot_split(why: &str) -> ConfigError {
    ConfigError::new(format!("cannot split the training images: {why}"))
}

/// The fold whose D_A is one of `folds` equal parts of every class.
fn partition_fold(classes: &[Vec<usize>], fold: usize, folds: usize) -> Fold {
    split(classes, |index, _| index % folds == fold)
}

/// A fold whose D_A is drawn independently: a fraction of every class, at least one image and not all.
fn independent_fold(classes: &[Vec<usize>], fraction: f64, seed: u64) -> Fold {
    let mut classes = classes.to_vec();
    for (class, images) in classes.iter_mut().enumerate() {
        shuffle(images, derive(seed, Purpose::Folds, &[class as u64]));
    }
    split(&classes, |index, count| {
        let held_out = (fraction * count as f64).round() as usize;
        index < held_out.clamp(1, count - 1)
    })
}

fn split(classes: &[Vec<usize>], is_validation: impl Fn(usize, usize) -> bool) -> Fold {
    let (mut train, mut validation) = (Vec::new(), Vec::new());
    for images in classes {
        for (index, image) in images.iter().enumerate() {
            let part = if is_validation(index, images.len()) {
                &mut validation
            } else {
                &mut train
            };
            part.push(*image);
        }
    }
    train.sort_unstable();
    validation.sort_unstable();
    Fold { train, validation }
}

#[cfg(test)]
mod tests {
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
            held_out_fold(&labels(), fraction, images, 1).unwrap()
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
