use std::fmt;

use serde_core::de::{Deserialize, Deserializer, Error};

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

/// The keys and indices that lead to a value in a file.
#[derive(Clone)]
pub(crate) struct JsonPath(String);

impl JsonPath {
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

    pub(crate) fn error(&self, kind: PolicyErrorKind) -> PolicyError {
        PolicyError::new(self.0.clone(), kind)
    }

    pub(crate) fn wrong_type(&self, expected: &'static str) -> PolicyError {
        self.error(PolicyErrorKind::WrongType { expected })
    }

    /// The value, if it lies in a range, both ends included.
    pub(crate) fn within(&self, value: f64, low: f64, high: f64) -> Result<f64, PolicyError> {
        match (low..=high).contains(&value) {
            true => Ok(value),
            false => Err(self.error(PolicyErrorKind::OutOfRange { value, low, high })),
        }
    }

    pub(crate) fn unit_interval(&self, value: f64) -> Result<f64, PolicyError> {
        self.within(value, 0.0, 1.0)
    }

    pub(crate) fn finite(&self, value: f64) -> Result<f64, PolicyError> {
        match value.is_finite() {
            true => Ok(value),
            false => Err(self.error(PolicyErrorKind::NotFinite { value })),
        }
    }

    pub(crate) fn not_empty<'a, T>(&self, list: &'a [T]) -> Result<&'a [T], PolicyError> {
        match list {
            [] => Err(self.error(PolicyErrorKind::Empty)),
            list => Ok(list),
        }
    }

    pub(crate) fn number(&self, tree: &Tree) -> Result<f64, PolicyError> {
        (tree.as_number()).ok_or_else(|| self.wrong_type("a number"))
    }

    pub(crate) fn text<'a>(&self, tree: &'a Tree) -> Result<&'a str, PolicyError> {
        match tree {
            Tree::Text(text) => Ok(text),
            _ => Err(self.wrong_type("a string")),
        }
    }

    pub(crate) fn list_of<'a>(
        &self,
        tree: &'a Tree,
        expected: &'static str,
    ) -> Result<&'a [Tree], PolicyError> {
        match tree {
            Tree::List(list) => Ok(list),
            _ => Err(self.wrong_type(expected)),
        }
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A JSON object that knows its path in the file.
pub(crate) struct Object<'a> {
    path: JsonPath,
    entries: &'a [(String, Tree)],
}

impl<'a> Object<'a> {
    pub(crate) fn new(path: JsonPath, tree: &'a Tree) -> Result<Self, PolicyError> {
        match tree {
            Tree::Object(entries) => Ok(Self { path, entries }),
            _ => Err(path.wrong_type("an object")),
        }
    }

    pub(crate) fn path_of(&self, key: &str) -> JsonPath {
        self.path.key(key)
    }

    pub(crate) fn entries(&self) -> &'a [(String, Tree)] {
        self.entries
    }

    pub(crate) fn allow(&self, keys: &[&str]) -> Result<(), PolicyError> {
        let unknown = |(key, _): &&(String, Tree)| !keys.contains(&key.as_str());
        match self.entries.iter().find(unknown) {
            Some((key, _)) => Err(self.error(key, PolicyErrorKind::UnknownKey)),
            None => Ok(()),
        }
    }

    pub(crate) fn find(&self, key: &str) -> Option<&'a Tree> {
        let (_, value) = self.entries.iter().find(|(own, _)| own == key)?;
        Some(value)
    }

    pub(crate) fn get(&self, key: &str) -> Result<&'a Tree, PolicyError> {
        self.find(key)
            .ok_or_else(|| self.error(key, PolicyErrorKind::Missing))
    }

    /// What `read` makes of a key that may be omitted.
    pub(crate) fn optional<T>(
        &self,
        key: &str,
        read: impl Fn(&Self, &str) -> Result<T, PolicyError>,
    ) -> Result<Option<T>, PolicyError> {
        self.find(key).map(|_| read(self, key)).transpose()
    }

    pub(crate) fn string(&self, key: &str) -> Result<&'a str, PolicyError> {
        self.path_of(key).text(self.get(key)?)
    }

    fn bool(&self, key: &str) -> Result<bool, PolicyError> {
        match self.get(key)? {
            Tree::Bool(value) => Ok(*value),
            _ => Err(self.wrong_type(key, "true or false")),
        }
    }

    pub(crate) fn list_or_empty(&self, key: &str) -> Result<&'a [Tree], PolicyError> {
        self.path_of(key).list_of(self.get(key)?, "a list")
    }

    fn list(&self, key: &str) -> Result<&'a [Tree], PolicyError> {
        self.path_of(key).not_empty(self.list_or_empty(key)?)
    }

    pub(crate) fn f64(&self, key: &str) -> Result<f64, PolicyError> {
        self.path_of(key).number(self.get(key)?)
    }

    fn unit_interval(&self, key: &str) -> Result<f64, PolicyError> {
        self.path_of(key).unit_interval(self.f64(key)?)
    }

    pub(crate) fn u64(&self, key: &str) -> Result<u64, PolicyError> {
        match self.get(key)? {
            Tree::Unsigned(value) => Ok(*value),
            _ => Err(self.wrong_type(key, "a non-negative integer of at most 64 bits")),
        }
    }

    pub(crate) fn usize(&self, key: &str) -> Result<usize, PolicyError> {
        self.integer(key, usize::MAX as f64)
    }

    fn u32(&self, key: &str) -> Result<u32, PolicyError> {
        self.integer(key, u32::MAX.into())
    }

    fn integer<T: TryFrom<u64>>(&self, key: &str, high: f64) -> Result<T, PolicyError> {
        let integer = self.u64(key)?;
        let (value, low) = (integer as f64, 0.0);
        let error = |_| self.error(key, PolicyErrorKind::OutOfRange { value, low, high });
        T::try_from(integer).map_err(error)
    }

    pub(crate) fn error(&self, key: &str, kind: PolicyErrorKind) -> PolicyError {
        self.path_of(key).error(kind)
    }

    fn wrong_type(&self, key: &str, expected: &'static str) -> PolicyError {
        self.path_of(key).wrong_type(expected)
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
