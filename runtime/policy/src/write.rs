use std::io::{self, Write};

use serde_core::ser::SerializeMap;
use serde_core::{Serialize, Serializer};
use serde_json::ser::Formatter;

use crate::parse::{FORMAT, VERSION};
use crate::{Plan, PlannedStep, Policy, Rule, Sampler, SamplerOp, Step, Strength, SubPolicy};

impl Policy {
    /// The policy as a file: JSON with one line per step. Numbers survive exactly.
    ///
    /// Numbers that are not finite cannot be represented in JSON and become `null`, which the parser
    /// refuses. It also refuses a file that provenance makes larger than
    /// [`MAX_BYTES`](crate::MAX_BYTES) or deeper than [`MAX_DEPTH`](crate::MAX_DEPTH).
    pub fn to_json(&self) -> String {
        let rule = match &self.rule {
            Rule::SubPolicies(sub_policies) => sub_policies_lines(sub_policies),
            Rule::Sampler(sampler) => sampler_lines(sampler),
        };
        format!(
            "{{\n  \"format\": \"{FORMAT}\",\n  \"version\": {VERSION},\n  \"name\": {},\n  \
             {rule},\n  \"provenance\": {}\n}}\n",
            one_line(&self.name),
            self.provenance.to_lines().replace('\n', "\n  "),
        )
    }
}

fn sub_policies_lines(sub_policies: &[SubPolicy]) -> String {
    let steps = |steps: &SubPolicy| {
        let steps: Vec<_> = steps.iter().map(one_line).collect();
        format!("    [{}]", steps.join(",\n     "))
    };
    let sub_policies: Vec<_> = sub_policies.iter().map(steps).collect();
    format!("\"sub_policies\": [\n{}\n  ]", sub_policies.join(",\n"))
}

fn sampler_lines(sampler: &Sampler) -> String {
    let bin = (sampler.bin).map_or(String::new(), |bin| format!(", \"bin\": {bin}"));
    let ops: Vec<_> = sampler.ops.iter().map(one_line).collect();
    format!(
        "\"sampler\": {{\n    \"count\": {}, \"bins\": {}{bin},\n    \"ops\": [\n      {}\n    ]\n  }}",
        sampler.count,
        sampler.bins,
        ops.join(",\n      "),
    )
}

impl Plan {
    /// The plan as one line of JSON, without a newline. Numbers survive exactly.
    ///
    /// A value that is not finite cannot be represented in JSON and becomes `null`, which the parser
    /// refuses.
    pub fn to_json(&self) -> String {
        one_line(self)
    }
}

/// JSON on one line, with a space after each comma and colon.
fn one_line<T: Serialize + ?Sized>(value: &T) -> String {
    let mut line = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut line, Spaced);
    value
        .serialize(&mut serializer)
        .expect("strings and numbers can be written to memory");
    String::from_utf8(line).expect("JSON is UTF-8")
}

struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: Write + ?Sized>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        to.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: Write + ?Sized>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        to.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: Write + ?Sized>(&mut self, to: &mut W) -> io::Result<()> {
        to.write_all(b": ")
    }
}

// By hand, because the executor does without macros that derive: they would triple what it takes to
// compile.

/// The same JSON as [`Policy::to_json`].
impl Serialize for Policy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("format", FORMAT)?;
        map.serialize_entry("version", &VERSION)?;
        map.serialize_entry("name", &self.name)?;
        match &self.rule {
            Rule::SubPolicies(sub_policies) => map.serialize_entry("sub_policies", sub_policies)?,
            Rule::Sampler(sampler) => map.serialize_entry("sampler", sampler)?,
        }
        map.serialize_entry("provenance", &self.provenance)?;
        map.end()
    }
}

impl Serialize for Step {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("op", &self.op)?;
        map.serialize_entry("probability", &self.probability)?;
        match self.strength {
            Strength::Unstated => {}
            Strength::Magnitude(magnitude) => map.serialize_entry("magnitude", &magnitude)?,
            Strength::Value(value) => map.serialize_entry("value", &value)?,
        }
        map.end()
    }
}

impl Serialize for Sampler {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("count", &self.count)?;
        map.serialize_entry("bins", &self.bins)?;
        optional_entry(&mut map, "bin", self.bin)?;
        map.serialize_entry("ops", &self.ops)?;
        map.end()
    }
}

impl Serialize for SamplerOp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("op", &self.op)?;
        if let Some(values) = self.values {
            map.serialize_entry("low", &values.low)?;
            map.serialize_entry("high", &values.high)?;
            optional_entry(&mut map, "centre", values.centre)?;
            optional_entry(&mut map, "integer", values.integer.then_some(true))?;
        }
        map.end()
    }
}

/// The same JSON as [`Plan::to_json`].
impl Serialize for Plan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        optional_entry(&mut map, "sub_policy", self.sub_policy)?;
        map.serialize_entry("steps", &self.steps)?;
        map.end()
    }
}

impl Serialize for PlannedStep {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("step", &self.step)?;
        map.serialize_entry("op", &self.op)?;
        map.serialize_entry("value", &self.value)?;
        map.serialize_entry("seed", &self.seed)?;
        optional_entry(&mut map, "partner", self.partner)?;
        map.end()
    }
}

fn optional_entry<M: SerializeMap>(
    map: &mut M,
    key: &'static str,
    value: Option<impl Serialize>,
) -> Result<(), M::Error> {
    value.map_or(Ok(()), |value| map.serialize_entry(key, &value))
}
