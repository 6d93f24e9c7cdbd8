//! What each op and each end of its range does to the validation loss and error.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::entrant::Entrant;
use super::model::{Estimate, Observation, Ridge};
use super::space::{Point, PolicySpace};
use super::training::RungTraining;
use crate::config::HalvingConfig;
use crate::results::Evaluation;

/// What one change of a policy does, by the additive model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Effect {
    /// The change.
    pub change: Change,
    /// The number of policies with it.
    pub entrants: usize,
    /// What it adds to the validation loss, in nats.
    pub loss: Estimate,
    /// What it adds to the validation error, a fraction.
    pub error: Estimate,
}

/// A change of a policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Change {
    /// An op is on, with values up to this end, and not off.
    Op {
        /// The op.
        op: String,
        /// The step of the end, from 1.
        step: u8,
        /// The end, if the op has values.
        end: Option<f64>,
        /// Whether values fall towards the end.
        falling: bool,
        /// The unit of the end.
        unit: String,
    },
    /// The values of an op go on to the end of its range, and do not stop before.
    Beyond {
        /// The op.
        op: String,
        /// The step at which they would stop, from 1.
        step: u8,
        /// The value at that step.
        end: f64,
        /// Whether values fall towards the end.
        falling: bool,
        /// The unit of the value.
        unit: String,
    },
    /// Two ops are drawn per image, and not one.
    TwoOps,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Op {
                op,
                end: Some(end),
                falling,
                unit,
                ..
            } => {
                let to = if *falling { "down to" } else { "up to" };
                write!(f, "{op} {to} {} {unit}", short(*end))
            }
            Self::Op { op, .. } => f.write_str(op),
            Self::Beyond {
                op,
                end,
                falling,
                unit,
                ..
            } => {
                let side = if *falling { "below" } else { "beyond" };
                write!(f, "{op} {side} {} {unit}", short(*end))
            }
            Self::TwoOps => f.write_str("two ops per image"),
        }
    }
}

impl Effect {
    /// What the change costs or saves, as a sentence; `None` if neither the error nor the loss is clear of
    /// noise ([`Estimate::is_clear`]).
    pub fn sentence(&self) -> Option<String> {
        let (estimate, amount) = if self.error.is_clear() {
            let Estimate {
                value,
                standard_error,
                ..
            } = self.error;
            let points = [value.abs(), standard_error].map(|it| 100.0 * it);
            let words = format!(
                "{:.1} ± {:.1} points of validation error",
                points[0], points[1]
            );
            (self.error, words)
        } else if self.loss.is_clear() {
            let Estimate {
                value,
                standard_error,
                ..
            } = self.loss;
            let words = format!(
                "{:.3} ± {standard_error:.3} of validation loss",
                value.abs()
            );
            (self.loss, words)
        } else {
            return None;
        };
        let verb = if estimate.value > 0.0 {
            "costs"
        } else {
            "saves"
        };
        let (subject, other) = match &self.change {
            Change::TwoOps => ("drawing two ops per image".to_owned(), " compared with one"),
            op @ Change::Op { .. } => (op.to_string(), " compared with off"),
            beyond @ Change::Beyond { .. } => (beyond.to_string(), ""),
        };
        Some(format!("{subject} {verb} {amount}{other}"))
    }

    /// How far the effect is from 0, in standard errors: of the error, if that is clear, or else of the
    /// loss.
    fn clarity(&self) -> f64 {
        let ratio = |it: Estimate| it.value.abs() / it.standard_error;
        match self.error.is_clear() {
            true => ratio(self.error),
            false => ratio(self.loss),
        }
    }
}

