use serde_json::Value;

use crate::parse::{FORMAT, VERSION};
use crate::{Policy, Step, Strength};

impl Policy {
    /// The policy as a file: JSON with a line for every step. Numbers survive exactly.
    ///
    /// Numbers that are not finite have no form in JSON and become `null`, which the parser
    /// refuses.
    pub fn to_json(&self) -> String {
        let sub_policies: Vec<String> = self
            .sub_policies
            .iter()
            .map(|steps| {
                format!(
                    "    [{}]",
                    steps
                        .iter()
                        .map(step_json)
                        .collect::<Vec<_>>()
                        .join(",\n     ")
                )
            })
            .collect();
        format!(
            "{{\n  \"format\": \"{FORMAT}\",\n  \"version\": {VERSION},\n  \"name\": {},\n  \
             \"sub_policies\": [\n{}\n  ],\n  \"provenance\": {}\n}}\n",
            Value::from(self.name.as_str()),
            sub_policies.join(",\n"),
            indented(&Value::Object(self.provenance.clone())),
        )
    }
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

/// Pretty JSON, moved right to stand behind a key of the outermost object.
fn indented(value: &Value) -> String {
    format!("{value:#}").replace('\n', "\n  ")
}
