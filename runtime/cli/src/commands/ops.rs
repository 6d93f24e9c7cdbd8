use std::io::{self, Write};

use anyhow::Result;
use clap::Args;
use faa_op::{OpSpec, ValueRange};
use faa_ops_builtin::builtin_ops;
use serde_json::{Value, json};

use crate::table::{render, table};

/// List the ops, with the range and unit of their values.
#[derive(Args)]
#[command(after_help = "\
Examples:
  faa-runtime ops
  faa-runtime ops --json")]
pub(crate) struct Ops {
    /// Print JSON for programs.
    #[arg(long)]
    json: bool,
}

impl Ops {
    pub(crate) fn run(self) -> Result<()> {
        let ops = builtin_ops();
        let specs: Vec<&OpSpec> = ops.iter().map(|op| op.spec()).collect();
        let text = if self.json {
            let rows: Vec<Value> = specs.iter().map(|spec| as_json(spec)).collect();
            format!("{:#}\n", Value::from(rows))
        } else {
            let mut table = table(&["op", "values", "unit", "mirrored", "what it does"]);
            for spec in specs {
                table.add_row(row(spec));
            }
            render(&table)
        };
        io::stdout().write_all(text.as_bytes())?;
        Ok(())
    }
}

fn as_json(spec: &OpSpec) -> Value {
    let range = spec.value_range();
    json!({
        "name": spec.name(),
        "summary": spec.summary(),
        "low": range.map(|range| range.low),
        "high": range.map(|range| range.high),
        "unit": range.map(|range| range.unit.as_ref()),
        "mirrored": range.is_some_and(|range| range.centre.is_some()),
        "source": "built-in",
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
