//! A search that is killed over and over comes to the same end, and makes little of it twice.

// Which process works for `faa-runtime` is read from `/proc`.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use faa_op::Stream;
use faa_tests::runs::{
    AtLimit, Running, Shot, files_in, json_lines_in, limited, partial_files_in, search_with,
    wait_for_the_end_of,
};
use faa_tests::write_data_set;
use serde_json::Value;
use tempfile::TempDir;

/// Of every training. A stage has two of them, and a kill costs it one or two epochs.
const EPOCHS: usize = 7;
/// Of every round; a stage has two.
const TRIALS: usize = 8;
/// How often every stage is to be hit.
const HITS: usize = 6;

/// The stages of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    FoldTrainings,
    FirstRounds,
    SecondRounds,
    FinalTrainings,
}

const STAGES: [Stage; 4] = [
    Stage::FoldTrainings,
    Stage::FirstRounds,
    Stage::SecondRounds,
    Stage::FinalTrainings,
];

/// When an attempt is killed, and what of it: the process that works, where nothing else is said.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// So long after its start, before it goes on.
    Early(Duration),
    /// After so many epochs and trials of stages that are still to be hit, and then this share of
    /// the time that the last one took.
    Within(usize, f64),
    /// After one of them, and then as above: the program that people started.
    Above(f64),
    /// In the middle of writing, which is so many KiB into the first file that is larger.
    Writing(u32),
}

/// How often each stage was hit.
type Hits = BTreeMap<Stage, usize>;

/// How many whole lines each log of a run has.
type Logs = BTreeMap<PathBuf, usize>;

/// What is known of an attempt.
struct Attempt {
    events: Vec<Value>,
    /// Whether it came to its end before it was killed.
    finished: bool,
}

#[test]
fn a_search_that_is_killed_at_any_moment_ends_as_one_that_was_not() {
    let whole = data_set();
    let (fresh, resumed) = (startup(whole.path()), startup(whole.path()));

    let folder = data_set();
    let run = folder.path().join("run");
    let mut random = Stream::for_op(20);
    let mut kills = Hits::new();
    let (mut early, mut above, mut writing, mut made_again) = (0, 0, 0, 0);
    let mut told: BTreeMap<(PathBuf, usize), usize> = BTreeMap::new();
    let mut stage = Stage::FoldTrainings;
    let (mut startup, mut planted) = (fresh, false);
    for number in 0.. {
        assert!(number < 100, "it does not come to an end: {kills:?}");
        let moment = choose(&mut random, number, stage, &kills, startup);
        let before = logs_in(&run);
        let attempt = attempt(folder.path(), moment, &kills);
        let after = logs_in(&run);

        for place in attempt.events.iter().filter_map(place_of) {
            *told.entry(place).or_default() += 1;
        }
        let again = again(&before, &after, &attempt.events);
        assert!(
            again <= 1,
            "{again} epochs and trials were made again: {before:?}, {after:?}"
        );
        made_again += again;
        if attempt.finished {
            break;
        }
        stage = attempt
            .events
            .iter()
            .rev()
            .find_map(stage_of)
            .unwrap_or(stage);
        match moment {
            Some(Moment::Early(_)) => early += 1,
            Some(Moment::Above(_)) => above += 1,
            _ => *kills.entry(stage).or_default() += 1,
        }
        if let Some(Moment::Writing(_)) = moment {
            let partial = partial_files_in(&run);
            let is_its = |file: &PathBuf| !file.ends_with(PLANTED);
            assert!(partial.iter().any(is_its), "{moment:?} left {partial:?}");
            writing += 1;
        }
        let has_trials = after.get(Path::new("fold-0/trials.jsonl"));
        if !planted && has_trials.is_some_and(|lines| *lines > 0) {
            plant(&run);
            planted = true;
            // Rates are not measured any more.
            startup = resumed;
        }
    }

    eprintln!(
        "{kills:?}, {writing} of them in writing; {early} early, {above} of the program above; \
         {made_again} made again"
    );
    let count: usize = kills.values().sum();
    assert!(count >= 20, "{kills:?}");
    assert_eq!(kills.len(), 4, "{kills:?}");
    assert!(kills.values().all(|hits| *hits >= 3), "{kills:?}");
    assert!(early > 0 && planted);
    assert!(writing > 0 && above >= 2, "{writing}, {above}");
    // An epoch is told when its checkpoint is written, the last one before its network is. A trial
    // is told when it is recorded.
    for ((log, place), times) in &told {
        let is_last_epoch = log.ends_with("epochs.jsonl") && place + 1 == EPOCHS;
        assert!(*times == 1 || is_last_epoch, "{log:?}, {place}: {times}");
    }
    let told_again: usize = told.values().map(|times| times - 1).sum();
    assert!(told_again <= count + early + above, "{told:?}");
    assert_same_run(&whole.path().join("run"), &run);
}

