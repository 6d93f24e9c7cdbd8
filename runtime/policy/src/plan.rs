use faa_op::{ImageMut, OpSet};
use serde_json::Value;

use crate::draw::Drawn;
use crate::parse::{Object, Place};
use crate::points::one_pass_pays;
use crate::resolve::{Fusing, find};
use crate::steps::Target;
use crate::{ApplyError, PolicyError, Problem, ReplayError, Workspace};

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
/// `sub_policy` and `partner` are left away where there is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The place of the drawn sub-policy in the policy; `None` where the policy is a sampler.
    pub sub_policy: Option<usize>,
    /// The ops that are applied, in order; those that their probability passed over are not here.
    pub steps: Vec<PlannedStep>,
}

/// An op that is applied.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedStep {
    /// The place of the step in its sub-policy, or of the op in the sampler's list.
    pub step: usize,
    /// The op's name.
    pub op: String,
    /// The value, after mirroring; 0 for an op without one.
    pub value: f64,
    /// The op's own seed.
    pub seed: u64,
    /// The place of the partner image in its set, where the op mixes one in.
    pub partner: Option<u64>,
}

impl Plan {
    /// Does to an image what the executor did that made the plan: the same bytes, given the same
    /// image, the same ops and the same partners.
    ///
    /// # Errors
    ///
    /// [`ReplayError::Plan`] where the plan cannot be carried out: an unknown op, a value that is
    /// not finite, a partner for an op that mixes none in, or beyond the set, or none for one that
    /// does. [`ReplayError::Apply`] where an op fails; the image may then hold anything.
    pub fn replay(
        &self,
        ops: &OpSet,
        image: &mut ImageMut<'_>,
        workspace: &mut Workspace<'_>,
    ) -> Result<(), ReplayError> {
        let count = workspace.partner_count();
        let mut drawn = Vec::with_capacity(self.steps.len());
        for (place, step) in self.steps.iter().enumerate() {
            let step = step.found(ops, count).map_err(|(key, problem)| {
                PolicyError::new(format!("steps[{place}].{key}"), problem)
            })?;
            drawn.push(step);
        }
        let one_pass = one_pass_pays(image.samples().len());
        let target = Target {
            source: None,
            image,
            partners: workspace.partners,
            scratch: &mut workspace.scratch,
            one_pass,
        };
        target.apply(drawn.into_iter()).map_err(ReplayError::from)
    }