/// The effects of every op at every end that a trained policy has, and beyond it, in the order of the
/// configuration, and that of drawing two ops; none if there are too few trainings.
pub(super) fn effects(
    space: &PolicySpace<'_>,
    entrants: &[Entrant],
    trainings: &[RungTraining],
) -> Vec<Effect> {
    if space.ops().len() > HalvingConfig::MAX_OPS {
        return Vec::new();
    }
    let fit = |response| Ridge::fit(&observations(space, entrants, trainings, response));
    let (Some(loss), Some(error)) = (fit(|it| it.loss), fit(|it| it.error)) else {
        return Vec::new();
    };
    let points = trained_points(space, entrants, trainings);
    let off = Point::new(1, vec![0; space.ops().len()]);
    let effect = |change, [from, to]: [&Point; 2], entrants| {
        let [from, to] = [from, to].map(|point| space.features(point));
        let difference: Vec<f64> = to.iter().zip(&from).map(|(to, from)| to - from).collect();
        Effect {
            change,
            entrants,
            loss: loss.effect(&difference),
            error: error.effect(&difference),
        }
    };
    let mut effects = Vec::new();
    for (index, op) in space.ops().iter().enumerate() {
        let max = space.max_step(index);
        let at = |step| {
            let mut point = off.clone();
            point.steps[index] = step;
            point
        };
        let with = |step| points.values().filter(|it| it.steps[index] == step).count();
        let (name, values) = (|| op.op.clone(), op.values.as_ref());
        let falling = values.is_some_and(|it| it.high < it.low);
        let unit = || values.map_or_else(String::new, |it| it.unit.clone());
        for step in (1..=max).filter(|step| with(*step) > 0) {
            let change = Change::Op {
                op: name(),
                step,
                end: space.end(index, step),
                falling,
                unit: unit(),
            };
            effects.push(effect(change, [&off, &at(step)], with(step)));
        }
        for step in (1..max).filter(|step| with(*step) > 0 && with(max) > 0) {
            let Some(end) = space.end(index, step) else {
                continue;
            };
            let change = Change::Beyond {
                op: name(),
                step,
                end,
                falling,
                unit: unit(),
            };
            let further = (step + 1..=max).map(with).sum();
            effects.push(effect(change, [&at(step), &at(max)], further));
        }
    }
    let mut point = off.clone();
    point.count = 2;
    let with = points.values().filter(|it| it.count == 2).count();
    if with > 0 {
        effects.push(effect(Change::TwoOps, [&off, &point], with));
    }
    effects
}

/// The sentences of the effects, the clearest first; at most one that compares an op with off, and one on
/// how far its values go.
pub(super) fn sentences(effects: &[Effect]) -> Vec<String> {
    let mut clear: Vec<_> = effects
        .iter()
        .filter_map(|it| Some((it, it.sentence()?)))
        .collect();
    clear.sort_by(|(a, _), (b, _)| b.clarity().total_cmp(&a.clarity()));
    let mut named: Vec<(&str, bool)> = Vec::new();
    clear.retain(|(effect, _)| {
        let name = match &effect.change {
            Change::Op { op, .. } => (op.as_str(), false),
            Change::Beyond { op, .. } => (op.as_str(), true),
            Change::TwoOps => return true,
        };
        let is_new = !named.contains(&name);
        named.push(name);
        is_new
    });
    clear.into_iter().map(|(_, sentence)| sentence).collect()
}

/// All finished trainings of policies of the space, as observations. Every policy counts once, however many
/// trainings it has: those that are better trained more often.
pub(crate) fn observations(
    space: &PolicySpace<'_>,
    entrants: &[Entrant],
    trainings: &[RungTraining],
    response: fn(&Evaluation) -> f64,
) -> Vec<Observation> {
    let points = trained_points(space, entrants, trainings);
    let finished = || trainings.iter().filter(|it| it.evaluation.is_some());
    let mut counts = BTreeMap::<usize, usize>::new();
    let mut blocks = BTreeMap::new();
    for training in finished() {
        *counts.entry(training.entrant).or_default() += 1;
        let next = blocks.len();
        blocks.entry((training.rung, training.seed)).or_insert(next);
    }
    let observation = |training: &RungTraining| {
        Some(Observation {
            block: blocks[&(training.rung, training.seed)],
            weight: 1.0 / counts[&training.entrant] as f64,
            features: space.features(points.get(&training.entrant)?),
            response: response(training.evaluation.as_ref()?),
        })
    };
    finished().filter_map(observation).collect()
}

