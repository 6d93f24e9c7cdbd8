mod reader;

use faa_search::config::Augmentation;
use faa_search::files::with_checksum;
use faa_search::results::{Divergence, Epoch, Evaluation, Score};
use faa_search::trial::Trial;
use serde::Serialize;
use tempfile::TempDir;

use self::reader::read;
use super::*;

const FOLD: TrainingId = TrainingId::Fold(0);

/// A run directory, and what a run reports and writes as it works in it.
struct Run {
    folder: TempDir,
    board: TensorBoard,
}

impl Run {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let board = TensorBoard::new(folder.path());
        Self { folder, board }
    }

    /// The next process has only the files.
    fn restart(&mut self) {
        self.board = TensorBoard::new(self.folder.path());
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn report(&mut self, event: &Event) {
        self.board.record(event).unwrap();
    }

    fn files(&self, training: TrainingId) -> TrainingFiles {
        Layout::new(self.folder.path()).training(training)
    }

    /// An epoch, written and reported.
    fn epoch(&mut self, number: usize, loss: f64) {
        append(self.files(FOLD).epochs().path(), &epoch(number, loss));
        self.report(&epoch_done(number, loss));
    }

    /// A trial, written and reported.
    fn trial(&mut self, round: usize, number: usize, reward: f64, best: f64) {
        let log = self.files(FOLD).trials();
        append(log.path(), &trial(round, number, reward));
        self.report(&trial_done(round, number, reward, best));
    }

    /// A training of two epochs, and two rounds of two trials.
    fn whole_fold(&mut self) {
        self.epoch(0, 2.0);
        self.epoch(1, 1.0);
        self.report(&done(FOLD, false));
        self.report(&round_started(0));
        self.trial(0, 0, 0.5, 0.5);
        self.trial(0, 1, 0.25, 0.5);
        self.report(&round_started(1));
        self.trial(1, 0, 0.125, 0.125);
        self.trial(1, 1, 0.75, 0.75);
    }

    /// The tags, steps and values of the one event file of a folder, sorted.
    fn points(&self, folder: &str) -> Vec<String> {
        let mut points = read(&event_file(&self.path(folder)));
        points.sort_unstable();
        points
    }

    /// The steps and values of one of the fold's tags, in the order of the file.
    fn curve(&self, tag: &str) -> Vec<String> {
        let points = read(&event_file(&self.path("tensorboard/fold-0")));
        let of_tag = |point: String| Some(point.strip_prefix(tag)?.trim_start().to_owned());
        points.into_iter().filter_map(of_tag).collect()
    }
}

fn epoch(number: usize, loss: f64) -> Epoch {
    let mut epoch = Epoch::default();
    (epoch.epoch, epoch.images, epoch.learning_rate) = (number, 50, 0.1);
    (epoch.loss, epoch.error, epoch.seconds) = (loss, 0.5, 0.25);
    epoch
}

fn trial(round: usize, number: usize, reward: f64) -> Trial {
    let mut trial = Trial::default();
    (trial.round, trial.trial, trial.reward) = (round, number, reward);
    (trial.score, trial.seconds) = (Score::new(reward, reward, 1.25), 0.5);
    trial
}

fn append(log: &Path, value: &impl Serialize) {
    fs::create_dir_all(log.parent().unwrap()).unwrap();
    let mut file = (OpenOptions::new().append(true).create(true).open(log)).unwrap();
    let line = with_checksum(&serde_json::to_string(value).unwrap());
    file.write_all(line.as_bytes()).unwrap();
}

fn epoch_done(number: usize, loss: f64) -> Event {
    Event::EpochDone {
        training: FOLD,
        epoch: epoch(number, loss),
    }
}

fn done(training: TrainingId, resumed: bool) -> Event {
    let (error, loss) = (0.25, 1.5);
    let evaluation = Evaluation::new(error, loss);
    Event::TrainingDone {
        training,
        evaluation,
        resumed,
    }
}

fn round_started(round: usize) -> Event {
    Event::RoundStarted {
        fold: 0,
        round,
        trials: 2,
        resumed: 0,
    }
}

fn trial_done(round: usize, trial: usize, reward: f64, best: f64) -> Event {
    Event::TrialDone {
        fold: 0,
        round,
        trial,
        reward,
        best,
        images: 150,
        seconds: 0.5,
    }
}

#[test]
fn every_event_of_a_fold_has_its_points() {
    let mut run = Run::new();
    run.whole_fold();
    let expected = [
        "search/best 0 0.5",
        "search/best 1 0.5",
        "search/best 2 0.125",
        "search/best 3 0.75",
        "search/reward 0 0.5",
        "search/reward 1 0.25",
        "search/reward 2 0.125",
        "search/reward 3 0.75",
        "train/error 0 0.5",
        "train/error 1 0.5",
        "train/images_per_second 0 200",
        "train/images_per_second 1 200",
        "train/learning_rate 0 0.1",
        "train/learning_rate 1 0.1",
        "train/loss 0 2",
        "train/loss 1 1",
        "validation/error 1 0.25",
        "validation/loss 1 1.5",
    ];
    assert_eq!(run.points("tensorboard/fold-0"), expected);
}

