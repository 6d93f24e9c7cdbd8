//! One training, from initial weights or a checkpoint to a network in a file.

use faa_policy::Policy;

use super::error::{RunError, failed};
use super::workers::Worker;
use crate::backend::{BackendErrorKind, Images, NetworkFiles, TrainTask};
use crate::event::Event;
use crate::files::{FileError, FileErrorKind, read_json};
use crate::layout::{TrainingFiles, TrainingId};
use crate::results::{Divergence, Evaluation, Outcome};

impl<B: NetworkFiles> Worker<'_, '_, B> {
    /// Trains and evaluates a network, as a part of a job that was begun. Continues an interrupted training,
    /// and loads a network that is already trained.
    ///
    /// A training whose loss is infinite or NaN is not repeated, since the same seed would diverge again.
    pub(super) fn train(
        &mut self,
        id: TrainingId,
        task: &TrainTask<'_>,
        images: Images<'_>,
    ) -> Result<Outcome<(B::Network, Evaluation)>, RunError> {
        let files = self.directory().training(id);
        if let Some(divergence) = read_json::<Divergence>(&files.diverged())? {
            return self.diverged(id, &files, divergence);
        }
        let was_trained = files.network().exists();
        let network = match was_trained {
            true => self.load(id, task, &files)?,
            false => match self.train_epochs(id, task, &files)? {
                Outcome::Done(network) => network,
                Outcome::Diverged(divergence) => return self.diverged(id, &files, divergence),
            },
        };
        if !was_trained {
            // It belongs to a network that was moved away.
            self.files().remove(&files.evaluation())?;
        }
        let (evaluation, resumed) = match read_json::<Evaluation>(&files.evaluation())? {
            Some(evaluation) => (evaluation, true),
            None => match self.evaluate(id, &network, images, &files)? {
                Outcome::Done(evaluation) => (evaluation, was_trained),
                Outcome::Diverged(divergence) => return self.diverged(id, &files, divergence),
            },
        };
        self.report(Event::TrainingDone {
            training: id,
            evaluation: evaluation.clone(),
            resumed,
        });
        Ok(Outcome::Done((network, evaluation)))
    }

    /// The job of training and evaluating a network that is not needed afterwards. If its evaluation is
    /// recorded, the network may be gone.
    pub(super) fn train_and_evaluate(
        &mut self,
        id: TrainingId,
        task: &TrainTask<'_>,
        images: Images<'_>,
    ) -> Result<Outcome<Evaluation>, RunError> {
        if let Some(outcome) = self.recorded(id, task.policy)? {
            return Ok(outcome);
        }
        let job = self.begin(id, task.policy)?;
        let outcome = self.evaluated(id, task, images)?;
        job.end()?;
        Ok(outcome)
    }

    /// As [`train_and_evaluate`](Self::train_and_evaluate), and removes the network.
    pub(super) fn train_and_discard(
        &mut self,
        id: TrainingId,
        task: &TrainTask<'_>,
        images: Images<'_>,
    ) -> Result<Outcome<Evaluation>, RunError> {
        let network = self.directory().training(id).network();
        if !network.exists()
            && let Some(outcome) = self.recorded(id, task.policy)?
        {
            return Ok(outcome);
        }
        let job = self.begin(id, task.policy)?;
        let outcome = self.evaluated(id, task, images)?;
        self.files().remove(&network)?;
        job.end()?;
        Ok(outcome)
    }

    /// The result of a training that is done, which is then reported; `None` if something of it remains.
    pub(super) fn recorded(
        &mut self,
        id: TrainingId,
        policy: Option<&Policy>,
    ) -> Result<Option<Outcome<Evaluation>>, RunError> {
        let files = self.directory().training(id);
        if files.has_diverged()
            && let Some(divergence) = read_json::<Divergence>(&files.diverged())?
        {
            self.check_inputs(id, policy)?;
            return self.diverged(id, &files, divergence).map(Some);
        }
        let Some(evaluation) = read_json::<Evaluation>(&files.evaluation())? else {
            return Ok(None);
        };
        self.check_inputs(id, policy)?;
        self.report(Event::TrainingDone {
            training: id,
            evaluation: evaluation.clone(),
            resumed: true,
        });
        Ok(Some(Outcome::Done(evaluation)))
    }

    /// The recorded evaluation, or that of the network that is then trained.
    fn evaluated(
        &mut self,
        id: TrainingId,
        task: &TrainTask<'_>,
        images: Images<'_>,
    ) -> Result<Outcome<Evaluation>, RunError> {
        // A different process may have finished it while this one waited for the lock.
        if let Some(outcome) = self.recorded(id, task.policy)? {
            return Ok(outcome);
        }
        Ok(match self.train(id, task, images)? {
            Outcome::Done((_, evaluation)) => Outcome::Done(evaluation),
            Outcome::Diverged(divergence) => Outcome::Diverged(divergence),
        })
    }

