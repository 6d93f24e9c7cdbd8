//! Searches by successive halving.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

use faa_policy::Policy;
use faa_search::backend::TrainTask;
use faa_search::config::{Augmentation, HalvingConfig, Preset};
use faa_search::halving::{Entrant, HalvingResult, Origin};
use faa_search::layout::{Layout, TrainingId};
use faa_search::{Event, RunConfig, RunErrorKind};

use crate::audit;
use crate::fake_backend::{FakeBackend, config, draws, labels, policy_of, run, run_on, search_in};

/// Halving of eight policies in three rungs, with a short search by density matching.
pub(crate) fn halving() -> RunConfig {
    let mut run = RunConfig::for_halving(Preset::Demo, "glyphs");
    run.common.training = config().common.training;
    let halving = halving_in(&mut run);
    halving.entrants = 8.try_into().unwrap();
    halving.reduction = 2.try_into().unwrap();
    halving.rungs = 3.try_into().unwrap();
    halving.epochs = 3.try_into().unwrap();
    halving.early_epochs = 2.try_into().unwrap();
    search_in(&mut run).trials = 4.try_into().unwrap();
    run.final_trainings.epochs = None;
    run.final_trainings.seeds = NonZeroUsize::new(1);
    run.final_trainings.augmentations = vec![Augmentation::Policy];
    run
}

pub(crate) fn halving_in(config: &mut RunConfig) -> &mut HalvingConfig {
    config.halving.as_mut().unwrap()
}

/// Rotating helps and inverting hurts, whatever else is done. Noise depends on the seed and the policy.
pub(crate) fn rotating_helps(task: &TrainTask<'_>) -> f64 {
    let policy = task.policy.map_or_else(String::new, Policy::to_json);
    let bytes = policy.bytes().chain(task.seed.to_le_bytes());
    // FNV-1a.
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let noise = (hash >> 11) as f64 / (1_u64 << 53) as f64 - 0.5;
    let effect = |op, effect| if draws(task, op) { effect } else { 0.0 };
    1.0 + effect("Rotate", -0.3) + effect("Invert", 0.3) + effect("Equalize", 0.2) + 0.05 * noise
}

fn only_the_base_is_good(task: &TrainTask<'_>) -> f64 {
    if task.policy.is_some() { 2.0 } else { 1.0 }
}

