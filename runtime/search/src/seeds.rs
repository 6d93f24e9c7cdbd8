//! Seeds for the parts of a run, derived from the run's seed.

use faa_op::{DrawKey, Stream};

/// What a seed is for. Parts of a run with the same purpose differ in their indices.
///
/// The numbers never change, since recorded searches depend on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Purpose {
    /// Which images are used, and which of them are held out.
    Folds = 0,
    /// A network's initial weights.
    Weights = 1,
    /// The order of images in an epoch.
    Shuffle = 2,
    /// The draws of crop, flip and Cutout.
    BaseAugmentation = 3,
    /// The draws of the policy.
    Policy = 4,
    /// The sampler's proposals.
    Sampler = 5,
    /// The random policies that the found one is compared with.
    RandomPolicy = 6,
    /// The training of a fold's network.
    FoldTraining = 7,
    /// The scoring of a candidate.
    Trial = 8,
    /// A final training.
    FinalTraining = 9,
    /// The scoring of all candidates of a round with common draws.
    Round = 10,
    /// The second scoring of candidates of a round.
    Rescoring = 11,
    /// The network of an audit (index 0), and the augmentation of its held-out images (index 1).
    Audit = 16,
    /// The trainings of a rung of successive halving.
    Rung = 20,
    /// The proposal of a policy for successive halving.
    Entrant = 21,
}

/// A seed that depends on the parent seed, the purpose and the indices, and on nothing else.
///
/// Each number in turn is passed to [`Stream::for_image`] as an image's index, and the first 64 bits of
/// that stream are the seed for the next number.
pub fn derive(seed: u64, purpose: Purpose, indices: &[u64]) -> u64 {
    let numbers = std::iter::once(purpose as u64).chain(indices.iter().copied());
    numbers.fold(seed, |seed, index| {
        let epoch = 0;
        Stream::for_image(DrawKey { seed, epoch, index }).next_u64()
    })
}

/// Shuffles `items` uniformly (Fisher and Yates).
pub fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut stream = Stream::for_op(seed);
    for last in (1..items.len()).rev() {
        items.swap(last, stream.below(last as u64 + 1) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_has_a_different_seed() {
        let seeds = [
            derive(1, Purpose::Trial, &[0, 0, 0]),
            derive(1, Purpose::Trial, &[0, 0, 1]),
            derive(1, Purpose::Trial, &[0, 1, 0]),
            derive(1, Purpose::Trial, &[1, 0, 0]),
            derive(1, Purpose::Sampler, &[0, 0, 0]),
            derive(2, Purpose::Trial, &[0, 0, 0]),
            derive(1, Purpose::Round, &[0, 0]),
            derive(1, Purpose::Round, &[0, 1]),
            derive(1, Purpose::Rescoring, &[0, 0]),
            derive(1, Purpose::Rescoring, &[0, 1]),
        ];
        for (index, seed) in seeds.iter().enumerate() {
            assert!(!seeds[..index].contains(seed));
        }
    }

    #[test]
    fn every_order_of_three_is_equally_likely() {
        let mut seen = std::collections::BTreeMap::<_, u32>::new();
        for seed in 0..6000 {
            let mut items = [0, 1, 2];
            shuffle(&mut items, seed);
            *seen.entry(items).or_default() += 1;
        }
        // Six standard deviations of a binomial(6000, 1/6) are 173.
        assert!(seen.len() == 6 && seen.values().all(|count| count.abs_diff(1000) < 173));
    }
}
