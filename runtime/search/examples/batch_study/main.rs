//! What proposals in batches cost: the best loss of 200 trials, for several sizes of a batch.
//!
//! ```text
//! cargo run --release -p faa-search --example batch_study -- [seeds [objective]]
//! ```
//!
//! All proposals of a batch depend on the trials of the batches before. Each counts those before it in its
//! batch as failed, as `--batch-proposals` does it (`liar`), or they ignore each other (`plain`). The program prints the mean best loss over the seeds, its
//! standard deviation in parentheses, and the difference from a batch of 1 with Welch's 95 % interval.
//! `SAMPLER.md` has its tables.

#[path = "../sampler_study/objectives.rs"]
#[expect(
    dead_code,
    reason = "it also makes points for the comparison with Python"
)]
mod objectives;

use std::error::Error;
use std::thread;

use faa_search::sampler::{Sampler, TpeConfig};
use faa_search::statistics::welch_interval;
use objectives::{Objective, SplitMix64};

const TRIALS: usize = 200;
const SIZES: [usize; 6] = [1, 2, 4, 8, 16, 32];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let seeds = arguments.next();
    let seeds: u64 = seeds.map_or(Ok(100), |it| it.parse())?;
    let wanted = arguments.next();
    println!(
        "| objective | proposals | {} |",
        SIZES.map(|it| it.to_string()).join(" | ")
    );
    println!("|---|---|{}", "---|".repeat(SIZES.len()));
    let names = objectives::all().into_iter().map(|it| it.name());
    let is_wanted = |name: &str| wanted.as_ref().is_none_or(|it| it == name);
    for (index, name) in names.enumerate().filter(|(_, name)| is_wanted(name)) {
        let mut sequential = Vec::new();
        for proposals in [Proposals::Plain, Proposals::Liar, Proposals::Random] {
            let mut row = Vec::new();
            for size in SIZES {
                if proposals == Proposals::Random && size > 1
                    || proposals == Proposals::Liar && size == 1
                {
                    row.push("–".to_owned());
                    continue;
                }
                let best = best_losses(index, seeds, size, proposals);
                row.push(cell(&best, &sequential));
                if sequential.is_empty() {
                    sequential = best;
                }
            }
            println!("| {name} | {} | {} |", proposals.name(), row.join(" | "));
        }
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq)]
enum Proposals {
    Plain,
    Liar,
    /// Without observations, all are uniform.
    Random,
}

impl Proposals {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Liar => "liar",
            Self::Random => "random search",
        }
    }
}

/// The best losses of searches with the seeds from 0, on all cores.
fn best_losses(objective: usize, seeds: u64, size: usize, proposals: Proposals) -> Vec<f64> {
    let threads = thread::available_parallelism().map_or(1, |it| it.get() as u64);
    let of_thread = |thread: u64| -> Vec<f64> {
        let objective = &objectives::all()[objective];
        let seeds = (thread..seeds).step_by(threads as usize);
        let search = |seed| search(objective.as_ref(), seed, size, proposals);
        seeds.map(search).collect()
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || of_thread(thread)))
            .collect();
        let results = threads.into_iter().map(thread::ScopedJoinHandle::join);
        results
            .flat_map(|it| it.expect("a search does not panic"))
            .collect()
    })
}

/// The noise-free loss of the trial with the lowest loss.
fn search(objective: &dyn Objective, seed: u64, size: usize, proposals: Proposals) -> f64 {
    let mut sampler = Sampler::new(&objective.dimensions(), &TpeConfig::default());
    let mut seeds = SplitMix64(SplitMix64(seed).next());
    let mut best: Option<(Vec<f64>, f64)> = None;
    for first in (0..TRIALS).step_by(size) {
        let seeds: Vec<u64> = (first..TRIALS.min(first + size))
            .map(|_| seeds.next())
            .collect();
        let batch = match proposals {
            Proposals::Liar => sampler.propose_batch(&seeds),
            _ => seeds.iter().map(|seed| sampler.propose(*seed)).collect(),
        };
        for point in batch {
            let loss = objective.loss(&point);
            if proposals != Proposals::Random {
                let observed = sampler.observe(&point, loss);
                observed.expect("the point is a proposal");
            }
            if best.as_ref().is_none_or(|(_, lowest)| loss < *lowest) {
                best = Some((point, loss));
            }
        }
    }
    best.map_or(f64::INFINITY, |(point, _)| objective.true_loss(&point))
}

/// The mean and standard deviation, and the difference from the sequential search.
fn cell(best: &[f64], sequential: &[f64]) -> String {
    let mean = |sample: &[f64]| sample.iter().sum::<f64>() / sample.len() as f64;
    let average = mean(best);
    let squares: f64 = best.iter().map(|it| (it - average) * (it - average)).sum();
    let deviation = (squares / (best.len() as f64 - 1.0)).sqrt();
    let text = format!("{average:.3} ({deviation:.3})");
    match welch_interval(best, sequential) {
        Some([low, high]) => {
            let difference = average - mean(sequential);
            format!("{text}, {difference:+.3} [{low:+.3}, {high:+.3}]")
        }
        None => text,
    }
}