fn backend(loss: fn(&TrainTask<'_>) -> f64) -> FakeBackend {
    FakeBackend {
        loss: Some(loss),
        ..FakeBackend::default()
    }
}

fn entrants(run: &Path) -> Vec<Entrant> {
    Layout::new(run).entrants().read().unwrap()
}

fn result(run: &Path, config: &RunConfig, backend: &mut FakeBackend) -> HalvingResult {
    let summary = super::fake_backend::run(run, config, backend).unwrap();
    summary.halving.unwrap()
}

#[test]
fn the_good_op_is_found_and_the_bad_ones_are_dropped_and_named() {
    let (folder, mut config) = (tempfile::tempdir().unwrap(), halving());
    halving_in(&mut config).entrants = 48.try_into().unwrap();
    let invert = faa_search::config::RangedOp::of("Invert", &faa_ops_builtin::builtin_ops());
    halving_in(&mut config).ops.extend(invert);
    let found = result(folder.path(), &config, &mut backend(rotating_helps));

    let policy = Policy::parse(policy_of(folder.path()).as_bytes()).unwrap();
    let ops = &policy.sampler().unwrap().ops;
    let has = |op: &str| ops.iter().any(|it| it.op == op);
    assert!(
        has("Rotate") && !has("Invert") && !has("Equalize"),
        "{ops:?}"
    );
    let objective: Option<String> = policy.provenance.get("objective");
    assert_eq!(objective.as_deref(), Some("train"));

    let all = found.explanation.join("\n");
    assert!(
        all.contains("Rotate up to ") && all.contains(" degrees saves "),
        "{all}"
    );
    assert!(
        all.contains("Invert costs ") && all.contains("Equalize costs "),
        "{all}"
    );
    assert!(
        all.contains(" points of validation error compared with off"),
        "{all}"
    );

    // Proposals of the model are better than random policies.
    let good = |origin: &Origin| {
        let points = entrants(folder.path())
            .into_iter()
            .filter(|it| it.rung == 0);
        let points: Vec<_> = points.filter(|it| it.origin == *origin).collect();
        let is_good = |it: &&Entrant| {
            let steps = &it.point.as_ref().unwrap().steps;
            steps[5] > 0 && steps[13] == 0 && steps[14] == 0
        };
        assert_eq!(points.len(), 24);
        points.iter().filter(is_good).count()
    };
    assert!(good(&Origin::Model) > 12 && good(&Origin::Random) < 12);
}

#[test]
fn fixed_policies_take_part_in_the_last_two_rungs() {
    let (folder, config) = (tempfile::tempdir().unwrap(), halving());
    let found = result(folder.path(), &config, &mut backend(rotating_helps));
    let all = entrants(folder.path());
    let fixed = ["base", "trivialaugment", "randaugment", "density"];
    for (rung, searched) in [(0, 8), (1, 4), (2, 2)] {
        let in_rung: Vec<_> = all.iter().filter(|it| it.rung == rung).collect();
        let names: Vec<_> = in_rung
            .iter()
            .filter(|it| it.is_fixed())
            .map(|it| it.name())
            .collect();
        let expected: &[&str] = if rung == 0 { &[] } else { &fixed };
        assert_eq!(names, expected, "rung {rung}");
        assert_eq!(in_rung.len() - names.len(), searched, "rung {rung}");
    }
    // The policy that density matching found is in the log; it has sub-policies.
    let density = all.iter().find(|it| it.name() == "density").unwrap();
    assert!(!density.policy.as_ref().unwrap().sub_policies().is_empty());

    let standings = &found.standings;
    assert_eq!(standings.len(), 6);
    assert!(standings.iter().all(|it| it.losses.len() == 2));
    let best = standings[0].mean_loss().unwrap();
    assert!(standings.iter().all(|it| best <= it.mean_loss().unwrap()));
}

/// Halving of the policies of `halving`, with an audit of three ops.
fn audited() -> RunConfig {
    let mut run = halving();
    run.search = None;
    run.audit = audit::config(&["Rotate", "FlipX", "FlipY"]).audit;
    run
}

/// The images that the audit and halving hold out are different ones, and the audit's network has seen no
/// flips, also if the base augmentation flips.
#[test]
fn the_audited_policy_takes_part_in_the_last_two_rungs() {
    fn checks_the_audit(task: &TrainTask<'_>) -> f64 {
        // Of the 45 images of halving.
        let is_audit = task.images.len() == 21;
        assert!(task.training.flip != is_audit);
        rotating_helps(task)
    }
    let (folder, config) = (tempfile::tempdir().unwrap(), audited());
    let labels = labels();
    let audit = config.audit_fold(&labels).unwrap().unwrap();
    let halving = config.halving_fold(&labels).unwrap().unwrap();
    let mut all = [audit.train, audit.validation].concat();
    all.sort_unstable();
    assert_eq!(all, halving.train);

    let (summary, events) = run_on(folder.path(), &config, &mut [backend(checks_the_audit)]);
    let summary = summary.unwrap();
    assert_eq!(summary.audit, Some(folder.path().join("audit.json")));
    for rung in [1, 2] {
        let in_rung = entrants(folder.path()).into_iter();
        let mut in_rung = in_rung.filter(|it| it.rung == rung);
        let audited = in_rung.find(|it| it.name() == "audited").unwrap();
        let policy = audited.policy.unwrap();
        let ops = policy.sampler().unwrap().ops.iter();
        let ops: Vec<_> = ops.map(|it| it.op.as_str()).collect();
        assert_eq!(ops, ["Identity", "Rotate", "FlipY"]);
    }
    let Event::Planned(plan) = &events[0] else {
        panic!("{:?}", events[0])
    };
    assert_eq!(plan.rung_trainings, 8 + 8 + 2 * 6);
    let done = |epochs: bool| {
        let images = events.iter().map(|event| match event {
            Event::EpochDone { epoch, .. } if epochs => epoch.images,
            Event::PointDone { images, .. } if !epochs => *images,
            _ => 0,
        });
        images.sum::<usize>()
    };
    assert_eq!(plan.images_to_train, done(true));
    assert_eq!(plan.images_to_classify, done(false));
}

#[test]
fn halving_goes_on_without_an_audit_that_diverges() {
    let (folder, config) = (tempfile::tempdir().unwrap(), audited());
    let fold = config.audit_fold(&labels()).unwrap().unwrap();
    let mut backend = FakeBackend {
        diverge: Some((fold.train, 1)),
        ..backend(rotating_helps)
    };
    let summary = run(folder.path(), &config, &mut backend).unwrap();
    assert_eq!((summary.audit, summary.policy.is_some()), (None, true));
    assert!(
        !entrants(folder.path())
            .iter()
            .any(|it| it.name() == "audited")
    );
}

#[test]
fn halving_goes_on_without_density_matching_of_which_all_folds_diverge() {
    let (folder, mut config) = (tempfile::tempdir().unwrap(), halving());
    let search = search_in(&mut config);
    search.folds.count = NonZeroUsize::MIN;
    search.folds.held_out = Some(0.4);
    let fold = config.folds(&labels()).unwrap().remove(0);
    let mut backend = FakeBackend {
        diverge: Some((fold.train, 1)),
        ..backend(rotating_helps)
    };
    let found = result(folder.path(), &config, &mut backend);
    assert!(found.standings.iter().any(|it| it.name == "base"));
    assert!(!found.standings.iter().any(|it| it.name == "density"));
}

#[test]
fn where_no_policy_helps_the_result_is_the_base_augmentation() {
    let (folder, config) = (tempfile::tempdir().unwrap(), halving());
    let found = result(folder.path(), &config, &mut backend(only_the_base_is_good));
    assert_eq!(found.winner().unwrap().name, "base");
    let policy = Policy::parse(policy_of(folder.path()).as_bytes()).unwrap();
    let ops = policy.sampler().unwrap().ops.iter();
    assert_eq!(
        ops.map(|it| it.op.as_str()).collect::<Vec<_>>(),
        ["Identity"]
    );
    let winner: Option<String> = policy.provenance.get("winner");
    assert_eq!(
        winner.as_deref(),
        Some("base, which takes part in every search")
    );
}

#[test]
fn parallel_jobs_give_the_same_bytes() {
    let (one, three) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    run(one.path(), &halving(), &mut backend(rotating_helps)).unwrap();
    let mut backends = [(); 3].map(|()| backend(rotating_helps));
    run_on(three.path(), &halving(), &mut backends).0.unwrap();
    assert_eq!(policy_of(one.path()), policy_of(three.path()));
    for file in [
        "halving/entrants.jsonl",
        "halving/rung-2/8-1/evaluation.json",
    ] {
        let [one, three] = [&one, &three].map(|it| fs::read(it.path().join(file)).unwrap());
        assert_eq!(one, three, "{file}");
    }
}

#[test]
fn the_plan_counts_every_image_that_is_trained_on() {
    let folder = tempfile::tempdir().unwrap();
    let (_, events) = run_on(folder.path(), &halving(), &mut [backend(rotating_helps)]);
    let Event::Planned(plan) = &events[0] else {
        panic!("{:?}", events[0])
    };
    let images = events.iter().map(|event| match event {
        Event::EpochDone { epoch, .. } => epoch.images,
        _ => 0,
    });
    assert_eq!(plan.images_to_train, images.sum::<usize>());
    // Eight policies; four and the fixed four; two and the fixed four, with two seeds.
    assert_eq!(plan.rung_trainings, 8 + 8 + 2 * 6);
    let rungs = events
        .iter()
        .filter(|it| matches!(it, Event::RungStarted { .. }));
    assert_eq!(rungs.count(), 3);
    // Of 60 images, a quarter is held out.
    let is_halving = |event: &&Event| matches!(event, Event::EpochDone { training: TrainingId::Halving { .. }, epoch } if epoch.images == 45);
    assert_eq!(events.iter().filter(is_halving).count(), 16 * 2 + 12 * 3);
    assert!(
        !folder
            .path()
            .join("halving/rung-0/0-0/network.safetensors")
            .exists()
    );
}

#[test]
fn halving_that_is_stopped_anywhere_has_the_same_policy_and_repeats_nothing() {
    let whole = tempfile::tempdir().unwrap();
    let mut undisturbed = backend(rotating_helps);
    run(whole.path(), &halving(), &mut undisturbed).unwrap();
    // In the search by density matching, in each half of the first rung, between and in the other rungs.
    for budget in [3, 13, 19, 21, 27, 29, 45, 70, 81] {
        let folder = tempfile::tempdir().unwrap();
        let mut first = backend(rotating_helps);
        first.budget = Some(budget);
        let stopped = run(folder.path(), &halving(), &mut first).unwrap_err();
        assert_eq!(stopped.kind(), RunErrorKind::Stopped, "{budget}");
        let mut second = backend(rotating_helps);
        run(folder.path(), &halving(), &mut second).unwrap();
        assert_eq!(
            policy_of(folder.path()),
            policy_of(whole.path()),
            "{budget}"
        );
        let epochs = [first.epochs, second.epochs];
        assert_eq!(epochs.iter().sum::<usize>(), undisturbed.epochs, "{budget}");
    }
    let mut again = backend(rotating_helps);
    run(whole.path(), &halving(), &mut again).unwrap();
    assert_eq!((again.epochs, again.scored), (0, 0));
    let (_, events) = run_on(whole.path(), &halving(), &mut [backend(rotating_helps)]);
    let Event::Planned(plan) = &events[0] else {
        panic!("{:?}", events[0])
    };
    assert_eq!((plan.images_to_train, plan.images_to_classify), (0, 0));
}

/// The policies of density matching and of the audit are recorded with the name of the data set.
#[test]
fn halving_continues_after_its_data_set_has_moved() {
    let mut config = audited();
    config.search = halving().search;
    let mut whole = backend(rotating_helps);
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &config, &mut whole).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut first = backend(rotating_helps);
    // In the last rung, before the final training.
    first.budget = Some(whole.epochs + whole.scored - 10);
    let stopped = run(folder.path(), &config, &mut first).unwrap_err();
    assert_eq!(stopped.kind(), RunErrorKind::Stopped);
    let recorded = entrants(folder.path());
    assert!(recorded.iter().any(|it| it.rung == 2), "{recorded:?}");
    config.common.data = "folder:moved".into();
    let found = result(folder.path(), &config, &mut backend(rotating_helps));
    assert_eq!(found.standings.len(), 7);
    assert_eq!(entrants(folder.path()), recorded);
}

