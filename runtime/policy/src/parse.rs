use serde_core::de::{Deserialize, Deserializer, Error};

use crate::object::{JsonPath, Object};
use crate::tree::{self, Tree};
use crate::{
    Policy, PolicyError, PolicyErrorKind, Provenance, Rule, Sampler, SamplerOp, SamplerValues,
    Step, Strength, SubPolicy,
};

pub(crate) const FORMAT: &str = "faa-policy";
pub(crate) const VERSION: u64 = 1;

impl Policy {
    /// Reads a policy file.
    ///
    /// Whether the ops exist is not checked here: [`Policy::check`] and the executor do that.
    ///
    /// # Errors
    ///
    /// Whatever is malformed, with its path; numbers are never clamped.
    pub fn parse(json: &[u8]) -> Result<Self, PolicyError> {
        Self::from_tree(&tree::read(json)?)
    }

    fn from_tree(tree: &Tree) -> Result<Self, PolicyError> {
        let root = Object::new(JsonPath::root(), tree)?;
        check_header(&root)?;
        root.allow(&[
            "format",
            "version",
            "name",
            "sub_policies",
            "sampler",
            "provenance",
        ])?;
        let mut policy = Self::new(root.string("name")?, parse_rule(&root)?);
        policy.provenance = parse_provenance(&root)?;
        Ok(policy)
    }
}

/// Checks what [`Policy::parse`] checks, limits included.
impl<'de> Deserialize<'de> for Policy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let tree = tree::deserialize(deserializer)?;
        Self::from_tree(&tree).map_err(D::Error::custom)
    }
}

fn check_header(root: &Object<'_>) -> Result<(), PolicyError> {
    let format = root.get("format")?;
    if *format != Tree::Text(FORMAT.to_owned()) {
        let kind = PolicyErrorKind::WrongFormat(format.to_string());
        return Err(root.error("format", kind));
    }
    let version = root.get("version")?;
    if *version != Tree::Unsigned(VERSION) {
        let kind = PolicyErrorKind::WrongVersion(version.to_string());
        return Err(root.error("version", kind));
    }
    Ok(())
}

fn parse_provenance(root: &Object<'_>) -> Result<Provenance, PolicyError> {
    match root.find("provenance") {
        None => Ok(Provenance::new()),
        Some(Tree::Object(entries)) => Ok(Provenance::from_entries(entries)),
        Some(_) => Err(root.wrong_type("provenance", "an object")),
    }
}

fn parse_rule(root: &Object<'_>) -> Result<Rule, PolicyError> {
    match (root.find("sub_policies"), root.find("sampler")) {
        (Some(_), Some(_)) => Err(root.error("sampler", PolicyErrorKind::Conflict("sub_policies"))),
        (None, None) => Err(root.error("sub_policies", PolicyErrorKind::Neither("sampler"))),
        (Some(_), None) => parse_sub_policies(root).map(Rule::SubPolicies),
        (None, Some(sampler)) => {
            let sampler = Object::new(root.path_of("sampler"), sampler)?;
            parse_sampler(&sampler).map(Rule::Sampler)
        }
    }
}

fn parse_sub_policies(root: &Object<'_>) -> Result<Vec<SubPolicy>, PolicyError> {
    let parse = |(i, steps): (usize, &Tree)| {
        let path = root.path_of("sub_policies").item(i);
        let steps = path.not_empty(path.list_of(steps, "a list of steps")?)?;
        let step = |(j, step)| parse_step(&Object::new(path.item(j), step)?);
        steps.iter().enumerate().map(step).collect()
    };
    let sub_policies = root.list("sub_policies")?.iter();
    sub_policies.enumerate().map(parse).collect()
}

fn parse_step(step: &Object<'_>) -> Result<Step, PolicyError> {
    step.allow(&["op", "probability", "magnitude", "value"])?;
    let strength = match (step.find("magnitude"), step.find("value")) {
        (None, None) => Strength::Unstated,
        (Some(_), None) => Strength::Magnitude(step.unit_interval("magnitude")?),
        (None, Some(_)) => Strength::Value(step.f64("value")?),
        (Some(_), Some(_)) => {
            return Err(step.error("value", PolicyErrorKind::Conflict("magnitude")));
        }
    };
    let probability = step.unit_interval("probability")?;
    Ok(Step::new(step.string("op")?, probability, strength))
}

fn parse_sampler(sampler: &Object<'_>) -> Result<Sampler, PolicyError> {
    sampler.allow(&["count", "bins", "bin", "ops"])?;
    let path = sampler.path_of("ops");
    let ops = sampler.list("ops")?.iter().enumerate();
    let op = |(i, op)| parse_sampler_op(&Object::new(path.item(i), op)?);
    let parsed = Sampler {
        count: sampler.u32("count")?,
        bins: sampler.u32("bins")?,
        bin: sampler.optional("bin", Object::u32)?,
        ops: ops.map(op).collect::<Result<_, _>>()?,
    };
    parsed.check_numbers()?;
    Ok(parsed)
}

fn parse_sampler_op(op: &Object<'_>) -> Result<SamplerOp, PolicyError> {
    op.allow(&["op", "low", "high", "centre", "integer"])?;
    let stated = ["low", "high", "centre", "integer"].map(|key| op.find(key).is_some());
    let values = if stated == [false; 4] {
        None
    } else {
        Some(SamplerValues {
            low: op.f64("low")?,
            high: op.f64("high")?,
            centre: op.optional("centre", Object::f64)?,
            integer: op.optional("integer", Object::bool)?.unwrap_or(false),
        })
    };
    Ok(SamplerOp {
        op: op.string("op")?.to_owned(),
        values,
    })
}
