use std::fmt;

use serde_json::Value;

use crate::error::within;
use crate::tree::{self, Tree};
use crate::{
    Policy, PolicyError, Problem, Provenance, Rule, Sampler, SamplerOp, SamplerValues, Step,
    Strength, SubPolicy,
};

pub(crate) const FORMAT: &str = "faa-policy";
pub(crate) const VERSION: u64 = 1;

impl Policy {
    /// Reads a policy file.
    ///
    /// Which ops exist is not known here: [`Policy::check`] and the executor look at that.
    ///
    /// # Errors
    ///
    /// Whatever is malformed, with its place; numbers are never clamped.
    pub fn parse(json: &[u8]) -> Result<Self, PolicyError> {
        let tree = tree::read(json)?;
        let root = Object::new(Place::root(), &tree)?;
        check_header(&root)?;
        root.allow(&[
            "format",
            "version",
            "name",
            "sub_policies",
            "sampler",
            "provenance",
        ])?;
        Ok(Self {
            name: root.string("name")?.to_owned(),
            rule: parse_rule(&root)?,
            provenance: parse_provenance(&root)?,
        })
    }
}

fn check_header(root: &Object<'_>) -> Result<(), PolicyError> {
    let format = root.get("format")?;
    if *format != Tree::Text(FORMAT.to_owned()) {
        let problem = Problem::WrongFormat(format.to_string());
        return Err(root.error("format", problem));
    }
    let version = root.get("version")?;
    if *version != Tree::Unsigned(VERSION) {
        let problem = Problem::WrongVersion(version.to_string());
        return Err(root.error("version", problem));
    }
    Ok(())
}

fn parse_provenance(root: &Object<'_>) -> Result<Provenance, PolicyError> {
    match root.find("provenance").cloned().map(Value::from) {
        None => Ok(Provenance::new()),
        Some(Value::Object(provenance)) => Ok(provenance),
        Some(_) => Err(root.wrong_type("provenance", "an object")),
    }
}

fn parse_rule(root: &Object<'_>) -> Result<Rule, PolicyError> {
    match (root.find("sub_policies"), root.find("sampler")) {
        (Some(_), Some(_)) => Err(root.error("sampler", Problem::Both("sub_policies"))),
        (None, None) => Err(root.error("sub_policies", Problem::Neither("sampler"))),
        (Some(_), None) => parse_sub_policies(root).map(Rule::SubPolicies),
        (None, Some(sampler)) => {
            let sampler = Object::new(root.place("sampler"), sampler)?;
            parse_sampler(&sampler).map(Rule::Sampler)
        }
    }
}

fn parse_sub_policies(root: &Object<'_>) -> Result<Vec<SubPolicy>, PolicyError> {
    let parse = |(i, steps): (usize, &Tree)| {
        let place = root.place("sub_policies").item(i);
        let Tree::List(steps) = steps else {
            let expected = "a list of steps";
            return Err(place.error(Problem::WrongType { expected }));
        };
        if steps.is_empty() {
            return Err(place.error(Problem::Empty));
        }
        let step = |(j, step)| parse_step(&Object::new(place.item(j), step)?);
        steps.iter().enumerate().map(step).collect()
    };
    let sub_policies = root.list("sub_policies")?.iter();
    sub_policies.enumerate().map(parse).collect()
}

fn parse_step(step: &Object<'_>) -> Result<Step, PolicyError> {
    step.allow(&["op", "probability", "magnitude", "value"])?;
    let strength = match (step.find("magnitude"), step.find("value")) {
        (None, None) => Strength::Unstated,
        (Some(_), None) => Strength::Magnitude(step.share("magnitude")?),
        (None, Some(_)) => Strength::Value(step.number("value")?),
        (Some(_), Some(_)) => return Err(step.error("value", Problem::Both("magnitude"))),
    };
    Ok(Step {
        op: step.string("op")?.to_owned(),
        probability: step.share("probability")?,
        strength,
    })
}

fn parse_sampler(sampler: &Object<'_>) -> Result<Sampler, PolicyError> {
    sampler.allow(&["count", "bins", "bin", "ops"])?;
    let place = sampler.place("ops");
    let ops = sampler.list("ops")?.iter().enumerate();
    let op = |(i, op)| parse_sampler_op(&Object::new(place.item(i), op)?);
    let parsed = Sampler {
        count: sampler.small("count")?,
        bins: sampler.small("bins")?,
        bin: sampler.optional("bin", Object::small)?,
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
            low: op.number("low")?,
            high: op.number("high")?,
            centre: op.optional("centre", Object::number)?,
            integer: op.optional("integer", Object::truth)?.unwrap_or(false),
        })
    };
    Ok(SamplerOp {
        op: op.string("op")?.to_owned(),
        values,
    })
}

/// Where something stands in a file: a path of keys and indices.
#[derive(Clone)]
pub(crate) struct Place(String);

impl Place {
    pub(crate) fn root() -> Self {
        Self(String::new())
    }

