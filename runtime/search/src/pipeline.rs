//! The augmentation of images before they reach the network.

use std::sync::Arc;

use faa_op::{Channels, DrawKey, ImageMut, ImageRef, OpErrorKind, OpSet};
use faa_ops_builtin::CutoutAbs;
use faa_policy::{ApplyError, Executor, Partners, Policy, PolicyError, Step, Strength, Workspace};

use crate::config::TrainingConfig;
use crate::seeds::{Purpose, derive};
use faa_data::Split;

/// An optional policy, followed by the base augmentation: crop, flip and Cutout.
///
/// The order is that of the authors' code. With the policy first, Cutout always hides pixels of the
/// image that the network sees.
#[derive(Debug)]
pub struct Pipeline {
    policy: Option<Executor>,
    base: Option<Executor>,
    policy_seed: u64,
    base_seed: u64,
}

impl Pipeline {
    /// Compiles the policy and the base augmentation.
    ///
    /// `CutoutAbs`, in the policy too, fills with `mean`, the data set's mean colour, which
    /// normalisation maps to 0.
    ///
    /// # Errors
    ///
    /// Those of [`Executor::new`], for the policy or for the configured crop and Cutout.
    pub fn new(
        policy: Option<&Policy>,
        training: &TrainingConfig,
        ops: &OpSet,
        mean: [u8; 3],
        seed: u64,
    ) -> Result<Self, PolicyError> {
        let mut with_fill = ops.clone();
        with_fill.replace(Arc::new(CutoutAbs::with_fill(mean)));
        let base = base_augmentation(training);
        let executor =
            |policy: Option<&Policy>| policy.map(|it| Executor::new(it, &with_fill)).transpose();
        Ok(Self {
            policy: executor(policy)?,
            base: executor(base.as_ref())?,
            policy_seed: derive(seed, Purpose::Policy, &[]),
            base_seed: derive(seed, Purpose::BaseAugmentation, &[]),
        })
    }

    /// Writes `source` to `image`, augmented by the draws for image `index` in `epoch`.
    ///
    /// # Errors
    ///
    /// [`ApplyError`] if an op fails, or the images differ in shape.
    pub fn apply_to(
        &self,
        source: ImageRef<'_>,
        image: &mut ImageMut<'_>,
        epoch: u32,
        index: u64,
        workspace: &mut Workspace<'_>,
    ) -> Result<(), ApplyError> {
        let mut source = Some(source);
        let stages = [
            (&self.policy, self.policy_seed),
            (&self.base, self.base_seed),
        ];
        for (executor, seed) in stages {
            if let Some(executor) = executor {
                let key = DrawKey { seed, epoch, index };
                match source.take() {
                    Some(source) => executor.apply_to(source, image, key, workspace)?,
                    None => executor.apply(image, key, workspace)?,
                }
            }
        }
        source.map_or(Ok(()), |source| {
            let copied = image.copy_from(source);
            copied.map_err(|_| ApplyError::new(None, OpErrorKind::SourceShape))
        })
    }
}

/// The images of a task, which ops such as SamplePairing mix with each other: those that a network is
/// trained on, or that candidates are scored on. They are mixed in without augmentation.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TaskPartners<'a> {
    /// The split that they are in.
    pub split: &'a Split,
    /// Width and height, in pixels.
    pub size: [usize; 2],
    /// Their indices in the split.
    pub images: &'a [usize],
}

impl<'a> TaskPartners<'a> {
    /// Images of a split, whose width and height are `size`.
    pub fn new(split: &'a Split, size: [usize; 2], images: &'a [usize]) -> Self {
        Self {
            split,
            size,
            images,
        }
    }
}

impl Partners for TaskPartners<'_> {
    fn count(&self) -> u64 {
        self.images.len() as u64
    }

    fn image(&self, index: u64) -> ImageRef<'_> {
        let samples = self.split.image(self.images[index as usize]);
        let [width, height] = self.size;
        ImageRef::new(samples, width, height, Channels::Rgb)
            .expect("images of a split have its size")
    }
}

/// Crop, flip and Cutout as one sub-policy; `None` if all are off.
fn base_augmentation(training: &TrainingConfig) -> Option<Policy> {
    let pixels = |count: usize| Strength::Value(count as f64);
    let mut steps = Vec::new();
    if training.crop_padding > 0 {
        steps.push(Step::new("CropPad", 1.0, pixels(training.crop_padding)));
    }
    if training.flip {
        steps.push(Step::new("FlipX", 0.5, Strength::Unstated));
    }
    if training.cutout > 0 {
        steps.push(Step::new("CutoutAbs", 1.0, pixels(training.cutout)));
    }
    (!steps.is_empty()).then(|| Policy::of_sub_policies("base", vec![steps]))
}

#[cfg(test)]
mod tests {
    use faa_ops_builtin::builtin_ops;

    use super::*;
    use crate::config::{Preset, RunConfig};

    const MEAN: [u8; 3] = [200, 100, 50];

    fn training() -> TrainingConfig {
        RunConfig::for_search(Preset::Cifar10, "glyphs")
            .common
            .training
    }

    /// Without crop and flip.
    fn only_cutout(cutout: usize) -> TrainingConfig {
        TrainingConfig {
            crop_padding: 0,
            flip: false,
            cutout,
            ..training()
        }
    }