/// What was written is the same to the byte, but for the time that things took.
fn assert_same_run(expected: &Path, found: &Path) {
    let logs = logs_in(expected);
    let lines: usize = logs.values().sum();
    assert_eq!(lines, 4 * EPOCHS + 4 * TRIALS, "the augmentation: {logs:?}");
    let (expected, found) = (files_in(expected), files_in(found));
    let names: Vec<&PathBuf> = expected.keys().collect();
    assert_eq!(found.keys().collect::<Vec<_>>(), names);
    for name in [
        "policy.json",
        "summary.json",
        "fold-1/network.safetensors",
        "final/policy-0/network.safetensors",
    ] {
        assert!(expected.contains_key(Path::new(name)), "the augmentation");
    }
    for (name, content) in &expected {
        let found = &found[name];
        if name.ends_with("report.html") {
            // It tells the time.
            continue;
        }
        if is_log(name) {
            assert_eq!(timeless(found), timeless(content), "{name:?}");
        } else {
            assert!(found == content, "{name:?} is another");
        }
    }
}

fn timeless(log: &[u8]) -> Vec<Value> {
    let mut lines = json_lines_in(log);
    for line in &mut lines {
        assert!(line["seconds"].is_f64(), "{line}");
        line["seconds"] = Value::Null;
    }
    lines
}

/// Images enough for an epoch and a trial to take longer than a message and a kill.
fn data_set() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_data_set(&folder.path().join("data"), 3, [60, 5]);
    folder
}

fn search(folder: &Path) -> Command {
    let (epochs, trials) = (EPOCHS.to_string(), TRIALS.to_string());
    let changed = [
        ("--epochs", epochs.as_str()),
        ("--trials", trials.as_str()),
        ("--draws", "6"),
        ("--final-trainings", "cutout,policy"),
        ("--final-epochs", epochs.as_str()),
    ];
    search_with(folder, &changed)
}

/// How long a start takes, up to the plan; the search then goes on to its end.
fn startup(folder: &Path) -> Duration {
    let mut command = search(folder);
    let started = Instant::now();
    let mut running = Running::start(&mut command);
    running.wait_for(|event| event["event"] == "planned");
    let startup = started.elapsed();
    let (code, message) = running.finish();
    assert_eq!(code, Some(0), "{message}");
    startup
}

fn is_open(hits: &Hits, stage: Stage) -> bool {
    hits.get(&stage).is_none_or(|times| *times < HITS)
}

/// A moment for the next kill, at random; `None` where all stages were hit often enough.
fn choose(
    random: &mut Stream,
    number: usize,
    stage: Stage,
    hits: &Hits,
    startup: Duration,
) -> Option<Moment> {
    if !STAGES.iter().any(|stage| is_open(hits, *stage)) {
        return None;
    }
    let times = hits.get(&stage).copied().unwrap_or_default();
    let trains = matches!(stage, Stage::FoldTrainings | Stage::FinalTrainings);
    // Not all of it, so that the next epoch or trial is seldom over, too.
    let share = 0.9 * random.unit();
    Some(match number % 8 {
        0 => Moment::Early(startup.mul_f64(random.unit())),
        5 => Moment::Above(share),
        // Checkpoints and networks are larger, and nothing else is.
        _ if trains && times == 1 => Moment::Writing(20 + random.below(200) as u32),
        // In small steps at first, so that no stage is over before it was hit.
        _ if times < 4 => Moment::Within(1, share),
        _ => Moment::Within(1 + random.below(2) as usize, share),
    })
}

/// Starts the search once more, and kills it at a moment, if one is given.
fn attempt(folder: &Path, moment: Option<Moment>, hits: &Hits) -> Attempt {
    let mut command = search(folder);
    if let Some(Moment::Writing(kib)) = moment {
        command = limited(&command, kib, AtLimit::Dies);
    }
    let mut running = Running::start(&mut command);
    let mut events = Vec::new();
    match moment {
        None | Some(Moment::Writing(_)) => {}
        Some(moment @ Moment::Above(_)) => {
            let worker = running.worker();
            wait_for(moment, hits, &mut running, &mut events);
            running.signal("KILL");
            let (code, message) = running.finish();
            // The worker notices, and stops by itself. The run is in use until then.
            wait_for_the_end_of(worker);
            let finished = code == Some(0);
            assert!(finished || code.is_none(), "{code:?}: {message}");
            return Attempt { events, finished };
        }
        Some(moment) => {
            let kill = Shot::aim("KILL", running.worker());
            wait_for(moment, hits, &mut running, &mut events);
            kill.fire();
        }
    }
    events.extend(running.by_ref());
    let (code, message) = running.finish();
    let finished = code == Some(0);
    let died = code == Some(1) && message.contains("faa-runtime-torch ended without a word");
    assert!(
        finished || (moment.is_some() && died),
        "{code:?}: {message}"
    );
    Attempt { events, finished }
}

