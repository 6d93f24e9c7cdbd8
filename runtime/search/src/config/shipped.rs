//! The shipped policies that others are compared with.

use faa_policy::{Policy, shipped};

/// TrivialAugment's wide space.
pub(crate) fn trivial_augment() -> Policy {
    policy("trivialaugment-wide")
}

/// RandAugment with two ops of strength 9.
pub(crate) fn rand_augment() -> Policy {
    policy("randaugment")
}

fn policy(name: &str) -> Policy {
    let mut shipped = shipped().iter();
    let found = shipped.find(|policy| policy.name == name);
    let found = found.expect("the policy is shipped");
    found.policy().expect("shipped policies are valid")
}
