//! Real images, and what a policy does to them.

use std::io::Cursor;
use std::num::NonZeroUsize;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use faa_data::{DataSpec, Dataset, LoadOptions};
use faa_op::{Channels, DrawKey, ImageMut, OpSet};
use faa_policy::{Executor, PackedImages, Policy, Step, SubPolicy, Workspace};
use faa_search::space::Space;
use image::imageops::FilterType;
use image::{DynamicImage, ImageFormat, RgbImage};

use super::record::Record;
use super::text::{count, counted, reason};

/// How many images a page shows if no number is chosen.
pub const IMAGES: usize = 6;

/// How many sub-policies are shown, or draws of a sampler.
const COLUMNS: usize = 8;

/// Larger images are scaled down, so that the page stays small.
const MAX_SIDE: u32 = 64;

/// The maximum number of images that the mean change of a pixel is measured on.
pub(super) const MEASURED_IMAGES: usize = 128;
/// How often each of them is augmented.
pub(super) const MEASURED_DRAWS: u32 = 4;

/// How many random sub-policies represent all of them. A draw takes one of them, so that their number
/// matters little.
const RANDOM_SUB_POLICIES: usize = 1_000;

/// No search proposes sub-policies with more steps than this.
const MAX_STEPS: usize = 100;

/// All randomness here follows from this: a report has no seed to vary.
const SEED: u64 = 0;

/// Images with their class, before and after.
pub(super) struct Gallery {
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Row>,
}

/// What was applied to the images of a column.
pub(super) enum Column {
    /// All steps of a sub-policy, whatever their probabilities.
    SubPolicy {
        /// Its index in the policy.
        index: usize,
        /// Its steps.
        steps: SubPolicy,
    },
    /// A draw of a policy that is a sampler.
    Draw,
}

pub(super) struct Row {
    pub(super) class: String,
    /// The image as it is, as a data URI.
    pub(super) original: String,
    /// What it becomes in each column, as data URIs.
    pub(super) augmented: Vec<String>,
}

/// As many images of the run's training split as are shown or measured, evenly spaced in it.
///
/// # Errors
///
/// Why they are not available, in words. The run's digest covers all pixels and cannot tell, but the
/// number of images can.
pub(super) fn load(record: &Record, images: usize) -> Result<Dataset, String> {
    let spec = record.data().parse::<DataSpec>().map_err(reason)?;
    let image_size = record.config().common.image_size;
    // Only what a search prefers is measured.
    let measured = if record.is_search() {
        MEASURED_IMAGES
    } else {
        1
    };
    let wanted = NonZeroUsize::new(images.max(measured)).expect("it is at least 1");
    // A data error includes its cause.
    let preview = Dataset::preview(&spec, &LoadOptions::sized(image_size), wanted)
        .map_err(|error| error.to_string())?;
    let current = preview.train_images;
    // An epoch leaves out the images that do not fill a batch; earlier builds trained on all of them.
    let batch = record.config().common.training.batch.get();
    let rest = current % batch.min(current).max(1);
    match record.train_images() {
        Some(recorded) if ![current, current - rest].contains(&recorded) => Err(format!(
            "the data set has changed: its training split has {}, and an epoch of the run had {}",
            counted(current, "image"),
            count(recorded),
        )),
        _ => Ok(preview.dataset),
    }
}

/// Whether this program draws the images itself, so that they are those of the run.
pub(super) fn are_generated(record: &Record) -> bool {
    matches!(record.data().parse(), Ok(DataSpec::Glyphs { .. }))
}

/// Creates a gallery of at most `images` images, of different classes if there are enough.
///
/// # Errors
///
/// Why the policy cannot be applied, in words.
pub(super) fn gallery(
    dataset: &Dataset,
    policy: &Policy,
    ops: &OpSet,
    images: usize,
) -> Result<Gallery, String> {
    let chosen = choose(&dataset.train.labels, dataset.classes.len(), images);
    let mut gallery = Gallery {
        columns: Vec::new(),
        rows: Vec::new(),
    };
    for &index in &chosen {
        let class = dataset.train.labels[index] as usize;
        gallery.rows.push(Row {
            class: dataset.classes.get(class).cloned().unwrap_or_default(),
            original: data_uri(dataset, dataset.train.image(index).to_vec())?,
            augmented: Vec::new(),
        });
    }
    for (draw, (column, policy)) in (0..).zip(columns(policy)) {
        let augmenter = Augmenter::new(dataset, &policy, ops)?;
        for (row, &index) in gallery.rows.iter_mut().zip(&chosen) {
            row.augmented
                .push(data_uri(dataset, augmenter.apply(index, draw)?)?);
        }
        gallery.columns.push(column);
    }
    Ok(gallery)
}

