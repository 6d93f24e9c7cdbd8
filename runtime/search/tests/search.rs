//! The whole search with a stand-in for the network: folds, trials, merging, resuming.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use faa_op::{Call, ImageMut, Op, OpError, OpSpec};
use faa_ops_builtin::builtin_ops;
use faa_policy::{Policy, Strength};
use faa_search::config::{Control, Preset, Recipe, SearchConfig};
use faa_search::event::Training;
use faa_search::judge::{
    Epoch, Evaluation, Facts, Images, JudgeError, JudgeTask, Rates, StopFlag, TrainTask,
};
use faa_search::trial::Verdict;
use faa_search::{Event, Judge, RunDirectory, Search, SearchError, Summary, check};

/// A judge without a network: it likes strong and likely Rotate, and nothing else.
#[derive(Default)]
struct Stand {
    trained: Vec<(usize, bool, usize)>,
    judged: usize,
    /// Stop after this many epochs and trials in all.
    budget: Option<usize>,
}

impl Stand {
    fn spend(&mut self, stop: &StopFlag) {
        if let Some(budget) = &mut self.budget {
            *budget -= 1;
            if *budget == 0 {
                stop.set();
            }
        }
    }
}

impl Judge for Stand {
    type Network = ();

    fn facts(&self) -> Facts {
        Facts {
            images: [60, 20],
            size: [8, 8],
            classes: 3,
        }
    }

    fn train(
        &mut self,
        task: &TrainTask<'_>,
        on_epoch: &mut dyn FnMut(&Epoch),
        stop: &StopFlag,
    ) -> Result<(), JudgeError> {
        for epoch in 0..task.recipe.epochs.get() {
            stop.check()?;
            let (images, learning_rate) = (task.images.len(), task.recipe.learning_rate);
            on_epoch(&Epoch {
                epoch,
                loss: 1.0,
                error: 0.5,
                learning_rate,
                seconds: 0.1,
                images,
            });
            self.spend(stop);
        }
        self.trained
            .push((task.images.len(), task.policy.is_some(), task.recipe.cutout));
        Ok(())
    }

    fn judge(
        &mut self,
        (): &(),
        task: &JudgeTask<'_>,
        stop: &StopFlag,
    ) -> Result<Verdict, JudgeError> {
        stop.check()?;
        let steps: Vec<_> = task.candidate.sub_policies().iter().flatten().collect();
        let liked = steps.iter().map(|step| match step.strength {
            Strength::Magnitude(magnitude) if step.op == "Rotate" => step.probability * magnitude,
            _ => 0.0,
        });
        let any = liked.sum::<f64>() / steps.len() as f64;
        self.judged += 1;
        self.spend(stop);
        Ok(Verdict {
            any,
            mean: any / 2.0,
            loss: 1.0 - any,
        })
    }

    fn evaluate(&mut self, (): &(), _: Images<'_>, _: &StopFlag) -> Result<Evaluation, JudgeError> {
        Ok(Evaluation {
            error: 0.25,
            loss: 1.0,
        })
    }

    fn save(&self, (): &(), file: &Path) -> Result<(), JudgeError> {
        fs::write(file, b"trained").map_err(JudgeError::other)
    }

    fn load(&mut self, _: &Recipe, _: &Path) -> Result<(), JudgeError> {
        Ok(())
    }

    fn rates(&mut self, _: &Recipe, _: &StopFlag) -> Result<Rates, JudgeError> {
        Ok(Rates {
            train: 100.0,
            classify: 400.0,
        })
    }
}

fn config() -> SearchConfig {
    let mut config = SearchConfig::preset(Preset::Demo, "glyphs");
    config.training.epochs = 2.try_into().unwrap();
    config.training.warmup_epochs = 1;
    config.explore.trials = 30.try_into().unwrap();
    config.explore.rounds = 2.try_into().unwrap();
    config.explore.kept = 3.try_into().unwrap();
    config.finals.epochs = 2.try_into().unwrap();
    config
}

fn labels() -> Vec<u32> {
    (0..60).map(|image| image % 3).collect()
}

fn search(
    out: &Path,
    config: &SearchConfig,
    judge: &mut Stand,
    events: &mut Vec<Event>,
) -> Result<Summary, SearchError> {
    let search = Search {
        config,
        labels: &labels(),
        ops: &builtin_ops(),
        judge,
        run: &RunDirectory::open(out, config, 1).unwrap(),
        stop: &StopFlag::new(),
        observe: &mut |event| events.push(event),
    };
    search.run("cpu")
}