    fn load(
        &mut self,
        id: TrainingId,
        task: &TrainTask<'_>,
        files: &TrainingFiles,
    ) -> Result<B::Network, RunError> {
        self.files().remove(&files.checkpoint())?;
        let network = self.backend.load(task.training, &files.network());
        let network = network.map_err(failed(&id.to_string()))?;
        let epochs = task.training.epochs.get();
        self.report(Event::TrainingStarted {
            training: id,
            epochs,
            resumed: epochs,
        });
        Ok(network)
    }

    /// Trains all epochs that remain, recording each before the next.
    fn train_epochs(
        &mut self,
        id: TrainingId,
        task: &TrainTask<'_>,
        files: &TrainingFiles,
    ) -> Result<Outcome<B::Network>, RunError> {
        let (stage, epochs) = (id.to_string(), task.training.epochs.get());
        let (mut network, done) = match files.checkpoint().exists() {
            true => self.backend.load_checkpoint(task, &files.checkpoint()),
            false => self.backend.begin(task).map(|network| (network, 0)),
        }
        .map_err(failed(&stage))?;
        self.truncate_log(files, done)?;
        self.report(Event::TrainingStarted {
            training: id,
            epochs,
            resumed: done,
        });
        for number in done..epochs {
            let stop = self.stop();
            let epoch = self.backend.epoch(&mut network, task, number, stop);
            if let Err(error) = &epoch
                && let BackendErrorKind::Diverged(divergence) = error.kind()
            {
                return Ok(Outcome::Diverged(divergence));
            }
            let epoch = epoch.map_err(failed(&stage))?;
            // The log comes first: a checkpoint with more epochs than the log is an error.
            files.epochs().append(self.files(), &epoch)?;
            if number + 1 < epochs {
                let file = files.checkpoint();
                self.files().before_backend_writes(&file)?;
                let written = self.backend.save_checkpoint(&network, number + 1, &file);
                written.map_err(failed(&stage))?;
            }
            let training = id;
            self.report(Event::EpochDone { training, epoch });
        }
        self.files().before_backend_writes(&files.network())?;
        let saved = self.backend.save(&network, &files.network());
        saved.map_err(failed(&stage))?;
        self.files().remove(&files.checkpoint())?;
        Ok(Outcome::Done(network))
    }

    /// Evaluates a trained network. If its loss is infinite or NaN, the training counts as diverged.
    fn evaluate(
        &mut self,
        id: TrainingId,
        network: &B::Network,
        images: Images<'_>,
        files: &TrainingFiles,
    ) -> Result<Outcome<Evaluation>, RunError> {
        let stage = id.to_string();
        let evaluation = self.backend.evaluate(network, images, self.stop());
        let evaluation = evaluation.map_err(failed(&stage))?;
        if evaluation.error.is_finite() && evaluation.loss.is_finite() {
            self.files().write_json(&files.evaluation(), &evaluation)?;
            return Ok(Outcome::Done(evaluation));
        }
        match files.epochs().read()?.last() {
            Some(epoch) => Ok(Outcome::Diverged(Divergence {
                epoch: epoch.epoch,
                learning_rate: epoch.learning_rate,
            })),
            None => Err(RunError::not_finite(&stage)),
        }
    }

    /// Records a divergence, and removes checkpoint and network. This also runs when the record already
    /// exists, since a kill may have come before the removals.
    fn diverged<T>(
        &self,
        id: TrainingId,
        files: &TrainingFiles,
        divergence: Divergence,
    ) -> Result<Outcome<T>, RunError> {
        if !files.diverged().exists() {
            self.files().write_json(&files.diverged(), &divergence)?;
        }
        self.files().remove(&files.checkpoint())?;
        self.files().remove(&files.network())?;
        self.report(Event::TrainingDiverged {
            training: id,
            divergence,
        });
        Ok(Outcome::Diverged(divergence))
    }

    /// Removes epochs after the checkpoint from the log, since they will be repeated.
    fn truncate_log(&self, files: &TrainingFiles, done: usize) -> Result<(), RunError> {
        let recorded = files.epochs().read()?;
        let in_order = (0..)
            .zip(&recorded)
            .take_while(|(number, epoch)| epoch.epoch == *number);
        if in_order.count() < done {
            let message = format!(
                "{} holds {} epochs, and {} was written after {done}: remove the checkpoint to train \
                 from the beginning",
                files.epochs().path().display(),
                recorded.len(),
                files.checkpoint().display()
            );
            return Err(FileError::new(FileErrorKind::Damaged, message).into());
        }
        if recorded.len() > done {
            files.epochs().write(self.files(), &recorded[..done])?;
        }
        Ok(())
    }
}
