use faa_op::{OpSet, ValueRange};

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
    /// The first step that names an unknown op, states no strength where its op needs one, or a
    /// value outside the op's range.
    pub fn check(&self, ops: &OpSet) -> Result<(), PolicyError> {
        for (i, sub_policy) in self.sub_policies.iter().enumerate() {
            for (j, step) in sub_policy.iter().enumerate() {
                step.resolve(ops)
                    .map_err(|(key, problem)| PolicyError::new(step_place(i, j, key), problem))?;
            }
        }
        Ok(())
    }
}

impl Step {
    /// The value before mirroring; 0 for an op without one. An error comes with the key at fault.
    pub(crate) fn resolve(&self, ops: &OpSet) -> Result<f64, (&'static str, Problem)> {
        let Some(op) = ops.get(&self.op) else {
            let unknown = Problem::UnknownOp {
                op: self.op.clone(),
                nearest: nearest_name(&self.op, ops.iter().map(|op| op.spec().name())),
            };
            return Err(("op", unknown));
        };
        match op.spec().value_range() {
            None => Ok(0.0),
            Some(range) => self.value_within(range),
        }
    }

    fn value_within(&self, range: &ValueRange) -> Result<f64, (&'static str, Problem)> {
        match self.strength {
            Strength::Unstated => Err(("magnitude", Problem::Missing)),
            Strength::Magnitude(magnitude) => Ok(range.value_at(magnitude)),
            Strength::Value(value) if range.contains(value) => Ok(value),
            Strength::Value(value) => {
                let (low, high) = (range.low, range.high);
                Err(("value", Problem::OutOfRange { value, low, high }))
            }
        }
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