/// By how many levels a policy, and uniformly random policies of the run's search space, change a
/// pixel on average.
///
/// # Errors
///
/// Why one of them cannot be applied, or that there is no search space, in words.
pub(super) fn changes(
    dataset: &Dataset,
    policy: &Policy,
    record: &Record,
    ops: &OpSet,
) -> Result<(f64, f64), String> {
    let search = record.config().search.as_ref();
    let search = search.ok_or("the run has no search space")?;
    let steps = search.ops_per_sub_policy.get();
    if search.ops.is_empty() || steps > MAX_STEPS {
        return Err("the configuration has no valid search space".to_owned());
    }
    let random = Space::of(&search.ops, RANDOM_SUB_POLICIES, steps);
    let random = random.random_policy("random", RANDOM_SUB_POLICIES, SEED);
    Ok((
        mean_change(dataset, policy, ops)?,
        mean_change(dataset, &random, ops)?,
    ))
}

/// The mean absolute difference of samples, in levels from 0 to 255, over images that are evenly
/// spaced in the training split.
fn mean_change(dataset: &Dataset, policy: &Policy, ops: &OpSet) -> Result<f64, String> {
    let augmenter = Augmenter::new(dataset, policy, ops)?;
    let images = dataset.train.len();
    let measured = images.min(MEASURED_IMAGES);
    let (mut sum, mut samples) = (0_u64, 0_usize);
    for image in 0..measured {
        let index = image * images / measured;
        let original = dataset.train.image(index);
        for draw in 0..MEASURED_DRAWS {
            let changed = augmenter.apply(index, draw)?;
            let pairs = changed.iter().zip(original);
            sum += (pairs.map(|(after, before)| u64::from(after.abs_diff(*before)))).sum::<u64>();
            samples += changed.len();
        }
    }
    Ok(sum as f64 / samples.max(1) as f64)
}

/// Indices of images, with the classes taking turns.
fn choose(labels: &[u32], classes: usize, count: usize) -> Vec<usize> {
    let mut of_class = vec![Vec::new(); classes];
    for (index, &label) in labels.iter().enumerate() {
        if let Some(images) = of_class.get_mut(label as usize) {
            images.push(index);
        }
    }
    let turns = of_class.iter().map(Vec::len).max().unwrap_or(0);
    (0..turns)
        .flat_map(|turn| of_class.iter().filter_map(move |images| images.get(turn)))
        .copied()
        .take(count)
        .collect()
}

/// The columns of a policy, each with the policy that it is augmented with.
fn columns(policy: &Policy) -> Vec<(Column, Policy)> {
    let all = policy.sub_policies();
    if all.is_empty() {
        return (0..COLUMNS)
            .map(|_| (Column::Draw, policy.clone()))
            .collect();
    }
    let shown = all.len().min(COLUMNS);
    let column = |column: usize| {
        let index = column * all.len() / shown;
        let steps = all[index].clone();
        let always = |step: &Step| Step::new(&step.op, 1.0, step.strength);
        let policy = Policy::of_sub_policies("shown", vec![steps.iter().map(always).collect()]);
        (Column::SubPolicy { index, steps }, policy)
    };
    (0..shown).map(column).collect()
}

struct Augmenter<'a> {
    dataset: &'a Dataset,
    executor: Executor,
    partners: PackedImages<'a>,
}

impl<'a> Augmenter<'a> {
    fn new(dataset: &'a Dataset, policy: &Policy, ops: &OpSet) -> Result<Self, String> {
        let (width, height) = (dataset.width, dataset.height);
        let partners = PackedImages::new(&dataset.train.pixels, width, height, Channels::Rgb);
        Ok(Self {
            dataset,
            executor: Executor::new(policy, ops).map_err(reason)?,
            partners: partners.map_err(reason)?,
        })
    }

