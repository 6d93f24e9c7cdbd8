//! Which values of an op are measured.

use std::num::NonZeroUsize;

use faa_op::{Channels, DrawKey, ImageMut, OpSet, Stream, ValueRange};
use faa_policy::{Executor, PackedImages, Policy, Rule, Workspace, shipped};

use super::conditions::policy_at;
use crate::config::AuditedOp;
use crate::error::{ConfigError, ConfigErrorKind};

/// Ops that do nothing, or the same as another one with values in a different unit.
const LEFT_OUT: [&str; 5] = [
    "Identity",
    "TranslateXAbs",
    "TranslateYAbs",
    "CutoutAbs",
    "PosterizeBits",
];

/// Units that are counted, so that values between whole numbers are the same op again.
const WHOLE_UNITS: [&str; 2] = ["bits", "pixels"];

/// The ops that are audited if none are named: all of a set but `Identity` and those that are others in a
/// different unit (`TranslateXAbs`, `TranslateYAbs`, `CutoutAbs`, `PosterizeBits`).
pub fn default_ops(ops: &OpSet) -> Vec<String> {
    let names = ops.iter().map(|op| op.spec().name());
    let audited = names.filter(|name| !LEFT_OUT.contains(name));
    audited.map(str::to_owned).collect()
}

/// Chooses the values of these ops: from the value that changes images least, the start, `count` values in
/// each direction in which the op's range extends, the start included. They span the op's own range and
/// that of TrivialAugment's wide space together, and lie closer to each other near the start: distances
/// grow with the square of their number, and are rounded to two digits.
///
/// Ops whose result depends on a random seed or a partner image are measured with `draws` draws of every
/// image, and all others with one. The start and what depends on seeds are found by applying the op to an
/// image, so this works for ops of any origin.
///
/// # Errors
///
/// [`ConfigError`] if an op is unknown or fails.
pub fn configure(
    names: &[String],
    ops: &OpSet,
    count: NonZeroUsize,
    draws: NonZeroUsize,
) -> Result<Vec<AuditedOp>, ConfigError> {
    let wide = wide_ranges();
    names
        .iter()
        .map(|name| {
            let op = ops.get(name);
            let op = op.ok_or_else(|| {
                ConfigError::new(ConfigErrorKind::Ops, format!("no op is named `{name}`"))
            })?;
            let own = op.spec().value_range();
            let range = own.map(|own| {
                let found = wide.iter().find(|(wide, _)| wide == name);
                let [low, high] = found.map_or([own.low, own.high], |(_, range)| *range);
                [low.min(own.low), high.max(own.high)]
            });
            let audited = Probe::new(name, ops).audited(own.zip(range), count, draws);
            audited.map_err(|why| {
                ConfigError::new(
                    ConfigErrorKind::Ops,
                    format!("the op `{name}` cannot be audited: {why}"),
                )
            })
        })
        .collect()
}

/// The ends of the ranges of TrivialAugment's wide space, with their mirror images.
fn wide_ranges() -> Vec<(String, [f64; 2])> {
    let mut policies = shipped().iter();
    let wide = policies.find(|policy| policy.name == "trivialaugment-wide");
    let wide = wide.map(|it| it.policy().expect("shipped policies are valid"));
    let ops = match wide.map(|policy| policy.rule) {
        Some(Rule::Sampler(sampler)) => sampler.ops,
        _ => Vec::new(),
    };
    let range = |op: faa_policy::SamplerOp| {
        let values = op.values?;
        let mirrored = values
            .centre
            .map(|centre| [2.0 * centre - values.low, 2.0 * centre - values.high]);
        let ends = [
            [values.low, values.high],
            mirrored.unwrap_or([values.low, values.high]),
        ];
        let ends = ends.concat();
        let low = ends.iter().copied().fold(f64::INFINITY, f64::min);
        Some((
            op.op,
            [low, ends.into_iter().fold(f64::NEG_INFINITY, f64::max)],
        ))
    };
    ops.into_iter().filter_map(range).collect()
}

/// The side of the image that ops are tried on, in pixels.
const SIDE: usize = 32;
/// How often it is augmented, to see whether an op depends on its seed.
const TRIES: u32 = 4;

/// An op and the image that it is tried on.
struct Probe<'a> {
    op: &'a str,
    ops: &'a OpSet,
    /// Two images, the second of which is mixed into the first.
    samples: Vec<u8>,
}