#[test]
fn the_next_process_gives_the_same_points_also_after_a_torn_append() {
    let mut run = Run::new();
    run.whole_fold();
    let before = run.points("tensorboard/fold-0");

    let torn = event_file(&run.path("tensorboard/fold-0"));
    let mut file = OpenOptions::new().append(true).open(&torn).unwrap();
    file.write_all(&[0x3a, 0, 0]).unwrap();
    fs::write(run.path("tensorboard/fold-0/.partial-x1"), "half").unwrap();
    run.restart();
    run.report(&done(FOLD, true));
    assert_eq!(run.points("tensorboard/fold-0"), before);
    assert_eq!(fs::metadata(&torn).unwrap().len(), 0);

    run.restart();
    run.report(&done(FOLD, true));
    let left = fs::read_dir(run.path("tensorboard/fold-0")).unwrap();
    assert_eq!(left.count(), 2, "the file and the one before");
    assert!(!torn.exists());
}

#[test]
fn event_files_of_other_programs_are_left_alone() {
    let mut run = Run::new();
    let folder = run.path("tensorboard/fold-0");
    fs::create_dir_all(&folder).unwrap();
    let others = [
        "1700000000.host.12.0",
        "1700000000.123456789",
        "1700000000.host.faa-runtime.v2",
    ];
    let others = others.map(|name| folder.join(format!("{EVENT_FILES}{name}")));
    others
        .iter()
        .for_each(|file| fs::write(file, "of a different program").unwrap());
    for _ in 0..3 {
        run.restart();
        run.epoch(0, 2.0);
    }
    for file in others {
        assert_eq!(fs::read_to_string(file).unwrap(), "of a different program");
    }
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let ours = entries.filter(|path| path.to_string_lossy().ends_with(OURS));
    assert_eq!(ours.count(), 2, "the file and the one before");
}

#[test]
fn a_training_that_goes_back_repeats_its_later_epochs() {
    let mut run = Run::new();
    for (number, loss) in [4.0, 3.0, 2.0].into_iter().enumerate() {
        run.epoch(number, loss);
    }
    // To its last checkpoint.
    run.restart();
    run.report(&epoch_done(1, 3.5));
    assert_eq!(run.curve("train/loss"), ["0 4", "1 3.5"]);
    run.report(&epoch_done(2, 2.5));
    assert_eq!(run.curve("train/loss"), ["0 4", "1 3.5", "2 2.5"]);
    // To its beginning, within a process.
    run.report(&epoch_done(0, 5.0));
    assert_eq!(run.curve("train/loss"), ["0 5"]);
}

#[test]
fn a_training_that_was_found_diverged_has_its_curve() {
    let mut run = Run::new();
    run.epoch(0, 2.0);
    fs::remove_dir_all(run.path("tensorboard")).unwrap();
    run.restart();
    let divergence = Divergence::new(1, 0.1);
    run.report(&Event::TrainingDiverged {
        training: FOLD,
        divergence,
    });
    assert_eq!(run.curve("train/loss"), ["0 2"]);
}

#[test]
fn what_was_found_in_a_log_and_is_reported_afterwards_counts_once() {
    let mut run = Run::new();
    for (number, reward) in [0.5, 0.25].into_iter().enumerate() {
        append(run.files(FOLD).trials().path(), &trial(0, number, reward));
    }
    run.report(&round_started(0));
    run.report(&done(FOLD, false));
    run.report(&trial_done(0, 0, 0.5, 0.5));
    run.report(&trial_done(0, 1, 0.25, 0.5));
    assert_eq!(run.curve("search/reward"), ["0 0.5", "1 0.25"]);
}

#[test]
fn what_could_not_be_written_is_written_with_the_next_event() {
    let mut run = Run::new();
    let folder = run.path("tensorboard");
    fs::write(&folder, "in the way").unwrap();
    let error = run
        .board
        .record(&epoch_done(0, 2.0))
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("cannot create the folder"), "{error}");
    fs::remove_file(&folder).unwrap();
    run.report(&epoch_done(1, 1.0));
    // And once more, with a file that was there.
    fs::remove_dir_all(&folder).unwrap();
    let error = run.board.record(&epoch_done(2, 0.5)).unwrap_err();
    assert!(error.to_string().starts_with("cannot append"), "{error}");
    run.report(&epoch_done(3, 0.25));
    assert_eq!(run.curve("train/loss"), ["0 2", "1 1", "2 0.5", "3 0.25"]);
}

#[test]
fn a_final_training_that_was_found_finished_has_its_curve_and_its_date() {
    let mut run = Run::new();
    let training = TrainingId::Final {
        augmentation: Augmentation::Policy,
        seed: 1,
    };
    let log = run.files(training).epochs();
    append(log.path(), &epoch(0, 2.0));
    append(log.path(), &epoch(1, 1.0));
    run.report(&done(training, true));
    let points = run.points("tensorboard/final/policy-1");
    assert_eq!(points[..2], ["test/error 1 0.25", "test/loss 1 1.5"]);
    assert_eq!(points[8..], ["train/loss 0 2", "train/loss 1 1"]);

    let modified = fs::metadata(log.path()).unwrap().modified().unwrap();
    let curves = &run.board.curves[&training];
    let times: Vec<f64> = curves.points.iter().map(|(_, point)| point.time).collect();
    let end = unix_seconds(modified);
    assert_eq!(times, [end - 0.25, end, end]);
}

/// The only event file of a folder that is not empty.
fn event_file(folder: &Path) -> PathBuf {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let filled = entries.filter(|entry| entry.metadata().unwrap().len() > 0);
    let paths: Vec<PathBuf> = filled.map(|entry| entry.path()).collect();
    assert_eq!(paths.len(), 1, "{paths:?}");
    paths[0].clone()
}
