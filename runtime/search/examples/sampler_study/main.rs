//! Compares the sampler with hyperopt's TPE and with random search.
//!
//! ```text
//! python compare_hyperopt.py hyperopt.json
//! cargo run --release --example sampler_study -- hyperopt.json [output.json]
//! ```
//!
//! Each method runs as many trials as hyperopt, on the same objectives and with
//! the same seeds. The result of a run is its best loss. The program prints the
//! mean per method, and the differences of the sampler's mean from the others'
//! with Welch's 95 % intervals. `output.json` receives the best losses.

mod objectives;

use std::error::Error;

use faa_search::sampler::{Dimension, Sampler, TpeConfig};
use objectives::{Objective, SplitMix64};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let input = arguments
        .next()
        .ok_or("usage: sampler_study HYPEROPT_JSON [OUTPUT_JSON]")?;
    let hyperopt: Value = serde_json::from_str(&std::fs::read_to_string(input)?)?;
    let trials = hyperopt["trials"]
        .as_u64()
        .ok_or("the JSON has no number of trials")?;

    println!(
        "| objective | hyperopt | random search | sampler | sampler − hyperopt | sampler − random search |"
    );
    println!("|---|---|---|---|---|---|");
    let mut output = json!({ "trials": trials });
    for objective in objectives::all() {
        let theirs = &hyperopt["objectives"][objective.name()];
        check(objective.as_ref(), &floats(&theirs["check"])?)?;

        let reference = floats(&theirs["best"])?;
        let best = |run: fn(&dyn Objective, u64, u64) -> f64| -> Vec<f64> {
            (0..reference.len() as u64)
                .map(|seed| run(objective.as_ref(), seed, trials))
                .collect()
        };
        let (random, sampler) = (best(random_search), best(tpe_search));
        println!(
            "| {} | {} | {} | {} | {} | {} |",
            objective.name(),
            Summary::of(&reference),
            Summary::of(&random),
            Summary::of(&sampler),
            Difference::between(&sampler, &reference),
            Difference::between(&sampler, &random),
        );
        output[objective.name()] =
            json!({ "hyperopt": reference, "random": random, "sampler": sampler });
    }
    if let Some(path) = arguments.next() {
        std::fs::write(path, serde_json::to_string_pretty(&output)?)?;
    }
    Ok(())
}

/// Fails if the objective differs from its Python implementation.
fn check(objective: &dyn Objective, theirs: &[f64]) -> Result<(), String> {
    let max_difference = objectives::points(&objective.dimensions(), theirs.len())
        .iter()
        .zip(theirs)
        .map(|(point, loss)| (objective.loss(point) - loss).abs())
        .fold(0.0, f64::max);
    eprintln!(
        "{}: maximum difference from Python at {} points: {max_difference:.1e}",
        objective.name(),
        theirs.len()
    );
    if theirs.is_empty() || max_difference > 1e-12 {
        return Err(format!(
            "{} differs from the objective that hyperopt ran on",
            objective.name()
        ));
    }
    Ok(())
}

/// The best loss of a search by the sampler.
fn tpe_search(objective: &dyn Objective, seed: u64, trials: u64) -> f64 {
    let mut sampler = Sampler::new(&objective.dimensions(), &TpeConfig::default());
    search(objective, seed, trials, |seed, last| {
        if let Some((point, loss)) = last {
            sampler
                .observe(point, loss)
                .expect("the point is a proposal");
        }
        sampler.propose(seed)
    })
}

/// The best loss of a search by uniform draws.
fn random_search(objective: &dyn Objective, seed: u64, trials: u64) -> f64 {
    let dimensions = objective.dimensions();
    search(objective, seed, trials, |seed, _| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let draw = |dimension: &Dimension| match *dimension {
            Dimension::Choice { options } => rng.random_range(0..options) as f64,
            Dimension::Unit => rng.random(),
        };
        dimensions.iter().map(draw).collect()
    })
}

/// Runs trials at the points that `propose` returns for the trial's seed and the
/// last trial. Returns the noise-free loss of the trial with the lowest loss.
fn search(
    objective: &dyn Objective,
    seed: u64,
    trials: u64,
    mut propose: impl FnMut(u64, Option<(&[f64], f64)>) -> Vec<f64>,
) -> f64 {
    let mut seeds = SplitMix64(SplitMix64(seed).next());
    let mut last: Option<(Vec<f64>, f64)> = None;
    let mut best: Option<(Vec<f64>, f64)> = None;
    for _ in 0..trials {
        let point = propose(
            seeds.next(),
            last.as_ref().map(|(point, loss)| (point.as_slice(), *loss)),
        );
        let loss = objective.loss(&point);
        if best.as_ref().is_none_or(|(_, lowest)| loss < *lowest) {
            best = Some((point.clone(), loss));
        }
        last = Some((point, loss));
    }
    best.map_or(f64::INFINITY, |(point, _)| objective.true_loss(&point))
}

/// The mean and the unbiased variance of a sample.
struct Summary {
    mean: f64,
    variance: f64,
    count: f64,
}

impl Summary {
    fn of(sample: &[f64]) -> Self {
        let count = sample.len() as f64;
        let mean = sample.iter().sum::<f64>() / count;
        let squares: f64 = sample.iter().map(|x| (x - mean) * (x - mean)).sum();
        Self {
            mean,
            variance: squares / (count - 1.0),
            count,
        }
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.3} ({:.3})", self.mean, self.variance.sqrt())
    }
}

/// The difference of two means, with its 95 % interval.
struct Difference {
    mean: f64,
    half_width: f64,
}

impl Difference {
    /// By Welch's t-test (1947), which allows different variances.
    fn between(a: &[f64], b: &[f64]) -> Self {
        let (a, b) = (Summary::of(a), Summary::of(b));
        let (va, vb) = (a.variance / a.count, b.variance / b.count);
        let freedom =
            (va + vb) * (va + vb) / (va * va / (a.count - 1.0) + vb * vb / (b.count - 1.0));
        Self {
            mean: a.mean - b.mean,
            half_width: t_quantile(freedom) * (va + vb).sqrt(),
        }
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (low, high) = (self.mean - self.half_width, self.mean + self.half_width);
        write!(f, "{:+.3} [{low:+.3}, {high:+.3}]", self.mean)
    }
}

/// The 97.5 % quantile of Student's t, by the expansion in 1/ν of Abramowitz
/// and Stegun 26.7.5; its error is below 0.001 for ν of at least 8.
fn t_quantile(freedom: f64) -> f64 {
    let z: f64 = 1.959964;
    z + (z.powi(3) + z) / (4.0 * freedom)
        + (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * freedom.powi(2))
        + (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z)
            / (384.0 * freedom.powi(3))
}

fn floats(value: &Value) -> Result<Vec<f64>, &'static str> {
    let array = value.as_array().ok_or("the JSON lacks an objective")?;
    array
        .iter()
        .map(|x| x.as_f64().ok_or("a loss in the JSON is not a number"))
        .collect()
}