impl<'a> Probe<'a> {
    fn new(op: &'a str, ops: &'a OpSet) -> Self {
        let mut stream = Stream::for_op(0);
        let sample = |index: usize| {
            let (row, column) = (index / (3 * SIDE), index / 3 % SIDE);
            match row % 2 {
                // A ramp with all levels, and noise.
                0 => (8 * column + row / 4) as u8,
                _ => stream.below(256) as u8,
            }
        };
        let samples = (0..2 * SIDE * SIDE * 3).map(sample).collect();
        Self { op, ops, samples }
    }

    fn audited(
        &self,
        range: Option<(&ValueRange, [f64; 2])>,
        count: NonZeroUsize,
        draws: NonZeroUsize,
    ) -> Result<AuditedOp, String> {
        let mut audited = AuditedOp::new(self.op, NonZeroUsize::MIN);
        let mut is_random = false;
        match range {
            None => is_random = self.tried(None)?.is_random,
            Some((own, [low, high])) => {
                let (start, change) = self.start(own, [low, high])?;
                audited.unit = own.unit.as_ref().to_owned();
                audited.start = Some(start);
                audited.values = values(start, [low, high], &audited.unit, count.get() - 1);
                for value in &audited.values {
                    is_random |= self.tried(Some(*value))?.is_random;
                }
                if change > 0.0 || audited.values.is_empty() {
                    // Not even there does the op leave an image as it is.
                    audited.values.push(start);
                    audited.values.sort_by(f64::total_cmp);
                }
            }
        }
        if is_random {
            audited.draws = draws;
        }
        Ok(audited)
    }

    /// The value that changes the image least, and by how much. Of equals, the first is taken.
    fn start(&self, own: &ValueRange, [low, high]: [f64; 2]) -> Result<(f64, f64), String> {
        let usual = own.centre.into_iter().chain([0.0, 1.0]);
        let usual = usual.filter(|value| (low..=high).contains(value));
        let mut min = (low, f64::INFINITY);
        for value in usual.chain([low, high]) {
            let change = self.tried(Some(value))?.change;
            if change < min.1 {
                min = (value, change);
            }
        }
        Ok(min)
    }

    /// What the op does at a value.
    fn tried(&self, value: Option<f64>) -> Result<Tried, String> {
        let policy: Policy = policy_at(self.op, value);
        let executor = Executor::new(&policy, self.ops).map_err(|error| error.to_string())?;
        let length = SIDE * SIDE * 3;
        let partners = PackedImages::new(&self.samples[length..], SIDE, SIDE, Channels::Rgb);
        let partners = partners.map_err(|error| error.to_string())?;
        let (mut change, mut results) = (0_u64, Vec::new());
        for epoch in 0..TRIES {
            let mut samples = self.samples[..length].to_vec();
            let image = ImageMut::new(&mut samples, SIDE, SIDE, Channels::Rgb);
            let mut image = image.map_err(|error| error.to_string())?;
            let key = DrawKey::new(0, epoch, 0);
            let workspace = &mut Workspace::with_partners(&partners);
            let applied = executor.apply(&mut image, key, workspace);
            applied.map_err(|error| error.to_string())?;
            let pairs = samples.iter().zip(&self.samples);
            change += pairs.map(|(a, b)| u64::from(a.abs_diff(*b))).sum::<u64>();
            results.push(samples);
        }
        Ok(Tried {
            change: change as f64,
            is_random: executor.partner_op().is_some()
                || results.iter().any(|it| *it != results[0]),
        })
    }
}

struct Tried {
    /// The sum of all differences of samples.
    change: f64,
    /// Whether draws differ.
    is_random: bool,
}

/// `steps` values on each side of the start that the range has, ascending.
fn values(start: f64, [low, high]: [f64; 2], unit: &str, steps: usize) -> Vec<f64> {
    let is_whole = WHOLE_UNITS.contains(&unit);
    let side = |end: f64| {
        let span = end - start;
        // All whole numbers, if they are few.
        let (steps, power) = match is_whole && span.abs() <= steps as f64 {
            true => (span.abs().ceil() as usize, 1),
            false => (steps, 2),
        };
        (1..=steps).map(move |step| {
            let fraction = (step as f64 / steps as f64).powi(power);
            let distance = if step < steps {
                two_digits(span * fraction)
            } else {
                span
            };
            let value = tidy(start + distance);
            if is_whole { value.round() } else { value }
        })
    };
    let mut values: Vec<f64> = side(low).chain(side(high)).collect();
    values.retain(|value| *value != start);
    values.sort_by(f64::total_cmp);
    values.dedup();
    values
}

