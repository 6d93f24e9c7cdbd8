//! The curves of a search as event files, for TensorBoard.
//!
//! ```text
//! tensorboard/fold-0/events.out.tfevents.…           train/…, held_out/…, explore/…
//! tensorboard/final/cutout-0/events.out.tfevents.…   train/…, test/…
//! ```
//!
//! - `train/loss`, `train/error`, `train/learning_rate` and `train/images_per_second`, a point an
//!   epoch;
//! - `search/reward` and `search/best`, the best of the round so far, a point a trial; trials are
//!   counted through the rounds of a fold;
//! - `held_out/error` and `held_out/loss`, how a fold's network does on D_A, or `test/error` and
//!   `test/loss`, how a final one does on the test split: one point, at the last epoch.
//!
//! The files are derived: they are written, and never read. With the first point of a training, a
//! process writes its file anew from the logs of the run directory, and appends from then on. So
//! nothing is lost or doubled by a kill, and an append that it tore is mended by the next process.
//! A point takes the place of those at its step and later, as TensorBoard itself has it: a training
//! that goes back makes its later epochs anew, and an event whose line was already found in a log
//! counts once. A file that is written anew has a new name, by which a TensorBoard that is looking
//! on notices it; the earlier file stays, empty, until the next one.
//!
//! The logs have no dates. The points that come from them are dated back from the last change of
//! the log, by the seconds that its lines tell; so the pauses between runs do not show.

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

use self::points::{
    epoch_point, recorded_epochs, recorded_trials, result_point, trial_point, unix_seconds,
};
use self::record::Point;
use faa_search::event::Event;
use faa_search::files::FileError;
use faa_search::layout::TrainingId;
use faa_system::{PARTIAL_PREFIX, write_whole};

/// TensorBoard knows an event file by its name, and reads those of a folder in the names' order.
const EVENT_FILES: &str = "events.out.tfevents.";

/// Writes the curves of one search into the folder `tensorboard` of its run directory.
#[derive(Debug)]
pub struct TensorBoard {
    run: PathBuf,
    curves: BTreeMap<String, Curves>,
}

impl TensorBoard {
    /// For the search in this run directory. Nothing is read or written before the first point, so
    /// that the directory may be one that the search has yet to make.
    pub fn new(run: &Path) -> Self {
        Self {
            run: run.to_owned(),
            curves: BTreeMap::new(),
        }
    }

    /// Takes what a search tells: every event since the process began, in their order.
    ///
    /// # Errors
    ///
    /// [`FileError`]. Whoever goes on with the search, and with telling, loses nothing: the next
    /// event of the same training writes what this one could not.
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
                // Of a training that was found finished, the date is not that of today.
                let known = last.filter(|_| *resumed);
                let time = known.map_or_else(now, |point| point.time);
                let point = result_point(*training, evaluation, step, time);
                curves.add(Series::Results, point)?;
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
            // The rest is no point of a curve.
            _ => {}
        }
        Ok(())
    }

    fn curves(&mut self, training: TrainingId) -> Result<&mut Curves, FileError> {
        // As the run directory names its folders.
        let name = match training {
            TrainingId::Fold(fold) => format!("fold-{fold}"),
            TrainingId::Final { augmentation, seed } => {
                format!("final/{}-{seed}", augmentation.name())
            }
        };
        let logs = self.run.join(&name);
        let folder = self.run.join("tensorboard").join(&name);
        match self.curves.entry(name) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => Ok(entry.insert(Curves::recorded(&logs, folder)?)),
        }
    }
}

/// The curves of a training, and of the trials that follow it on a fold.
#[derive(Debug)]
struct Curves {
    folder: PathBuf,
    /// Where points are appended; `None` while there is no file that holds all earlier ones.
    file: Option<PathBuf>,
    points: Vec<(Series, Point)>,
    /// The trials of earlier rounds.
    first_trial: usize,
}

/// Curves that go on together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Series {
    Epochs,
    Trials,
    Results,
}

impl Curves {
    /// Those that the logs in a folder of the run directory hold.
    fn recorded(logs: &Path, folder: PathBuf) -> Result<Self, FileError> {
        let epochs = recorded_epochs(&logs.join("epochs.jsonl"))?.into_iter();
        let trials = recorded_trials(&logs.join("trials.jsonl"))?.into_iter();
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
        // A file that could not be appended to may have a torn end, and is not gone on with.
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

    /// Writes what the logs hold, for a training that may have no further point.
    fn complete(&mut self) -> Result<(), FileError> {
        match self.file.is_some() || self.points.is_empty() {
            true => Ok(()),
            false => self.renew(),
        }
    }

    /// Writes all points into a new file, which takes the place of the earlier one.
    fn renew(&mut self) -> Result<(), FileError> {
        let folder = &self.folder;
        fs::create_dir_all(folder).map_err(FileError::io("create the folder", folder))?;
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let (seconds, nanos) = (since.as_secs(), since.subsec_nanos());
        let file = folder.join(format!("{EVENT_FILES}{seconds:010}.{nanos:09}"));
        let mut content = record::header(now());
        for (_, point) in &self.points {
            content.extend(point.record());
        }
        write_whole(&file, &content).map_err(FileError::io("write", &file))?;
        // A kill in between leaves both files; TensorBoard then keeps to the later one.
        clear_others(folder, &file)?;
        self.file = Some(file);
        Ok(())
    }
}

/// Empties the event file before this one, and removes earlier ones and what a kill left.
///
/// A TensorBoard that is reading goes on to the next file when it comes to the end of one. Without
/// its data server it stays for good with one that is gone, so the last is not removed yet.
fn clear_others(folder: &Path, file: &Path) -> Result<(), FileError> {
    let paths: io::Result<Vec<PathBuf>> =
        fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    for path in paths.map_err(FileError::io("list", folder))? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let partial = name.starts_with(PARTIAL_PREFIX);
        if path == file || !(partial || name.starts_with(EVENT_FILES)) {
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
