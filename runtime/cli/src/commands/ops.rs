use std::io::{self, Write};

use anyhow::Result;
use clap::Args;
use faa_op::{OpSpec, ValueRange};
use serde_json::{Value, json};

use crate::plugins::PluginOptions;
use crate::table::{render, table};

/// List the ops, with the range and unit of their values.
#[derive(Args)]
#[command(after_help = "\
Examples:
  faa-runtime ops
  faa-runtime ops --plugins plugins
  faa-runtime ops --json")]
pub(crate) struct Ops {
    /// Print JSON for programs.
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
            let rows: Vec<Value> = specs
                .map(|spec| as_json(spec, &known.source(spec.name())))
                .collect();
            format!("{:#}\n", Value::from(rows))
        } else {
            let mut table = table(&["op", "values", "unit", "mirrored", "what it does", "from"]);
            for spec in specs {
                let source = known.source(spec.name());
                table.add_row([&row(spec)[..], &[source]].concat());
            }
            render(&table)
        };
        io::stdout().write_all(text.as_bytes())?;
        Ok(())
    }
}

fn as_json(spec: &OpSpec, source: &str) -> Value {
    let range = spec.value_range();
    json!({
        "name": spec.name(),
        "summary": spec.summary(),
        "low": range.map(|range| range.low),
        "high": range.map(|range| range.high),
        "unit": range.map(|range| range.unit.as_ref()),
        "mirrored": range.is_some_and(|range| range.centre.is_some()),
        "source": source,
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
