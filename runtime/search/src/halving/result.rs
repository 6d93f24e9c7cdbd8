//! The result of successive halving.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::entrant::{Entrant, Origin};
use super::explanation::{Effect, effects, sentences};
use super::model::Estimate;
use super::space::PolicySpace;
use super::training::{RungTraining, mean};
use crate::config::HalvingConfig;

/// What successive halving found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HalvingResult {
    /// The policies of the last rung, those with the lowest mean validation loss first and diverged ones
    /// last. The first is the policy that was found.
    pub standings: Vec<Standing>,
    /// What each op does, by an additive model of all trainings.
    pub effects: Vec<Effect>,
    /// What is clear of noise in the effects, in sentences.
    pub explanation: Vec<String>,
}

/// A policy in the last rung.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Standing {
    /// The policy's number.
    pub entrant: usize,
    /// The policy's name, for people.
    pub name: String,
    /// Where the policy comes from.
    pub origin: Origin,
    /// The validation loss of each training that did not diverge, in nats.
    pub losses: Vec<f64>,
    /// The validation errors, fractions.
    pub errors: Vec<f64>,
    /// The number of further trainings, which diverged.
    pub diverged: usize,
    /// How much higher the mean loss is than the first policy's; `None` where that is not known: after a
    /// divergence, or with a single seed.
    pub difference: Option<Estimate>,
}

impl Standing {
    /// The standing of a policy with these trainings in the last rung.
    fn new(entrant: &Entrant, trainings: &[&RungTraining]) -> Self {
        let evaluations = || trainings.iter().filter_map(|it| it.evaluation.as_ref());
        Self {
            entrant: entrant.entrant,
            name: entrant.name(),
            origin: entrant.origin.clone(),
            losses: evaluations().map(|it| it.loss).collect(),
            errors: evaluations().map(|it| it.error).collect(),
            diverged: trainings
                .iter()
                .filter(|it| it.evaluation.is_none())
                .count(),
            difference: None,
        }
    }

    /// The mean validation loss; `None` if a training diverged, or there is none.
    pub fn mean_loss(&self) -> Option<f64> {
        (self.diverged == 0 && !self.losses.is_empty()).then(|| mean(&self.losses))
    }

    /// The mean validation error of the trainings that did not diverge.
    pub fn mean_error(&self) -> Option<f64> {
        (!self.errors.is_empty()).then(|| mean(&self.errors))
    }

    /// Whether the 95 % interval of the difference from the first policy's mean loss includes 0, if that is
    /// known.
    pub fn is_equal(&self) -> Option<bool> {
        self.difference.map(|it| !it.is_clear())
    }
}

impl HalvingResult {
    /// The result of these trainings. Those that are missing in an unfinished run are passed over.
    pub fn of(config: &HalvingConfig, entrants: &[Entrant], trainings: &[RungTraining]) -> Self {
        let last = config.rungs.get() - 1;
        let mut in_last = BTreeMap::<usize, Vec<&RungTraining>>::new();
        for training in trainings.iter().filter(|it| it.rung == last) {
            in_last.entry(training.entrant).or_default().push(training);
        }
        let standing = |it: &Entrant| {
            let trainings = in_last.get(&it.entrant).map_or(&[][..], Vec::as_slice);
            Standing::new(it, trainings)
        };
        let entrants_in_last = entrants.iter().filter(|it| it.rung == last);
        let mut standings: Vec<_> = entrants_in_last.map(standing).collect();
        // The sort is stable, so ties go to the policy that was better in the rung before.
        standings.sort_by(|a, b| {
            let [a, b] = [a, b].map(|it| it.mean_loss().unwrap_or(f64::INFINITY));
            a.total_cmp(&b)
        });
        compare(&mut standings);
        let effects = effects(&PolicySpace::new(&config.ops), entrants, trainings);
        Self {
            standings,
            explanation: sentences(&effects),
            effects,
        }
    }

    /// The policy with the lowest mean loss; `None` if all have diverged.
    pub fn winner(&self) -> Option<&Standing> {
        self.standings.first().filter(|it| it.mean_loss().is_some())
    }

    /// The policies, other than the first, whose losses are equal to its within noise; `None` if that is
    /// not known ([`why_unknown`](Self::why_unknown)).
    pub fn equals(&self) -> Option<Vec<&Standing>> {
        self.winner()?.difference?;
        let others = self.standings.iter().skip(1);
        Some(others.filter(|it| it.is_equal() == Some(true)).collect())
    }

    /// Why it is not known which policies are equal within noise, for people; `None` if it is known, or if
    /// all have diverged.
    pub fn why_unknown(&self) -> Option<&'static str> {
        let winner = self.winner().filter(|it| it.difference.is_none())?;
        Some(match winner.losses.len() {
            1 => "a single seed does not tell which differences are noise",
            _ => "no other policy has finished all of its trainings",
        })
    }
}

