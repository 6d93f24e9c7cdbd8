//! Checks of an op's behaviour.

use std::sync::Arc;
use std::time::Instant;

use faa_op::{Channels, ImageMut, Op, Stream};
use faa_plugin::{CallError, CallErrorKind, Plugin, PluginOp};

use super::{Finding, out_of_time};
use crate::measure::{Pictures, Workload, rate};

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

/// The seed of every case, and a different one for calls in between.
const SEEDS: [u64; 2] = [1, 0x9e37_79b9_7f4a_7c15];

/// A call: everything that a result may depend on.
#[derive(Clone, Copy)]
struct Case {
    shape: (usize, usize),
    channels: Channels,
    value: f64,
    seed: u64,
}

/// Runs all checks of an op.
pub(super) fn findings(plugin: &Plugin, op: &Arc<PluginOp>, deadline: Instant) -> Vec<Finding> {
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
    let (works, error) = works(op, &cases, deadline);
    if error.is_some_and(|error| matches!(error.kind(), CallErrorKind::Time(_))) {
        // In further checks, each case could take the whole time limit.
        return vec![works];
    }
    vec![
        works,
        is_pure(plugin, op, &cases, deadline),
        tables_agree(op, &values, deadline),
        time(op, values[values.len() / 2]),
    ]
}

/// Both ends and the middle of the range, and values outside of it; 0 for an op without a value.
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

/// Applies every case; returns the first error too, if there is one.
fn works(op: &PluginOp, cases: &[Case], deadline: Instant) -> (Finding, Option<CallError>) {
    let check = format!("{}: every shape and value", op.spec().name());
    let mut unsupported = 0;
    for case in cases {
        if let Some(late) = out_of_time(&check, deadline) {
            return (late, None);
        }
        match case.apply(op) {
            Ok(_) => {}
            Err(error) if matches!(error.kind(), CallErrorKind::Shape { .. }) => unsupported += 1,
            Err(error) => {
                let advice = "an op must work with every shape and value, or return the status for an \
                              unsupported shape";
                let finding = Finding::failed(check, format!("{case}: {error}"), advice);
                return (finding, Some(error));
            }
        }
    }
    let detail = match (cases.len() - unsupported, unsupported) {
        (0, _) => {
            let advice = "an op must support at least one shape";
            return (
                Finding::failed(check, "no shape is supported".to_owned(), advice),
                None,
            );
        }
        (works, 0) => format!("{works} cases work"),
        (works, _) => format!("{works} cases work, {unsupported} have an unsupported shape"),
    };
    (Finding::passed(check, detail), None)
}

/// Repeats each call: at once, after a different call, and in a new instance.
fn is_pure(plugin: &Plugin, op: &PluginOp, cases: &[Case], deadline: Instant) -> Finding {
    let check = format!("{}: same call, same bytes", op.spec().name());
    let failed = |case: &Case, when: &str, advice| {
        Finding::failed(&check, format!("{case}: different bytes {when}"), advice)
    };
    for case in cases.iter().filter(|case| case.shape.0 <= 224) {
        if let Some(late) = out_of_time(&check, deadline) {
            return late;
        }
        let Ok(first) = case.apply(op) else { continue };
        let repeats = || case.apply(op).is_ok_and(|result| result == first);
        if !repeats() {
            let advice = "all of an op's randomness must come from its seed, and the result must not \
                          depend on state kept between calls";
            return failed(case, "the second time", advice);
        }
        let other = Case {
            seed: SEEDS[1],
            shape: (case.shape.1 + 2, case.shape.0 + 3),
            ..*case
        };
        // Neither its result nor an error matters.
        let _ = other.apply(op);
        if !repeats() {
            let advice = "an image must not influence later ones: initialise working memory in each \
                          call";
            return failed(case, "after a different image", advice);
        }
        plugin.drop_instance();
        if !repeats() {
            let advice = "a result must not depend on earlier calls of the same instance";
            return failed(case, "in a new instance", advice);
        }
    }
    let detail = if plugin.is_native() {
        "repeated, and after different images"
    } else {
        "repeated, after different images, and in a new instance"
    };
    Finding::passed(check, detail)
}

fn tables_agree(op: &PluginOp, values: &[f64], deadline: Instant) -> Finding {
    let check = format!("{}: lookup tables", op.spec().name());
    let mut found = false;
    for &value in values {
        for channels in CHANNELS {
            if let Some(late) = out_of_time(&check, deadline) {
                return late;
            }
            let tables = match op.try_lookup_tables(value, channels) {
                Ok(Some(tables)) => tables,
                Ok(None) => continue,
                Err(error) => {
                    let advice = "for every value, the function must return tables or none";
                    return Finding::failed(check, format!("value {value}: {error}"), advice);
                }
            };
            found = true;
            for seed in SEEDS {
                let case = Case {
                    shape: (64, 48),
                    channels,
                    value,
                    seed,
                };
                let mut pixels = case.pixels();
                tables.apply(&mut case.image(&mut pixels));
                if case.apply(op).ok() != Some(pixels) {
                    let advice = "the tables must give the same bytes as applying the op with any \
                                  seed; otherwise return none";
                    let detail = format!("{case}: different bytes than without them");
                    return Finding::failed(check, detail, advice);
                }
            }
        }
    }
    let detail = if found {
        "same bytes: the op runs in one pass with neighbouring ops"
    } else {
        "none"
    };
    Finding::passed(check, detail)
}

/// The time per image, in the fastest of several rounds.
fn time(op: &Arc<PluginOp>, value: f64) -> Finding {
    let check = format!("{}: time per image", op.spec().name());
    let workload = Workload::Op(op.clone(), value);
    let times = [32, 224].map(|size| {
        let pictures = Pictures::new(size, Channels::Rgb);
        match rate(&workload, &pictures, 1, 0.1) {
            Ok(rate) => format!("{:.1} µs at {size}×{size}", 1e6 / rate),
            Err(error) => format!("{error:#} at {size}×{size}"),
        }
    });
    Finding::passed(check, times.join(", "))
}

impl Case {
    /// A smooth image with noise, so that every op changes something everywhere.
    fn pixels(&self) -> Vec<u8> {
        let (width, height) = self.shape;
        let samples = width * self.channels.count();
        let mut stream = Stream::for_op(7);
        let sample = |index: usize| {
            let (x, y) = (index % samples, index / samples);
            40 + (x * 90 / samples + y * 90 / height) as u8
        };
        (0..samples * height)
            .map(|index| sample(index) + (stream.next_u32() & 31) as u8)
            .collect()
    }

    fn image<'a>(&self, pixels: &'a mut [u8]) -> ImageMut<'a> {
        ImageMut::new(pixels, self.shape.0, self.shape.1, self.channels)
            .expect("pixels have this shape")
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
