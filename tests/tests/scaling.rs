//! The arithmetic of the model of more GPUs, and its page.

#[path = "../../runtime/search/examples/scaling/model.rs"]
mod model;
#[path = "../../runtime/search/examples/scaling/plot.rs"]
mod plot;
#[path = "../../runtime/search/examples/scaling/workloads.rs"]
mod workloads;

use std::fs;

use model::{Job, Model, Part, Placement, Workload, speedup};

const MODEL: Model = Model {
    train: 0.001,
    step: 0.1,
    score: 0.0001,
    start: 7.0,
    shared_bandwidth: 1e9,
};

fn job(phase: usize, parts: &[Part]) -> Job {
    Job {
        phase,
        needs_earlier: phase > 0,
        parts: parts.to_vec(),
        batch_proposals: 0,
    }
}

fn workload(jobs: Vec<Job>) -> Workload {
    Workload {
        jobs,
        batch: 100.0,
        pixels: 1.0,
        bytes: 0.0,
    }
}

fn seconds(workload: &Workload, gpus: usize, jobs_per_gpu: usize, gpus_per_fold: usize) -> f64 {
    let placement = Placement {
        gpus,
        jobs_per_gpu,
        gpus_per_fold,
    };
    workload.seconds(&MODEL, placement)
}

#[track_caller]
fn assert_near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-6, "{found}, {expected}");
}

#[test]
fn a_job_alone_takes_its_steps() {
    // 50 steps of 100 images, each 0.1 s and 0.001 s per image.
    let parts = [Part::Start, Part::Train(5_000.0), Part::Score(20_000.0)];
    let mut one = workload(vec![job(0, &parts)]);
    assert_near(seconds(&one, 1, 1, 1), 7.0 + 50.0 * (0.1 + 0.1) + 2.0);
    // The work on an image is that of its pixels, and a step's own cost stays.
    one.pixels = 4.0;
    assert_near(seconds(&one, 1, 1, 1), 7.0 + 50.0 * (0.1 + 0.4) + 8.0);
    // Both machines read the data.
    one.bytes = 3e9;
    assert_near(seconds(&one, 16, 1, 1), 6.0 + 7.0 + 25.0 + 8.0);
}

#[test]
fn jobs_wait_for_gpus_and_for_what_they_need() {
    let train = [Part::Train(5_000.0)];
    let five = workload(vec![job(0, &train); 5]);
    let alone = 50.0 * (0.1 + 0.1);
    for (gpus, rounds) in [(1, 5.0), (2, 3.0), (4, 2.0), (5, 1.0), (1_000, 1.0)] {
        assert_near(seconds(&five, gpus, 1, 1), rounds * alone);
    }
    let mut jobs = vec![job(0, &train), job(1, &train)];
    assert_near(seconds(&workload(jobs.clone()), 2, 1, 1), 2.0 * alone);
    jobs[1].needs_earlier = false;
    assert_near(seconds(&workload(jobs), 2, 1, 1), alone);
}

#[test]
fn jobs_that_share_a_gpu_share_its_work_and_not_the_cost_of_their_steps() {
    let two = workload(vec![job(0, &[Part::Train(5_000.0)]); 2]);
    assert_near(seconds(&two, 1, 2, 1), 50.0 * (0.1 + 0.2));
    // One that starts leaves the GPU to the other, which is then done.
    let jobs = vec![
        job(0, &[Part::Start, Part::Score(1_000.0)]),
        job(0, &[Part::Score(70_000.0)]),
    ];
    assert_near(seconds(&workload(jobs), 1, 2, 1), 7.0 + 0.1);
}

#[test]
fn a_batch_is_scored_on_as_many_gpus_as_it_has_candidates() {
    for (batch, gpus, expected) in [
        (1, 8, 1.0),
        (8, 1, 1.0),
        (8, 8, 8.0),
        (8, 4, 4.0),
        // Three candidates on two GPUs take two rounds; the last two of 200 one.
        (3, 2, 200.0 / (66.0 * 2.0 + 1.0)),
        (32, 8, 200.0 / (6.0 * 4.0 + 1.0)),
    ] {
        assert_near(speedup(batch, gpus), expected);
    }
    let fold = Job {
        batch_proposals: 8,
        ..job(0, &[Part::Score(80_000.0)])
    };
    assert_near(seconds(&workload(vec![fold.clone()]), 8, 1, 8), 1.0);
    // Two folds do not fit on eight GPUs together.
    assert_near(seconds(&workload(vec![fold.clone(), fold]), 8, 5, 8), 2.0);
}

#[test]
fn the_fit_is_near_what_was_measured_and_repeats_the_measured_runs() {
    let model = Model::fitted();
    for (batch, jobs, measured) in model::TRAININGS {
        let rate = model.training_rate(batch, jobs);
        assert!(
            (rate / measured - 1.0).abs() < 0.01,
            "{batch}, {jobs}: {rate}"
        );
    }
    let [a, b] = model::STARTS;
    assert!((a / b - 1.0).abs() < 0.1, "{a}, {b}");
    // The search on 4,000 images, which took 111 s; in an epoch, 2,304 of 2,400 images fill batches.
    let fold = job(
        0,
        &[
            Part::Start,
            Part::Train(200.0 * 2_304.0),
            Part::Score(400.0 * 8_000.0),
        ],
    );
    let mut run = workload(vec![fold; 5]);
    run.batch = 128.0;
    let placement = Placement {
        gpus: 1,
        jobs_per_gpu: 5,
        gpus_per_fold: 1,
    };
    let found = run.seconds(&model, placement);
    assert!((found / 111.0 - 1.0).abs() < 0.03, "{found}");
}

#[test]
fn more_gpus_are_never_slower_until_reading_the_data_is() {
    let model = Model::fitted();
    for (name, cases) in workloads::groups() {
        for case in cases {
            let times = [1, 2, 4, 8, 16, 32, 64].map(|gpus| case.workload.fastest(&model, gpus).0);
            assert!(
                times.is_sorted_by(|a, b| *b <= a * 1.05),
                "{name}: {times:?}"
            );
        }
    }
}

#[test]
fn the_page_has_the_tables_and_the_plot_that_the_example_makes() {
    let folder = faa_tests::root().join("docs");
    let model = Model::fitted();
    let how = "run: cargo run --release -p faa-search --example scaling -- docs/scaling.svg";
    let plot = fs::read_to_string(folder.join("scaling.svg")).unwrap();
    assert!(
        plot == plot::svg(&model),
        "docs/scaling.svg is out of date; {how}"
    );
    let page = fs::read_to_string(folder.join("scaling.md")).unwrap();
    for line in workloads::tables(&model).lines() {
        assert!(page.contains(line), "docs/scaling.md lacks `{line}`; {how}");
    }
}