#[test]
fn a_search_ends_with_a_policy_of_the_best_candidates() {
    let folder = tempfile::tempdir().unwrap();
    let (mut judge, mut events) = (Stand::default(), Vec::new());
    let summary = search(folder.path(), &config(), &mut judge, &mut events).unwrap();

    // Two folds of two rounds of three candidates of five sub-policies; repeats are dropped.
    let policy = Policy::parse(&fs::read(&summary.policy).unwrap()).unwrap();
    assert!(
        (12..=60).contains(&policy.sub_policies().len()),
        "{}",
        policy.sub_policies().len()
    );
    policy.check(&builtin_ops()).unwrap();
    let mut uses = BTreeMap::<&str, usize>::new();
    for step in policy.sub_policies().iter().flatten() {
        *uses.entry(&step.op).or_default() += 1;
    }
    let most_used = uses.iter().max_by_key(|(_, count)| **count).unwrap().0;
    assert_eq!(*most_used, "Rotate", "{uses:?}");

    assert_eq!(judge.judged, 120);
    // The folds learn with Cutout and without a policy; final trainings see every image.
    assert_eq!(judge.trained[..2], [(30, false, 16), (30, false, 16)]);
    let finals = [
        (60, false, 0),
        (60, false, 16),
        (60, true, 16),
        (60, true, 16),
    ];
    assert_eq!(judge.trained[2..], finals);
    let controls: Vec<_> = summary.finals.iter().map(|result| result.control).collect();
    assert_eq!(
        controls,
        [
            Control::None,
            Control::Cutout,
            Control::Random,
            Control::Policy
        ]
    );
}

#[test]
fn an_op_that_mixes_is_refused_before_anything_is_trained() {
    struct Mixing(OpSpec);

    impl Op for Mixing {
        fn spec(&self) -> &OpSpec {
            &self.0
        }

        fn apply(&self, _: &mut ImageMut<'_>, _: f64, _: &mut Call<'_>) -> Result<(), OpError> {
            Ok(())
        }
    }

    let mut ops = builtin_ops();
    let spec = OpSpec::new("Mix", "").range(0.0, 1.0, "weight").mixing();
    ops.insert(Arc::new(Mixing(spec))).unwrap();
    let mut config = config();
    config.explore.ops.push("Mix".to_owned());
    let error = check(&config, &labels(), &ops).unwrap_err();
    assert!(matches!(&error, SearchError::MixingOp(op) if op == "Mix"));
    assert!(error.to_string().contains("`Mix` mixes in a partner image"));
}

#[test]
fn everything_is_told_and_written_down() {
    let folder = tempfile::tempdir().unwrap();
    let mut events = Vec::new();
    search(folder.path(), &config(), &mut Stand::default(), &mut events).unwrap();

    let Event::Planned(plan) = &events[0] else {
        panic!("{:?}", events[0])
    };
    // Two folds of 30 images and four final trainings of 60, two epochs each; 120 trials of five
    // draws of 30 images.
    assert_eq!(plan.images_to_learn, 2 * 2 * 30 + 4 * 2 * 60);
    assert_eq!(plan.images_to_classify, 120 * 5 * 30);
    let expected = plan.images_to_learn as f64 / 100.0 + plan.images_to_classify as f64 / 400.0;
    assert_eq!(plan.estimated_seconds, expected);
    let count = |wanted: fn(&Event) -> bool| events.iter().filter(|event| wanted(event)).count();
    assert_eq!(count(|event| matches!(event, Event::TrialDone { .. })), 120);
    assert_eq!(count(|event| matches!(event, Event::EpochDone { .. })), 12);
    assert!(matches!(events.last(), Some(Event::Finished(_))));

    let lines = |file: &str| {
        fs::read_to_string(folder.path().join(file))
            .unwrap()
            .lines()
            .count()
    };
    assert_eq!(lines("fold-1/trials.jsonl"), 60);
    assert_eq!(lines("fold-0/epochs.jsonl"), 2);
    for file in ["run.json", "summary.json", "final/policy-0/result.json"] {
        assert!(folder.path().join(file).exists(), "{file}");
    }
}

#[test]
fn a_search_stopped_anywhere_ends_with_the_same_policy() {
    let whole = tempfile::tempdir().unwrap();
    search(
        whole.path(),
        &config(),
        &mut Stand::default(),
        &mut Vec::new(),
    )
    .unwrap();
    let expected = fs::read_to_string(whole.path().join("policy.json")).unwrap();

    // In the first training, in the first round, between rounds and folds, and in the finals.
    for budget in [1, 2, 5, 31, 33, 62, 63, 100, 124, 127] {
        let folder = tempfile::tempdir().unwrap();
        let done = trials_before_a_stop(folder.path(), budget);

        let (mut judge, mut events) = (Stand::default(), Vec::new());
        search(folder.path(), &config(), &mut judge, &mut events).unwrap();
        assert_eq!(
            fs::read_to_string(folder.path().join("policy.json")).unwrap(),
            expected
        );
        assert_eq!(judge.judged, 120 - done, "no trial is made twice");
    }
}

