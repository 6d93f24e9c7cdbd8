use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use clap::Args;
use faa_op::{Op, OpSet, ValueRange};
use faa_policy::nearest_name;

use super::Usage;

/// A single op, as the command line names it.
#[derive(Args)]
pub(crate) struct OneOp {
    /// A single op, applied to every image with exactly the given value, never mirrored.
    #[arg(long = "op", id = "op", value_name = "NAME")]
    name: Option<String>,
    /// Value of the op, in the op's own unit (`faa-runtime ops`).
    #[arg(
        long,
        value_name = "V",
        requires = "op",
        conflicts_with = "magnitude",
        allow_negative_numbers = true
    )]
    value: Option<f64>,
    /// Magnitude instead of a value: from 0 to 1 over the op's range.
    #[arg(long, value_name = "M", requires = "op", allow_negative_numbers = true)]
    magnitude: Option<f64>,
}

impl OneOp {
    /// The op of that name. clap has checked that there is a name if there is no policy.
    pub(crate) fn find(&self, ops: &OpSet) -> Result<Arc<dyn Op>> {
        let name = self
            .name
            .as_deref()
            .expect("clap asks for a policy or an op");
        ops.get(name).cloned().ok_or_else(|| {
            let nearest = nearest_name(name, ops.iter().map(|op| op.spec().name()));
            match nearest {
                Some(nearest) => anyhow!("no op is named `{name}`; did you mean `{nearest}`?"),
                None => anyhow!("no op is named `{name}`; `faa-runtime ops` lists them"),
            }
        })
    }

    /// The value given on the command line, in the op's unit.
    pub(crate) fn stated_value(&self, op: &dyn Op) -> Result<Option<f64>> {
        let Some(range) = op.spec().value_range() else {
            if self.value.is_some() || self.magnitude.is_some() {
                let name = op.spec().name();
                bail!(Usage(format!(
                    "{name} takes no value: omit --value and --magnitude"
                )));
            }
            return Ok(None);
        };
        match (self.value, self.magnitude) {
            (Some(value), _) if value.is_finite() => Ok(Some(value)),
            (Some(_), _) => bail!(Usage("--value must be a finite number".to_owned())),
            (None, Some(magnitude)) if (0.0..=1.0).contains(&magnitude) => {
                Ok(Some(range.value_at(magnitude)))
            }
            (None, Some(_)) => bail!(Usage("--magnitude must be a number from 0 to 1".to_owned())),
            (None, None) => Ok(None),
        }
    }

    /// The value to apply the op with: the given one, or 0 for an op without a value.
    pub(crate) fn value(&self, op: &dyn Op) -> Result<f64> {
        match (self.stated_value(op)?, op.spec().value_range()) {
            (Some(value), _) => Ok(value),
            (None, None) => Ok(0.0),
            (
                None,
                Some(ValueRange {
                    low, high, unit, ..
                }),
            ) => bail!(Usage(format!(
                "{} needs --value V ({low} … {high} {unit}) or --magnitude M (0 … 1)",
                op.spec().name()
            ))),
        }
    }
}
