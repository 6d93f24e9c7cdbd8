//! Candidates whose rewards are noisy, as those of networks are.

use std::collections::BTreeSet;
use std::path::Path;

use faa_op::Stream;
use faa_policy::SubPolicy;
use faa_search::RunConfig;
use faa_search::backend::ScoringTask;
use faa_search::config::{FoldAugment, TrialDraws};
use faa_search::event::Event;
use faa_search::layout::{Layout, TrainingFiles, TrainingId};
use faa_search::reliability::{Reliability, ReliabilityLevel};
use faa_search::selection::RoundResults;
use faa_search::trial::{Rescoring, Trial};

use crate::fake_backend::{FakeBackend, config, run, run_on, search_in, true_reward};

/// Noise that depends on the draws alone, with a standard deviation of 0.29.
fn noise_of_draws(task: &ScoringTask<'_>) -> f64 {
    Stream::for_op(task.seed).unit()
}

/// Noise that also depends on the candidate, with a standard deviation of 0.09. As that of a mean over many
/// images, it is nearly normally distributed.
fn noise(task: &ScoringTask<'_>) -> f64 {
    let steps = task.candidate.sub_policies().iter().flatten();
    let mixed = steps.fold(task.seed, |seed, step| {
        Stream::for_op(seed ^ step.probability.to_bits()).next_u64()
    });
    let stream = &mut Stream::for_op(mixed);
    let normal = (0..12).map(|_| stream.unit()).sum::<f64>() - 6.0;
    0.09 * normal
}

/// A property of candidates that is nearly normally distributed among random ones, with a standard
/// deviation of 0.09.
fn mean_probability(candidate: &[SubPolicy]) -> f64 {
    let steps: Vec<f64> = candidate
        .iter()
        .flatten()
        .map(|it| it.probability)
        .collect();
    steps.iter().sum::<f64>() / steps.len() as f64
}

fn noisy(reward: fn(&ScoringTask<'_>) -> f64) -> FakeBackend {
    FakeBackend {
        reward: Some(reward),
        ..FakeBackend::default()
    }
}

fn files(run: &Path, fold: usize) -> TrainingFiles {
    Layout::new(run).training(TrainingId::Fold(fold))
}

fn logs(run: &Path, fold: usize) -> (Vec<Trial>, Vec<Rescoring>) {
    let files = files(run, fold);
    (
        files.trials().read().unwrap(),
        files.rescorings().read().unwrap(),
    )
}

fn without_final_trainings() -> RunConfig {
    let mut config = config();
    config.final_trainings.augmentations.clear();
    config
}

/// How many different values of the noise the trials of each round have, and the second scorings.
fn different_noises(draws: TrialDraws) -> Vec<[usize; 2]> {
    let folder = tempfile::tempdir().unwrap();
    let mut config = without_final_trainings();
    search_in(&mut config).trial_draws = draws;
    run(folder.path(), &config, &mut noisy(noise_of_draws)).unwrap();
    let (trials, rescorings) = logs(folder.path(), 0);
    let count = |rewards: Vec<f64>| {
        rewards
            .into_iter()
            .map(f64::to_bits)
            .collect::<BTreeSet<_>>()
            .len()
    };
    let mut all = BTreeSet::new();
    let rounds = (0..2).map(|round| {
        let first = trials
            .iter()
            .filter(|it| it.round == round)
            .map(|it| it.reward);
        let second = rescorings
            .iter()
            .filter(|it| it.round == round)
            .map(|it| it.reward);
        let (first, second): (Vec<f64>, Vec<f64>) = (first.collect(), second.collect());
        // No round, and no second scoring, has the draws of another.
        let noises = first.iter().chain(&second).map(|it| it.to_bits());
        let before = all.len();
        all.extend(noises);
        let counts = [count(first), count(second)];
        assert_eq!(all.len(), before + counts[0] + counts[1]);
        counts
    });
    rounds.collect()
}

#[test]
fn common_draws_give_the_candidates_of_a_round_the_same_noise() {
    assert_eq!(different_noises(TrialDraws::Common), [[1, 1], [1, 1]]);
    assert_eq!(different_noises(TrialDraws::Fresh), [[30, 1], [30, 1]]);
}

/// The mean property of the selected candidates of many rounds, whose reward is that with as much noise.
fn mean_of_selected(finalists: usize) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let mut config = without_final_trainings();
    let search = search_in(&mut config);
    search.finalists = finalists;
    search.rounds = 80.try_into().unwrap();
    // Random candidates alone, so that both searches have the same.
    search.sampler.start_up_trials = 30;
    let reward =
        |task: &ScoringTask<'_>| mean_probability(task.candidate.sub_policies()) + noise(task);
    run(folder.path(), &config, &mut noisy(reward)).unwrap();
    let mut selected = Vec::new();
    for fold in 0..2 {
        let (trials, rescorings) = logs(folder.path(), fold);
        for trials in trials.chunk_by(|a, b| a.round == b.round) {
            let of_round = rescorings.iter().filter(|it| it.round == trials[0].round);
            let of_round: Vec<_> = of_round.copied().collect();
            let round = RoundResults::new(trials, &of_round);
            let of_round = round.selected(search_in(&mut config)).into_iter();
            selected.extend(of_round.map(|trial| mean_probability(&trial.candidate)));
        }
    }
    assert_eq!(selected.len(), 2 * 80 * 3);
    selected.iter().sum::<f64>() / selected.len() as f64
}