/// Rounded to two significant digits.
fn two_digits(value: f64) -> f64 {
    if value == 0.0 {
        return value;
    }
    let unit = 10_f64.powi(value.abs().log10().floor() as i32 - 1);
    (value / unit).round() * unit
}

/// Without the last digits of a sum, which are rounding errors.
fn tidy(value: f64) -> f64 {
    format!("{value:.11e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use faa_ops_builtin::builtin_ops;

    use super::*;

    fn configured(op: &str) -> AuditedOp {
        let names = [op.to_owned()];
        let [count, draws] = [9, 3].map(|it| NonZeroUsize::new(it).unwrap());
        configure(&names, &builtin_ops(), count, draws)
            .unwrap()
            .remove(0)
    }

    #[test]
    fn values_lie_on_both_sides_of_the_start_over_the_widest_range() {
        let rotate = configured("Rotate");
        let positive = [2.1, 8.4, 19.0, 34.0, 53.0, 76.0, 100.0, 135.0];
        let all: Vec<f64> = positive
            .iter()
            .rev()
            .map(|value| -value)
            .chain(positive)
            .collect();
        assert_eq!((rotate.start, rotate.values), (Some(0.0), all));
        assert_eq!(rotate.unit, "degrees");
        let contrast = configured("Contrast");
        assert_eq!(contrast.start, Some(1.0));
        let ends = (contrast.values[0], contrast.values[15]);
        assert_eq!((ends, contrast.values.len()), ((0.01, 1.99), 16));
        assert!(contrast.values.contains(&0.44), "{:?}", contrast.values);
    }

    #[test]
    fn the_start_is_where_images_do_not_change() {
        for (op, start, values) in [
            ("Solarize", 256.0, 8),
            ("SolarizeAdd", 0.0, 8),
            ("Cutout", 0.0, 8),
            ("SamplePairing", 0.0, 8),
            ("CropPad", 0.0, 7),
            ("Posterize", 8.0, 6),
            ("TranslateX", 0.0, 16),
            ("Sharpness", 1.0, 16),
        ] {
            let found = configured(op);
            assert_eq!(
                (found.start, found.values.len()),
                (Some(start), values),
                "{op}"
            );
        }
        assert_eq!(
            configured("Posterize").values,
            [2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
        );
        let invert = configured("Invert");
        assert_eq!((invert.start, invert.values.len()), (None, 0));
    }

    #[test]
    fn only_ops_that_depend_on_a_seed_are_drawn_repeatedly() {
        for op in ["Cutout", "CropPad", "SamplePairing"] {
            assert_eq!(configured(op).draws.get(), 3, "{op}");
        }
        for op in ["Rotate", "Invert", "Contrast", "Equalize", "FlipX"] {
            assert_eq!(configured(op).draws.get(), 1, "{op}");
        }
    }

    #[test]
    fn everything_is_audited_once() {
        let ops = default_ops(&builtin_ops());
        for op in faa_policy::SEARCHED_OPS
            .iter()
            .chain(&["FlipX", "FlipY", "CropPad"])
        {
            assert!(ops.iter().any(|name| name == op), "{op}");
        }
        for op in LEFT_OUT {
            assert!(ops.iter().all(|name| name != op), "{op}");
        }
        let error = configure(
            &["Rotat".to_owned()],
            &builtin_ops(),
            NonZeroUsize::MIN,
            NonZeroUsize::MIN,
        );
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("no op is named `Rotat`")
        );
    }

    #[test]
    fn values_are_tidy_and_end_where_the_range_ends() {
        assert_eq!(values(1.0, [0.01, 1.0], "factor", 2), [0.01, 0.75]);
        assert_eq!(values(0.0, [0.0, 1e300], "", 3).last(), Some(&1e300));
        assert!(values(5.0, [5.0, 5.0], "", 4).is_empty());
        assert_eq!([0.0, 0.0123, -77.7].map(two_digits), [0.0, 0.012, -78.0]);
        assert_eq!([1.0 - 0.56, 1e-12].map(tidy), [0.44, 1e-12]);
    }
}
