//! The curves of a run as event files for TensorBoard.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use faa_report::tensorboard::TensorBoard;
//! use faa_search::Event;
//!
//! fn follow(events: impl Iterator<Item = Event>) -> Result<(), faa_search::files::FileError> {
//!     let mut curves = TensorBoard::new(Path::new("runs/demo"));
//!     for event in events {
//!         curves.record(&event)?;
//!     }
//!     Ok(())
//! }
//! ```
//!
//! ```text
//! tensorboard/fold-0/events.out.tfevents.…               train/…, validation/…, search/…
//! tensorboard/halving/rung-0/3-0/events.out.tfevents.…   train/…, validation/…
//! tensorboard/final/cutout-0/events.out.tfevents.…       train/…, test/…
//! ```
//!
//! - `train/loss`, `train/error`, `train/learning_rate` and `train/images_per_second`: a point per
//!   epoch;
//! - `search/reward` and `search/best`, the best of the round so far: a point per trial, counted
//!   through the rounds of a fold;
//! - `validation/error` and `validation/loss` of a fold's or a rung's network on its held-out images, or
//!   `test/error` and `test/loss` of a final network on the test split: one point, at the last epoch.
//!
//! The files are derived: they are written, and never read. At the first point of a training, a
//! process writes its file anew from the logs of the run directory, and appends from then on. So
//! a kill loses and doubles nothing, and the next process repairs a torn append. A point replaces those
//! at its step and later, as in TensorBoard itself: a training that goes back repeats its later
//! epochs, and an event whose line was already found in a log counts once. A file that is written
//! anew has a new name, by which a running TensorBoard notices it; the earlier file stays, empty, until
//! the next one.
//!
//! The logs have no dates. Their points are dated back from the log's modification time by the
//! durations of its lines, so pauses between runs do not show.

mod points;
mod record;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use faa_search::event::Event;
use faa_search::files::FileError;
use faa_search::layout::{Layout, TrainingFiles, TrainingId};

use faa_system::{PARTIAL_PREFIX, create_folder, write_whole};

use self::points::{
    epoch_point, evaluation_point, recorded_epochs, recorded_trials, trial_point, unix_seconds,
};
use self::record::Point;

/// TensorBoard recognises an event file by its name, and reads those of a folder in order of names.
const EVENT_FILES: &str = "events.out.tfevents.";
/// The end of the names of this program's event files, where other programs give the host. Files of
/// other programs in the same folder are left alone.
const OURS: &str = ".faa-runtime";

/// Writes the curves of one run into the folder `tensorboard` of its directory.
#[derive(Debug)]
pub struct TensorBoard {
    layout: Layout,
    curves: BTreeMap<TrainingId, Curves>,
}

impl TensorBoard {
    /// For the run in this directory, which need not exist yet: nothing is read or written before the
    /// first point.
    pub fn new(run: &Path) -> Self {
        Self {
            layout: Layout::new(run),
            curves: BTreeMap::new(),
        }
    }

    /// Records an event. It expects every event since the process began, in their order.
    ///
    /// # Errors
    ///
    /// [`FileError`]. Nothing is lost if the run and the calls continue: the next event of the same
    /// training writes what this one could not.
    pub fn record(&mut self, event: &Event) -> Result<(), FileError> {
        match event {
            Event::EpochDone { training, epoch } => {
                let point = epoch_point(epoch, now());
                self.curves(*training)?.add(Series::Epochs, point)?;
            }
            Event::TrainingDone {
                training,
                evaluation,
                resumed,
            } => {
                let curves = self.curves(*training)?;
                let last = curves.last_epoch();
                let step = last.map_or(0, |point| point.step);
                // A training that was found finished keeps its date.
                let known = last.filter(|_| *resumed);
                let time = known.map_or_else(now, |point| point.time);
                let point = evaluation_point(*training, evaluation, step, time);
                curves.add(Series::Evaluation, point)?;
            }
            Event::RoundStarted {
                fold,
                round,
                trials,
                ..
            } => {
                self.curves(TrainingId::Fold(*fold))?.first_trial = *round * *trials;
            }
            Event::TrialDone {
                fold,
                trial,
                reward,
                best,
                ..
            } => {
                let curves = self.curves(TrainingId::Fold(*fold))?;
                let step = curves.first_trial + *trial;
                let point = trial_point(step, *reward, *best, now());
                curves.add(Series::Trials, point)?;
            }
            Event::TrainingDiverged { training, .. } => self.curves(*training)?.complete()?,
            // The other events are not points of a curve.
            _ => {}
        }
        Ok(())
    }

