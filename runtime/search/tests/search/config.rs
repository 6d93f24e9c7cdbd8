//! Numbers out of their range, and settings that contradict each other, are rejected.

use std::collections::BTreeSet;

use faa_ops_builtin::builtin_ops;
use faa_search::config::{Augmentation, Preset, RangedOp};
use faa_search::environment::Resources;
use faa_search::{ConfigErrorKind, RunConfig};
use serde_json::Value;

use crate::audit;
use crate::fake_backend::{config, search_in};
use crate::halving::{halving, halving_in};

/// The error of a search's configuration after a change.
fn error(change: impl Fn(&mut RunConfig)) -> String {
    let mut config = config();
    change(&mut config);
    config.check(&builtin_ops()).unwrap_err().to_string()
}

/// The error of a configuration in which the value at a path of keys was replaced.
fn error_with(config: &RunConfig, path: &str, value: &str) -> String {
    let mut json = serde_json::to_value(config).unwrap();
    let number = json.pointer_mut(&format!("/{}", path.replace('.', "/")));
    *number.expect(path) = serde_json::from_str(value).unwrap();
    let config: RunConfig = serde_json::from_value(json).unwrap();
    let error = config.check(&builtin_ops()).unwrap_err();
    assert_eq!(error.kind(), ConfigErrorKind::Range);
    error.to_string()
}

/// The paths of the numbers in objects of a configuration.
fn numbers(json: &Value) -> Vec<String> {
    let of_entry = |(key, value): (&String, &Value)| match value {
        Value::Number(_) => vec![key.clone()],
        inner => (numbers(inner).iter().map(|path| format!("{key}.{path}"))).collect(),
    };
    json.as_object()
        .into_iter()
        .flatten()
        .flat_map(of_entry)
        .collect()
}

