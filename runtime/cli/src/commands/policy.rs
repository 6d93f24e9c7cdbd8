use std::io::{self, Write};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use faa_ops_builtin::builtin_ops;
use faa_policy::{Policy, Shipped, Step, Strength, shipped};
use serde_json::{Value, json};

use super::find_policy;
use crate::table::{render, table};

/// List, show and check policies.
#[derive(Subcommand)]
pub(crate) enum PolicyCommand {
    List(List),
    Show(Show),
    Check(Check),
}

/// List the policies that come with the program.
#[derive(Args)]
#[command(after_help = "\
Example:
  faa-runtime policy list")]
pub(crate) struct List {
    /// Print JSON for programs.
    #[arg(long)]
    json: bool,
}

/// Show a policy as a table.
#[derive(Args)]
#[command(after_help = "\
Examples:
  faa-runtime policy show runs/demo/policy.json
  faa-runtime policy show glyphs-wrn-10-1")]
pub(crate) struct Show {
    /// A file, or the name of a shipped policy.
    policy: String,
    /// Print the policy file itself.
    #[arg(long)]
    json: bool,
}

/// Check that a policy is valid and names known ops; exit with 1 where it is not.
#[derive(Args)]
#[command(after_help = "\
Example:
  faa-runtime policy check my-policy.json")]
pub(crate) struct Check {
    /// A file, or the name of a shipped policy.
    policy: String,
    /// Print JSON for programs.
    #[arg(long)]
    json: bool,
}

impl PolicyCommand {
    pub(crate) fn run(self) -> Result<()> {
        let text = match self {
            Self::List(list) => list.text()?,
            Self::Show(show) => show.text()?,
            Self::Check(check) => check.text()?,
        };
        io::stdout().write_all(text.as_bytes())?;
        Ok(())
    }
}

impl List {
    fn text(self) -> Result<String> {
        let policies = shipped().iter().map(Shipped::policy);
        let policies = policies.collect::<Result<Vec<_>, _>>()?;
        if self.json {
            let facts = |policy: &Policy| json!({"name": policy.name, "sub_policies": policy.sub_policies().len(), "source": source(policy)});
            let rows: Vec<Value> = policies.iter().map(facts).collect();
            return Ok(format!("{:#}\n", Value::from(rows)));
        }
        let mut table = table(&["name", "sub-policies", "where it came from"]);
        for policy in &policies {
            table.add_row([
                &policy.name,
                &policy.sub_policies().len().to_string(),
                source(policy),
            ]);
        }
        Ok(render(&table))
    }
}

impl Show {
    fn text(self) -> Result<String> {
        let policy = find_policy(&self.policy)?;
        if self.json {
            return Ok(policy.to_json());
        }
        let mut table = table(&["sub-policy", "op", "probability", "magnitude", "value"]);
        let ops = builtin_ops();
        for (place, steps) in policy.sub_policies().iter().enumerate() {
            for (step_place, step) in steps.iter().enumerate() {
                let number = if step_place == 0 {
                    place.to_string()
                } else {
                    String::new()
                };
                let range = ops.get(&step.op).and_then(|op| op.spec().value_range());
                let [magnitude, value] = strength(step, range);
                let probability = format!("{:.2}", step.probability);
                table.add_row([number, step.op.clone(), probability, magnitude, value]);
            }
        }
        let count = policy.sub_policies().len();
        Ok(format!(
            "{}: {count} sub-policies\n\n{}",
            policy.name,
            render(&table)
        ))
    }
}

impl Check {
    fn text(self) -> Result<String> {
        let policy = find_policy(&self.policy)?;
        policy
            .check(&builtin_ops())
            .with_context(|| format!("{} does not fit the known ops", self.policy))?;
        let (name, count) = (&policy.name, policy.sub_policies().len());
        Ok(if self.json {
            format!(
                "{}\n",
                json!({"valid": true, "name": name, "sub_policies": count})
            )
        } else {
            format!("{}: valid, {count} sub-policies\n", self.policy)
        })
    }
}

/// A policy's `provenance.source`, a line for people.
fn source(policy: &Policy) -> &str {
    policy
        .provenance
        .get("source")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Magnitude and value of a step, as far as they are stated or follow.
fn strength(step: &Step, range: Option<&faa_op::ValueRange>) -> [String; 2] {
    let Some(range) = range else {
        return [String::new(), String::new()];
    };
    let sign = if range.centre.is_some() { "±" } else { "" };
    let value = |value: f64| match range.centre {
        Some(0.0) => format!("{sign}{:.3} {}", value.abs(), range.unit),
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