    /// An image after the pipeline.
    fn apply(
        pipeline: &Pipeline,
        source: &[u8],
        [width, height]: [usize; 2],
        (epoch, index): (u32, u64),
        workspace: &mut Workspace<'_>,
    ) -> Vec<u8> {
        let source = ImageRef::new(source, width, height, Channels::Rgb).unwrap();
        let mut pixels = vec![0; width * height * 3];
        let mut image = ImageMut::new(&mut pixels, width, height, Channels::Rgb).unwrap();
        pipeline
            .apply_to(source, &mut image, epoch, index, workspace)
            .unwrap();
        pixels
    }

    fn augmented(
        training: &TrainingConfig,
        policy: Option<&Policy>,
        epoch: u32,
        index: u64,
    ) -> Vec<u8> {
        let pipeline = Pipeline::new(policy, training, &builtin_ops(), MEAN, 1).unwrap();
        let pixels: Vec<u8> = (0..32 * 32 * 3).map(|index| (index % 96) as u8).collect();
        let workspace = &mut Workspace::new();
        apply(&pipeline, &pixels, [32, 32], (epoch, index), workspace)
    }

    #[test]
    fn draws_differ_between_epochs_and_images() {
        let training = training();
        let first = augmented(&training, None, 0, 0);
        assert_eq!(first, augmented(&training, None, 0, 0));
        assert_ne!(first, augmented(&training, None, 1, 0));
        assert_ne!(first, augmented(&training, None, 0, 1));
    }

    #[test]
    fn cutout_fills_with_the_mean_of_the_data() {
        let training = only_cutout(16);
        let pixels = augmented(&training, None, 0, 0);
        let filled = pixels.chunks(3).filter(|pixel| *pixel == MEAN).count();
        // A square of 16 pixels that may be clipped at one or two borders.
        assert!((64..=256).contains(&filled), "{filled}");
    }

    /// Every column of the image has a different value, which shows how the result was cropped and
    /// whether it was mirrored.
    #[test]
    fn the_base_augmentation_crops_by_up_to_its_padding_and_mirrors_half_of_the_images() {
        let training = TrainingConfig {
            cutout: 0,
            ..training()
        };
        let pipeline = Pipeline::new(None, &training, &builtin_ops(), MEAN, 1).unwrap();
        let column = |index: usize| (index / 3 % 32 + 1) as u8;
        let (mut mirrored, mut shifts) = (0, [0; 9]);
        for index in 0..1000 {
            let pixels: Vec<u8> = (0..32 * 32 * 3).map(column).collect();
            let workspace = &mut Workspace::new();
            let pixels = apply(&pipeline, &pixels, [32, 32], (0, index), workspace);
            let row = &pixels[16 * 32 * 3..];
            let (left, right) = (row[10 * 3], row[11 * 3]);
            mirrored += i32::from(right < left);
            let first = if right < left { row[21 * 3] } else { left };
            // Column 10 of the result is column 10 of the image, shifted by up to four pixels.
            shifts[usize::from(first) - 7] += 1;
        }
        // Six standard deviations of a binomial(1000, 1/2) are 95, of a binomial(1000, 1/9) 60.
        assert!((405..=595).contains(&mirrored), "{mirrored}");
        assert!(
            shifts.iter().all(|count| (51..=171).contains(count)),
            "{shifts:?}"
        );
    }

    #[test]
    fn the_base_augmentation_follows_the_policy() {
        let invert = Step::new("Invert", 1.0, Strength::Unstated);
        let invert = Policy::of_sub_policies("invert", vec![vec![invert]]);
        let training = only_cutout(16);
        let pixels = augmented(&training, Some(&invert), 0, 0);
        assert!(pixels.chunks(3).any(|pixel| *pixel == MEAN));
    }

    /// The images of the task are mixed in, and no others.
    #[test]
    fn partners_are_the_images_of_the_task() {
        let step = Step::new("SamplePairing", 1.0, Strength::Magnitude(1.0));
        let policy = Policy::of_sub_policies("mix", vec![vec![step]]);
        let pipeline =
            Pipeline::new(Some(&policy), &only_cutout(0), &builtin_ops(), MEAN, 1).unwrap();
        let pixels = [0_u8, 100, 200].map(|value| [value; 12]).concat();
        let split = Split::new(pixels, vec![0; 3]);
        let partners = TaskPartners::new(&split, [2, 2], &[0, 2]);
        let mixed = |index| {
            let workspace = &mut Workspace::with_partners(&partners);
            apply(&pipeline, &[50; 12], [2, 2], (0, index), workspace)[0]
        };
        let seen: std::collections::BTreeSet<u8> = (0..50).map(mixed).collect();
        // With a weight of 0.4: 0.6 of 50, and 0.4 of 0 or 200.
        assert_eq!(seen, [30, 110].into());
    }

    #[test]
    fn without_steps_the_image_stays_as_it_is() {
        let pixels = augmented(&only_cutout(0), None, 0, 0);
        let mut samples = pixels.iter().enumerate();
        assert!(samples.all(|(index, sample)| *sample == (index % 96) as u8));
    }
}
