//! The search for the modules that take the longest to compile.

use std::time::{Duration, Instant};

use crate::measure::{Measured, measure};
use crate::program::{Compilation, FOUND, Generator, Program, largest};

/// A program at the largest size that is accepted.
struct Found {
    program: Program,
    repetitions: usize,
    copies: usize,
    /// What it takes, as a fraction of what is allowed.
    score: f64,
}

/// Changes programs at random for a time, keeps the changes that make compiling take longer, and prints
/// the worst program of each climb. The climbs begin in turn with a random program and with one that was
/// found before.
pub(crate) fn search(compilation: Compilation, time: Duration, seed: u64) {
    let generator = Generator::new();
    let mut random = Random(seed);
    let start = Instant::now();
    let (mut tried, mut climbs, mut worst) = (0, seed as usize, (0.0_f64, 0.0_f64));
    while start.elapsed() < time {
        let begun = Instant::now();
        let choices = match FOUND.get(climbs % (2 * FOUND.len())) {
            Some((_, choices)) => choices.to_vec(),
            None => random.bytes(60),
        };
        climbs += 1;
        let mut best: Option<Found> = None;
        let mut unchanged = 0;
        while begun.elapsed() < time / 5 && start.elapsed() < time && unchanged < 150 {
            let program = match &best {
                None if unchanged == 0 => Program {
                    choices: choices.clone(),
                },
                None => Program {
                    choices: random.bytes(60),
                },
                Some(best) => random.changed(&best.program),
            };
            let part = [1, 1, 1, 2, 4, 16][random.below(6)];
            (tried, unchanged) = (tried + 1, unchanged + 1);
            let Some(found) = estimate(compilation, &generator, program, part) else {
                continue;
            };
            if best.as_ref().is_none_or(|best| found.score > best.score) {
                (best, unchanged) = (Some(found), 0);
            }
        }
        let Some(best) = best else { continue };
        let module = generator.module(&best.program, best.repetitions, best.copies);
        let Some(Measured { seconds, megabytes }) = measure(compilation, &module) else {
            continue;
        };
        println!(
            "{seconds:.2} s, {megabytes:.0} MB: {} repetitions in {} functions of {:?}",
            best.repetitions, best.copies, best.program.choices
        );
        worst = (worst.0.max(seconds), worst.1.max(megabytes));
    }
    let (seconds, megabytes) = worst;
    println!("{tried} programs; at most {seconds:.2} s and {megabytes:.0} MB");
}

/// Measures a part of the largest module of a program that is accepted, and scales the result up.
fn estimate(
    compilation: Compilation,
    generator: &Generator,
    program: Program,
    part: usize,
) -> Option<Found> {
    let limits = compilation.config().compile;
    let accepted = |module: &[u8]| compilation.accepts(module);
    let module = |repetitions, copies| generator.module(&program, repetitions, copies);
    if !accepted(&module(1, 1)) {
        return None;
    }
    let max = largest(limits.function, |repetitions| {
        accepted(&module(repetitions, 1))
    });
    let repetitions = (max / part).max(1);
    let copies = largest(limits.functions as usize, |copies| {
        accepted(&module(repetitions, copies))
    });
    let measured = copies.min(1 + copies / 8);
    let Measured { seconds, megabytes } = measure(compilation, &module(repetitions, measured))?;
    let factor = copies as f64 / measured as f64;
    // As if there were a processor for each function. An idle process has 12 MB.
    let score = f64::max(seconds / 3.0, (megabytes - 12.0) / 512.0) * factor;
    Some(Found {
        program,
        repetitions,
        copies,
        score,
    })
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % count as u64) as usize
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.below(256) as u8).collect()
    }

    /// A copy with a few choices changed, removed, inserted or repeated.
    fn changed(&mut self, program: &Program) -> Program {
        let mut choices = program.choices.clone();
        for _ in 0..=self.below(3) {
            let start = self.below(choices.len());
            let end = (start + 1 + self.below(6)).min(choices.len());
            match self.below(6) {
                0..=2 => choices[start] = self.below(256) as u8,
                3 => drop(choices.drain(start..end)),
                4 => drop(choices.splice(start..start, self.bytes(end - start))),
                _ => {
                    let part = choices[start..end].to_vec();
                    choices.splice(start..start, part);
                }
            }
            if choices.len() < 12 {
                choices.extend(self.bytes(12));
            }
            choices.truncate(120);
        }
        Program { choices }
    }
}
