//! A search that is killed over and over comes to the same end, and makes little of it twice.

// Which process works for `faa-runtime` is read from `/proc`.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use faa_op::Stream;
use faa_tests::runs::{Running, files_in, json_lines_in, partial_files_in, search_with};
use faa_tests::write_data_set;
use serde_json::Value;
use tempfile::TempDir;

/// Of every training.
const EPOCHS: usize = 5;
/// Of every round.
const TRIALS: usize = 6;

/// The stages of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    FoldTrainings,
    FirstRounds,
    SecondRounds,
    FinalTrainings,
}

/// When an attempt is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// So long after its start, before it goes on.
    Early(Duration),
    /// After so many epochs and trials, and then this share of the time that the last one took.
    Within(usize, f64),
    /// After an epoch, as soon as a file is being written.
    Writing,
}

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
    let mut command = search(whole.path());
    let started = Instant::now();
    let mut running = Running::start(&mut command);
    running.wait_for(|event| event["event"] == "planned");
    let startup = started.elapsed();
    let (code, message) = running.finish();
    assert_eq!(code, Some(0), "{message}");

    let folder = data_set();
    let run = folder.path().join("run");
    let mut random = Stream::for_op(20);
    let mut kills: BTreeMap<Stage, usize> = BTreeMap::new();
    let (mut early, mut within_writing, mut made_again) = (0, 0, 0);
    let mut told: BTreeMap<(PathBuf, usize), usize> = BTreeMap::new();
    let mut stage = Stage::FoldTrainings;
    let mut planted = false;
    for number in 0.. {
        assert!(number < 100, "it does not come to an end: {kills:?}");
        let hits = kills.get(&stage).copied().unwrap_or_default();
        let enough = kills.values().sum::<usize>() >= 22 && kills.len() == 4 && hits >= 3;
        let moment = (!enough).then(|| choose(&mut random, number, stage, hits, startup));
        let before = logs_in(&run);
        let attempt = attempt(folder.path(), moment);
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
        within_writing += usize::from(run.exists() && !partial_files_in(&run).is_empty());
        stage = attempt
            .events
            .iter()
            .rev()
            .find_map(stage_of)
            .unwrap_or(stage);
        match moment {
            Some(Moment::Early(_)) => early += 1,
            _ => *kills.entry(stage).or_default() += 1,
        }
        let has_trials = after.get(Path::new("fold-0/trials.jsonl"));
        if !planted && has_trials.is_some_and(|lines| *lines > 0) {
            plant(&run);
            planted = true;
        }
    }

    eprintln!("{kills:?}, {early} early, {within_writing} within writing; {made_again} made again");
    let count: usize = kills.values().sum();
    assert!(count >= 20, "{kills:?}");
    assert_eq!(kills.len(), 4, "{kills:?}");
    assert!(kills.values().all(|hits| *hits >= 3), "{kills:?}");
    assert!(early > 0 && planted);
    // An epoch is told when its checkpoint is written, the last one before its network is. A trial
    // is told when it is recorded.
    for ((log, place), times) in &told {
        let is_last_epoch = log.ends_with("epochs.jsonl") && place + 1 == EPOCHS;
        assert!(*times == 1 || is_last_epoch, "{log:?}, {place}: {times}");
    }
    let told_again: usize = told.values().map(|times| times - 1).sum();
    assert!(told_again <= count + early, "{told:?}");
    assert_same_run(&whole.path().join("run"), &run);
}

