//! What an op does, tried out.

use std::sync::Arc;

use faa_op::{Channels, ImageMut, Op, Stream};
use faa_plugin::{CallError, Plugin, PluginOp};

use super::Finding;
use crate::measure::{Pictures, Work, rate};

const SHAPES: [(usize, usize); 8] = [
    (1, 1),
    (1, 7),
    (7, 1),
    (5, 3),
    (33, 31),
    (32, 32),
    (224, 224),
    (1024, 1024),
];

const CHANNELS: [Channels; 3] = [Channels::L, Channels::Rgb, Channels::Rgba];

/// A seed, and the one whose result must not show in that of the first.
const SEEDS: [u64; 2] = [1, 0x9e37_79b9_7f4a_7c15];

/// A call: all that a result may depend on.
#[derive(Clone, Copy)]
struct Case {
    shape: (usize, usize),
    channels: Channels,
    value: f64,
    seed: u64,
}

/// Tries an op in every respect.
pub(super) fn findings(plugin: &Plugin, op: &Arc<PluginOp>) -> Vec<Finding> {
    let values = values(op);
    let cases: Vec<Case> = SHAPES
        .iter()
        .flat_map(|&shape| CHANNELS.map(|channels| (shape, channels)))
        .flat_map(|(shape, channels)| {
            values.iter().map(move |&value| Case {
                shape,
                channels,
                value,
                seed: SEEDS[0],
            })
        })
        .collect();
    let (works, error) = works(op, &cases);
    if matches!(error, Some(CallError::Time { .. })) {
        // Trying more would take the limit of time for each case.
        return vec![works];
    }
    vec![
        works,
        is_pure(plugin, op, &cases),
        tables_agree(op, &values),
        time(op, values[values.len() / 2]),
    ]
}

/// Both ends, the middle, and beyond the ends; 0 for an op without a value.
fn values(op: &PluginOp) -> Vec<f64> {
    match op.spec().value_range() {
        Some(range) => {
            let width = (range.high - range.low).max(1.0);
            let at = |magnitude| range.value_at(magnitude);
            vec![
                at(0.0),
                at(0.5),
                at(1.0),
                range.low - width,
                range.high + width,
            ]
        }
        None => vec![0.0],
    }
}

/// With the first error, where there is one.
fn works(op: &PluginOp, cases: &[Case]) -> (Finding, Option<CallError>) {
    let what = format!("{}: every shape and value", op.spec().name());
    let mut refused = 0;
    for case in cases {
        match case.apply(op) {
            Ok(_) => {}
            Err(CallError::Shape { .. }) => refused += 1,
            Err(error) => {
                let finding = Finding {
                    what,
                    ok: false,
                    detail: format!("{case}: {error}"),
                    advice: "an op works on every shape and value, or returns the status for a \
                             shape that it does not support",
                };
                return (finding, Some(error));
            }
        }
    }
    let count = cases.len();
    let finding = Finding {
        what,
        ok: refused < count,
        detail: match refused {
            0 => format!("{count} cases work"),
            _ => format!(
                "{} cases work, {refused} are shapes that it does not support",
                count - refused
            ),
        },
        advice: "an op that supports no shape at all is of no use",
    };
    (finding, None)
}