/// Stops a search after so many epochs and trials, and tells how many trials it made.
fn trials_before_a_stop(out: &Path, budget: usize) -> usize {
    let (config, stop) = (config(), StopFlag::new());
    let mut judge = Stand {
        budget: Some(budget),
        ..Stand::default()
    };
    let search = Search {
        config: &config,
        labels: &labels(),
        ops: &builtin_ops(),
        judge: &mut judge,
        run: &RunDirectory::open(out, &config, 1).unwrap(),
        stop: &stop,
        observe: &mut |_| (),
    };
    assert!(
        matches!(search.run("cpu"), Err(SearchError::Stopped)),
        "{budget}"
    );
    judge.judged
}

#[test]
fn a_finished_search_is_told_again_and_nothing_is_done_twice() {
    let folder = tempfile::tempdir().unwrap();
    let first = search(
        folder.path(),
        &config(),
        &mut Stand::default(),
        &mut Vec::new(),
    )
    .unwrap();
    let (mut judge, mut events) = (Stand::default(), Vec::new());
    let second = search(folder.path(), &config(), &mut judge, &mut events).unwrap();
    assert_eq!(first, second);
    assert_eq!((judge.judged, judge.trained.len()), (0, 0));
    let resumed = |event: &&Event| matches!(event, Event::TrainingDone { resumed: true, .. });
    assert_eq!(events.iter().filter(resumed).count(), 6);
}

#[test]
fn trials_of_another_search_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    search(
        folder.path(),
        &config(),
        &mut Stand::default(),
        &mut Vec::new(),
    )
    .unwrap();
    let log = folder.path().join("fold-0/trials.jsonl");
    let text = fs::read_to_string(&log).unwrap();
    let without_third: Vec<_> = text
        .lines()
        .enumerate()
        .filter(|(line, _)| *line != 2)
        .collect();
    let lines: String = without_third
        .iter()
        .map(|(_, line)| format!("{line}\n"))
        .collect();
    fs::write(&log, lines).unwrap();
    let error = search(
        folder.path(),
        &config(),
        &mut Stand::default(),
        &mut Vec::new(),
    );
    let message = error.unwrap_err().to_string();
    assert!(
        message.contains("line 3: expected trial 0.2, found 0.3"),
        "{message}"
    );
}

#[test]
fn an_op_that_is_not_there_is_named_before_anything_is_trained() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config();
    config.explore.ops.push("Rotat".into());
    let mut judge = Stand::default();
    let error = search(folder.path(), &config, &mut judge, &mut Vec::new()).unwrap_err();
    let message = "the configuration does not fit the ops: explore.ops: no op is named `Rotat`; \
                   did you mean `Rotate`?";
    assert_eq!(error.to_string(), message);
    assert!(judge.trained.is_empty());
}

#[test]
fn a_failing_judge_is_named_with_its_stage() {
    struct Failing;
    impl Judge for Failing {
        type Network = ();
        fn facts(&self) -> Facts {
            Stand::default().facts()
        }
        fn train(
            &mut self,
            _: &TrainTask<'_>,
            _: &mut dyn FnMut(&Epoch),
            _: &StopFlag,
        ) -> Result<(), JudgeError> {
            Err(JudgeError::Diverged {
                loss: f64::NAN,
                epoch: 3,
                learning_rate: 0.1,
            })
        }
        fn judge(
            &mut self,
            (): &(),
            _: &JudgeTask<'_>,
            _: &StopFlag,
        ) -> Result<Verdict, JudgeError> {
            unreachable!("nothing was trained")
        }
        fn evaluate(
            &mut self,
            (): &(),
            _: Images<'_>,
            _: &StopFlag,
        ) -> Result<Evaluation, JudgeError> {
            unreachable!("nothing was trained")
        }
        fn save(&self, (): &(), _: &Path) -> Result<(), JudgeError> {
            unreachable!("nothing was trained")
        }
        fn load(&mut self, _: &Recipe, _: &Path) -> Result<(), JudgeError> {
            unreachable!("nothing was trained")
        }
        fn rates(&mut self, _: &Recipe, _: &StopFlag) -> Result<Rates, JudgeError> {
            Ok(Rates {
                train: 1.0,
                classify: 1.0,
            })
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let config = config();
    let search = Search {
        config: &config,
        labels: &labels(),
        ops: &builtin_ops(),
        judge: &mut Failing,
        run: &RunDirectory::open(folder.path(), &config, 1).unwrap(),
        stop: &StopFlag::new(),
        observe: &mut |_| (),
    };
    let error = search.run("cpu").unwrap_err();
    assert_eq!(error.to_string(), format!("{} failed", Training::Fold(0)));
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        cause.starts_with("the loss became NaN in epoch 3, at learning rate 0.1"),
        "{cause}"
    );
}