#[test]
fn a_single_seed_does_not_tell_what_is_noise() {
    let (folder, mut config) = (tempfile::tempdir().unwrap(), halving());
    halving_in(&mut config).seeds = NonZeroUsize::MIN;
    let found = result(folder.path(), &config, &mut backend(rotating_helps));
    assert_eq!(found.equals(), None);
    let policy = Policy::parse(policy_of(folder.path()).as_bytes()).unwrap();
    let equals: Option<String> = policy.provenance.get("equal_within_noise");
    assert_eq!(equals.as_deref(), found.why_unknown());
    assert!(equals.unwrap().contains("single seed"));
}

/// An image of each class is held out, which leaves one to search on.
#[test]
fn parts_that_have_too_few_images_can_be_skipped() {
    let labels = vec![0, 0, 1, 1];
    let audit = audited().audit_fold(&labels).unwrap_err().to_string();
    assert!(audit.contains("too few"), "{audit}");
    assert!(
        audit.ends_with("or skip the audit with --no-audit"),
        "{audit}"
    );
    let density = halving().folds(&labels).unwrap_err().to_string();
    let advice = "or skip the search by density matching with --no-density";
    assert!(
        density.contains("too few") && density.ends_with(advice),
        "{density}"
    );
}

#[test]
fn a_log_of_different_policies_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &halving(), &mut backend(rotating_helps)).unwrap();
    let log = folder.path().join("halving/entrants.jsonl");
    let text = fs::read_to_string(&log).unwrap();
    let mut lines: Vec<_> = text.split_inclusive('\n').collect();
    lines.swap(2, 3);
    fs::write(&log, lines.concat()).unwrap();
    let error = run(folder.path(), &halving(), &mut backend(rotating_helps));
    let message = error.unwrap_err().to_string();
    let expected = "line 3: expected entrant 2 in rung 1, found a different policy";
    assert!(message.contains(expected), "{message}");
}

