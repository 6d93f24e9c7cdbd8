use faa_op::{ImageMut, ImageRef, OpErrorKind, OpSet};
use serde_core::de::{Deserialize, Deserializer, Error};

use crate::draw::Drawn;
use crate::object::{JsonPath, Object};
use crate::one_pass::one_pass_pays;
use crate::resolve::{Fusing, resolve_op};
use crate::steps::Target;
use crate::tree::{self, Tree};
use crate::{ApplyError, PolicyError, PolicyErrorKind, ReplayError, ReplayErrorKind, Workspace};

/// What an executor does to one image, after all draws.
///
/// A plan can be written down, and replayed later without the policy:
///
/// ```json
/// {"sub_policy": 3, "steps": [
///     {"step": 0, "op": "Rotate", "value": -17.25, "seed": 11374962},
///     {"step": 1, "op": "SamplePairing", "value": 0.2, "seed": 96024, "partner": 51}]}
/// ```
///
/// `sub_policy` and `partner` are omitted if there is none.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Plan {
    /// The index of the drawn sub-policy; `None` if the policy is a sampler.
    pub sub_policy: Option<usize>,
    /// The ops that are applied, in order, without those that were skipped by their probability.
    pub steps: Vec<PlannedStep>,
}

/// An op that is applied.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PlannedStep {
    /// The index of the step in its sub-policy, or of the op in the sampler's list.
    pub step: usize,
    /// The op's name.
    pub op: String,
    /// The value, after mirroring; 0 for an op without one.
    pub value: f64,
    /// The op's own seed.
    pub seed: u64,
    /// The index of the partner image, if the op needs one.
    pub partner: Option<u64>,
}

impl Plan {
    /// A plan of these steps.
    pub fn new(sub_policy: Option<usize>, steps: Vec<PlannedStep>) -> Self {
        Self { sub_policy, steps }
    }

    /// Applies the plan to an image, in place: the same bytes as from the executor that made it, given
    /// the same image, the same ops and the same partners.
    ///
    /// # Errors
    ///
    /// [`ReplayErrorKind::Plan`] if the plan does not fit: an unknown op, a value that is not finite
    /// or, for an op without one, not 0, a partner for an op that needs none, no partner for one that does, or one that the workspace
    /// does not have. [`ReplayErrorKind::Apply`] if an op fails; the image may then hold anything.
    pub fn replay(
        &self,
        ops: &OpSet,
        image: &mut ImageMut<'_>,
        workspace: &mut Workspace<'_>,
    ) -> Result<(), ReplayError> {
        self.run(ops, None, image, workspace)
    }

    /// Overwrites `image` with what [`Plan::replay`] makes of `source`, an image of the same shape.
    ///
    /// # Errors
    ///
    /// Those of `replay`, and [`OpErrorKind::SourceShape`] if the shapes differ.
    pub fn replay_to(
        &self,
        ops: &OpSet,
        source: ImageRef<'_>,
        image: &mut ImageMut<'_>,
        workspace: &mut Workspace<'_>,
    ) -> Result<(), ReplayError> {
        if !image.has_shape_of(source) {
            let error = ApplyError::new(None, OpErrorKind::SourceShape);
            return Err(ReplayErrorKind::Apply(error).into());
        }
        self.run(ops, Some(source), image, workspace)
    }

    fn run(
        &self,
        ops: &OpSet,
        source: Option<ImageRef<'_>>,
        image: &mut ImageMut<'_>,
        workspace: &mut Workspace<'_>,
    ) -> Result<(), ReplayError> {
        let drawn = self.resolve(ops, workspace.partner_count())?;
        let one_pass = one_pass_pays(image.samples().len());
        let target = Target {
            source,
            image,
            partners: workspace.partners,
            scratch: &mut workspace.scratch,
            one_pass,
        };
        let applied = target.apply(drawn.into_iter());
        Ok(applied.map_err(ReplayErrorKind::Apply)?)
    }