/// The points of the policies that have a finished training, by number.
fn trained_points<'a>(
    space: &PolicySpace<'_>,
    entrants: &'a [Entrant],
    trainings: &[RungTraining],
) -> BTreeMap<usize, &'a Point> {
    let finished = trainings.iter().filter(|it| it.evaluation.is_some());
    let trained: BTreeSet<_> = finished.map(|it| it.entrant).collect();
    let point = |it: &'a Entrant| {
        let point = it.point.as_ref()?;
        let is_usable = trained.contains(&it.entrant) && space.contains(point);
        is_usable.then_some((it.entrant, point))
    };
    entrants.iter().filter_map(point).collect()
}

/// A value without a rest of digits that nobody set.
fn short(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effect(change: Change, error: [f64; 2], loss: [f64; 2]) -> Effect {
        // The interval reaches 2.0003 standard errors.
        let estimate =
            |[value, standard_error]: [f64; 2]| Estimate::new(value, standard_error, 60.0);
        Effect {
            change,
            entrants: 3,
            loss: estimate(loss),
            error: estimate(error),
        }
    }

    fn op(op: &str, end: Option<f64>, falling: bool, unit: &str) -> Change {
        Change::Op {
            op: op.to_owned(),
            step: 4,
            end,
            falling,
            unit: unit.to_owned(),
        }
    }

    fn beyond(op: &str, end: f64, falling: bool, unit: &str) -> Change {
        let (op, unit) = (op.to_owned(), unit.to_owned());
        Change::Beyond {
            op,
            step: 1,
            end,
            falling,
            unit,
        }
    }

    #[test]
    fn sentences_state_only_what_is_clear_of_noise() {
        let rotate = op("Rotate", Some(135.0), false, "degrees");
        for (effect, expected) in [
            (
                effect(rotate.clone(), [0.018, 0.004], [0.1, 0.1]),
                Some(
                    "Rotate up to 135 degrees costs 1.8 ± 0.4 points of validation error compared \
                     with off",
                ),
            ),
            (
                effect(
                    op("Posterize", Some(3.5), true, "bits"),
                    [0.01, 0.01],
                    [-0.25, 0.1],
                ),
                Some(
                    "Posterize down to 3.5 bits saves 0.250 ± 0.100 of validation loss compared with \
                     off",
                ),
            ),
            (effect(rotate, [0.018, 0.009], [0.0, 0.0]), None),
            (
                effect(
                    beyond("Rotate", 33.75, false, "degrees"),
                    [0.018, 0.004],
                    [0.0, 1.0],
                ),
                Some("Rotate beyond 33.75 degrees costs 1.8 ± 0.4 points of validation error"),
            ),
            (
                effect(
                    beyond("Posterize", 6.5, true, "bits"),
                    [0.0, 1.0],
                    [0.1, 0.02],
                ),
                Some("Posterize below 6.5 bits costs 0.100 ± 0.020 of validation loss"),
            ),
            (
                effect(Change::TwoOps, [-0.03, 0.01], [0.0, 1.0]),
                Some(
                    "drawing two ops per image saves 3.0 ± 1.0 points of validation error compared \
                     with one",
                ),
            ),
        ] {
            assert_eq!(effect.sentence().as_deref(), expected);
        }
    }

    #[test]
    fn an_op_has_one_sentence_of_each_kind_and_the_clearest_comes_first() {
        let end = |step| op("Rotate", Some(step), false, "degrees");
        let all = [
            effect(end(90.0), [0.02, 0.005], [0.0, 1.0]),
            effect(op("Invert", None, false, ""), [0.05, 0.005], [0.0, 1.0]),
            effect(end(135.0), [0.03, 0.005], [0.0, 1.0]),
            effect(
                beyond("Rotate", 90.0, false, "degrees"),
                [0.015, 0.005],
                [0.0, 1.0],
            ),
            effect(
                beyond("Rotate", 45.0, false, "degrees"),
                [0.02, 0.005],
                [0.0, 1.0],
            ),
        ];
        let found = sentences(&all);
        assert!(
            found[0].starts_with("Invert costs 5.0 ± 0.5 points"),
            "{found:?}"
        );
        assert!(
            found[1].starts_with("Rotate up to 135 degrees costs 3.0"),
            "{found:?}"
        );
        assert!(
            found[2].starts_with("Rotate beyond 45 degrees costs 2.0"),
            "{found:?}"
        );
        assert_eq!(found.len(), 3);
    }
}
