use anyhow::Result;
use clap::Args;
use faa_op::{OpSpec, ValueRange};
use serde_json::{Value, json};

use super::print;
use crate::plugins::PluginOptions;
use crate::table::{render, table};

/// List the available ops, with ranges and units of their values.
#[derive(Args)]
#[command(after_help = "\
Examples:
  faa-runtime ops
  faa-runtime ops --plugins plugins
  faa-runtime ops --json")]
pub(crate) struct Ops {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    plugins: PluginOptions,
}

impl Ops {
    pub(crate) fn run(self) -> Result<()> {
        let known = self.plugins.known_ops()?;
        let specs = known.ops.iter().map(|op| op.spec());
        let text = if self.json {
            let rows = specs.map(|spec| {
                let mut row = as_json(spec);
                row["source"] = known.source(spec.name()).into();
                row
            });
            format!("{:#}\n", rows.collect::<Value>())
        } else {
            let mut table = table(&["op", "values", "unit", "mirrored", "description", "source"]);
            for spec in specs {
                let source = known.source(spec.name());
                table.add_row([&row(spec)[..], &[source]].concat());
            }
            render(&table)
        };
        print(&text)
    }
}

/// An op's specification as JSON.
pub(super) fn as_json(spec: &OpSpec) -> Value {
    let range = spec.value_range();
    json!({
        "name": spec.name(),
        "summary": spec.summary(),
        "low": range.map(|range| range.low),
        "high": range.map(|range| range.high),
        "unit": range.map(|range| range.unit.as_ref()),
        "mirrored": range.is_some_and(|range| range.centre.is_some()),
    })
}

fn row(spec: &OpSpec) -> [String; 5] {
    let range = spec.value_range();
    let of_range = |text: fn(&ValueRange) -> String| range.map(text).unwrap_or_default();
    [
        spec.name().to_owned(),
        of_range(|range| format!("{} … {}", range.low, range.high)),
        of_range(|range| range.unit.to_string()),
        of_range(|range| if range.centre.is_some() { "yes" } else { "" }.to_owned()),
        spec.summary().to_owned(),
    ]
}
