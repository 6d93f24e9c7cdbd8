use faa_op::OpSet;

use crate::{PolicyError, Sampler};

/// A rule by which every image draws its ops, with a name and an origin.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// What people call it.
    pub name: String,
    /// How an image's ops are drawn.
    pub rule: Rule,
    /// Where it came from: free-form, kept as it is.
    pub provenance: Provenance,
}

/// How an image's ops are drawn.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    /// At least one sub-policy, of which each image draws one, uniformly.
    SubPolicies(Vec<SubPolicy>),
    /// Ops drawn one by one, as RandAugment and TrivialAugment do.
    Sampler(Sampler),
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
    /// A policy of sub-policies, without provenance.
    pub fn of_sub_policies(name: impl Into<String>, sub_policies: Vec<SubPolicy>) -> Self {
        Self {
            name: name.into(),
            rule: Rule::SubPolicies(sub_policies),
            provenance: Provenance::new(),
        }
    }

    /// The sub-policies; none where the rule is a sampler.
    pub fn sub_policies(&self) -> &[SubPolicy] {
        match &self.rule {
            Rule::SubPolicies(sub_policies) => sub_policies,
            Rule::Sampler(_) => &[],
        }
    }

    /// The sampler, where the rule is one.
    pub fn sampler(&self) -> Option<&Sampler> {
        match &self.rule {
            Rule::SubPolicies(_) => None,
            Rule::Sampler(sampler) => Some(sampler),
        }
    }

    /// Checks the policy against the ops that are to be had.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong. In sub-policies: none at all, or one without steps; a
    /// probability or magnitude that is not within 0…1; an unknown op; no strength where the op
    /// needs one; a value outside the op's range, or for an op that has none. In a sampler: a
    /// count, bins or a bin beyond their bounds; no ops, or an unknown one; values for an op that
    /// has none, or values that are not finite.
    pub fn check(&self, ops: &OpSet) -> Result<(), PolicyError> {
        self.resolve(ops).map(drop)
    }
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
