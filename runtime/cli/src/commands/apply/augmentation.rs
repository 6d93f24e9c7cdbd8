//! What is applied: a policy, a single op, or a plan.

use std::io;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use faa_op::{DrawKey, ImageMut, Op, OpSet, Stream};
use faa_policy::{Executor, Plan, PlannedStep, Targets, Workspace};
use serde_json::Value;

use crate::commands::{read_bounded, read_bounded_from};
use crate::pictures::Picture;

/// What is applied to every image, and the images that it may mix in.
pub(super) struct Augmentation {
    pub(super) source: Source,
    pub(super) ops: OpSet,
    pub(super) partners: Vec<Picture>,
}

pub(super) enum Source {
    Policy(Executor),
    Plan(Plan),
    Op { op: Arc<dyn Op>, value: f64 },
}

impl Source {
    pub(super) fn partner_op(&self) -> Option<&str> {
        match self {
            Self::Policy(executor) => executor.partner_op(),
            Self::Plan(_) => None,
            Self::Op { op, .. } => op.spec().needs_partner().then(|| op.spec().name()),
        }
    }
}

impl Augmentation {
    pub(super) fn apply(
        &self,
        image: &mut ImageMut<'_>,
        key: DrawKey,
        targets: Option<&mut Targets<'_, '_>>,
    ) -> Result<()> {
        let partners: Vec<_> = self.partners.iter().map(Picture::as_ref).collect();
        let workspace = &mut Workspace::with_partners(&partners);
        match (&self.source, targets) {
            (Source::Policy(executor), None) => executor.apply(image, key, workspace)?,
            (Source::Policy(executor), Some(targets)) => {
                executor.apply_with_targets(image, targets, key, workspace)?;
            }
            (_, None) => self.plan(key).replay(&self.ops, image, workspace)?,
            (_, Some(targets)) => {
                let plan = self.plan(key);
                plan.replay_with_targets(&self.ops, image, targets, workspace)?;
            }
        }
        Ok(())
    }

    /// The ops that are applied with this key.
    pub(super) fn plan(&self, key: DrawKey) -> Plan {
        let partners: Vec<_> = self.partners.iter().map(Picture::as_ref).collect();
        let (op, value) = match &self.source {
            Source::Policy(executor) => {
                return executor.plan(key, &Workspace::with_partners(&partners));
            }
            Source::Plan(plan) => return plan.clone(),
            Source::Op { op, value } => (op, *value),
        };
        // A single op draws its seed, the first 64 bits of the image's stream, and its partner.
        let mut stream = Stream::for_image(key);
        let seed = stream.next_u64();
        let count = partners.len() as u64;
        let partner = (count > 0).then(|| stream.below(count));
        let step = PlannedStep::new(0, op.spec().name(), value, seed, partner);
        Plan::new(None, vec![step])
    }
}

/// Reads a plan, or that of a line of a manifest.
pub(super) fn read_plan(file: &Path) -> Result<Plan> {
    let name = file.display();
    let json = match file == Path::new("-") {
        true => read_bounded_from(io::stdin().lock()),
        false => read_bounded(file),
    };
    let json = json.with_context(|| format!("cannot read the draw {name}"))?;
    let draw = serde_json::from_slice::<Value>(&json)
        .ok()
        .and_then(|line| {
            let is_line = line.get("input").is_some();
            is_line.then(|| line.get("draw").cloned().unwrap_or_default())
        });
    let plan = match draw {
        Some(Value::Null) => {
            bail!("{name} is a line without a draw: of an original, or of what was skipped")
        }
        Some(draw) => draw.to_string().into_bytes(),
        None => json,
    };
    Plan::parse(&plan).with_context(|| {
        format!("{name} is neither one line of a manifest nor a plan (`sed -n 7p manifest.jsonl` prints one line)")
    })
}