#[test]
fn numbers_out_of_range_are_named_with_their_option() {
    let search = "
        common.image_size | 0 | `--image-size` is 0: it must be from 1 to 4096
        common.training.epochs | 1000000 | `--epochs` is 1000000
        common.training.batch | 100000 | `--batch` is 100000: it must be from 1 to 65536
        common.training.learning_rate | 0.0 | `--learning-rate` is 0: it must be above 0
        common.training.warmup_epochs | 200000 | `--warmup-epochs` is 200000
        common.training.momentum | 1.0 | `--momentum` is 1: it must be at least 0 and below 1
        common.training.weight_decay | -1.0 | `--weight-decay` is -1: it must be from 0 to 1000
        common.training.weight_decay | 1001.0 | `--weight-decay` is 1001
        common.training.learning_rate | 1e39 | `--learning-rate` is 1e39
        common.training.clip_norm | 0.0 | `--clip-norm` is 0: it must be above 0 and at most 1000000000
        common.training.clip_norm | 2e9 | `--clip-norm` is 2000000000
        common.training.crop_padding | 17 | `--crop-padding` is 17: it must be from 0 to 16
        common.training.cutout | 65 | `--cutout` is 65: it must be from 0 to 64
        search.folds.count | 10000000000 | `--folds` is 10000000000: it must be from 1 to 1000
        search.folds.held_out | 1.0 | `--held-out` is 1: it must be between 0 and 1
        search.folds.images | 18446744073709551615 | `--images` is 18446744073709551615: it must be from 1 to 1000000000
        search.rounds | 1001 | `--rounds` is 1001
        search.trials | 18446744073709551615 | `--trials` is 18446744073709551615: it must be from 1 to 1000000
        search.top_n | 18446744073709551615 | `--top-n` is 18446744073709551615
        search.finalists | 101 | `--finalists` is 101: it must be from 0 to 100
        search.sub_policies | 99999999999 | `--sub-policies` is 99999999999: it must be from 1 to 1000
        search.ops_per_sub_policy | 17 | `--ops-per-sub-policy` is 17
        search.draws | 1001 | `--draws` is 1001: it must be from 1 to 1000
        search.sampler.start_up_trials | 18446744073709551615 | `--start-up-trials` is 18446744073709551615
        search.sampler.gamma | 0.0 | `--gamma` is 0: it must be above 0 and at most 1
        search.sampler.candidates | 200000 | `--candidates` is 200000
        final_trainings.epochs | 200000 | `--final-epochs` is 200000
        final_trainings.seeds | 2000 | `--final-seeds` is 2000
    ";
    let training = "
        final_trainings.seeds | 2000 | `--seeds` is 2000
        final_trainings.random.sub_policies | 10001 | `--policy random:N` is 10001
        final_trainings.random.ops_per_sub_policy | 17 | `--ops-per-sub-policy` is 17: it must be from 1 to 16
    ";
    let halving = "
        halving.images | 10000000000 | `--images` is 10000000000: it must be from 1 to 1000000000
        halving.held_out | 0.0 | `--held-out` is 0: it must be between 0 and 1
        halving.entrants | 1 | `--entrants` is 1: it must be from 2 to 10000
        halving.reduction | 1 | `--reduction` is 1: it must be from 2 to 100
        halving.rungs | 18446744073709551615 | `--rungs` is 18446744073709551615: it must be from 1 to 20
        halving.epochs | 200000 | `--rung-epochs` is 200000
        halving.early_epochs | 200000 | `--early-epochs` is 200000
        halving.seeds | 101 | `--rung-seeds` is 101: it must be from 1 to 100
        final_trainings.seeds | 2000 | `--final-seeds` is 2000
    ";
    let values = vec!["1.0"; 201].join(",");
    let audit = format!(
        "
        audit.held_out | 0.0 | `--held-out` is 0: it must be above 0 and at most 1
        audit.images | 10000000000 | `--images` is 10000000000: it must be from 1 to 1000000000
        audit.tolerance.overall | 2.0 | `--tolerance` is 2: it must be from 0 to 1
        audit.tolerance.class | -1.0 | `--class-tolerance` is -1: it must be from 0 to 1
        audit.ops.0.values | [{values}] | `values of an op (--values)` is 201: it must be from 0 to 200
        audit.ops.0.draws | 1001 | `--draws` is 1001: it must be from 1 to 1000
    "
    );
    let tables = [
        (config(), search),
        (RunConfig::for_halving(Preset::Demo, "glyphs"), halving),
        (RunConfig::for_training(Preset::Demo, "glyphs"), training),
        (audit::config(&["FlipX"]), &audit),
    ];
    let mut tested = BTreeSet::from(["common.seed"]);
    for (config, cases) in &tables {
        for case in cases.trim().lines() {
            let [path, value, expected] = case.splitn(3, " | ").collect::<Vec<_>>()[..] else {
                panic!("{case}");
            };
            let error = error_with(config, path.trim(), value);
            assert!(error.starts_with(expected), "{error}, not {expected}");
            tested.insert(path.trim());
        }
    }
    for (config, _) in &tables {
        for path in numbers(&serde_json::to_value(config).unwrap()) {
            assert!(tested.contains(&*path), "`{path}` has no line");
        }
    }
    // JSON has neither NaN nor infinity.
    let nan = error(|run| run.common.training.learning_rate = f64::NAN);
    assert!(nan.starts_with("`--learning-rate` is NaN"), "{nan}");
    let infinite = error(|run| run.common.training.clip_norm = f64::INFINITY);
    assert!(infinite.starts_with("`--clip-norm` is inf"), "{infinite}");

    let resources = |threads, jobs| {
        let mut resources = Resources::new(Vec::new(), threads);
        resources.jobs = jobs;
        resources.check().unwrap_err().to_string()
    };
    let threads = "`--threads` is 100000: it must be from 1 to 4096";
    assert_eq!(resources(100_000, None), threads);
    let jobs = "`--jobs` is 18446744073709551615: it must be from 1 to 256";
    assert_eq!(resources(1, Some(usize::MAX)), jobs);
}

