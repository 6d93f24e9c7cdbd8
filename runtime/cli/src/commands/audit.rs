use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use faa_op::text::clean;
use faa_search::audit::{Audit, Interval, OpAudit, configure, default_ops};
use faa_search::config::{AuditConfig, Preset, RunConfig, Tolerance};
use faa_search::files::read_json;
use faa_search::statistics::percent;
use faa_search::summary::Summary;

use super::execution::{ExecutionOptions, program};
use super::jobs::Task;
use super::training::{DATA_SETS, GroupOptions, RunOptions, plugin_ops, set};
use super::{Usage, unknown_op};
use crate::arguments::{check_utf8, count, in_range};
use crate::plugins::KnownOps;
use crate::table::{render, table};

/// Find out which ops, and which of their values, are safe for a labelled image data set.
#[derive(Args)]
#[command(after_help = format!("\
Trains a network on a part of the training split, and measures it on the held-out rest under one
op at a time: accuracy and loss, of all images and of the worst-affected class. A value is unsafe
if the drop in accuracy exceeds the tolerance beyond noise: the lower end of a 95 % interval must
exceed it. The test split is not used. Writes OUT/audit.json, a page OUT/report.html, and
OUT/policy.json: TrivialAugment over the ops and ranges that are safe.

The network is trained without flips, because whether flips are safe is one of the questions.

To continue an interrupted audit where it stopped, run the same command again.

{DATA_SETS}

Examples:
  faa-runtime audit --data glyphs --out runs/audit
  faa-runtime audit --data folder:signs --image-size 32 --images 4000 --out runs/signs
  faa-runtime audit --data folder:signs --image-size 32 --ops Rotate,FlipX --out runs/flips
  faa-runtime train --data folder:signs --image-size 32 --no-flip --preset demo \\
      --policy runs/signs/policy.json --baselines --out runs/signs-trained"))]
pub(crate) struct Audited {
    #[command(flatten)]
    run: RunOptions,
    #[command(flatten)]
    audit: AuditOptions,
    #[command(flatten)]
    execution: ExecutionOptions,
}

#[derive(Args)]
#[command(next_help_heading = "Audit")]
struct AuditOptions {
    /// Ops to audit, separated by commas [default: all, with those of plugins, except Identity and the
    /// variants in pixels and bits, such as TranslateXAbs].
    #[arg(long, value_name = "OPS", value_delimiter = ',')]
    ops: Option<Vec<String>>,
    /// Number of values per op and direction, including the neutral one; they span the op's widest
    /// published range.
    #[arg(long, value_name = "N", default_value_t = AuditConfig::VALUES.get(), value_parser = in_range(2..=AuditConfig::MAX_VALUES))]
    values: usize,
    /// Number of augmented versions per image, for ops with random parameters.
    #[arg(long, value_name = "N", default_value_t = AuditConfig::DRAWS, value_parser = count)]
    draws: NonZeroUsize,
    /// Fraction of the images of every class that is held out.
    #[arg(long, value_name = "FRACTION", default_value_t = AuditConfig::HELD_OUT)]
    held_out: f64,
    #[command(flatten)]
    groups: GroupOptions,
    /// Number of training images to use [default: all].
    #[arg(long, value_name = "N", value_parser = count)]
    images: Option<NonZeroUsize>,
    /// Maximum accepted drop in overall accuracy, as a fraction.
    #[arg(long, value_name = "FRACTION", default_value_t = Tolerance::default().overall)]
    tolerance: f64,
    /// Maximum accepted drop in any class's accuracy, as a fraction.
    #[arg(long, value_name = "FRACTION", default_value_t = Tolerance::default().class)]
    class_tolerance: f64,
    /// Audit this trained network instead of training one. The held-out images must be new to it: repeat
    /// --data, --seed, --images and --held-out of the audit that trained it, or use a data set that is new
    /// to it, with --held-out 1.
    #[arg(long, value_name = "FILE")]
    network: Option<PathBuf>,
}

impl Audited {
    pub(crate) fn run(self) -> Result<()> {
        let known = self.execution.plugins.known_ops()?;
        let config = self.config(&known)?;
        (self.execution).execute(config, &self.run.out, known, Task::All, text)
    }