    /// The plan as a line of JSON, without a newline. Numbers survive exactly.
    ///
    /// A value that is not finite has no form in JSON and becomes `null`, which the parser refuses.
    pub fn to_json(&self) -> String {
        let steps: Vec<String> = self.steps.iter().map(step_json).collect();
        let sub_policy =
            (self.sub_policy).map_or(String::new(), |place| format!(r#""sub_policy": {place}, "#));
        format!(r#"{{{sub_policy}"steps": [{}]}}"#, steps.join(", "))
    }

    /// Reads a plan.
    ///
    /// # Errors
    ///
    /// Whatever is malformed, with its place, as in [`Policy::parse`](crate::Policy::parse).
    pub fn parse(json: &[u8]) -> Result<Self, PolicyError> {
        let tree = crate::tree::read(json)?;
        let root = Object::new(Place::root(), &tree)?;
        root.allow(&["sub_policy", "steps"])?;
        let steps = root.list_or_empty("steps")?.iter().enumerate();
        let step = |(place, step)| parse_step(&Object::new(root.place("steps").item(place), step)?);
        Ok(Self {
            sub_policy: root.optional("sub_policy", Object::index)?,
            steps: steps.map(step).collect::<Result<_, _>>()?,
        })
    }
}

impl PlannedStep {
    /// An error comes with the key at fault.
    fn found<'a>(&self, ops: &'a OpSet, count: u64) -> Result<Drawn<'a>, (&'static str, Problem)> {
        let op = find(&self.op, ops).map_err(|problem| ("op", problem))?;
        if !self.value.is_finite() {
            let value = self.value;
            return Err(("value", Problem::NotFinite { value }));
        }
        match (op.spec().mixes(), self.partner) {
            (true, None) => return Err(("partner", Problem::Missing)),
            (false, Some(_)) => return Err(("partner", Problem::NoPartner)),
            (true, Some(place)) if place >= count => {
                return Err(("partner", Problem::NotInSet { place, count }));
            }
            _ => {}
        }
        Ok(Drawn {
            place: self.step,
            op: op.as_ref(),
            value: self.value,
            seed: self.seed,
            partner: self.partner,
            fusing: Fusing::ALWAYS,
        })
    }
}

fn step_json(step: &PlannedStep) -> String {
    let partner = (step.partner).map_or(String::new(), |place| format!(r#", "partner": {place}"#));
    format!(
        r#"{{"step": {}, "op": {}, "value": {}, "seed": {}{partner}}}"#,
        step.step,
        Value::from(step.op.as_str()),
        Value::from(step.value),
        step.seed,
    )
}

fn parse_step(step: &Object<'_>) -> Result<PlannedStep, PolicyError> {
    step.allow(&["step", "op", "value", "seed", "partner"])?;
    Ok(PlannedStep {
        step: step.index("step")?,
        op: step.string("op")?.to_owned(),
        value: step.number("value")?,
        seed: step.whole("seed")?,
        partner: step.optional("partner", Object::whole)?,
    })
}

impl From<PolicyError> for ReplayError {
    fn from(error: PolicyError) -> Self {
        Self::Plan(error)
    }
}

impl From<ApplyError> for ReplayError {
    fn from(error: ApplyError) -> Self {
        Self::Apply(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        let step = |op: &str, value, seed, partner| PlannedStep {
            step: 1,
            op: op.to_owned(),
            value,
            seed,
            partner,
        };
        Plan {
            sub_policy: Some(3),
            steps: vec![
                step("Rotate", -1.0 / 3.0, u64::MAX, None),
                step("A \"quoted\" op", f64::MIN_POSITIVE, 0, Some(1 << 60)),
            ],
        }
    }

    #[test]
    fn what_is_written_is_read_back_exactly() {
        let sampled = Plan {
            sub_policy: None,
            ..plan()
        };
        let nothing = Plan {
            sub_policy: Some(0),
            steps: Vec::new(),
        };
        for plan in [plan(), sampled, nothing] {
            assert_eq!(Plan::parse(plan.to_json().as_bytes()), Ok(plan));
        }
    }

    #[test]
    fn malformed_plans_are_refused_with_the_place() {
        let with = |key: &str, value: &str| {
            let step = |own: &str, other: &str| {
                let value = if own == key { value } else { other };
                format!(r#""{own}": {value}"#)
            };
            let keys = [
                ("step", "0"),
                ("op", "\"A\""),
                ("value", "1"),
                ("seed", "2"),
            ];
            let step = keys.map(|(own, other)| step(own, other)).join(", ");
            format!(r#"{{"sub_policy": 0, "steps": [{{{step}}}]}}"#)
        };
        let whole = "a whole number from 0 up, of 64 bits";
        let cases = [
            (with("step", "-1"), "steps[0].step", whole),
            (with("seed", "1.5"), "steps[0].seed", whole),
            (with("seed", "18446744073709551616"), "steps[0].seed", whole),
            (with("op", "7"), "steps[0].op", "a string"),
            (with("value", "null"), "steps[0].value", "a number"),
        ];
        for (json, place, expected) in cases {
            let error = Plan::parse(json.as_bytes()).unwrap_err();
            assert_eq!(error.place(), place);
            assert_eq!(*error.problem(), Problem::WrongType { expected });
        }
        let error = |json: &str| Plan::parse(json.as_bytes()).unwrap_err().to_string();
        assert_eq!(error("{}"), "steps: missing");
        assert_eq!(
            error(r#"{"steps": [], "step": 1}"#),
            "step: not a key of this format"
        );
        assert_eq!(
            error(r#"{"steps": [{"step": 1, "step": 1}]}"#),
            "steps[0].step: stands here twice"
        );
    }
}
