//! The objectives of `objectives.py`, term by term and in the same order of
//! summation.

use faa_search::sampler::Dimension::{self, Choice, Unit};
use std::f64::consts::PI;

/// An objective to minimise, and the space it is defined on.
pub(crate) trait Objective {
    fn name(&self) -> &'static str;
    fn dimensions(&self) -> Vec<Dimension>;
    /// The loss that the sampler observes.
    fn loss(&self, x: &[f64]) -> f64;
    /// The loss that the methods are compared by: `loss` without noise.
    fn true_loss(&self, x: &[f64]) -> f64 {
        self.loss(x)
    }
}

pub(crate) fn all() -> Vec<Box<dyn Objective>> {
    vec![
        Box::new(Policy::new()),
        Box::new(Rastrigin::new()),
        Box::new(Hartmann),
        Box::new(NoisyPolicy(Policy::new())),
    ]
}

const SLOTS: usize = 10;
const OPS: usize = 15;

/// Five sub-policies of two operations; a slot is (operation, probability, magnitude).
struct Policy {
    quality: Vec<f64>,
    magnitude: Vec<f64>,
    cost: Vec<f64>,
    synergy: Vec<Vec<f64>>,
}

impl Policy {
    fn new() -> Self {
        let mut rng = SplitMix64(2019);
        let mut row = |low, high| (0..OPS).map(|_| rng.between(low, high)).collect();
        Self {
            quality: row(-0.2, 1.0),
            magnitude: row(0.1, 0.9),
            cost: row(0.0, 1.5),
            synergy: (0..OPS).map(|_| row(-0.3, 0.3)).collect(),
        }
    }
}

impl Objective for Policy {
    fn name(&self) -> &'static str {
        "policy"
    }

    fn dimensions(&self) -> Vec<Dimension> {
        [Choice { options: OPS }, Unit, Unit].repeat(SLOTS)
    }

    fn loss(&self, x: &[f64]) -> f64 {
        let op = |slot: usize| x[3 * slot] as usize;
        let probability = |slot: usize| x[3 * slot + 1];
        let mut reward = 0.0;
        for first in (0..SLOTS).step_by(2) {
            for slot in [first, first + 1] {
                let (o, p) = (op(slot), probability(slot));
                let off = x[3 * slot + 2] - self.magnitude[o];
                reward += p * (self.quality[o] - 1.5 * off * off) - 0.5 * self.cost[o] * p * p;
            }
            let both = probability(first) * probability(first + 1);
            reward += self.synergy[op(first)][op(first + 1)] * both;
            if op(first) == op(first + 1) {
                reward -= 0.4 * both;
            }
        }
        let mut overlap = 0.0;
        for a in 0..SLOTS {
            for b in a + 1..SLOTS {
                if a / 2 != b / 2 && op(a) == op(b) {
                    overlap += probability(a) * probability(b);
                }
            }
        }
        1.0 - reward / 5.0 + 0.02 * overlap
    }
}

/// `Policy` with noise of standard deviation 0.05, a fixed function of the point.
struct NoisyPolicy(Policy);

impl Objective for NoisyPolicy {
    fn name(&self) -> &'static str {
        "policy-noisy"
    }

    fn dimensions(&self) -> Vec<Dimension> {
        self.0.dimensions()
    }

    fn loss(&self, x: &[f64]) -> f64 {
        let state = x
            .iter()
            .fold(0, |state, value| SplitMix64(state ^ value.to_bits()).next());
        let mut rng = SplitMix64(state);
        let noise = (0..12).fold(-6.0, |sum, _| sum + rng.unit());
        self.0.loss(x) + 0.05 * noise
    }

    fn true_loss(&self, x: &[f64]) -> f64 {
        self.0.loss(x)
    }
}

/// A shifted ellipsoid with ripples, ten-dimensional.
struct Rastrigin {
    shift: Vec<f64>,
}

impl Rastrigin {
    fn new() -> Self {
        let mut rng = SplitMix64(1974);
        Self {
            shift: (0..10).map(|_| rng.between(0.15, 0.85)).collect(),
        }
    }
}

impl Objective for Rastrigin {
    fn name(&self) -> &'static str {
        "continuous"
    }

    fn dimensions(&self) -> Vec<Dimension> {
        vec![Unit; 10]
    }

    fn loss(&self, x: &[f64]) -> f64 {
        let mut total = 0.0;
        for (i, (x, shift)) in x.iter().zip(&self.shift).enumerate() {
            let z = x - shift;
            total += (1.0 + i as f64) * z * z + 0.1 * (1.0 - (6.0 * PI * z).cos());
        }
        total
    }
}

/// Hartmann's six-dimensional function, with two coordinates from choices.
struct Hartmann;

impl Objective for Hartmann {
    fn name(&self) -> &'static str {
        "mixed"
    }

    fn dimensions(&self) -> Vec<Dimension> {
        vec![
            Choice { options: 5 },
            Choice { options: 6 },
            Unit,
            Unit,
            Unit,
            Unit,
        ]
    }

    fn loss(&self, x: &[f64]) -> f64 {
        const FIRST: [f64; 5] = [0.7, 0.05, 0.311652, 0.95, 0.5];
        const SECOND: [f64; 6] = [0.25, 0.85, 0.1, 0.6573, 0.4, 1.0];
        const ALPHA: [f64; 4] = [1.0, 1.2, 3.0, 3.2];
        const A: [[f64; 6]; 4] = [
            [10.0, 3.0, 17.0, 3.5, 1.7, 8.0],
            [0.05, 10.0, 17.0, 0.1, 8.0, 14.0],
            [3.0, 3.5, 1.7, 10.0, 17.0, 8.0],
            [17.0, 8.0, 0.05, 10.0, 0.1, 14.0],
        ];
        const P: [[f64; 6]; 4] = [
            [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
            [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
            [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
            [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
        ];
        let y = [
            x[2],
            x[3],
            x[4],
            x[5],
            FIRST[x[0] as usize],
            SECOND[x[1] as usize],
        ];
        let mut total = 0.0;
        for i in 0..4 {
            let mut inner = 0.0;
            for j in 0..6 {
                let d = y[j] - P[i][j];
                inner += A[i][j] * d * d;
            }
            total -= ALPHA[i] * (-inner).exp();
        }
        total
    }
}

/// Uniform points, the same as from `points` in `objectives.py`.
pub(crate) fn points(dimensions: &[Dimension], count: usize) -> Vec<Vec<f64>> {
    let mut rng = SplitMix64(7);
    let mut point = || {
        let coordinate = |dimension: &Dimension| match *dimension {
            Unit => rng.unit(),
            Choice { options } => (rng.unit() * options as f64).floor(),
        };
        dimensions.iter().map(coordinate).collect()
    };
    (0..count).map(|_| point()).collect()
}

/// The generator of Steele et al. 2014, for the constants of the objectives, which
/// are equal in both languages, and for the seeds of trials.
pub(crate) struct SplitMix64(pub(crate) u64);

impl SplitMix64 {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 * f64::EPSILON / 2.0
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }
}
