//! Numbers out of their range, and settings that contradict each other, are rejected.

use faa_ops_builtin::builtin_ops;
use faa_search::RunConfig;
use faa_search::config::{Preset, SearchConfig};
use faa_search::environment::Resources;

use crate::fake_backend::config;

/// The error of a search configuration after a change.
fn error(change: fn(&mut RunConfig, &mut SearchConfig)) -> String {
    let mut config = config();
    let mut search = config.search.take().unwrap();
    change(&mut config, &mut search);
    config.search = Some(search);
    config.check(&builtin_ops()).unwrap_err().to_string()
}

fn count(number: usize) -> std::num::NonZeroUsize {
    number.try_into().unwrap()
}

#[test]
fn numbers_out_of_range_are_named_with_their_option() {
    let huge = usize::MAX;
    let cases: [(String, &str); 25] = [
        (
            error(|run, _| run.common.image_size = Some(0)),
            "`--image-size` is 0: it must be from 1 to 4096",
        ),
        (
            error(|run, _| run.common.training.epochs = count(1_000_000)),
            "`--epochs` is 1000000",
        ),
        (
            error(|run, _| run.common.training.batch = count(100_000)),
            "`--batch` is 100000: it must be from 1 to 65536",
        ),
        (
            error(|run, _| run.common.training.learning_rate = 0.0),
            "`--learning-rate` is 0: it must be above 0",
        ),
        (
            error(|run, _| run.common.training.learning_rate = f64::NAN),
            "`--learning-rate` is NaN",
        ),
        (
            error(|run, _| run.common.training.warmup_epochs = 200_000),
            "`--warmup-epochs` is 200000",
        ),
        (
            error(|run, _| run.common.training.momentum = 1.0),
            "`--momentum` is 1: it must be at least 0 and below 1",
        ),
        (
            error(|run, _| run.common.training.weight_decay = -1.0),
            "`--weight-decay` is -1",
        ),
        (
            error(|run, _| run.common.training.clip_norm = f64::INFINITY),
            "`--clip-norm` is inf",
        ),
        (
            error(|run, _| run.common.training.crop_padding = 17),
            "`--crop-padding` is 17: it must be from 0 to 16",
        ),
        (
            error(|run, _| run.common.training.cutout = 65),
            "`--cutout` is 65: it must be from 0 to 64",
        ),
        (
            error(|_, search| search.folds.count = count(10_000_000_000)),
            "`--folds` is 10000000000: it must be from 1 to 1000",
        ),
        (
            error(|_, search| search.folds.held_out = Some(1.0)),
            "`--held-out` is 1: it must be between 0 and 1",
        ),
        (
            error(|_, search| search.folds.images = Some(count(usize::MAX))),
            "`--images` is 18446744073709551615: it must be from 1 to 1000000000",
        ),
        (
            error(|_, search| search.rounds = count(1_001)),
            "`--rounds` is 1001",
        ),
        (
            error(|_, search| search.trials = count(usize::MAX)),
            "`--trials` is 18446744073709551615: it must be from 1 to 1000000",
        ),
        (
            error(|_, search| search.top_n = count(usize::MAX)),
            "`--top-n` is ",
        ),
        (
            error(|_, search| search.sub_policies = count(99_999_999_999)),
            "`--sub-policies` is 99999999999: it must be from 1 to 1000",
        ),
        (
            error(|_, search| search.ops_per_sub_policy = count(17)),
            "`--ops-per-sub-policy` is 17",
        ),
        (
            error(|_, search| search.draws = count(1_001)),
            "`--draws` is 1001: it must be from 1 to 1000",
        ),
        (
            error(|_, search| search.sampler.start_up_trials = usize::MAX),
            "`--start-up-trials` is ",
        ),
        (
            error(|_, search| search.sampler.gamma = 0.0),
            "`--gamma` is 0: it must be above 0 and at most 1",
        ),
        (
            error(|_, search| search.sampler.candidates = count(200_000)),
            "`--candidates` is 200000",
        ),
        (
            error(|run, _| run.final_trainings.epochs = count(200_000)),
            "`--final-epochs` is 200000",
        ),
        (
            error(|run, _| run.final_trainings.seeds = count(2_000)),
            "`--final-seeds` is 2000",
        ),
    ];
    for (error, expected) in cases {
        assert!(error.starts_with(expected), "{error}, not {expected}");
    }
    let training = |change: fn(&mut RunConfig)| {
        let mut run = RunConfig::for_training(Preset::Demo, "glyphs");
        change(&mut run);
        run.check(&builtin_ops()).unwrap_err().to_string()
    };
    let error = training(|run| run.final_trainings.seeds = count(2_000));
    assert!(error.starts_with("`--seeds` is 2000"), "{error}");
    let error = training(|run| {
        run.final_trainings.random.as_mut().unwrap().sub_policies = count(10_001);
    });
    assert!(error.starts_with("`--policy random:N` is 10001"), "{error}");

    let resources = |threads, jobs| {
        let devices = Vec::new();
        let resources = Resources {
            devices,
            threads,
            jobs,
        };
        resources.check().unwrap_err().to_string()
    };
    assert_eq!(
        resources(100_000, None),
        "`--threads` is 100000: it must be from 1 to 4096"
    );
    assert_eq!(
        resources(1, Some(huge)),
        "`--jobs` is 18446744073709551615: it must be from 1 to 256"
    );
}

#[test]
fn contradictory_settings_are_named() {
    let warmup = error(|run, _| run.common.training.warmup_epochs = 2);
    assert!(
        warmup.contains("use fewer --warmup-epochs or more --epochs"),
        "{warmup}"
    );
    let cutout = error(|run, _| run.common.training.cutout = 0);
    assert!(cutout.contains("--cutout above 0"), "{cutout}");
    let twice = error(|_, search| search.ops.push("Rotate".into()));
    assert!(twice.contains("`Rotate` is named twice"), "{twice}");
    let none = error(|_, search| search.ops.clear());
    assert!(none.contains("no ops to search over"), "{none}");
    let policy = error(|run, _| {
        run.final_trainings.policy = Some(faa_policy::Policy::of_sub_policies("mine", Vec::new()));
    });
    assert!(policy.contains("omit the given one"), "{policy}");
}

#[test]
fn numbers_that_are_too_much_together_are_named() {
    let log = error(|_, search| {
        search.trials = count(100_000);
        search.sub_policies = count(1_000);
    });
    let expected = "--rounds × --trials × --sub-policies × --ops-per-sub-policy is 400000000";
    assert!(log.starts_with(expected), "{log}");
    let policy = error(|_, search| {
        search.top_n = count(500);
        search.trials = count(500);
    });
    let expected = "--folds × --rounds × --top-n × --sub-policies × --ops-per-sub-policy is 20000";
    assert!(policy.starts_with(expected), "{policy}");
}
