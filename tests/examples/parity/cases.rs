//! Random cases: an op alone, or a policy with its plan.

use std::error::Error;
use std::sync::Arc;

use faa_op::{Channels, DrawKey, Op, OpSet, Scratch, Stream};
use faa_ops_builtin::SimdLevel;
use faa_policy::{Executor, Policy, Step, Strength, Workspace};
use faa_tests::pictures::{Kind, mode_of, partner, picture};
use faa_tests::ways::{Picture, Way};
use serde_json::{Value, json};

use crate::values::draw_value;

/// Everything that a result depends on.
pub(crate) struct Case {
    number: u64,
    kind: Kind,
    image_seed: u64,
    width: usize,
    height: usize,
    channels: Channels,
    work: Work,
}

enum Work {
    Op {
        step: Applied,
        way: Way,
    },
    Policy {
        policy: Policy,
        key: DrawKey,
        plan: Vec<Applied>,
    },
}

/// An op as it is applied, which is what Pillow repeats.
struct Applied {
    op: String,
    value: f64,
    seed: u64,
    /// Which of the image's partners a mixing op is given.
    partner: Option<u64>,
}

impl Case {
    /// The case of that number under that seed.
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
            kind: *pick(stream, &Kind::ALL),
            image_seed: stream.next_u64(),
            width,
            height,
            channels,
            work: if stream.chance(0.25) {
                draw_policy(stream, ops)
            } else {
                draw_op(stream, ops, (width, height, channels))
            },
        }
    }

    /// The case in JSON, without the level of SIMD.
    pub(crate) fn record(&self) -> Value {
        let mut record = json!({
            "case": self.number,
            "kind": self.kind.name(),
            "image_seed": self.image_seed,
            "width": self.width,
            "height": self.height,
            "mode": mode_of(self.channels),
            "length": self.width * self.height * self.channels.count(),
        });
        let steps: Vec<Value> = self
            .work
            .steps()
            .iter()
            .map(|step| {
                json!({
                    "op": step.op, "value": step.value, "seed": step.seed, "partner": step.partner,
                })
            })
            .collect();
        record["steps"] = json!(steps);
        match &self.work {
            Work::Op { way, .. } => record["way"] = json!(format!("{way:?}")),
            Work::Policy { policy, key, .. } => {
                record["key"] = json!([key.seed, key.epoch, key.index]);
                record["policy"] = sub_policies(policy);
            }
        }
        record
    }

    /// What this side makes of it, with the ops of one level of SIMD.
    pub(crate) fn result(
        &self,
        level: SimdLevel,
        ops: &OpSet,
    ) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        let (width, height, channels) = (self.width, self.height, self.channels);
        let around = |samples| Picture {
            samples,
            width,
            height,
            channels,
        };
        let mut image = around(picture(self.kind, self.image_seed, width, height, channels));
        match &self.work {
            Work::Op { step, way } => {
                let partner = step.partner.map(|number| {
                    around(partner(self.image_seed, number, width, height, channels))
                });
                let op = ops.get(&step.op).ok_or("the op is not there")?.as_ref();
                let scratch = &mut Scratch::new();
                let result = way.apply(
                    op,
                    level,
                    &image,
                    step.value,
                    step.seed,
                    partner.as_ref(),
                    scratch,
                )?;
                Ok(result.samples)
            }
            Work::Policy { policy, key, .. } => {
                let executor = Executor::new(policy, ops)?;
                executor.apply(&mut image.view_mut(), *key, &mut Workspace::new())?;
                Ok(image.samples)
            }
        }
    }
}

impl Work {
    fn steps(&self) -> &[Applied] {
        match self {
            Self::Op { step, .. } => std::slice::from_ref(step),
            Self::Policy { plan, .. } => plan,
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
        partner: spec.mixes().then(|| stream.below(3)),
    };
    let way = *pick(stream, &Way::ALL);
    Work::Op { step, way }
}

/// A policy of one to three sub-policies of one to four steps, with a plan of it.
fn draw_policy(stream: &mut Stream, ops: &OpSet) -> Work {
    // A mixing op needs a set of partners, which the executor does not take.
    let single: Vec<_> = ops.iter().filter(|op| !op.spec().mixes()).collect();
    let sub_policies = (0..=stream.below(3))
        .map(|_| {
            (0..=stream.below(4))
                .map(|_| draw_step(stream, &single))
                .collect()
        })
        .collect();
    let policy = Policy::of_sub_policies("parity", sub_policies);
    let key = DrawKey {
        seed: stream.next_u64(),
        epoch: stream.below(u64::from(u32::MAX)) as u32,
        index: stream.next_u64(),
    };
    let plan = Executor::new(&policy, ops)
        .expect("all ops are there and all numbers in range")
        .plan(key);
    let plan = plan.steps.into_iter().map(|step| Applied {
        op: step.op,
        value: step.value,
        seed: step.seed,
        partner: None,
    });
    Work::Policy {
        plan: plan.collect(),
        policy,
        key,
    }
}

fn draw_step(stream: &mut Stream, ops: &[&Arc<dyn Op>]) -> Step {
    let op = pick(stream, ops).spec().name().to_owned();
    let probability = match stream.below(3) {
        0 => stream.unit(),
        _ => 1.0,
    };
    let magnitude = match stream.below(8) {
        0 => 0.0,
        1 => 1.0,
        _ => stream.unit(),
    };
    Step {
        op,
        probability,
        strength: Strength::Magnitude(magnitude),
    }
}

fn draw_size(stream: &mut Stream) -> (usize, usize) {
    let mut to = |most: u64| 1 + stream.below(most) as usize;
    match to(20) {
        1 if to(5) == 1 => (to(700), to(500)),
        1 => (to(200), to(200)),
        // Long enough for coordinates that leave 16 bits.
        2 if to(10) == 1 => (to(2), to(40_000)),
        3 if to(10) == 1 => (to(40_000), to(2)),
        2 => (1, to(80)),
        3 => (to(80), 1),
        4 | 5 => (to(6), to(6)),
        6 | 7 => {
            let side = to(64);
            (side, side)
        }
        // About the widths of vectors, where a loop's rest begins.
        8 | 9 => (16 * to(5) + to(3) - 2, to(20)),
        _ => (to(64), to(64)),
    }
}

/// The steps of a policy as its file has them.
fn sub_policies(policy: &Policy) -> Value {
    let file: Value = serde_json::from_str(&policy.to_json()).expect("policies are written well");
    file["sub_policies"].clone()
}

/// One of several things.
pub(crate) fn pick<'a, T>(stream: &mut Stream, things: &'a [T]) -> &'a T {
    &things[stream.below(things.len() as u64) as usize]
}