    /// The steps with their ops looked up, to be applied with this number of partners.
    pub(crate) fn resolve<'a>(
        &self,
        ops: &'a OpSet,
        partners: u64,
    ) -> Result<Vec<Drawn<'a>>, ReplayError> {
        let path = JsonPath::root().key("steps");
        let resolve = |(index, step): (usize, &PlannedStep)| {
            let resolved = step.resolve(ops, partners, &path.item(index));
            resolved.map_err(|error| ReplayErrorKind::Plan(error).into())
        };
        self.steps.iter().enumerate().map(resolve).collect()
    }

    /// Reads a plan.
    ///
    /// # Errors
    ///
    /// Whatever is malformed, with its path, as in [`Policy::parse`](crate::Policy::parse).
    pub fn parse(json: &[u8]) -> Result<Self, PolicyError> {
        Self::from_tree(&tree::read(json)?)
    }

    fn from_tree(tree: &Tree) -> Result<Self, PolicyError> {
        let root = Object::new(JsonPath::root(), tree)?;
        root.allow(&["sub_policy", "steps"])?;
        let steps = root.list_or_empty("steps")?.iter().enumerate();
        let path = root.path_of("steps");
        let step = |(index, step)| parse_step(&Object::new(path.item(index), step)?);
        Ok(Self {
            sub_policy: root.optional("sub_policy", Object::usize)?,
            steps: steps.map(step).collect::<Result<_, _>>()?,
        })
    }
}

/// Checks what [`Plan::parse`] checks, limits included.
impl<'de> Deserialize<'de> for Plan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let tree = tree::deserialize(deserializer)?;
        Self::from_tree(&tree).map_err(D::Error::custom)
    }
}

impl PlannedStep {
    /// A step of these five.
    pub fn new(
        step: usize,
        op: impl Into<String>,
        value: f64,
        seed: u64,
        partner: Option<u64>,
    ) -> Self {
        Self {
            step,
            op: op.into(),
            value,
            seed,
            partner,
        }
    }

    pub(crate) fn of(drawn: &Drawn<'_>) -> Self {
        let op = drawn.op.spec().name();
        Self::new(drawn.index, op, drawn.value, drawn.seed, drawn.partner)
    }

    fn resolve<'a>(
        &self,
        ops: &'a OpSet,
        count: u64,
        path: &JsonPath,
    ) -> Result<Drawn<'a>, PolicyError> {
        let op = resolve_op(&self.op, ops, &path.key("op"))?;
        let value = path.key("value");
        if value.finite(self.value)? != 0.0 && op.spec().value_range().is_none() {
            return Err(value.error(PolicyErrorKind::NoValue));
        }
        let partner = match (op.spec().needs_partner(), self.partner) {
            (true, None) => Some(PolicyErrorKind::Missing),
            (false, Some(_)) => Some(PolicyErrorKind::NoPartner),
            (true, Some(index)) if index >= count => {
                Some(PolicyErrorKind::NoSuchPartner { index, count })
            }
            _ => None,
        };
        if let Some(kind) = partner {
            return Err(path.key("partner").error(kind));
        }
        Ok(Drawn {
            index: self.step,
            op: op.as_ref(),
            value: self.value,
            seed: self.seed,
            partner: self.partner,
            fusing: Fusing::ALWAYS,
        })
    }
}

fn parse_step(step: &Object<'_>) -> Result<PlannedStep, PolicyError> {
    step.allow(&["step", "op", "value", "seed", "partner"])?;
    Ok(PlannedStep::new(
        step.usize("step")?,
        step.string("op")?,
        step.f64("value")?,
        step.u64("seed")?,
        step.optional("partner", Object::u64)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_plans_are_refused_with_the_path() {
        let cases = [
            ("step", "-1", "a non-negative integer of at most 64 bits"),
            ("seed", "1.5", "a non-negative integer of at most 64 bits"),
            (
                "seed",
                "18446744073709551616",
                "a non-negative integer of at most 64 bits",
            ),
            ("op", "7", "a string"),
            ("value", "null", "a number"),
        ];
        for (key, value, expected) in cases {
            let keys = [
                ("step", "0"),
                ("op", "\"A\""),
                ("value", "1"),
                ("seed", "2"),
            ];
            let own =
                |(own, other)| format!("\"{own}\": {}", if own == key { value } else { other });
            let step = keys.map(own).join(", ");
            let json = format!(r#"{{"sub_policy": 0, "steps": [{{{step}}}]}}"#);
            let error = Plan::parse(json.as_bytes()).unwrap_err();
            let kind = PolicyErrorKind::WrongType { expected };
            assert_eq!(error, PolicyError::new(format!("steps[0].{key}"), kind));
        }
        let error = |json: &str| Plan::parse(json.as_bytes()).unwrap_err().to_string();
        assert_eq!(error("{}"), "steps: missing");
        assert_eq!(error(r#"{"steps": [], "step": 1}"#), "step: unknown key");
        assert_eq!(
            error(r#"{"steps": [{"step": 1, "step": 1}]}"#),
            "steps[0].step: duplicate key"
        );
    }
}
