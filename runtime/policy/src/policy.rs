use faa_op::OpSet;

use crate::{PolicyError, Provenance, Sampler};

/// A rule by which every image draws its ops, with a name and an origin.
///
/// With serde a policy is the JSON of its file, and what is read is checked as
/// [`Policy::parse`] checks it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Policy {
    /// The policy's name, for people.
    pub name: String,
    /// How an image's ops are drawn.
    pub rule: Rule,
    /// Where the policy came from.
    pub provenance: Provenance,
}

/// The ops that Fast AutoAugment's published code searches over: the paper's, in the order of its
/// table, without SamplePairing.
pub const SEARCHED_OPS: [&str; 15] = [
    "ShearX",
    "ShearY",
    "TranslateX",
    "TranslateY",
    "Rotate",
    "AutoContrast",
    "Invert",
    "Equalize",
    "Solarize",
    "Posterize",
    "Contrast",
    "Color",
    "Brightness",
    "Sharpness",
    "Cutout",
];

/// How an image's ops are drawn. Version 1 of the format has these two; a third would be a new version, which
/// no program may pass over.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    /// At least one sub-policy, of which each image draws one, uniformly.
    SubPolicies(Vec<SubPolicy>),
    /// Ops drawn one by one, as RandAugment and TrivialAugment do.
    Sampler(Sampler),
}

/// Steps that are applied in order; at least one.
pub type SubPolicy = Vec<Step>;

/// One op of a sub-policy.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Step {
    /// The op's name.
    pub op: String,
    /// How often the op is applied, from 0 to 1.
    pub probability: f64,
    /// How strongly.
    pub strength: Strength,
}

impl Step {
    /// A step of these three.
    pub fn new(op: impl Into<String>, probability: f64, strength: Strength) -> Self {
        let op = op.into();
        Self {
            op,
            probability,
            strength,
        }
    }
}

/// How strongly an op is applied. Version 1 of the format has these three; a fourth would be a new version.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Strength {
    /// Not stated: for ops without a value.
    Unstated,
    /// A magnitude from 0 to 1, which spans the op's range. An op without a value ignores it.
    Magnitude(f64),
    /// A value in the op's own unit, within the op's range.
    Value(f64),
}

impl Policy {
    /// A policy without provenance.
    pub fn new(name: impl Into<String>, rule: Rule) -> Self {
        Self {
            name: name.into(),
            rule,
            provenance: Provenance::new(),
        }
    }

    /// A policy of sub-policies, without provenance.
    pub fn of_sub_policies(name: impl Into<String>, sub_policies: Vec<SubPolicy>) -> Self {
        Self::new(name, Rule::SubPolicies(sub_policies))
    }

    /// The sub-policies; none if the rule is a sampler.
    pub fn sub_policies(&self) -> &[SubPolicy] {
        match &self.rule {
            Rule::SubPolicies(sub_policies) => sub_policies,
            Rule::Sampler(_) => &[],
        }
    }

    /// The sampler, if the rule is one.
    pub fn sampler(&self) -> Option<&Sampler> {
        match &self.rule {
            Rule::SubPolicies(_) => None,
            Rule::Sampler(sampler) => Some(sampler),
        }
    }

    /// Checks the policy against the available ops.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong. In sub-policies: none at all, or one without steps; a
    /// probability or magnitude outside 0…1; an unknown op; no strength for an op that needs one; a
    /// value outside the op's range, or for an op without a value. In a sampler: a count, bins or a
    /// bin outside their bounds; no ops, or an unknown one; values for an op without a value, or
    /// values that are not finite.
    pub fn check(&self, ops: &OpSet) -> Result<(), PolicyError> {
        self.resolve(ops).map(drop)
    }
}

/// The candidate most similar to `name`, for "did you mean"; `None` if none is close.
pub fn nearest_name<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let wanted = name.to_lowercase();
    let similarity = |own: &str| strsim::jaro_winkler(&wanted, &own.to_lowercase());
    let candidates = candidates.into_iter();
    let close = (candidates.map(|own| (similarity(own), own))).filter(|(found, _)| *found > 0.8);
    let nearest = close.max_by(|a, b| a.0.total_cmp(&b.0));
    nearest.map(|(_, own)| own.to_owned())
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