/// What was written is the same to the byte, but for the time that things took.
fn assert_same_run(expected: &Path, found: &Path) {
    let logs = logs_in(expected);
    let lines: usize = logs.values().sum();
    assert_eq!(lines, 4 * EPOCHS + 4 * TRIALS, "the control: {logs:?}");
    let (expected, found) = (files_in(expected), files_in(found));
    let names: Vec<&PathBuf> = expected.keys().collect();
    assert_eq!(found.keys().collect::<Vec<_>>(), names);
    for name in [
        "policy.json",
        "summary.json",
        "fold-1/network.safetensors",
        "final/policy-0/network.safetensors",
    ] {
        assert!(expected.contains_key(Path::new(name)), "the control");
    }
    for (name, content) in &expected {
        let found = &found[name];
        if name.ends_with("report.html") {
            // It tells the time.
            continue;
        }
        if name.extension().is_some_and(|end| end == "jsonl") {
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
        ("--finals", "cutout,policy"),
        ("--final-epochs", epochs.as_str()),
    ];
    search_with(folder, &changed)
}

/// A moment for the next kill, at random.
fn choose(
    random: &mut Stream,
    number: usize,
    stage: Stage,
    hits: usize,
    startup: Duration,
) -> Moment {
    let trains = matches!(stage, Stage::FoldTrainings | Stage::FinalTrainings);
    match number % 8 {
        0 => Moment::Early(startup.mul_f64(random.unit())),
        1 | 4 if trains => Moment::Writing,
        _ => {
            // In small steps at first, so that no stage is over before it was hit.
            let steps = if hits < 4 { 1 } else { 1 + random.below(2) };
            Moment::Within(steps as usize, random.unit())
        }
    }
}

/// Starts the search once more, and kills what works for it at a moment, if one is given.
fn attempt(folder: &Path, moment: Option<Moment>) -> Attempt {
    let mut running = Running::start(&mut search(folder));
    let mut events = Vec::new();
    if let Some(moment) = moment {
        let killer = Killer::aim(worker_of(running.id()));
        wait_for(moment, folder, &mut running, &mut events);
        killer.fire();
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

fn wait_for(moment: Moment, folder: &Path, running: &mut Running, events: &mut Vec<Value>) {
    let steps = match moment {
        Moment::Early(delay) => return thread::sleep(delay),
        Moment::Within(steps, _) => steps,
        Moment::Writing => 1,
    };
    let mut left = steps;
    while left > 0 {
        let Some(event) = running.next() else { return };
        left -= usize::from(place_of(&event).is_some());
        events.push(event);
    }
    let Some(last) = events.last() else { return };
    let took = Duration::from_secs_f64(last["seconds"].as_f64().unwrap());
    match moment {
        Moment::Writing if last["event"] == "epoch_done" => {
            let folder = folder.join("run").join(folder_of(&last["training"]));
            let deadline = Instant::now() + took * 2;
            while !is_written_to(&folder) && Instant::now() < deadline {}
        }
        Moment::Within(_, share) => thread::sleep(took.mul_f64(share)),
        _ => {}
    }
}

/// Whether a file is being written here.
fn is_written_to(folder: &Path) -> bool {
    let is_partial = |entry: fs::DirEntry| {
        let name = entry.file_name();
        name.to_string_lossy().starts_with(".partial-")
    };
    fs::read_dir(folder).unwrap().flatten().any(is_partial)
}

/// What a crash of the whole machine may leave: half a line, and half a file.
fn plant(run: &Path) {
    let log = run.join("fold-0/trials.jsonl");
    let lines = fs::read(&log).unwrap();
    fs::write(&log, [&lines[..], &lines[..100]].concat()).unwrap();
    for name in [".partial-x", "fold-0/.partial-x"] {
        fs::write(run.join(name), "half").unwrap();
    }
}

fn logs_in(run: &Path) -> Logs {
    if !run.exists() {
        return Logs::new();
    }
    let is_log = |name: &Path| name.extension().is_some_and(|end| end == "jsonl");
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
    let control = last["control"].as_str().unwrap();
    format!("final/{control}-{}", last["seed"]).into()
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

/// The process that works for this `faa-runtime`.
fn worker_of(parent: u32) -> u32 {
    let deadline = Instant::now() + Duration::from_secs(30);
    while Instant::now() < deadline {
        // Processes come and go meanwhile.
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let mut stats =
            processes.filter_map(|process| fs::read_to_string(process.path().join("stat")).ok());
        if let Some(worker) = stats.find_map(|stat| worker_in(&stat, parent)) {
            return worker;
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("process {parent} has started no `faa-runtime-torch`")
}

/// The number of a process where its line in `/proc` says that it is the worker of `parent`.
fn worker_in(stat: &str, parent: u32) -> Option<u32> {
    let (head, tail) = stat.rsplit_once(')')?;
    let (number, name) = head.split_once(" (")?;
    let its_parent = tail.split_whitespace().nth(1)?;
    // Linux keeps 15 bytes of a name.
    let is_it = name == "faa-runtime-tor" && its_parent.parse() == Ok(parent);
    is_it.then(|| number.parse().ok()).flatten()
}

/// A process that kills another one as soon as it is told to, with nothing left to be started.
struct Killer(Child);

impl Killer {
    fn aim(at: u32) -> Self {
        let script = format!("read -r line && kill -KILL {at}");
        let mut shell = Command::new("sh");
        shell.args(["-c", script.as_str()]);
        shell.stdin(Stdio::piped()).stderr(Stdio::null());
        Self(shell.spawn().expect("there is a shell"))
    }

    fn fire(mut self) {
        let mut trigger = self.0.stdin.take().expect("it is piped");
        trigger.write_all(b"\n").unwrap();
        // It fails where nothing is left to kill, which the end of the attempt tells, too.
        self.0.wait().unwrap();
    }
}