/// By simulation, the selected are better by 0.015 ± 0.003.
#[test]
fn finalists_that_are_scored_again_are_truly_better() {
    let [published, tamed] = [0, 3].map(mean_of_selected);
    assert!(published > 0.5 && tamed > published, "{published}, {tamed}");
}

/// The reliability of this reward, in the summary and the events, of a run with this seed.
fn reliability(reward: fn(&ScoringTask<'_>) -> f64, seed: u64) -> Option<Reliability> {
    let folder = tempfile::tempdir().unwrap();
    let mut config = without_final_trainings();
    config.common.seed = seed;
    search_in(&mut config).folds.count = 6.try_into().unwrap();
    let (summary, events) = run_on(folder.path(), &config, &mut [noisy(reward)]);
    let found = summary.unwrap().reliability;
    let reported = events.into_iter().find_map(|event| match event {
        Event::ReliabilityMeasured(it) => Some(it),
        _ => None,
    });
    assert_eq!(found, reported);
    if let Some(reliability) = &found {
        assert_eq!(reliability.folds.len(), 6);
        assert!(reliability.folds.iter().all(|it| it.candidates == 20));
    }
    found
}

#[test]
fn the_reliability_tells_noise_from_differences() {
    let noiseless = reliability(true_reward, 0).unwrap();
    assert_eq!(noiseless.correlation, 1.0);
    assert_eq!(noiseless.level(), ReliabilityLevel::Reliable);
    // The noise is equal for all candidates, and does not change their order.
    let common = reliability(|task| true_reward(task) + noise_of_draws(task), 0).unwrap();
    assert!(common.correlation > 0.999, "{common}");
    let of_noise = |seed| reliability(noise, seed).unwrap();
    let all: Vec<Reliability> = (0..8).map(of_noise).collect();
    assert!(
        all.iter()
            .all(|it| it.level() == ReliabilityLevel::ByChance),
        "{all:?}"
    );
    // One standard error of a rank correlation of 20 candidates is 1/√19, and here are 48 of them.
    let mean = all.iter().map(|it| it.correlation).sum::<f64>() / 8.0;
    assert!(mean.abs() < 4.0 / (19.0_f64 * 48.0).sqrt(), "{mean}");
    assert_eq!(reliability(|_| 0.5, 0), None);
}

#[test]
fn networks_of_folds_are_trained_under_random_policies_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = without_final_trainings();
    search_in(&mut config).fold_augment = FoldAugment::Uniform;
    let mut backend = FakeBackend::default();
    run(folder.path(), &config, &mut backend).unwrap();
    assert_eq!(backend.trained, [(30, true, 4); 2]);
}

#[test]
fn second_scores_of_a_different_search_are_rejected() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &config(), &mut FakeBackend::default()).unwrap();
    let log = files(folder.path(), 0).rescorings();
    let text = std::fs::read_to_string(log.path()).unwrap();
    let lines: Vec<_> = text.split_inclusive('\n').collect();
    let error = |content: String| {
        std::fs::write(log.path(), content).unwrap();
        let error = run(folder.path(), &config(), &mut FakeBackend::default());
        error.unwrap_err().to_string()
    };
    let missing = error(lines[1..].concat());
    let expected = "rescorings.jsonl, line 1: expected trial 0.0 with the reward ";
    assert!(missing.contains(expected), "{missing}");
    assert!(
        missing.ends_with("move the file away to repeat its trials"),
        "{missing}"
    );
    let last = lines.len();
    let more = error([&lines[..], &lines[last - 1..]].concat().concat());
    let expected = format!("line {}: expected no further trial, found 1.", last + 1);
    assert!(more.contains(&expected), "{more}");
    // Without the log, the second scorings are repeated.
    std::fs::remove_file(log.path()).unwrap();
    let mut backend = FakeBackend::default();
    run(folder.path(), &config(), &mut backend).unwrap();
    assert_eq!(backend.scored, last);
}