#[test]
fn policies_that_diverge_lose_and_are_not_promoted() {
    let (folder, mut config) = (tempfile::tempdir().unwrap(), halving());
    halving_in(&mut config).entrants = 16.try_into().unwrap();
    let mut backend = FakeBackend {
        diverge_with: Some("Solarize"),
        ..backend(rotating_helps)
    };
    let found = result(folder.path(), &config, &mut backend);
    // Solarize is the twelfth op.
    let with = |it: &Entrant| it.point.as_ref().is_some_and(|point| point.steps[11] > 0);
    let all = entrants(folder.path());
    assert!(all.iter().any(|it| it.rung == 0 && with(it)));
    assert!(!all.iter().any(|it| it.rung > 0 && with(it)));
    let trivial = found
        .standings
        .iter()
        .find(|it| it.name == "trivialaugment");
    let trivial = trivial.unwrap();
    assert_eq!((trivial.diverged, trivial.mean_loss()), (2, None));
    let diverged = folder.path().join("halving/rung-2/17-0/diverged.json");
    assert!(diverged.exists());

    // What diverged is not repeated.
    let mut again = FakeBackend::default();
    let second = result(folder.path(), &config, &mut again);
    assert_eq!((second, again.epochs), (found, 0));
}

#[test]
fn halving_in_which_everything_diverges_ends_with_advice() {
    let (folder, mut config) = (tempfile::tempdir().unwrap(), halving());
    config.search = None;
    let mut backend = FakeBackend {
        nan_loss: true,
        ..FakeBackend::default()
    };
    let error = run(folder.path(), &config, &mut backend).unwrap_err();
    assert_eq!(error.kind(), RunErrorKind::Diverged, "{error}");
    assert!(error.to_string().contains("--learning-rate"), "{error}");
}
