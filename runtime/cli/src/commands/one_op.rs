use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use clap::Args;
use faa_op::{Op, OpSet};

use super::{Usage, unknown_op};
use crate::arguments::in_range;

/// A single op and its value.
#[derive(Args)]
pub(crate) struct OneOp {
    /// Single op, applied to every image with exactly the given value; its sign is never changed.
    #[arg(long = "op", id = "op", value_name = "NAME")]
    name: Option<String>,
    /// Value of the op, in the unit that `faa-runtime ops` lists.
    #[arg(
        long,
        value_name = "V",
        requires = "op",
        conflicts_with = "magnitude",
        allow_negative_numbers = true
    )]
    value: Option<f64>,
    /// Magnitude of the op instead of a value: 0 to 1, from one end of the op's range to the other.
    #[arg(long, value_name = "M", requires = "op", allow_negative_numbers = true,
          value_parser = in_range(0.0..=1.0))]
    magnitude: Option<f64>,
}

impl OneOp {
    /// The op of that name. clap has checked that a name is given if no policy is.
    pub(crate) fn find(&self, ops: &OpSet) -> Result<Arc<dyn Op>> {
        let name = self
            .name
            .as_deref()
            .expect("clap requires a policy or an op");
        let op = ops.get(name).cloned();
        op.ok_or_else(|| anyhow!(unknown_op(name, ops)))
    }

    /// The value given on the command line, in the op's unit; `None` if none is given.
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
            (None, magnitude) => Ok(magnitude.map(|magnitude| range.value_at(magnitude))),
        }
    }

    /// The value given on the command line, which must be there; 0 for an op without a value.
    pub(crate) fn value(&self, op: &dyn Op) -> Result<f64> {
        let (stated, spec) = (self.stated_value(op)?, op.spec());
        if let (None, Some(range)) = (stated, spec.value_range()) {
            let (name, low, high, unit) = (spec.name(), range.low, range.high, &range.unit);
            bail!(Usage(format!(
                "{name} needs --value V ({low} … {high} {unit}) or --magnitude M (0 … 1)"
            )));
        }
        Ok(stated.unwrap_or(0.0))
    }
}
