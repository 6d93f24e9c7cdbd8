//! Random cases: an image, and an op alone or a policy.

use std::error::Error;

use faa_op::{Channels, DrawKey, OpSet, Scratch, Stream};
use faa_ops_builtin::SimdLevel;
use faa_tests::pictures::{Kind, Source, mode_of};
use faa_tests::ways::Way;
use serde_json::{Value, json};

use crate::policies::PolicyRun;
use crate::values::draw_value;

/// Everything that a result depends on.
pub(crate) struct Case {
    number: u64,
    source: Source,
    work: Work,
}

enum Work {
    Op { step: Applied, way: Way },
    Policy(PolicyRun),
}

/// An op with all its arguments, which Pillow applies too.
pub(crate) struct Applied {
    pub(crate) op: String,
    pub(crate) value: f64,
    pub(crate) seed: u64,
    /// Index of the partner image that a mixing op gets.
    pub(crate) partner: Option<u64>,
}

impl Case {
    /// The case of this seed and number.
    pub(crate) fn draw(seed: u64, number: u64, ops: &OpSet) -> Self {
        let stream = &mut Stream::for_image(DrawKey {
            seed,
            epoch: 0,
            index: number,
        });
        let (width, height) = draw_size(stream);
        let channels = *pick(stream, &[Channels::L, Channels::Rgb, Channels::Rgba]);
        Self {
            number,
            source: Source {
                kind: *pick(stream, &Kind::ALL),
                seed: stream.next_u64(),
                width,
                height,
                channels,
            },
            work: if stream.chance(0.25) {
                Work::Policy(PolicyRun::draw(stream, ops, channels))
            } else {
                draw_op(stream, ops, (width, height, channels))
            },
        }
    }

    /// The case as JSON, without the SIMD level.
    pub(crate) fn record(&self) -> Value {
        let source = &self.source;
        let step = |step: &Applied| json!({"op": step.op, "value": step.value, "seed": step.seed, "partner": step.partner});
        let mut record = json!({
            "case": self.number,
            "kind": source.kind.name(),
            "image_seed": source.seed,
            "width": source.width,
            "height": source.height,
            "mode": mode_of(source.channels),
            "length": source.width * source.height * source.channels.count(),
            "steps": self.work.steps().iter().map(step).collect::<Vec<_>>(),
        });
        match &self.work {
            Work::Op { way, .. } => record["way"] = json!(format!("{way:?}")),
            Work::Policy(run) => run.describe(&mut record),
        }
        record
    }

    /// The result of the built-in ops at a SIMD level.
    pub(crate) fn result(
        &self,
        level: SimdLevel,
        ops: &OpSet,
    ) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        let image = self.source.picture();
        match &self.work {
            Work::Op { step, way } => {
                let partner = step.partner.map(|number| self.source.partner(number));
                let op = ops.get(&step.op).ok_or("unknown op")?.as_ref();
                let (value, seed, scratch) = (step.value, step.seed, &mut Scratch::new());
                let partner = partner.as_ref();
                let result = way.apply(op, level, &image, value, seed, partner, scratch)?;
                Ok(result.samples)
            }
            Work::Policy(run) => {
                run.result(ops, &image, |number| self.source.partner(number).samples)
            }
        }
    }
}

impl Work {
    fn steps(&self) -> &[Applied] {
        match self {
            Self::Op { step, .. } => std::slice::from_ref(step),
            Self::Policy(run) => run.plan(),
        }
    }
}

fn draw_op(stream: &mut Stream, ops: &OpSet, shape: (usize, usize, Channels)) -> Work {
    let all: Vec<_> = ops.iter().collect();
    let spec = pick(stream, &all).spec();
    let step = Applied {
        op: spec.name().to_owned(),
        value: draw_value(stream, spec, shape),
        seed: stream.next_u64(),
        partner: spec.needs_partner().then(|| stream.below(3)),
    };
    let way = *pick(stream, &Way::ALL);
    Work::Op { step, way }
}

fn draw_size(stream: &mut Stream) -> (usize, usize) {
    let mut to = |max: u64| 1 + stream.below(max) as usize;
    match to(20) {
        1 if to(5) == 1 => (to(700), to(500)),
        1 => (to(200), to(200)),
        // So long that coordinates overflow 16 bits.
        2 if to(10) == 1 => (to(2), to(40_000)),
        3 if to(10) == 1 => (to(40_000), to(2)),
        2 => (1, to(80)),
        3 => (to(80), 1),
        4 | 5 => (to(6), to(6)),
        6 | 7 => {
            let side = to(64);
            (side, side)
        }
        // Close to multiples of SIMD widths, where the remainder of a loop begins.
        8 | 9 => (16 * to(5) + to(3) - 2, to(20)),
        _ => (to(64), to(64)),
    }
}

/// One of several items, drawn uniformly.
pub(crate) fn pick<'a, T>(stream: &mut Stream, items: &'a [T]) -> &'a T {
    &items[stream.below(items.len() as u64) as usize]
}