    fn curves(&mut self, training: TrainingId) -> Result<&mut Curves, FileError> {
        match self.curves.entry(training) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let folder = self.layout.tensorboard(training);
                let recorded = Curves::recorded(&self.layout.training(training), folder)?;
                Ok(entry.insert(recorded))
            }
        }
    }
}

/// The curves of a training, and of the trials that follow it on a fold.
#[derive(Debug)]
struct Curves {
    folder: PathBuf,
    /// Where points are appended; `None` while no file has all earlier ones.
    file: Option<PathBuf>,
    points: Vec<(Series, Point)>,
    /// The trials of earlier rounds.
    first_trial: usize,
}

/// Curves that are continued together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Series {
    Epochs,
    Trials,
    Evaluation,
}

impl Curves {
    /// Those that the logs of a training have.
    fn recorded(files: &TrainingFiles, folder: PathBuf) -> Result<Self, FileError> {
        let epochs = recorded_epochs(&files.epochs())?.into_iter();
        let trials = recorded_trials(&files.trials())?.into_iter();
        let epochs = epochs.map(|point| (Series::Epochs, point));
        let trials = trials.map(|point| (Series::Trials, point));
        Ok(Self {
            folder,
            file: None,
            points: epochs.chain(trials).collect(),
            first_trial: 0,
        })
    }

    fn last_epoch(&self) -> Option<&Point> {
        let mut points = self.points.iter();
        let last = points.rfind(|(series, _)| *series == Series::Epochs);
        last.map(|(_, point)| point)
    }

    fn add(&mut self, series: Series, point: Point) -> Result<(), FileError> {
        let before = self.points.len();
        self.points
            .retain(|(of, old)| *of != series || old.step < point.step);
        let replaced = self.points.len() < before;
        let record = point.record();
        self.points.push((series, point));
        // A failed append may have left a torn end, so that file is not continued.
        match self.file.take().filter(|_| !replaced) {
            None => self.renew(),
            Some(file) => {
                let append = || {
                    let mut file = OpenOptions::new().append(true).open(&file)?;
                    file.write_all(&record)
                };
                append().map_err(FileError::io("append to", &file))?;
                self.file = Some(file);
                Ok(())
            }
        }
    }

    /// Writes the points of the logs, for a training that may have no further point.
    fn complete(&mut self) -> Result<(), FileError> {
        match self.file.is_some() || self.points.is_empty() {
            true => Ok(()),
            false => self.renew(),
        }
    }

    /// Writes all points into a new file, which replaces the earlier one.
    fn renew(&mut self) -> Result<(), FileError> {
        let folder = &self.folder;
        create_folder(folder).map_err(FileError::io("create the folder", folder))?;
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let (seconds, nanos) = (since.as_secs(), since.subsec_nanos());
        let file = folder.join(format!("{EVENT_FILES}{seconds:010}.{nanos:09}{OURS}"));
        let mut content = record::header(now());
        for (_, point) in &self.points {
            content.extend(point.record());
        }
        write_whole(&file, &content).map_err(FileError::io("write", &file))?;
        // A kill in between leaves both files; TensorBoard then uses the later one.
        clear_others(folder, &file)?;
        self.file = Some(file);
        Ok(())
    }
}

/// Empties the event file before this one, and removes earlier ones and those that a kill left half
/// written.
///
/// A running TensorBoard proceeds to the next file at the end of one. Without its data server it never
/// leaves a file that was removed, so the last one is not removed yet.
fn clear_others(folder: &Path, file: &Path) -> Result<(), FileError> {
    let paths: io::Result<Vec<PathBuf>> =
        fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    for path in paths.map_err(FileError::io("list", folder))? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let partial = name.starts_with(PARTIAL_PREFIX);
        let ours = name.starts_with(EVENT_FILES) && name.ends_with(OURS);
        if path == file || !(partial || ours) {
            continue;
        }
        let clear = || match partial || fs::metadata(&path)?.len() == 0 {
            true => fs::remove_file(&path),
            false => File::create(&path).map(drop),
        };
        clear().map_err(FileError::io("clear", &path))?;
    }
    Ok(())
}

fn now() -> f64 {
    unix_seconds(SystemTime::now())
}
