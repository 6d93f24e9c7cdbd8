mod convert;
mod show;

use anyhow::Result;
use clap::{Args, Subcommand};
use faa_policy::{Policy, Rule, Shipped, shipped};
use serde_json::{Value, json};

use super::{find_policy, print};
use crate::plugins::PluginOptions;
use crate::table::{render, table};

/// List, show, check and convert policies.
#[derive(Subcommand)]
pub(crate) enum PolicyCommand {
    List(List),
    Show(show::Show),
    Check(Check),
    Convert(convert::Convert),
}

/// List the shipped policies.
#[derive(Args)]
#[command(after_help = "\
Example:
  faa-runtime policy list")]
pub(crate) struct List {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Check that a policy is valid and its ops are available; the exit status is 1 if not.
#[derive(Args)]
#[command(after_help = "\
Example:
  faa-runtime policy check my-policy.json")]
pub(crate) struct Check {
    /// Policy file, or name of a shipped policy (`faa-runtime policy list`).
    policy: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    plugins: PluginOptions,
}

impl PolicyCommand {
    pub(crate) fn run(self) -> Result<()> {
        print(&match self {
            Self::List(list) => list.text()?,
            Self::Show(show) => show.text()?,
            Self::Check(check) => check.text()?,
            Self::Convert(convert) => convert.text()?,
        })
    }
}

impl List {
    fn text(self) -> Result<String> {
        let policies = shipped().iter().map(Shipped::policy);
        let policies = policies.collect::<Result<Vec<_>, _>>()?;
        if self.json {
            let row = |policy: &Policy| {
                let mut row = as_json(policy);
                row["source"] = source(policy).into();
                row
            };
            let rows: Vec<Value> = policies.iter().map(row).collect();
            return Ok(format!("{:#}\n", Value::from(rows)));
        }
        let mut table = table(&["name", "each image draws", "source"]);
        for policy in &policies {
            table.add_row([&policy.name, &summary(policy), &source(policy)]);
        }
        Ok(render(&table))
    }
}

impl Check {
    fn text(self) -> Result<String> {
        let policy = find_policy(&self.policy)?;
        self.plugins.known_ops()?.check(&policy, &self.policy)?;
        Ok(if self.json {
            let mut json = as_json(&policy);
            json["valid"] = true.into();
            format!("{json}\n")
        } else {
            format!("{}: valid, {}\n", self.policy, summary(&policy))
        })
    }
}

/// What is drawn for each image, in words.
fn summary(policy: &Policy) -> String {
    match &policy.rule {
        Rule::SubPolicies(sub_policies) => format!("one of {} sub-policies", sub_policies.len()),
        Rule::Sampler(sampler) => {
            let (count, ops, bins) = (sampler.count, sampler.ops.len(), sampler.bins);
            match sampler.bin {
                Some(bin) => format!("{count} of {ops} ops, at bin {bin} of 0…{}", bins - 1),
                None => format!("{count} of {ops} ops, at any of {bins} bins"),
            }
        }
    }
}

/// Name and size of a policy, as JSON.
fn as_json(policy: &Policy) -> Value {
    match &policy.rule {
        Rule::SubPolicies(sub_policies) => {
            json!({"name": policy.name, "sub_policies": sub_policies.len()})
        }
        Rule::Sampler(sampler) => {
            let (count, ops, bins) = (sampler.count, sampler.ops.len(), sampler.bins);
            let sampler = json!({"count": count, "ops": ops, "bins": bins, "bin": sampler.bin});
            json!({"name": policy.name, "sampler": sampler})
        }
    }
}

/// A policy's `provenance.source`, one line of text.
fn source(policy: &Policy) -> String {
    policy.provenance.get("source").unwrap_or_default()
}
