//! One training: from its first weights or its last checkpoint to a network in a file.

use std::path::{Path, PathBuf};

use super::workers::Worker;
use super::{SearchError, failed};
use crate::event::{Event, Training};
use crate::files::{
    FileError, append_line, read_json, read_lines, remove_if_there, write_json, write_lines,
};
use crate::judge::{Divergence, Epoch, Evaluation, Images, Judge, JudgeError, TrainTask};

/// The files of one training.
pub(crate) struct TrainingFiles {
    pub(crate) epochs: PathBuf,
    pub(crate) checkpoint: PathBuf,
    pub(crate) network: PathBuf,
    pub(crate) diverged: PathBuf,
}

/// A network that is trained.
pub(crate) struct Trained<N> {
    pub(crate) network: N,
    /// Whether it was found in the run directory.
    pub(crate) found: bool,
}

impl TrainingFiles {
    pub(crate) fn of(folder: &Path) -> Self {
        Self {
            epochs: folder.join("epochs.jsonl"),
            checkpoint: folder.join("checkpoint.safetensors"),
            network: folder.join("network.safetensors"),
            diverged: folder.join("diverged.json"),
        }
    }

    /// Whether nothing is left to train.
    pub(crate) fn is_finished(&self) -> bool {
        self.network.exists() || self.diverged.exists()
    }

    /// The epochs that are recorded.
    pub(crate) fn recorded(&self) -> Result<Vec<Epoch>, FileError> {
        read_lines(&self.epochs)
    }
}

impl<J: Judge> Worker<'_, '_, J> {
    /// Trains a network, goes on where an earlier try ended, or finds the network trained.
    ///
    /// A training whose loss is not a number is given up for good: with the same seed it would end
    /// there again.
    pub(crate) fn train(
        &mut self,
        training: Training,
        task: &TrainTask<'_>,
        folder: &Path,
    ) -> Result<Result<Trained<J::Network>, Divergence>, SearchError> {
        let (stage, files) = (training.to_string(), TrainingFiles::of(folder));
        let epochs = task.recipe.epochs.get();
        if let Some(divergence) = read_json::<Divergence>(&files.diverged)? {
            // A kill may have come between the one file and the other.
            remove_if_there(&files.checkpoint)?;
            remove_if_there(&files.network)?;
            return Ok(Err(self.tell_divergence(training, divergence)));
        }
        if files.network.exists() {
            remove_if_there(&files.checkpoint)?;
            let network = self.judge.load(task.recipe, &files.network);
            let network = network.map_err(failed(&stage))?;
            let resumed = epochs;
            self.tell(Event::TrainingStarted {
                training,
                epochs,
                resumed,
            });
            return Ok(Ok(Trained {
                network,
                found: true,
            }));
        }
        let (mut network, done) = match files.checkpoint.exists() {
            true => self.judge.resume(task, &files.checkpoint),
            false => self.judge.begin(task).map(|network| (network, 0)),
        }
        .map_err(failed(&stage))?;
        cut_log(&files, done)?;
        self.tell(Event::TrainingStarted {
            training,
            epochs,
            resumed: done,
        });
        for number in done..epochs {
            let epoch = match self
                .judge
                .epoch(&mut network, task, number, self.shared.stop())
            {
                Err(JudgeError::Diverged(divergence)) => {
                    write_json(&files.diverged, &divergence)?;
                    remove_if_there(&files.checkpoint)?;
                    return Ok(Err(self.tell_divergence(training, divergence)));
                }
                epoch => epoch.map_err(failed(&stage))?,
            };
            // The log first: a checkpoint without its line could not be told from a damaged log.
            append_line(&files.epochs, &epoch)?;
            if number + 1 < epochs {
                let written = self
                    .judge
                    .checkpoint(&network, number + 1, &files.checkpoint);
                written.map_err(failed(&stage))?;
            }
            self.tell(Event::EpochDone { training, epoch });
        }
        self.judge
            .save(&network, &files.network)
            .map_err(failed(&stage))?;
        remove_if_there(&files.checkpoint)?;
        Ok(Ok(Trained {
            network,
            found: false,
        }))
    }

    /// Evaluates a trained network. Where it gives no numbers, its training has diverged after all,
    /// and is recorded so.
    pub(crate) fn evaluate(
        &mut self,
        training: Training,
        network: &J::Network,
        images: Images<'_>,
        folder: &Path,
    ) -> Result<Result<Evaluation, Divergence>, SearchError> {
        let stage = training.to_string();
        let evaluation = self
            .judge
            .evaluate(network, images, self.shared.stop())
            .map_err(failed(&stage))?;
        if evaluation.error.is_finite() && evaluation.loss.is_finite() {
            return Ok(Ok(evaluation));
        }
        let files = TrainingFiles::of(folder);
        let divergence = match files.recorded()?.last() {
            Some(epoch) => Divergence {
                epoch: epoch.epoch,
                learning_rate: epoch.learning_rate,
            },
            None => return Err(SearchError::NotFinite { stage }),
        };
        write_json(&files.diverged, &divergence)?;
        remove_if_there(&files.network)?;
        Ok(Err(self.tell_divergence(training, divergence)))
    }

    pub(crate) fn tell(&self, event: Event) {
        self.shared.tell(event);
    }

    fn tell_divergence(&self, training: Training, divergence: Divergence) -> Divergence {
        self.tell(Event::TrainingDiverged {
            training,
            divergence,
        });
        divergence
    }
}

/// Takes the epochs out of the log that came after the checkpoint, and will be made again.
fn cut_log(files: &TrainingFiles, done: usize) -> Result<(), SearchError> {
    let recorded = files.recorded()?;
    let in_order = (0..)
        .zip(&recorded)
        .take_while(|(place, epoch)| epoch.epoch == *place);
    if in_order.count() < done {
        return Err(SearchError::MissingEpochs {
            path: files.epochs.clone(),
            found: recorded.len(),
            expected: done,
            checkpoint: files.checkpoint.clone(),
        });
    }
    if recorded.len() > done {
        write_lines(&files.epochs, &recorded[..done])?;
    }
    Ok(())
}