    fn config(&self, known: &KnownOps) -> Result<RunConfig> {
        let options = &self.audit;
        // Without --ops, the audit was asked about every plugin.
        if options.ops.is_none() {
            known.check_complete("audit")?;
        }
        let mut names = default_ops(&known.ops);
        set(&mut names, options.ops.clone());
        if let Some(unknown) = names.iter().find(|name| known.ops.get(name).is_none()) {
            bail!(Usage(unknown_op(unknown, &known.ops)));
        }
        if let Some(network) = &options.network {
            check_utf8("--network", network)?;
        }
        let usage = |error: faa_search::ConfigError| Usage(error.to_string());
        let values = NonZeroUsize::new(options.values).expect("the parser has checked it");
        let ops = configure(&names, &known.ops, values, options.draws).map_err(usage)?;
        let tolerance = Tolerance::new(options.tolerance, options.class_tolerance);
        let mut audit = AuditConfig::new(ops, options.held_out, tolerance);
        audit.images = options.images;
        audit.network.clone_from(&options.network);
        let new = |preset, data: &str| RunConfig::for_audit(preset, data, audit.clone());
        let mut config = self.run.config(self.run.preset(Preset::Demo), new)?;
        config.common.group_by.clone_from(&options.groups.group_by);
        config.common.plugins = plugin_ops(known, |op| names.contains(op));
        config.check(&known.ops).map_err(usage)?;
        Ok(config)
    }
}

/// The findings, and commands that use the policy.
fn text(summary: &Summary) -> String {
    let audit = summary.audit.as_ref().map(|file| read_json::<Audit>(file));
    let mut text = match audit {
        Some(Ok(Some(audit))) => findings(&audit),
        // It has just been written; the run is finished without it.
        Some(Err(error)) => format!("{error}\n"),
        _ => String::new(),
    };
    if let Some(policy) = &summary.policy {
        let (policy, program) = (policy.display(), program());
        text += &format!("\npolicy: {policy}\n\nnext:\n  {program} policy show {policy}\n");
    }
    text
}

fn findings(audit: &Audit) -> String {
    let weak = match audit.accuracy < WEAK {
        true => {
            "Warning: the network classifies so few images correctly that ops can hardly lower its accuracy: \
             train it for more --epochs or on more images before relying on this.\n"
        }
        false => "",
    };
    let header = [
        "op",
        "safe",
        "at",
        "accuracy drop",
        "worst-affected class",
        "becomes",
    ];
    let mut table = table(&header);
    for op in &audit.ops {
        table.add_row(row(op));
    }
    format!(
        "{}\n{weak}{} held-out images, accuracy {} without an op. Drops in accuracy have 95 % intervals; up to {} \
         overall and {} of a class are accepted. \"At\" is the unsafe value that is nearest to no change; if none is \
         unsafe, the value with the largest drop.\n",
        render(&table),
        audit.images,
        percent(audit.accuracy, 1),
        percent(audit.tolerance.overall, 1),
        percent(audit.tolerance.class, 1),
    )
}

/// A network with a lower accuracy than this on the held-out images cannot say much about ops.
const WEAK: f64 = 0.5;

fn row(op: &OpAudit) -> [String; 6] {
    let measured = op.most_telling();
    let value = measured.and_then(|it| it.value);
    let worst = measured.and_then(|it| it.worst.as_ref());
    let mistake = worst.and_then(|it| it.mistaken_for.as_ref());
    [
        op.op.clone(),
        op.safe_values(),
        value.map_or(String::new(), |value| op.with_unit(value)),
        measured.map_or(String::new(), |it| interval(&it.drop)),
        worst.map_or(String::new(), |it| {
            format!("{} {}", clean(&it.class, 40), interval(&it.drop))
        }),
        mistake.map_or(String::new(), |it| clean(&it.class, 40)),
    ]
}

fn interval(drop: &Interval) -> String {
    let [estimate, low, high] = [drop.estimate, drop.low, drop.high].map(|it| 100.0 * it);
    // Adding 0 turns −0 into 0.
    format!("{:.1} % ({:.1} to {:.1})", estimate + 0.0, low, high)
}
