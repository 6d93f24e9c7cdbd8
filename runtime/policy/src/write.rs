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

/// Writes a type as a JSON object of these entries, in order, without those that are `None`.
///
/// Not derived, because the executor does without macros that derive: they would triple what it
/// takes to compile.
macro_rules! object {
    ($(#[$docs:meta])* $name:ident: $own:ident { $($key:literal: $value:expr,)+ }) => {
        $(#[$docs])*
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let ($own, mut map) = (self, serializer.serialize_map(None)?);
                $(if let Some(value) = &$value {
                    map.serialize_entry($key, value)?;
                })+
                map.end()
            }
        }
    };
}

object! {
    /// The same JSON as [`Policy::to_json`].
    Policy: policy {
        "format": Some(FORMAT),
        "version": Some(VERSION),
        "name": Some(&policy.name),
        "sub_policies": policy.sampler().is_none().then(|| policy.sub_policies()),
        "sampler": policy.sampler(),
        "provenance": Some(&policy.provenance),
    }
}

object! {
    Step: step {
        "op": Some(&step.op),
        "probability": Some(step.probability),
        "magnitude": if let Strength::Magnitude(magnitude) = step.strength { Some(magnitude) } else { None },
        "value": if let Strength::Value(value) = step.strength { Some(value) } else { None },
    }
}

object! {
    Sampler: sampler {
        "count": Some(sampler.count),
        "bins": Some(sampler.bins),
        "bin": sampler.bin,
        "ops": Some(&sampler.ops),
    }
}

object! {
    SamplerOp: op {
        "op": Some(&op.op),
        "low": op.values.map(|values| values.low),
        "high": op.values.map(|values| values.high),
        "centre": op.values.and_then(|values| values.centre),
        "integer": op.values.and_then(|values| values.integer.then_some(true)),
    }
}

object! {
    /// The same JSON as [`Plan::to_json`].
    Plan: plan {
        "sub_policy": plan.sub_policy,
        "steps": Some(&plan.steps),
    }
}

object! {
    PlannedStep: step {
        "step": Some(step.step),
        "op": Some(&step.op),
        "value": Some(step.value),
        "seed": Some(step.seed),
        "partner": step.partner,
    }
}
