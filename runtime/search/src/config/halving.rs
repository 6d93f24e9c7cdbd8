//! The configuration of a search by successive halving.

use std::num::NonZeroUsize;

use faa_op::OpSet;
use faa_policy::{Policy, SamplerOp, SamplerValues};
use serde::{Deserialize, Serialize};

use super::augmentation::Augmentation;

/// A search by successive halving (Jamieson and Talwalkar, *Non-stochastic best arm identification and
/// hyperparameter optimization*, AISTATS 2016): many policies train short networks, and the better ones
/// train again, with a new seed, until the last few train with several seeds each.
///
/// All rungs but the last have the same number of epochs, which should not be much lower than the last
/// one's: the shorter a training, the weaker the augmentation that it prefers. So what halving saves, it
/// saves by the number of policies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct HalvingConfig {
    /// The ops that policies are made of.
    pub ops: Vec<RangedOp>,
    /// The maximum number of images that networks are trained on.
    pub images: NonZeroUsize,
    /// The fraction of the training images that are held out for validation. There are at most as many
    /// as are trained on.
    pub held_out: f64,
    /// The number of policies in the first rung, without the fixed ones.
    pub entrants: NonZeroUsize,
    /// How many times fewer policies the next rung has.
    pub reduction: NonZeroUsize,
    /// The number of rungs.
    pub rungs: NonZeroUsize,
    /// Passes over the images per training of the last rung.
    pub epochs: NonZeroUsize,
    /// Passes over the images per training of the rungs before it.
    pub early_epochs: NonZeroUsize,
    /// The number of seeds per policy in the last rung; one in the rungs before it.
    pub seeds: NonZeroUsize,
}

/// An op, and the values of which policies use a part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RangedOp {
    /// The op's name.
    pub op: String,
    /// Its values; `None` for an op without a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<OpValues>,
}

/// The values of an op, of which a policy uses those from `low` to some part of the way to `high`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct OpValues {
    /// The value with the least effect, in the op's unit.
    pub low: f64,
    /// The value with the most effect, in the op's unit. It may be below `low`.
    pub high: f64,
    /// The centre of mirroring, as in [`SamplerValues`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub centre: Option<f64>,
    /// Whether values are rounded to integers.
    #[serde(default)]
    pub integer: bool,
    /// The op's unit, for people.
    pub unit: String,
}

impl HalvingConfig {
    /// The maximum number of ops: the additive model has up to four columns per op, and the time to fit
    /// it grows with the cube of their number.
    pub(crate) const MAX_OPS: usize = 100;

    /// The number of policies of the first rung that are drawn at random. The others are proposed when
    /// these have been trained.
    pub(crate) fn random_entrants(&self) -> usize {
        self.entrants.get().div_ceil(2)
    }

    /// The number of policies in a rung, without the fixed ones.
    pub fn entrants_in(&self, rung: usize) -> usize {
        let next = |entrants: usize, _| entrants.div_ceil(self.reduction.get());
        (0..rung).fold(self.entrants.get(), next)
    }

    /// How many of `all` training images are trained on, and how many are held out.
    pub(crate) fn images_of(&self, all: usize) -> [usize; 2] {
        let held_out = (self.held_out * all as f64).round() as usize;
        let held_out = held_out.clamp(1, all.max(1));
        let train = self.images.get().min(all.saturating_sub(held_out));
        [train, held_out.min(train)]
    }

    /// Whether the fixed policies take part in a rung: they do in the last two.
    pub fn has_fixed(&self, rung: usize) -> bool {
        rung + 2 >= self.rungs.get()
    }

    /// The number of epochs per training of a rung.
    pub fn epochs_in(&self, rung: usize) -> NonZeroUsize {
        match self.is_last(rung) {
            true => self.epochs,
            false => self.early_epochs,
        }
    }

    /// The number of seeds per policy in a rung.
    pub fn seeds_in(&self, rung: usize) -> usize {
        match self.is_last(rung) {
            true => self.seeds.get(),
            false => 1,
        }
    }

    /// All trainings, in order, if this many fixed policies take part.
    pub(super) fn phases(&self, fixed: usize) -> Vec<RungPhase> {
        let random = self.random_entrants();
        let phase = |rung, first, searched| {
            // In the first rung, they are trained with the proposed policies.
            let has_fixed = self.has_fixed(rung) && (rung, first) != (0, 0);
            RungPhase {
                rung,
                entrants: if has_fixed {
                    searched + fixed
                } else {
                    searched
                },
                seeds: self.seeds_in(rung),
                first,
            }
        };
        let proposed = self.entrants.get() - random;
        let first = [phase(0, 0, random), phase(0, random, proposed)];
        let later = (1..self.rungs.get()).map(|rung| phase(rung, 0, self.entrants_in(rung)));
        first.into_iter().chain(later).collect()
    }

    fn is_last(&self, rung: usize) -> bool {
        rung + 1 == self.rungs.get()
    }
}