/// Compares all policies with the first.
///
/// All have the same seeds, so a loss is the sum of a constant of its policy, one of its seed, and noise. The
/// variance s² of the noise is estimated from all policies together, with (policies − 1)(seeds − 1) degrees
/// of freedom, and a difference of two means has the standard error s √(2 / seeds).
fn compare(standings: &mut [Standing]) {
    let seeds = standings.first().map_or(0, |it| it.losses.len());
    let is_complete = |it: &&mut Standing| it.diverged == 0 && it.losses.len() == seeds;
    let mut complete: Vec<_> = standings.iter_mut().filter(is_complete).collect();
    if seeds < 2 || complete.len() < 2 {
        return;
    }
    let of_policy: Vec<f64> = complete.iter().map(|it| mean(&it.losses)).collect();
    let of_seed = |seed: usize| {
        let losses: Vec<f64> = complete.iter().map(|it| it.losses[seed]).collect();
        mean(&losses)
    };
    let of_seeds: Vec<f64> = (0..seeds).map(of_seed).collect();
    let grand = mean(&of_policy);
    let mut squares = 0.0;
    for (standing, policy) in complete.iter().zip(&of_policy) {
        for (loss, seed) in standing.losses.iter().zip(&of_seeds) {
            squares += (loss - policy - seed + grand).powi(2);
        }
    }
    let freedom = ((complete.len() - 1) * (seeds - 1)) as f64;
    let standard_error = (squares / freedom * 2.0 / seeds as f64).sqrt();
    for (standing, mean) in complete.iter_mut().zip(&of_policy) {
        let difference = mean - of_policy[0];
        standing.difference = Some(Estimate::new(difference, standard_error, freedom));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Preset;
    use crate::results::Evaluation;

    fn result(losses: &[&[Option<f64>]]) -> HalvingResult {
        let config = HalvingConfig::preset(Preset::Demo);
        let (mut entrants, mut trainings) = (Vec::new(), Vec::new());
        for (number, losses) in losses.iter().enumerate() {
            let fixed = Entrant::fixed(number, &format!("policy {number}"), None);
            entrants.push(fixed.in_rung(1));
            for (seed, loss) in losses.iter().enumerate() {
                let evaluation = loss.map(|loss| Evaluation::new(0.5, loss));
                trainings.push(RungTraining::new(1, number, seed, evaluation));
            }
        }
        HalvingResult::of(&config, &entrants, &trainings)
    }

    #[test]
    fn the_lowest_mean_wins_and_others_may_be_equal_within_noise() {
        let result = result(&[
            &[Some(0.45), Some(0.55)],
            &[Some(0.39), Some(0.45)],
            &[Some(0.39), Some(0.41)],
            &[Some(0.61), Some(0.59)],
        ]);
        let order: Vec<_> = result.standings.iter().map(|it| it.entrant).collect();
        assert_eq!(order, [2, 1, 0, 3]);
        assert_eq!(result.winner().unwrap().name, "policy 2");
        // Half of the differences between the seeds are 0.05, 0.03, 0.01 and −0.01; their mean is 0.02.
        let squares: f64 = [0.03_f64, 0.01, -0.01, -0.03]
            .map(|it| 2.0 * it * it)
            .iter()
            .sum();
        let expected = (squares / 3.0).sqrt();
        let difference = result.standings[3].difference.unwrap();
        assert!((difference.standard_error - expected).abs() < 1e-12);
        assert!((difference.value - 0.2).abs() < 1e-12);
        // With three degrees of freedom, the interval reaches 3.18 standard errors, which are 0.0365. So 0.1
        // is not clear of noise, although it is more than two of them.
        assert!((difference.freedom - 3.0).abs() < 1e-12);
        let equals = result.equals().unwrap();
        let equals: Vec<_> = equals.iter().map(|it| it.entrant).collect();
        assert_eq!(equals, [1, 0]);
        assert_eq!(result.why_unknown(), None);
        assert!(result.effects.is_empty());
    }

    #[test]
    fn a_single_seed_does_not_tell_what_is_noise() {
        let one = result(&[&[Some(0.45)], &[Some(0.39)]]);
        assert_eq!(one.winner().unwrap().entrant, 1);
        assert_eq!(one.equals(), None);
        let why = "a single seed does not tell which differences are noise";
        assert_eq!(one.why_unknown(), Some(why));
        let alone = result(&[&[Some(0.45), Some(0.39)], &[None, None]]);
        let why = "no other policy has finished all of its trainings";
        assert_eq!((alone.equals(), alone.why_unknown()), (None, Some(why)));
    }

    #[test]
    fn a_policy_that_diverged_loses() {
        let result = result(&[&[Some(0.1), None], &[Some(0.9), Some(0.9)], &[None, None]]);
        let order: Vec<_> = result.standings.iter().map(|it| it.entrant).collect();
        assert_eq!(order, [1, 0, 2]);
        assert_eq!(result.standings[1].mean_loss(), None);
        assert_eq!(result.equals(), None);
        let none = super::tests::result(&[&[None], &[None]]);
        assert_eq!((none.winner(), none.why_unknown()), (None, None));
    }
}
