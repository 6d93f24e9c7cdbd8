use anyhow::Result;
use clap::Args;
use faa_op::{OpSet, ValueRange, text};
use faa_policy::{Rule, Sampler, Step, Strength, SubPolicy};

use super::super::find_policy;
use super::summary;
use crate::plugins::PluginOptions;
use crate::table::{render, table};

/// Show a policy as a table.
#[derive(Args)]
#[command(after_help = "\
Examples:
  faa-runtime policy show runs/demo/policy.json
  faa-runtime policy show randaugment
  faa-runtime policy show randaugment --json > my-policy.json")]
pub(crate) struct Show {
    /// Policy file, or name of a shipped policy (`faa-runtime policy list`).
    policy: String,
    /// Print the policy file, which is JSON, instead of a table.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    plugins: PluginOptions,
}

impl Show {
    pub(crate) fn text(self) -> Result<String> {
        let policy = find_policy(&self.policy)?;
        if self.json {
            return Ok(policy.to_json());
        }
        let ops = self.plugins.known_ops()?.ops;
        let table = match &policy.rule {
            Rule::SubPolicies(sub_policies) => sub_policies_table(sub_policies, &ops),
            Rule::Sampler(sampler) => sampler_table(sampler, &ops),
        };
        let (name, summary) = (shown(&policy.name), summary(&policy));
        Ok(format!("{name}: each image draws {summary}\n\n{table}"))
    }
}

/// A name from a file, safe to print: files may contain anything.
fn shown(name: &str) -> String {
    text::clean(name, 100)
}

fn sub_policies_table(sub_policies: &[SubPolicy], ops: &OpSet) -> String {
    let mut table = table(&["sub-policy", "op", "probability", "magnitude", "value"]);
    for (index, steps) in sub_policies.iter().enumerate() {
        for (step_index, step) in steps.iter().enumerate() {
            let number = if step_index == 0 {
                index.to_string()
            } else {
                String::new()
            };
            let [magnitude, value] = strength(step, range_of(&step.op, ops));
            let probability = format!("{:.2}", step.probability);
            table.add_row([number, shown(&step.op), probability, magnitude, value]);
        }
    }
    render(&table)
}

fn range_of<'a>(op: &str, ops: &'a OpSet) -> Option<&'a ValueRange> {
    ops.get(op)?.spec().value_range()
}

/// Magnitude and value of a step; empty if they are neither stated nor can be derived.
fn strength(step: &Step, range: Option<&ValueRange>) -> [String; 2] {
    let Some(range) = range else {
        return [String::new(), String::new()];
    };
    let value = |value: f64| match range.centre {
        Some(0.0) => format!("±{:.3} {}", value.abs(), range.unit),
        _ => format!("{value:.3} {}", range.unit),
    };
    match step.strength {
        Strength::Unstated => [String::new(), String::new()],
        Strength::Magnitude(magnitude) => {
            [format!("{magnitude:.2}"), value(range.value_at(magnitude))]
        }
        Strength::Value(stated) => [String::new(), value(stated)],
    }
}

fn sampler_table(sampler: &Sampler, ops: &OpSet) -> String {
    let mut table = table(&["op", "first bin", "last bin", "unit", "mirrored", "rounded"]);
    for entry in &sampler.ops {
        let range = range_of(&entry.op, ops);
        let unit = range.map_or(String::new(), |range| range.unit.to_string());
        let stated = entry.values.map(|values| {
            let rounded = if values.integer { "yes" } else { "" };
            (values.low, values.high, values.centre, rounded)
        });
        let own = range.map(|range| (range.low, range.high, range.centre, ""));
        let [low, high, mirrored, rounded] = match stated.or(own) {
            None => Default::default(),
            Some((low, high, centre, rounded)) => [
                low.to_string(),
                high.to_string(),
                centre.map_or(String::new(), |centre| format!("about {centre}")),
                rounded.to_owned(),
            ],
        };
        table.add_row([shown(&entry.op), low, high, unit, mirrored, rounded]);
    }
    render(&table)
}
