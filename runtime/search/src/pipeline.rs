//! What happens to an image on its way to the network.

use std::sync::Arc;

use faa_op::{DrawKey, ImageMut, OpSet};
use faa_ops_builtin::CutoutAbs;
use faa_policy::{ApplyError, Executor, Policy, PolicyError, Step, Strength, Workspace};

use crate::config::Recipe;
use crate::seeds::{Purpose, derive};

/// A policy, where there is one, and then the baseline of crop, flip and Cutout.
///
/// The authors' code puts the policy first, too, so that Cutout always hides pixels of the image
/// that the network sees.
pub struct Pipeline {
    policy: Option<Executor>,
    baseline: Option<Executor>,
    policy_seed: u64,
    baseline_seed: u64,
}

impl Pipeline {
    /// Makes a pipeline ready.
    ///
    /// `CutoutAbs`, in the policy too, fills with `mean`, the data set's mean colour, which the
    /// network's normalisation turns into 0.
    ///
    /// # Errors
    ///
    /// Those of [`Executor::new`], for the policy or for the recipe's crop and Cutout.
    pub fn new(
        policy: Option<&Policy>,
        recipe: &Recipe,
        ops: &OpSet,
        mean: [u8; 3],
        seed: u64,
    ) -> Result<Self, PolicyError> {
        let mut with_fill = ops.clone();
        with_fill.replace(Arc::new(CutoutAbs::with_fill(mean)));
        let baseline = baseline(recipe);
        Ok(Self {
            policy: policy
                .map(|policy| Executor::new(policy, &with_fill))
                .transpose()?,
            baseline: baseline
                .map(|policy| Executor::new(&policy, &with_fill))
                .transpose()?,
            policy_seed: derive(seed, Purpose::Policy, &[]),
            baseline_seed: derive(seed, Purpose::Baseline, &[]),
        })
    }

    /// Augments one image in place: pass `epoch` over image `index`.
    ///
    /// # Errors
    ///
    /// An op that failed.
    pub fn apply(
        &self,
        image: &mut ImageMut<'_>,
        epoch: u32,
        index: u64,
        workspace: &mut Workspace,
    ) -> Result<(), ApplyError> {
        let stages = [
            (&self.policy, self.policy_seed),
            (&self.baseline, self.baseline_seed),
        ];
        for (executor, seed) in stages {
            if let Some(executor) = executor {
                executor.apply(image, DrawKey { seed, epoch, index }, workspace)?;
            }
        }
        Ok(())
    }
}

/// Crop, flip and Cutout as one sub-policy; `None` where the recipe has none of them.
fn baseline(recipe: &Recipe) -> Option<Policy> {
    let step = |op: &str, probability, strength| Step {
        op: op.to_owned(),
        probability,
        strength,
    };
    let mut steps = Vec::new();
    if recipe.crop_padding > 0 {
        steps.push(step(
            "CropPad",
            1.0,
            Strength::Value(recipe.crop_padding as f64),
        ));
    }
    if recipe.flip {
        steps.push(step("FlipX", 0.5, Strength::Unstated));
    }
    if recipe.cutout > 0 {
        steps.push(step(
            "CutoutAbs",
            1.0,
            Strength::Value(recipe.cutout as f64),
        ));
    }
    (!steps.is_empty()).then(|| Policy::of_sub_policies("baseline", vec![steps]))
}

#[cfg(test)]
mod tests {
    use faa_op::Channels;
    use faa_ops_builtin::builtin_ops;

    use super::*;
    use crate::config::{Preset, SearchConfig};

    const MEAN: [u8; 3] = [200, 100, 50];

    fn recipe() -> Recipe {
        SearchConfig::preset(Preset::Cifar10, "glyphs").training
    }

    fn augmented(recipe: &Recipe, policy: Option<&Policy>, epoch: u32, index: u64) -> Vec<u8> {
        let pipeline = Pipeline::new(policy, recipe, &builtin_ops(), MEAN, 1).unwrap();
        let mut pixels: Vec<u8> = (0..32 * 32 * 3).map(|place| (place % 96) as u8).collect();
        let mut image = ImageMut::new(&mut pixels, 32, 32, Channels::Rgb).unwrap();
        pipeline
            .apply(&mut image, epoch, index, &mut Workspace::new())
            .unwrap();
        pixels
    }

    #[test]
    fn every_epoch_and_image_has_draws_of_its_own() {
        let recipe = recipe();
        let first = augmented(&recipe, None, 0, 0);
        assert_eq!(first, augmented(&recipe, None, 0, 0));
        assert_ne!(first, augmented(&recipe, None, 1, 0));
        assert_ne!(first, augmented(&recipe, None, 0, 1));
    }

    #[test]
    fn cutout_fills_with_the_mean_of_the_data() {
        let recipe = Recipe {
            crop_padding: 0,
            flip: false,
            ..recipe()
        };
        let filled = augmented(&recipe, None, 0, 0)
            .chunks(3)
            .filter(|pixel| *pixel == MEAN)
            .count();
        // A square of 16 pixels that may be clipped at one or two borders.
        assert!((64..=256).contains(&filled), "{filled}");
    }

    #[test]
    fn the_baseline_follows_the_policy() {
        let invert = Step {
            op: "Invert".into(),
            probability: 1.0,
            strength: Strength::Unstated,
        };
        let invert = Policy::of_sub_policies("invert", vec![vec![invert]]);
        let recipe = Recipe {
            crop_padding: 0,
            flip: false,
            ..recipe()
        };
        let pixels = augmented(&recipe, Some(&invert), 0, 0);
        assert!(pixels.chunks(3).any(|pixel| *pixel == MEAN));
    }

    #[test]
    fn without_steps_the_image_stays_as_it_is() {
        let recipe = Recipe {
            crop_padding: 0,
            flip: false,
            cutout: 0,
            ..recipe()
        };
        let pixels = augmented(&recipe, None, 0, 0);
        assert!(
            pixels
                .iter()
                .enumerate()
                .all(|(place, sample)| *sample == (place % 96) as u8)
        );
    }
}