    pub(crate) fn item(&self, index: usize) -> Self {
        Self(format!("{self}[{index}]"))
    }

    pub(crate) fn key(&self, key: &str) -> Self {
        let dot = if self.0.is_empty() { "" } else { "." };
        Self(format!("{self}{dot}{key}"))
    }

    pub(crate) fn error(&self, problem: Problem) -> PolicyError {
        PolicyError::new(self.0.clone(), problem)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A JSON object that knows where it stands in the file.
pub(crate) struct Object<'a> {
    place: Place,
    entries: &'a [(String, Tree)],
}

impl<'a> Object<'a> {
    pub(crate) fn new(place: Place, tree: &'a Tree) -> Result<Self, PolicyError> {
        let expected = "an object";
        match tree {
            Tree::Object(entries) => Ok(Self { place, entries }),
            _ => Err(place.error(Problem::WrongType { expected })),
        }
    }

    pub(crate) fn place(&self, key: &str) -> Place {
        self.place.key(key)
    }

    pub(crate) fn entries(&self) -> &'a [(String, Tree)] {
        self.entries
    }

    pub(crate) fn allow(&self, keys: &[&str]) -> Result<(), PolicyError> {
        let unknown = |(key, _): &&(String, Tree)| !keys.contains(&key.as_str());
        match self.entries.iter().find(unknown) {
            Some((key, _)) => Err(self.error(key, Problem::UnknownKey)),
            None => Ok(()),
        }
    }

    pub(crate) fn find(&self, key: &str) -> Option<&'a Tree> {
        let (_, value) = self.entries.iter().find(|(own, _)| own == key)?;
        Some(value)
    }

    pub(crate) fn get(&self, key: &str) -> Result<&'a Tree, PolicyError> {
        self.find(key)
            .ok_or_else(|| self.error(key, Problem::Missing))
    }

    /// What `read` makes of a key that may be left away.
    pub(crate) fn optional<T>(
        &self,
        key: &str,
        read: impl Fn(&Self, &str) -> Result<T, PolicyError>,
    ) -> Result<Option<T>, PolicyError> {
        self.find(key).map(|_| read(self, key)).transpose()
    }

    pub(crate) fn string(&self, key: &str) -> Result<&'a str, PolicyError> {
        match self.get(key)? {
            Tree::Text(text) => Ok(text),
            _ => Err(self.wrong_type(key, "a string")),
        }
    }

    fn truth(&self, key: &str) -> Result<bool, PolicyError> {
        match self.get(key)? {
            Tree::Bool(truth) => Ok(*truth),
            _ => Err(self.wrong_type(key, "true or false")),
        }
    }

    pub(crate) fn list_or_empty(&self, key: &str) -> Result<&'a [Tree], PolicyError> {
        match self.get(key)? {
            Tree::List(list) => Ok(list),
            _ => Err(self.wrong_type(key, "a list")),
        }
    }

    fn list(&self, key: &str) -> Result<&'a [Tree], PolicyError> {
        match self.list_or_empty(key)? {
            [] => Err(self.error(key, Problem::Empty)),
            list => Ok(list),
        }
    }

    pub(crate) fn number(&self, key: &str) -> Result<f64, PolicyError> {
        (self.get(key)?.as_number()).ok_or_else(|| self.wrong_type(key, "a number"))
    }

    /// A number from 0 to 1.
    fn share(&self, key: &str) -> Result<f64, PolicyError> {
        let value = self.number(key)?;
        within(value, 0.0, 1.0).map_err(|problem| self.error(key, problem))?;
        Ok(value)
    }

    pub(crate) fn whole(&self, key: &str) -> Result<u64, PolicyError> {
        match self.get(key)? {
            Tree::Unsigned(value) => Ok(*value),
            _ => Err(self.wrong_type(key, "a whole number from 0 up, of 64 bits")),
        }
    }

    pub(crate) fn index(&self, key: &str) -> Result<usize, PolicyError> {
        let whole = self.whole(key)?;
        usize::try_from(whole).map_err(|_| {
            self.error(
                key,
                Problem::OutOfRange {
                    value: whole as f64,
                    low: 0.0,
                    high: usize::MAX as f64,
                },
            )
        })
    }

    fn small(&self, key: &str) -> Result<u32, PolicyError> {
        let whole = self.whole(key)?;
        u32::try_from(whole).map_err(|_| {
            self.error(
                key,
                Problem::OutOfRange {
                    value: whole as f64,
                    low: 0.0,
                    high: u32::MAX.into(),
                },
            )
        })
    }

    pub(crate) fn error(&self, key: &str, problem: Problem) -> PolicyError {
        self.place(key).error(problem)
    }

    fn wrong_type(&self, key: &str, expected: &'static str) -> PolicyError {
        self.error(key, Problem::WrongType { expected })
    }
}

impl Tree {
    pub(crate) fn as_number(&self) -> Option<f64> {
        match self {
            Self::Unsigned(value) => Some(*value as f64),
            Self::Signed(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }
}