    fn apply(&self, index: usize, draw: u32) -> Result<Vec<u8>, String> {
        let (width, height) = (self.dataset.width, self.dataset.height);
        let mut samples = self.dataset.train.image(index).to_vec();
        let mut image =
            ImageMut::new(&mut samples, width, height, Channels::Rgb).map_err(reason)?;
        let key = DrawKey::new(SEED, draw, index as u64);
        let workspace = &mut Workspace::with_partners(&self.partners);
        (self.executor.apply(&mut image, key, workspace)).map_err(reason)?;
        Ok(samples)
    }
}

pub(super) fn data_uri(dataset: &Dataset, samples: Vec<u8>) -> Result<String, String> {
    let (width, height) = (dataset.width as u32, dataset.height as u32);
    let image = RgbImage::from_raw(width, height, samples)
        .ok_or("the samples do not have the length of their shape")?;
    let mut image = DynamicImage::from(image);
    if width.max(height) > MAX_SIDE {
        image = image.resize(MAX_SIDE, MAX_SIDE, FilterType::Triangle);
    }
    let mut png = Cursor::new(Vec::new());
    image.write_to(&mut png, ImageFormat::Png).map_err(reason)?;
    let encoded = BASE64_STANDARD.encode(png.into_inner());
    Ok(format!("data:image/png;base64,{encoded}"))
}

#[cfg(test)]
mod tests {
    use faa_data::Split;
    use faa_ops_builtin::builtin_ops;
    use faa_policy::Strength;

    use super::*;

    /// Four uniform images of 2×2 pixels in three classes.
    fn dataset() -> Dataset {
        let shades = [0, 50, 100, 255];
        let pixels = shades.into_iter().flat_map(|shade| [shade; 12]).collect();
        let train = Split::new(pixels, vec![0, 0, 1, 2]);
        let classes = ["a", "b", "c"].map(str::to_owned).into();
        Dataset::new(classes, (2, 2), train, Split::default())
    }

    fn policy(op: &str, probability: f64) -> Policy {
        let step = Step::new(op, probability, Strength::Magnitude(0.5));
        Policy::of_sub_policies("test", vec![vec![step]])
    }

    #[test]
    fn classes_take_turns() {
        assert_eq!(choose(&[0, 0, 1, 2], 3, 3), [0, 2, 3]);
        assert_eq!(choose(&[0, 0, 1, 2], 3, 9), [0, 2, 3, 1]);
        assert!(choose(&[], 0, 3).is_empty());
    }

    #[test]
    fn the_mean_change_is_that_of_all_samples() {
        // Invert makes 255, 205, 155 and 0 of the four shades.
        let expected = (255.0 + 155.0 + 55.0 + 255.0) / 4.0;
        let change = |policy: &Policy| mean_change(&dataset(), policy, &builtin_ops()).unwrap();
        assert_eq!(change(&policy("Invert", 1.0)), expected);
        assert_eq!(change(&policy("Invert", 0.0)), 0.0);
        assert_eq!(change(&policy("Identity", 1.0)), 0.0);
    }

    #[test]
    fn a_gallery_applies_every_step_and_says_what_is_missing() {
        let found = gallery(&dataset(), &policy("Invert", 0.1), &builtin_ops(), 2).unwrap();
        assert_eq!((found.columns.len(), found.rows.len()), (1, 2));
        assert_eq!(found.rows[1].class, "b");
        let first = &found.rows[0];
        assert!(first.original.starts_with("data:image/png;base64,iVBOR"));
        assert_ne!(first.original, first.augmented[0]);
        let error = gallery(&dataset(), &policy("Vignette", 1.0), &builtin_ops(), 2).err();
        assert!(error.unwrap().contains("no op is named `Vignette`"));
    }

    #[test]
    fn at_most_eight_sub_policies_are_shown_evenly() {
        let steps = policy("Invert", 1.0).sub_policies()[0].clone();
        let indices = |count: usize| -> Vec<usize> {
            let policy = Policy::of_sub_policies("test", vec![steps.clone(); count]);
            let index = |(column, _)| match column {
                Column::SubPolicy { index, .. } => index,
                Column::Draw => usize::MAX,
            };
            columns(&policy).into_iter().map(index).collect()
        };
        assert_eq!(indices(3), [0, 1, 2]);
        assert_eq!(indices(20), [0, 2, 5, 7, 10, 12, 15, 17]);
    }
}
