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

use faa_search::sampler::{Sampler, TpeConfig};
use faa_search::statistics::welch_interval;
use faa_system::log_line;
use objectives::{Objective, SplitMix64};
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
        let best = |learning| -> Vec<f64> {
            (0..reference.len() as u64)
                .map(|seed| search(objective.as_ref(), seed, trials, learning))
                .collect()
        };
        let (random, sampler) = (best(false), best(true));
        println!(
            "| {} | {} | {} | {} | {} | {} |",
            objective.name(),
            Summary::of(&reference),
            Summary::of(&random),
            Summary::of(&sampler),
            difference(&sampler, &reference),
            difference(&sampler, &random),
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
    log_line!(
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

/// The noise-free loss of the trial with the lowest loss, of a search by the sampler. Without `learning`,
/// it observes nothing, and draws uniformly.
fn search(objective: &dyn Objective, seed: u64, trials: u64, learning: bool) -> f64 {
    let mut sampler = Sampler::new(&objective.dimensions(), &TpeConfig::default());
    let mut seeds = SplitMix64(SplitMix64(seed).next());
    let mut best: Option<(Vec<f64>, f64)> = None;
    for _ in 0..trials {
        let point = sampler.propose(seeds.next());
        let loss = objective.loss(&point);
        if learning {
            let observed = sampler.observe(&point, loss);
            observed.expect("the point is a proposal");
        }
        if best.as_ref().is_none_or(|(_, lowest)| loss < *lowest) {
            best = Some((point, loss));
        }
    }
    best.map_or(f64::INFINITY, |(point, _)| objective.true_loss(&point))
}

/// The mean and the unbiased variance of a sample.
struct Summary {
    mean: f64,
    variance: f64,
}

impl Summary {
    fn of(sample: &[f64]) -> Self {
        let count = sample.len() as f64;
        let mean = sample.iter().sum::<f64>() / count;
        let squares: f64 = sample.iter().map(|x| (x - mean) * (x - mean)).sum();
        Self {
            mean,
            variance: squares / (count - 1.0),
        }
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.3} ({:.3})", self.mean, self.variance.sqrt())
    }
}

/// The difference of the means, with its 95 % interval by Welch's t-test (1947), which allows different
/// variances.
fn difference(a: &[f64], b: &[f64]) -> String {
    let mean = Summary::of(a).mean - Summary::of(b).mean;
    match welch_interval(a, b) {
        Some([low, high]) => format!("{mean:+.3} [{low:+.3}, {high:+.3}]"),
        None => format!("{mean:+.3}"),
    }
}

fn floats(value: &Value) -> Result<Vec<f64>, &'static str> {
    let array = value.as_array().ok_or("the JSON lacks an objective")?;
    array
        .iter()
        .map(|x| x.as_f64().ok_or("a loss in the JSON is not a number"))
        .collect()
}
