use serde_json::Value;

use crate::parse::{FORMAT, VERSION};
use crate::{Policy, Rule, Sampler, SamplerOp, Step, Strength, SubPolicy};

impl Policy {
    /// The policy as a file: JSON with a line for every step. Numbers survive exactly.
    ///
    /// Numbers that are not finite have no form in JSON and become `null`, which the parser
    /// refuses. It also refuses a file that provenance makes larger than
    /// [`MAX_BYTES`](crate::MAX_BYTES) or deeper than [`MAX_DEPTH`](crate::MAX_DEPTH).
    pub fn to_json(&self) -> String {
        let rule = match &self.rule {
            Rule::SubPolicies(sub_policies) => sub_policies_json(sub_policies),
            Rule::Sampler(sampler) => sampler_json(sampler),
        };
        format!(
            "{{\n  \"format\": \"{FORMAT}\",\n  \"version\": {VERSION},\n  \"name\": {},\n  \
             {rule},\n  \"provenance\": {}\n}}\n",
            Value::from(self.name.as_str()),
            indented(&Value::Object(self.provenance.clone())),
        )
    }
}

fn sub_policies_json(sub_policies: &[SubPolicy]) -> String {
    let steps = |steps: &SubPolicy| {
        let steps: Vec<_> = steps.iter().map(step_json).collect();
        format!("    [{}]", steps.join(",\n     "))
    };
    let sub_policies: Vec<_> = sub_policies.iter().map(steps).collect();
    format!("\"sub_policies\": [\n{}\n  ]", sub_policies.join(",\n"))
}

fn step_json(step: &Step) -> String {
    let strength = match step.strength {
        Strength::Unstated => String::new(),
        Strength::Magnitude(magnitude) => format!(r#", "magnitude": {}"#, Value::from(magnitude)),
        Strength::Value(value) => format!(r#", "value": {}"#, Value::from(value)),
    };
    format!(
        r#"{{"op": {}, "probability": {}{strength}}}"#,
        Value::from(step.op.as_str()),
        Value::from(step.probability),
    )
}

fn sampler_json(sampler: &Sampler) -> String {
    let bin = (sampler.bin).map_or(String::new(), |bin| format!(", \"bin\": {bin}"));
    let ops: Vec<_> = sampler.ops.iter().map(sampler_op_json).collect();
    format!(
        "\"sampler\": {{\n    \"count\": {}, \"bins\": {}{bin},\n    \"ops\": [\n      {}\n    ]\n  }}",
        sampler.count,
        sampler.bins,
        ops.join(",\n      "),
    )
}

fn sampler_op_json(op: &SamplerOp) -> String {
    let values = op.values.map_or(String::new(), |values| {
        let [low, high] = [values.low, values.high].map(Value::from);
        let centre = (values.centre).map_or(String::new(), |centre| {
            format!(r#", "centre": {}"#, Value::from(centre))
        });
        let integer = if values.integer {
            r#", "integer": true"#
        } else {
            ""
        };
        format!(r#", "low": {low}, "high": {high}{centre}{integer}"#)
    });
    format!(r#"{{"op": {}{values}}}"#, Value::from(op.op.as_str()))
}

/// Pretty JSON, moved right to stand behind a key of the outermost object.
fn indented(value: &Value) -> String {
    format!("{value:#}").replace('\n', "\n  ")
}
