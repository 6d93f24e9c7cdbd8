//! The policies that take part in a rung.

use std::fmt;

use faa_policy::Policy;
use serde::{Deserialize, Serialize};

use super::space::{Point, PolicySpace};

/// A policy in a rung: a line of `halving/entrants.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Entrant {
    /// The rung, from 0.
    pub rung: usize,
    /// The policy's number, which it keeps in later rungs.
    pub entrant: usize,
    /// Where the policy comes from.
    pub origin: Origin,
    /// The policy, if it is one of the search space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point: Option<Point>,
    /// The policy, if it is a fixed one; `None` for the base augmentation alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
}

/// Where a policy of successive halving comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Origin {
    /// It was drawn uniformly.
    Random,
    /// The additive model proposed it.
    Model,
    /// It is a fixed one of this name, which takes part in the last two rungs in any case.
    Fixed(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Random => f.write_str("random"),
            Self::Model => f.write_str("model"),
            Self::Fixed(_) => f.write_str("fixed"),
        }
    }
}

impl Entrant {
    /// A policy of the search space, in the first rung.
    pub(crate) fn searched(entrant: usize, origin: Origin, point: Point) -> Self {
        Self {
            rung: 0,
            entrant,
            origin,
            point: Some(point),
            policy: None,
        }
    }

    /// A fixed policy.
    pub(crate) fn fixed(entrant: usize, name: &str, policy: Option<Policy>) -> Self {
        Self {
            rung: 0,
            entrant,
            origin: Origin::Fixed(name.to_owned()),
            point: None,
            policy,
        }
    }

    /// The same policy in a different rung.
    pub(crate) fn in_rung(&self, rung: usize) -> Self {
        Self {
            rung,
            ..self.clone()
        }
    }

    /// Whether both are the same policy in the same rung. What a policy says of itself besides, its name and
    /// provenance, names the data set, which may have moved since one of them was recorded.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let decides = |it: &Self| {
            let rule = it.policy.as_ref().map(|policy| policy.rule.clone());
            let (origin, point) = (it.origin.clone(), it.point.clone());
            (it.rung, it.entrant, origin, point, rule)
        };
        decides(self) == decides(other)
    }

    /// Whether it takes part in any case.
    pub fn is_fixed(&self) -> bool {
        matches!(self.origin, Origin::Fixed(_))
    }

    /// Its name, for people: that of a fixed policy, or its number.
    pub fn name(&self) -> String {
        match &self.origin {
            Origin::Fixed(name) => name.clone(),
            _ => format!("entrant {}", self.entrant),
        }
    }

    /// The policy that precedes the base augmentation, if there is one.
    pub fn policy(&self, space: &PolicySpace<'_>) -> Option<Policy> {
        match &self.point {
            Some(point) => Some(space.policy(&self.name(), point)),
            None => self.policy.clone(),
        }
    }
}