#[test]
fn contradictory_settings_are_named() {
    let policy = faa_policy::Policy::of_sub_policies("mine", Vec::new());
    type Change<'a> = &'a dyn Fn(&mut RunConfig);
    let cases: [(&str, Change<'_>); 5] = [
        ("use fewer --warmup-epochs or more --epochs", &|run| {
            run.common.training.warmup_epochs = 2;
        }),
        ("--cutout above 0", &|run| run.common.training.cutout = 0),
        ("`Rotate` is named twice", &|run| {
            search_in(run).ops.push("Rotate".into());
        }),
        ("no ops to search over", &|run| search_in(run).ops.clear()),
        ("omit --policy", &|run| {
            run.final_trainings.policy = Some(policy.clone());
        }),
    ];
    for (expected, change) in cases {
        let error = error(change);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn contradictory_settings_of_halving_are_named() {
    type Change<'a> = &'a dyn Fn(&mut RunConfig);
    let policy = faa_policy::Policy::of_sub_policies("mine", Vec::new());
    let many = RangedOp::of("Rotate", &builtin_ops()).unwrap();
    let cases: [(&str, Change<'_>); 8] = [
        ("4 rungs are more than 4 entrants can fill", &|run| {
            halving_in(run).entrants = 4.try_into().unwrap();
            halving_in(run).rungs = 4.try_into().unwrap();
        }),
        ("use fewer --warmup-epochs or more --early-epochs", &|run| {
            halving_in(run).early_epochs = 1.try_into().unwrap();
        }),
        ("`Rotate` is named twice", &|run| {
            halving_in(run).ops.push(many.clone());
        }),
        ("no ops to search over", &|run| halving_in(run).ops.clear()),
        ("halving.ops: no op is named `Rotat`", &|run| {
            halving_in(run).ops[5].op = "Rotat".into();
        }),
        ("there are 101 ops, more than the 100", &|run| {
            halving_in(run).ops = vec![many.clone(); 101];
        }),
        ("omit --policy", &|run| {
            run.final_trainings.policy = Some(policy.clone());
        }),
        ("needs a number of sub-policies", &|run| {
            run.final_trainings.augmentations.push(Augmentation::Random);
            run.final_trainings.random = None;
        }),
    ];
    for (expected, change) in cases {
        let mut config = halving();
        change(&mut config);
        let error = config.check(&builtin_ops()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// A quarter of 120 images; no more than are trained on; likewise, if a fraction is large.
#[test]
fn a_fold_of_halving_is_held_out_of_many_images_and_of_few() {
    let labels = [0, 0, 0, 1, 1, 2].repeat(20);
    for (images, fraction, train, held_out) in [
        (1000_usize, 0.25, [45, 30, 15], [15, 10, 5]),
        (30, 0.3, [15, 10, 5], [15, 10, 5]),
        (1000, 0.9, [6, 4, 2], [6, 4, 2]),
    ] {
        let mut config = halving();
        halving_in(&mut config).images = images.try_into().unwrap();
        halving_in(&mut config).held_out = fraction;
        let fold = config.halving_fold(&labels).unwrap().unwrap();
        let counts = |images: &[usize]| {
            [0, 1, 2].map(|class| images.iter().filter(|it| labels[**it] == class).count())
        };
        let found = [counts(&fold.train), counts(&fold.validation)];
        assert_eq!(found, [train, held_out], "{images}, {fraction}");
        let mut held_out = fold.validation.iter();
        assert!(held_out.all(|image| !fold.train.contains(image)));
        // What is held out is new to the policies of density matching.
        for density in config.folds(&labels).unwrap() {
            let mut used = density.train.iter().chain(&density.validation);
            assert!(used.all(|image| fold.train.contains(image)));
        }
    }
    assert!(halving().halving_fold(&vec![0, 1]).is_err());
}

#[test]
fn images_of_one_class_are_rejected() {
    let without_search = RunConfig::for_training(Preset::Demo, "glyphs");
    for config in [config(), without_search] {
        assert!(config.folds(&[0, 1].repeat(30)).is_ok());
        let error = config.folds(&vec![1; 60]).unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::Images);
        assert!(error.to_string().contains("are of one class"), "{error}");
    }
}

#[test]
fn numbers_that_are_too_much_together_are_named() {
    let count = |number: usize| number.try_into().unwrap();
    let (mut log, mut policy) = (config(), config());
    search_in(&mut log).trials = count(100_000);
    search_in(&mut log).sub_policies = count(1_000);
    search_in(&mut policy).top_n = count(500);
    search_in(&mut policy).trials = count(500);
    for (config, expected) in [
        (
            log,
            "--rounds × --trials × (--sub-policies × --ops-per-sub-policy + 2) is 400400000",
        ),
        (
            policy,
            "--folds × --rounds × --top-n × --sub-policies × --ops-per-sub-policy is 20000",
        ),
    ] {
        let error = config.check(&builtin_ops()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}
