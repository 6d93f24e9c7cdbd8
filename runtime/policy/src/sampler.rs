use crate::PolicyError;
use crate::object::JsonPath;

/// Ops drawn one by one, uniformly and with replacement, and all applied: the rule of RandAugment
/// (a stated bin) and TrivialAugment (a drawn one).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Sampler {
    /// How many ops an image draws, from 1 to [`Sampler::MAX_COUNT`].
    pub count: u32,
    /// Into how many strengths the values are divided, both ends included; from 2 to
    /// [`Sampler::MAX_BINS`].
    pub bins: u32,
    /// The strength of every op, below `bins`; if it is not stated, each drawn op with a value draws
    /// its own, uniformly.
    pub bin: Option<u32>,
    /// The ops to draw from; at least one. An op that is listed twice is drawn twice as often.
    pub ops: Vec<SamplerOp>,
}

/// An op of a sampler.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SamplerOp {
    /// The op's name.
    pub op: String,
    /// The values to choose from; by default those of the op's own range, mirrored like the op. An op
    /// without a value has none.
    pub values: Option<SamplerValues>,
}

/// The values of an op in a sampler: bin `b` is `low + b / (bins − 1) × (high − low)`.
///
/// All numbers are in the op's own unit, and finite. They may lie outside the op's range, which
/// bounds only what magnitudes span.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct SamplerValues {
    /// The value of the first bin. It is above `high` if smaller values have more effect.
    pub low: f64,
    /// The value of the last bin.
    pub high: f64,
    /// If stated, a value `v` becomes `2 × centre − v` with probability ½.
    pub centre: Option<f64>,
    /// Whether a bin's value is rounded to the nearest integer, ties to even, before mirroring.
    pub integer: bool,
}

impl Sampler {
    /// The maximum number of ops that an image draws.
    pub const MAX_COUNT: u32 = 64;
    /// The maximum number of bins.
    pub const MAX_BINS: u32 = 65_536;

    /// A sampler of these four. The numbers are checked when a policy is.
    pub fn new(count: u32, bins: u32, bin: Option<u32>, ops: Vec<SamplerOp>) -> Self {
        Self {
            count,
            bins,
            bin,
            ops,
        }
    }

    /// Checks what does not depend on the ops.
    pub(crate) fn check_numbers(&self) -> Result<(), PolicyError> {
        let path = JsonPath::root().key("sampler");
        let bounded = |key, value: u32, low: u32, high: u32| {
            (path.key(key)).within(value.into(), low.into(), high.into())
        };
        bounded("count", self.count, 1, Self::MAX_COUNT)?;
        bounded("bins", self.bins, 2, Self::MAX_BINS)?;
        if let Some(bin) = self.bin {
            bounded("bin", bin, 0, self.bins - 1)?;
        }
        let path = path.key("ops");
        for (index, op) in path.not_empty(&self.ops)?.iter().enumerate() {
            if let Some(values) = &op.values {
                values.check(&path.item(index))?;
            }
        }
        Ok(())
    }
}

impl SamplerOp {
    /// An op with these values, or with those of its own range.
    pub fn new(op: impl Into<String>, values: Option<SamplerValues>) -> Self {
        let op = op.into();
        Self { op, values }
    }
}

impl SamplerValues {
    /// Values from `low` to `high`, mirrored about `centre` if there is one, that are not rounded.
    pub fn new(low: f64, high: f64, centre: Option<f64>) -> Self {
        Self {
            low,
            high,
            centre,
            integer: false,
        }
    }

    /// Ends so far apart that a value between them or its mirror image would overflow are not finite
    /// either.
    fn check(&self, path: &JsonPath) -> Result<(), PolicyError> {
        let finite = |key, value| path.key(key).finite(value);
        finite("low", self.low)?;
        finite("high", self.high)?;
        finite("high", self.high - self.low)?;
        if let Some(centre) = self.centre {
            finite("centre", centre)?;
            finite("centre", 2.0 * centre - self.low)?;
            finite("centre", 2.0 * centre - self.high)?;
        }
        Ok(())
    }

    /// The value of a bin, before mirroring.
    pub(crate) fn value_at(&self, bin: u32, bins: u32) -> f64 {
        let fraction = f64::from(bin) / f64::from(bins - 1);
        let value = self.low + fraction * (self.high - self.low);
        if self.integer {
            value.round_ties_even()
        } else {
            value
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_divide_the_values_evenly() {
        let all = |low, high, integer, bins| -> Vec<f64> {
            let mut values = SamplerValues::new(low, high, None);
            values.integer = integer;
            (0..bins).map(|bin| values.value_at(bin, bins)).collect()
        };
        let downwards = all(8.0, 4.0, false, 5);
        assert_eq!(downwards, [8.0, 7.0, 6.0, 5.0, 4.0]);
        // 0.5, 1.5 and 2.5 lie between two integers.
        let rounded = all(0.0, 3.0, true, 7);
        assert_eq!(rounded, [0.0, 0.0, 1.0, 2.0, 2.0, 2.0, 3.0]);
    }
}
