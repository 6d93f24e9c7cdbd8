//! Candidates, scored on one fold.

use faa_policy::{Step, Strength, SubPolicy};
use serde::{Deserialize, Serialize};

use crate::results::Score;

/// A trial: a line of `trials.jsonl`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Trial {
    /// The round within the fold, from 0.
    pub round: usize,
    /// The trial within the round, from 0.
    pub trial: usize,
    /// The value that the candidate is ranked by.
    pub reward: f64,
    /// The candidate's score.
    #[serde(flatten)]
    pub score: Score,
    /// The duration of scoring.
    pub seconds: f64,
    /// The candidate itself.
    #[serde(with = "steps")]
    pub candidate: Vec<SubPolicy>,
}

/// A second scoring of a trial's candidate, with different random draws: a line of `rescorings.jsonl`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Rescoring {
    /// The round within the fold, from 0.
    pub round: usize,
    /// The trial within the round, from 0.
    pub trial: usize,
    /// The reward of the trial.
    pub first: f64,
    /// The reward of the second scoring.
    pub reward: f64,
    /// The score that it is part of.
    #[serde(flatten)]
    pub score: Score,
    /// The duration of scoring.
    pub seconds: f64,
}

/// Sub-policies as `[["ShearX", probability, magnitude], …]`, which keeps the lines of the log short.
mod steps {
    use serde::de::Error;
    use serde::{Deserializer, Serializer};

    use super::{Deserialize, Serialize, Step, Strength, SubPolicy};

    type Short = Vec<Vec<(String, f64, f64)>>;

    pub(super) fn serialize<S: Serializer>(
        candidate: &[SubPolicy],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let short = |step: &Step| match step.strength {
            Strength::Magnitude(magnitude) => (step.op.clone(), step.probability, magnitude),
            _ => unreachable!("candidates have magnitudes"),
        };
        let sub_policy = |steps: &SubPolicy| steps.iter().map(short).collect();
        let short: Short = candidate.iter().map(sub_policy).collect();
        short.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<SubPolicy>, D::Error> {
        let long = |(op, probability, magnitude): (String, f64, f64)| {
            let unit = 0.0..=1.0;
            if !unit.contains(&probability) || !unit.contains(&magnitude) {
                return Err(D::Error::custom(
                    "a probability or magnitude is not in [0, 1]",
                ));
            }
            let strength = Strength::Magnitude(magnitude);
            Ok(Step::new(op, probability, strength))
        };
        let short = Short::deserialize(deserializer)?.into_iter();
        let sub_policies = short.map(|steps| steps.into_iter().map(long).collect());
        sub_policies.collect()
    }
}

#[cfg(test)]
impl Trial {
    /// A trial for tests, which replace the fields that matter.
    pub(crate) fn example() -> Self {
        let step = |op: &str, probability, magnitude| {
            Step::new(op, probability, Strength::Magnitude(magnitude))
        };
        Self {
            reward: 0.75,
            score: Score::new(0.75, 0.5, 1.25),
            seconds: 0.5,
            candidate: vec![vec![
                step("ShearX", 0.1 + 0.2, 1.0),
                step("Invert", 0.0, 1.0 / 3.0),
            ]],
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_holds_the_trial_exactly_and_values_in_range() {
        let line = serde_json::to_string(&Trial::example()).unwrap();
        let start = r#"{"round":0,"trial":0,"reward":0.75,"any":0.75"#;
        assert!(line.starts_with(start), "{line}");
        let read = |line: &str| serde_json::from_str::<Trial>(line);
        assert_eq!(read(&line).unwrap(), Trial::example());

        let error = read(&line.replace("1.0]", "1.5]")).unwrap_err().to_string();
        assert!(error.contains("not in [0, 1]"), "{error}");
    }
}
