use alloc::borrow::Cow;

use crate::{OpErrorKind, OpResult};

/// An op's name and the values that it takes.
#[derive(Clone, Debug, PartialEq)]
pub struct OpSpec {
    name: Cow<'static, str>,
    summary: Cow<'static, str>,
    range: Option<ValueRange>,
    needs_partner: bool,
}

/// The values between which policies choose.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ValueRange {
    /// The value at magnitude 0, in the op's unit.
    pub low: f64,
    /// The value at magnitude 1, in the op's unit.
    pub high: f64,
    /// What the value is measured in: `degrees`, `bits`, `fraction of width` …
    pub unit: Cow<'static, str>,
    /// The centre of mirroring: with probability ½ a drawn value `v` becomes `2 × centre − v`.
    /// `None` if values are taken as they are.
    pub centre: Option<f64>,
}

impl OpSpec {
    /// An op without a value.
    pub fn new(name: impl Into<Cow<'static, str>>, summary: impl Into<Cow<'static, str>>) -> Self {
        Self {
            name: name.into(),
            summary: summary.into(),
            range: None,
            needs_partner: false,
        }
    }

    /// The same op with a value from `low` to `high`, both finite, measured in `unit`.
    #[must_use]
    pub fn range(mut self, low: f64, high: f64, unit: impl Into<Cow<'static, str>>) -> Self {
        self.range = Some(ValueRange {
            low,
            high,
            unit: unit.into(),
            centre: None,
        });
        self
    }

    /// The same op, its values mirrored about 0 with probability ½ when they are drawn.
    ///
    /// Has no effect on an op without a value.
    #[must_use]
    pub fn mirrored(mut self) -> Self {
        if let Some(range) = &mut self.range {
            range.centre = Some(0.0);
        }
        self
    }

    /// The same op, which mixes in a partner image: its caller must provide one.
    #[must_use]
    pub fn with_partner(mut self) -> Self {
        self.needs_partner = true;
        self
    }

    /// The name of the op in policies.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A summary of one line.
    pub fn summary(&self) -> &str {
        &self.summary
    }

    /// The range of the op's value, if it has one.
    pub fn value_range(&self) -> Option<&ValueRange> {
        self.range.as_ref()
    }

    /// Checks a value for a call of the op; an op without a value ignores it.
    ///
    /// # Errors
    ///
    /// [`OpErrorKind::NotFinite`].
    pub fn check_value(&self, value: f64) -> OpResult {
        match self.range.is_none() || value.is_finite() {
            true => Ok(()),
            false => Err(OpErrorKind::NotFinite { value }.into()),
        }
    }

    /// Whether the op needs a partner image.
    pub fn needs_partner(&self) -> bool {
        self.needs_partner
    }
}

impl ValueRange {
    /// The value at a magnitude from 0 to 1: `low + magnitude × (high − low)`.
    pub fn value_at(&self, magnitude: f64) -> f64 {
        self.low + magnitude * (self.high - self.low)
    }

    /// Whether `value` lies between the ends, which belong to the range.
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn magnitudes_span_the_range() {
        let spec = OpSpec::new("Rotate", "")
            .range(-30.0, 30.0, "degrees")
            .mirrored();
        let range = spec.value_range().unwrap();
        assert_eq!(range.value_at(0.0), -30.0);
        assert_eq!(range.value_at(0.75), 15.0);
        assert_eq!(range.value_at(1.0), 30.0);
        assert_eq!(range.centre, Some(0.0));
        assert!(range.contains(30.0) && !range.contains(30.5) && !range.contains(f64::NAN));
    }
}