fn wait_for(moment: Moment, hits: &Hits, running: &mut Running, events: &mut Vec<Value>) {
    let (mut left, share) = match moment {
        Moment::Early(delay) => return thread::sleep(delay),
        Moment::Within(steps, share) => (steps, share),
        Moment::Above(share) => (1, share),
        Moment::Writing(_) => return,
    };
    let mut took = 0.0;
    while left > 0 {
        let Some(event) = running.next() else { return };
        let is_open = stage_of(&event).is_some_and(|stage| is_open(hits, stage));
        if is_open && place_of(&event).is_some() {
            left -= 1;
            took = event["seconds"].as_f64().unwrap();
        }
        events.push(event);
    }
    thread::sleep(Duration::from_secs_f64(took * share));
}

/// How a half file is called that no kill has left.
const PLANTED: &str = ".partial-x";

/// What a crash of the whole machine may leave: half a line, and half a file.
fn plant(run: &Path) {
    let log = run.join("fold-0/trials.jsonl");
    let lines = fs::read(&log).unwrap();
    fs::write(&log, [&lines[..], &lines[..100]].concat()).unwrap();
    for folder in [run.to_owned(), run.join("fold-0")] {
        fs::write(folder.join(PLANTED), "half").unwrap();
    }
}

/// Whether this file tells of epochs or trials, a line each.
fn is_log(name: &Path) -> bool {
    name.ends_with("epochs.jsonl") || name.ends_with("trials.jsonl")
}

fn logs_in(run: &Path) -> Logs {
    if !run.exists() {
        return Logs::new();
    }
    let ends = |content: &[u8]| content.iter().filter(|byte| **byte == b'\n').count();
    let files = files_in(run).into_iter();
    files
        .filter(|(name, _)| is_log(name))
        .map(|(name, content)| (name, ends(&content)))
        .collect()
}

/// How many epochs and trials an attempt has made again, of those that were recorded before it.
fn again(before: &Logs, after: &Logs, events: &[Value]) -> usize {
    // Where each log was gone on with, or else where it ends now.
    let mut from = after.clone();
    for (log, place) in events.iter().filter_map(place_of) {
        let from = from.entry(log).or_insert(place);
        *from = place.min(*from);
    }
    let of_log = |(log, lines): (&PathBuf, &usize)| {
        lines.saturating_sub(from.get(log).copied().unwrap_or_default())
    };
    before.iter().map(of_log).sum()
}

/// The log that tells of an epoch or a trial, and its place there.
fn place_of(event: &Value) -> Option<(PathBuf, usize)> {
    let number = |key: &str| event[key].as_u64().map(|number| number as usize);
    match event["event"].as_str()? {
        "epoch_done" => {
            let log = folder_of(&event["training"]).join("epochs.jsonl");
            Some((log, number("epoch")?))
        }
        "trial_done" => {
            let log = format!("fold-{}/trials.jsonl", number("fold")?);
            Some((log.into(), number("round")? * TRIALS + number("trial")?))
        }
        _ => None,
    }
}

/// Where a training is written, within the run.
fn folder_of(training: &Value) -> PathBuf {
    if let Some(fold) = training["fold"].as_u64() {
        return format!("fold-{fold}").into();
    }
    let last = &training["final"];
    let augmentation = last["augmentation"].as_str().unwrap();
    format!("final/{augmentation}-{}", last["seed"]).into()
}

fn stage_of(event: &Value) -> Option<Stage> {
    match event["event"].as_str()? {
        "training_started" | "epoch_done" | "training_done" => {
            Some(match event["training"]["fold"].is_u64() {
                true => Stage::FoldTrainings,
                false => Stage::FinalTrainings,
            })
        }
        "round_started" | "trial_done" => Some(match event["round"].as_u64()? {
            0 => Stage::FirstRounds,
            _ => Stage::SecondRounds,
        }),
        "policy_written" | "finished" => Some(Stage::FinalTrainings),
        _ => None,
    }
}
