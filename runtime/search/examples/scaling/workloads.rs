//! The runs whose time is modelled, with the constants of the presets, and their tables.

use std::fmt::Write;

use crate::model::{Job, Model, Part, TRAININGS, TRIALS, Workload};

/// Final trainings: crop and flip, Cutout and TrivialAugment; the random policy has as many sub-policies as the
/// found one, and so needs it.
const BASELINES: usize = 3;
const WITH_POLICY: usize = 2;
const SEEDS: usize = 3;
const EPOCHS: f64 = 200.0;
/// Draws per image of a trial.
const DRAWS: f64 = 5.0;
const ROUNDS: usize = 2;
/// WRN-40-2 on 224×224 pixels: the whole network runs on 49 times as many positions.
const LARGE: f64 = 49.0;

/// A run with a name, for the tables and the plot.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) workload: Workload,
}

/// The cases of one data set or objective, slowest first.
pub(crate) fn groups() -> [(&'static str, Vec<Case>); 3] {
    let case = |name, workload| Case { name, workload };
    [
        (
            "CIFAR-10, the paper's constants",
            vec![
                case("one candidate at a time", cifar10(1)),
                case("batches of 8", cifar10(8)),
            ],
        ),
        (
            "ImageNet subset, 120 classes, 6,000 images",
            vec![
                case("one candidate at a time", imagenet(1)),
                case("batches of 8", imagenet(8)),
            ],
        ),
        (
            "256 entrants of short trainings",
            vec![
                case("a process per training", entrants(1)),
                case("a process per 8 trainings", entrants(8)),
            ],
        ),
    ]
}

/// `search --preset cifar10 --final-seeds 3`.
pub(crate) fn cifar10(batch_proposals: usize) -> Workload {
    // As unpacked.
    let bytes = 60_000.0 * 3.0 * 32.0 * 32.0;
    search(batch_proposals, [40_000.0, 10_000.0, 50_000.0], 1.0, bytes)
}

/// `search --preset cifar10-reduced` on the paper's subset of ImageNet at 224×224, with 40 % held out.
pub(crate) fn imagenet(batch_proposals: usize) -> Workload {
    // About 110 kB per JPEG file, the whole ImageNet's mean (138 GB of 1.28 million files). 50 test images per class.
    let bytes = 12_000.0 * 110e3;
    search(batch_proposals, [3_600.0, 2_400.0, 6_000.0], LARGE, bytes)
}

/// A search on five folds of `train` and `held_out` images, and final trainings on `all`.
fn search(
    batch_proposals: usize,
    [train, held_out, all]: [f64; 3],
    pixels: f64,
    bytes: f64,
) -> Workload {
    let scored = (ROUNDS * TRIALS) as f64 * held_out * DRAWS;
    let fold = Job {
        phase: 0,
        needs_earlier: false,
        parts: vec![
            Part::Start,
            Part::Train(EPOCHS * train),
            Part::Score(scored),
        ],
        batch_proposals,
    };
    let mut jobs = vec![fold; 5];
    jobs.extend(final_trainings(WITH_POLICY, all, 1));
    Workload {
        jobs,
        batch: 128.0,
        pixels,
        bytes,
    }
}

/// `search --objective train --preset cifar10 --entrants 256 --no-audit --no-density --final-seeds 3`: rungs of 256,
/// 64 and 16 policies on 4,000 images, and the fixed ones. A process does `per_process` trainings.
pub(crate) fn entrants(per_process: usize) -> Workload {
    let images = 4_000.0;
    let phases = [
        (128, 50.0),
        (128, 50.0),
        (64 + 3, 50.0),
        (3 * (16 + 3), 100.0),
    ];
    let mut jobs = Vec::new();
    for (phase, (trainings, epochs)) in phases.into_iter().enumerate() {
        for first in (0..trainings).step_by(per_process) {
            let count = per_process.min(trainings - first);
            jobs.push(Job {
                phase,
                needs_earlier: true,
                parts: [vec![Part::Start], vec![Part::Train(epochs * images); count]].concat(),
                batch_proposals: 0,
            });
        }
    }
    // A random policy has a given size here.
    let policy = final_trainings(1, 50_000.0, phases.len());
    jobs.extend(
        policy.chain(final_trainings(1, 50_000.0, phases.len()).map(|job| Job {
            needs_earlier: false,
            ..job
        })),
    );
    Workload {
        jobs,
        batch: 128.0,
        pixels: 1.0,
        bytes: 60_000.0 * 3.0 * 32.0 * 32.0,
    }
}

/// The baselines, which need nothing, and `with_policy` more, which need what was found.
fn final_trainings(with_policy: usize, images: f64, phase: usize) -> impl Iterator<Item = Job> {
    (0..SEEDS * (with_policy + BASELINES)).map(move |index| Job {
        phase,
        needs_earlier: index < SEEDS * with_policy,
        parts: vec![Part::Start, Part::Train(EPOCHS * images)],
        batch_proposals: 0,
    })
}

/// What was fitted, and a table per group.
pub(crate) fn tables(model: &Model) -> String {
    let mut text = String::new();
    let mut line = |line: String| writeln!(text, "{line}").expect("a string takes all");
    line("| batch | jobs on the GPU | measured, images/s | model | difference |".into());
    line("|---:|---:|---:|---:|---:|".into());
    for (batch, jobs, measured) in TRAININGS {
        let rate = model.training_rate(batch, jobs);
        let difference = 100.0 * (rate / measured - 1.0);
        line(format!(
            "| {batch} | {jobs} | {measured:.0} | {rate:.0} | {difference:+.1} % |"
        ));
    }
    line(format!(
        "\nstep {:.2} ms, training {:.2} µs per image, scoring {:.2} µs per image, start {:.1} s\n",
        1e3 * model.step,
        1e6 * model.train,
        1e6 * model.score,
        model.start
    ));
    line("| run | | 1 GPU | 8 GPUs | 64 GPUs | 1,000 GPUs |".into());
    line("|---|---|---:|---:|---:|---:|".into());
    for (name, cases) in groups() {
        for case in cases {
            let times = [1, 8, 64, 1_000].map(|gpus| {
                let (seconds, _) = case.workload.fastest(model, gpus);
                duration(seconds)
            });
            line(format!(
                "| {name} | {} | {} |",
                case.name,
                times.join(" | ")
            ));
        }
    }
    text
}

/// Seconds for people.
pub(crate) fn duration(seconds: f64) -> String {
    let minutes = seconds / 60.0;
    match minutes {
        ..100.0 => format!("{minutes:.0} min"),
        _ => format!("{:.1} h", minutes / 60.0),
    }
}