/// The same call again, after another one, and in another instance.
fn is_pure(plugin: &Plugin, op: &PluginOp, cases: &[Case]) -> Finding {
    let what = format!("{}: the same call, the same bytes", op.spec().name());
    let failed = |case: &Case, when: &str, advice| Finding {
        what: what.clone(),
        ok: false,
        detail: format!("{case}: other bytes {when}"),
        advice,
    };
    for case in cases.iter().filter(|case| case.shape.0 <= 224) {
        let Ok(first) = case.apply(op) else { continue };
        if case.apply(op).ok() != Some(first.clone()) {
            let advice = "all of an op's randomness comes from its seed, and nothing that it keeps \
                          between calls may show";
            return failed(case, "the second time", advice);
        }
        let other = Case {
            seed: SEEDS[1],
            shape: (case.shape.1 + 2, case.shape.0 + 3),
            ..*case
        };
        // Whether that works or not, it must not show.
        let _ = other.apply(op);
        if case.apply(op).ok() != Some(first.clone()) {
            let advice = "what an op keeps of one image must not show in another: set working memory \
                          anew in each call";
            return failed(case, "after another image", advice);
        }
        plugin.forget_instance();
        if case.apply(op).ok() != Some(first) {
            let advice = "an op must not depend on how many calls its instance has had before";
            return failed(case, "in another instance", advice);
        }
    }
    let when = if plugin.is_native() {
        "again, and after other images"
    } else {
        "again, after other images, and in another instance"
    };
    Finding::good(&what, when)
}

fn tables_agree(op: &PluginOp, values: &[f64]) -> Finding {
    let what = format!("{}: tables", op.spec().name());
    let mut found = false;
    for &value in values {
        for channels in CHANNELS {
            let tables = match op.try_point(value, channels) {
                Ok(Some(tables)) => tables,
                Ok(None) => continue,
                Err(error) => {
                    return Finding {
                        what,
                        ok: false,
                        detail: format!("value {value}: {error}"),
                        advice: "`point` gives tables or nothing, and fails at no value",
                    };
                }
            };
            found = true;
            for seed in SEEDS {
                let shape = (64, 48);
                let case = Case {
                    shape,
                    channels,
                    value,
                    seed,
                };
                let mut pixels = case.pixels();
                tables.apply(&mut case.image(&mut pixels));
                if case.apply(op).ok() != Some(pixels) {
                    return Finding {
                        what,
                        ok: false,
                        detail: format!("{case}: other bytes than without them"),
                        advice: "`point` gives what `apply` does to every level, with any seed, or \
                                 nothing",
                    };
                }
            }
        }
    }
    let detail = if found {
        "they agree: neighbouring ops become one pass"
    } else {
        "none: it is no point op, or does not say so"
    };
    Finding::good(&what, detail)
}

/// The best of several rounds, from a source to a result.
fn time(op: &Arc<PluginOp>, value: f64) -> Finding {
    let what = format!("{}: time an image", op.spec().name());
    let work = Work::Op(op.clone(), value);
    let times = [32, 224].map(|size| {
        let pictures = Pictures::new(size, Channels::Rgb);
        match rate(&work, &pictures, 1, 0.1) {
            Ok(rate) => format!("{:.1} µs at {size}×{size}", 1e6 / rate),
            Err(error) => format!("{error:#} at {size}×{size}"),
        }
    });
    Finding::good(&what, times.join(", "))
}

impl Case {
    /// Smooth, so that an op's effect shows, with noise, so that it shows everywhere.
    fn pixels(&self) -> Vec<u8> {
        let (width, height) = self.shape;
        let samples = width * self.channels.count();
        let mut stream = Stream::for_op(7);
        let sample = |place: usize| {
            let (x, y) = (place % samples, place / samples);
            40 + (x * 90 / samples + y * 90 / height) as u8
        };
        (0..samples * height)
            .map(|place| sample(place) + (stream.next_u32() & 31) as u8)
            .collect()
    }

    fn image<'a>(&self, pixels: &'a mut [u8]) -> ImageMut<'a> {
        ImageMut::new(pixels, self.shape.0, self.shape.1, self.channels)
            .expect("pixels have the shape that they were made for")
    }

    fn apply(&self, op: &PluginOp) -> Result<Vec<u8>, CallError> {
        let mut pixels = self.pixels();
        op.try_apply(&mut self.image(&mut pixels), self.value, self.seed)?;
        Ok(pixels)
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (width, height) = self.shape;
        let (channels, value, seed) = (self.channels.count(), self.value, self.seed);
        write!(f, "{width}×{height}×{channels}, value {value}, seed {seed}")
    }
}