/// Trainings of halving that do not wait for each other.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RungPhase {
    /// The rung, from 0.
    pub rung: usize,
    /// The number of policies.
    pub entrants: usize,
    /// The number of seeds of each.
    pub seeds: usize,
    /// The lowest number of these policies: the first rung has two phases, which differ by it.
    pub first: usize,
}

impl RungPhase {
    /// The number of trainings, if no policy before has diverged.
    pub fn trainings(&self) -> usize {
        self.entrants.saturating_mul(self.seeds)
    }
}

impl RangedOp {
    /// TrivialAugment's ops with its wide ranges.
    pub(super) fn trivial_augment(ops: &OpSet) -> Vec<Self> {
        let listed = trivial_augment_ops().into_iter();
        listed.filter_map(|it| Self::of(&it.op, ops)).collect()
    }

    /// An op of the set, with TrivialAugment's range or else its own; `None` if the set lacks it. The
    /// values of a mirrored op begin at the centre.
    pub fn of(name: &str, ops: &OpSet) -> Option<Self> {
        let spec = ops.get(name)?.spec();
        let mut listed = trivial_augment_ops().into_iter();
        let wide = listed.find(|it| it.op == name).and_then(|it| it.values);
        let values = spec.value_range().map(|own| match wide {
            Some(wide) => OpValues {
                low: wide.low,
                high: wide.high,
                centre: wide.centre,
                integer: wide.integer,
                unit: own.unit.to_string(),
            },
            None => OpValues {
                low: own.centre.unwrap_or(own.low),
                high: own.high,
                centre: own.centre,
                integer: false,
                unit: own.unit.to_string(),
            },
        });
        let op = name.to_owned();
        Some(Self { op, values })
    }

    /// This op in a sampler, its values ending at this fraction of the way from `low` to `high`.
    pub(crate) fn up_to(&self, fraction: f64) -> SamplerOp {
        let values = self.values.as_ref().map(|it| {
            let mut values = SamplerValues::new(it.low, it.value_at(fraction), it.centre);
            values.integer = it.integer;
            values
        });
        SamplerOp::new(self.op.clone(), values)
    }
}

fn trivial_augment_ops() -> Vec<SamplerOp> {
    let policy = Augmentation::TrivialAugment.shipped_policy();
    let sampler = policy.as_ref().and_then(Policy::sampler);
    sampler
        .expect("TrivialAugment is a shipped sampler")
        .ops
        .clone()
}

impl OpValues {
    /// The value at this fraction of the way from `low` to `high`.
    pub fn value_at(&self, fraction: f64) -> f64 {
        self.low + fraction * (self.high - self.low)
    }
}

#[cfg(test)]
mod tests {
    use faa_ops_builtin::builtin_ops;

    use super::*;
    use crate::config::Preset;

    #[test]
    fn the_default_ops_are_those_of_trivial_augment() {
        let config = HalvingConfig::preset(Preset::Cifar10);
        let all: Vec<_> = config.ops.iter().map(|it| it.up_to(1.0)).collect();
        assert_eq!(all, trivial_augment_ops());
        let rotate = config.ops.iter().find(|it| it.op == "Rotate").unwrap();
        let values = rotate.up_to(0.25).values.unwrap();
        assert_eq!((values.low, values.high), (0.0, 33.75));
        assert_eq!(rotate.values.as_ref().unwrap().unit, "degrees");
    }

    /// A mirrored op's range lies on both sides of the centre, and values nearer to it do less.
    #[test]
    fn other_ops_have_their_own_range() {
        let op = |name| RangedOp::of(name, &builtin_ops());
        let translate = op("TranslateX").unwrap().up_to(1.0).values.unwrap();
        assert_eq!(translate, SamplerValues::new(0.0, 0.45, Some(0.0)));
        let cutout = op("Cutout").unwrap().up_to(0.5).values.unwrap();
        assert_eq!(cutout, SamplerValues::new(0.0, 0.1, None));
        assert_eq!(op("Invert").unwrap().values, None);
        assert_eq!(op("Rotat"), None);
    }

    #[test]
    fn rungs_shrink_and_only_the_last_has_several_seeds() {
        let config = HalvingConfig::preset(Preset::Cifar10);
        let rungs = 0..3;
        let entrants: Vec<_> = rungs.clone().map(|rung| config.entrants_in(rung)).collect();
        assert_eq!(entrants, [64, 16, 4]);
        let seeds: Vec<_> = rungs.clone().map(|rung| config.seeds_in(rung)).collect();
        assert_eq!(seeds, [1, 1, 3]);
        let epochs: Vec<_> = rungs.map(|rung| config.epochs_in(rung).get()).collect();
        assert_eq!(epochs, [50, 50, 100]);
        assert_eq!(
            [0, 1, 2].map(|rung| config.has_fixed(rung)),
            [false, true, true]
        );
    }
}
