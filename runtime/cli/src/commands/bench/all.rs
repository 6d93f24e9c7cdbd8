//! `bench --all`.

use anyhow::Result;
use faa_ops_builtin::SimdLevel;

use super::record::{Measurement, Record};
use super::{Bench, policy_workload};
use crate::commands::print;
use crate::measure::{Pictures, Workload, default_value, nanoseconds, rates};
use crate::plugins::KnownOps;
use crate::table::{render, table};

/// The sizes of the images, in pixels, unless one is given.
const SIZES: [u32; 2] = [32, 224];

/// The number of rounds, of which the median counts.
const ROUNDS: u32 = 7;

/// What is measured beside the ops.
const POLICY: &str = "autoaugment-cifar10";

impl Bench {
    /// Measures all ops and a policy, and compares the rates with earlier ones if there are any.
    pub(super) fn measure_all(&self, known: &KnownOps, level: SimdLevel) -> Result<()> {
        let before = self.compare.as_deref().map(Record::read).transpose()?;
        let mut workloads: Vec<_> = (known.ops.iter())
            .map(|op| Workload::Op(op.clone(), default_value(op.as_ref())))
            .collect();
        workloads.push(policy_workload(known, POLICY, level)?);
        let mut record = Record::new(level, self.channels, self.threads);
        let given = self.size.map(|size| [size]);
        for &size in given.as_ref().map_or(&SIZES[..], |size| &size[..]) {
            let pictures = Pictures::new(size, self.channels);
            for workload in &workloads {
                let rates = rates(workload, &pictures, self.threads, ROUNDS, self.seconds)?;
                let [slowest, median, fastest] =
                    [0, rates.len() / 2, rates.len() - 1].map(|index| rates[index].round() as u64);
                record.results.push(Measurement {
                    what: workload.name().to_owned(),
                    size,
                    images_per_second: median,
                    slowest,
                    fastest,
                    ns_per_image: nanoseconds(rates[rates.len() / 2], self.threads),
                    before: None,
                });
            }
        }
        if let Some(before) = &before {
            record.compare(before);
        }
        print(&match self.json {
            true => serde_json::to_string_pretty(&record)? + "\n",
            false => as_text(&record, before.as_ref()),
        })
    }
}

fn as_text(record: &Record, before: Option<&Record>) -> String {
    let mut text = format!("{}\n", record.machine);
    let Some(before) = before else {
        let mut lines = table(&["size", "what", "images/s", "slowest", "fastest", "ns/image"]);
        for result in &record.results {
            let Measurement { size, what, .. } = result;
            let rates = [result.images_per_second, result.slowest, result.fastest];
            let numbers = (rates.iter().chain([&result.ns_per_image])).map(ToString::to_string);
            lines.add_row([size.to_string(), what.clone()].into_iter().chain(numbers));
        }
        return text + &render(&lines);
    };
    if before.conditions() != record.conditions() {
        text += &format!("before, under other conditions: {}\n", before.machine);
    }
    let mut lines = table(&["size", "what", "before", "now", "change"]);
    for result in &record.results {
        let Some(earlier) = &result.before else {
            continue;
        };
        let change =
            (result.images_per_second as f64 / earlier.images_per_second as f64 - 1.0) * 100.0;
        let change = match earlier.changed {
            true => format!("{change:+.0} %"),
            false => "within noise".to_owned(),
        };
        let (size, what) = (result.size.to_string(), result.what.clone());
        let rates = [earlier.images_per_second, result.images_per_second];
        let [before, now] = rates.map(|rate| rate.to_string());
        lines.add_row([size, what, before, now, change]);
    }
    text + &render(&lines)
}
