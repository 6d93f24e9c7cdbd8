use faa_policy::{Policy, shipped};
use serde::{Deserialize, Serialize};

/// The augmentation of a final training: the policy, or a baseline that it is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Augmentation {
    /// Crop and flip alone.
    None,
    /// Crop, flip and Cutout: the base augmentation.
    Cutout,
    /// A random policy of the found one's size, then the base augmentation.
    Random,
    /// RandAugment (Cubuk et al. 2020, two ops of strength 9), then the base augmentation.
    RandAugment,
    /// TrivialAugment (Müller and Hutter 2021, the wide space), then the base augmentation.
    TrivialAugment,
    /// The found or given policy, then the base augmentation.
    Policy,
}

impl Augmentation {
    /// All augmentations, baselines first and the policy last.
    pub const ALL: [Self; 6] = [
        Self::None,
        Self::Cutout,
        Self::Random,
        Self::RandAugment,
        Self::TrivialAugment,
        Self::Policy,
    ];

    /// The baselines that are trained by default. RandAugment is not one: each costs as much as training
    /// with the policy, and TrivialAugment is the same kind of baseline without strengths to tune.
    pub const BASELINES: [Self; 4] = [Self::None, Self::Cutout, Self::Random, Self::TrivialAugment];

    /// Its name in files and on the command line.
    pub fn name(self) -> &'static str {
        self.names().0
    }

    /// Its parts, for people.
    pub fn description(self) -> &'static str {
        self.names().1
    }

    /// What it is called in a sentence, after "the policy is better than".
    pub fn in_words(self) -> &'static str {
        self.names().2
    }

    fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::None => ("none", "crop, flip", "crop and flip alone"),
            Self::Cutout => ("cutout", "crop, flip, Cutout (base)", "Cutout"),
            Self::Random => ("random", "random policy + base", "a random policy"),
            Self::RandAugment => ("randaugment", "RandAugment + base", "RandAugment"),
            Self::TrivialAugment => ("trivialaugment", "TrivialAugment + base", "TrivialAugment"),
            Self::Policy => ("policy", "the policy + base", "the policy"),
        }
    }

    /// The shipped policy that it is, if it is one.
    pub(crate) fn shipped_policy(self) -> Option<Policy> {
        let name = match self {
            Self::RandAugment => "randaugment",
            Self::TrivialAugment => "trivialaugment-wide",
            _ => return None,
        };
        let policy = shipped().iter().find(|policy| policy.name == name);
        let policy = policy.expect("it is shipped").policy();
        Some(policy.expect("shipped policies are valid"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_serde_and_shipped_policies_are_found() {
        for augmentation in Augmentation::ALL {
            assert_eq!(
                serde_json::to_value(augmentation).unwrap(),
                augmentation.name()
            );
        }
        let shipped = Augmentation::ALL.map(|it| it.shipped_policy().map(|policy| policy.name));
        let [None, None, None, Some(rand), Some(trivial), None] = shipped else {
            panic!("{shipped:?}");
        };
        assert_eq!([rand, trivial], ["randaugment", "trivialaugment-wide"]);
    }
}
