/// What an executor does to one image: one sub-policy, after all draws.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The place of the drawn sub-policy in the policy.
    pub sub_policy: usize,
    /// The ops that are applied, in order; those that their probability passed over are not here.
    pub steps: Vec<PlannedStep>,
}

/// An op that is applied.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedStep {
    /// The place of the step in its sub-policy.
    pub step: usize,
    /// The op's name.
    pub op: String,
    /// The value, after mirroring.
    pub value: f64,
    /// The op's own seed.
    pub seed: u64,
}
