use std::sync::Arc;

use faa_op::{Op, OpSet};

use crate::{PolicyError, Problem};

/// A set of sub-policies; each image draws one, uniformly.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// What people call it.
    pub name: String,
    /// At least one.
    pub sub_policies: Vec<SubPolicy>,
    /// Where it came from: free-form, kept as it is.
    pub provenance: Provenance,
}

/// Steps that are applied in order; at least one.
pub type SubPolicy = Vec<Step>;

/// Facts about a policy's origin.
pub type Provenance = serde_json::Map<String, serde_json::Value>;

/// One op of a sub-policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The op's name.
    pub op: String,
    /// How often the op is applied, from 0 to 1.
    pub probability: f64,
    /// How strongly.
    pub strength: Strength,
}

/// How strongly an op is applied.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Strength {
    /// Not at all stated: for ops that have no value.
    Unstated,
    /// A magnitude from 0 to 1, spread over the op's range. An op without a value ignores it.
    Magnitude(f64),
    /// A value in the op's own unit, within the op's range.
    Value(f64),
}

impl Policy {
    /// Checks the policy against the ops that are to be had.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong: no sub-policy, or one without steps; a probability or
    /// magnitude that is not within 0…1; an unknown op; no strength where the op needs one; a value
    /// outside the op's range, or for an op that has none.
    pub fn check(&self, ops: &OpSet) -> Result<(), PolicyError> {
        self.resolve(ops).map(drop)
    }

    /// Every step with its op, and with the value before mirroring, which is 0 where it has none.
    pub(crate) fn resolve(&self, ops: &OpSet) -> Result<Vec<Vec<Resolved>>, PolicyError> {
        if self.sub_policies.is_empty() {
            return Err(PolicyError::new("sub_policies", Problem::Empty));
        }
        let resolve = |(i, steps): (usize, &SubPolicy)| {
            if steps.is_empty() {
                return Err(PolicyError::new(
                    format!("sub_policies[{i}]"),
                    Problem::Empty,
                ));
            }
            let resolve = |(j, step): (usize, &Step)| {
                step.resolve(ops)
                    .map_err(|(key, problem)| PolicyError::new(step_place(i, j, key), problem))
            };
            steps.iter().enumerate().map(resolve).collect()
        };
        self.sub_policies.iter().enumerate().map(resolve).collect()
    }
}

/// A step whose op is found.
pub(crate) struct Resolved {
    pub(crate) op: Arc<dyn Op>,
    pub(crate) probability: f64,
    pub(crate) value: f64,
}

impl Step {
    /// An error comes with the key at fault.
    fn resolve(&self, ops: &OpSet) -> Result<Resolved, (&'static str, Problem)> {
        let Some(op) = ops.get(&self.op) else {
            let unknown = Problem::UnknownOp {
                op: self.op.clone(),
                nearest: nearest_name(&self.op, ops.iter().map(|op| op.spec().name())),
            };
            return Err(("op", unknown));
        };
        within("probability", self.probability, 0.0, 1.0)?;
        if let Strength::Magnitude(magnitude) = self.strength {
            within("magnitude", magnitude, 0.0, 1.0)?;
        }
        let value = match (op.spec().value_range(), self.strength) {
            (None, Strength::Value(_)) => return Err(("value", Problem::NoValue)),
            (None, _) => 0.0,
            (Some(_), Strength::Unstated) => return Err(("magnitude", Problem::Missing)),
            (Some(range), Strength::Magnitude(magnitude)) => range.value_at(magnitude),
            (Some(range), Strength::Value(value)) => {
                within("value", value, range.low, range.high)?;
                value
            }
        };
        Ok(Resolved {
            op: op.clone(),
            probability: self.probability,
            value,
        })
    }
}

fn within(
    key: &'static str,
    value: f64,
    low: f64,
    high: f64,
) -> Result<(), (&'static str, Problem)> {
    match (low..=high).contains(&value) {
        true => Ok(()),
        false => Err((key, Problem::OutOfRange { value, low, high })),
    }
}

pub(crate) fn step_place(sub_policy: usize, step: usize, key: &str) -> String {
    format!("sub_policies[{sub_policy}][{step}].{key}")
}

/// The candidate most like `name`, for "did you mean": `None` where nothing is close.
pub fn nearest_name<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let wanted = name.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| {
            (
                strsim::jaro_winkler(&wanted, &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_finds_its_neighbour() {
        let names = ["ShearX", "ShearY", "Rotate"];
        assert_eq!(nearest_name("rotat", names), Some("Rotate".into()));
        assert_eq!(nearest_name("Vignette", names), None);
    }
}
