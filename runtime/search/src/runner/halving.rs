//! Successive halving: the trainings of the policies that take part.

use super::error::RunError;
use super::workers::{Worker, Workers};
use crate::backend::{Images, NetworkFiles, TrainTask};
use crate::config::{RunConfig, TrainingConfig};
use crate::event::Event;
use crate::files::{FileError, FileErrorKind};
use crate::folds::Fold;
use crate::halving::{Bracket, Entrant, Progress, RungTraining};
use crate::layout::TrainingId;
use crate::results::Outcome;
use crate::seeds::{Purpose, derive};

/// A search by successive halving.
pub(super) struct Halving<'a> {
    pub(super) config: &'a RunConfig,
    pub(super) fold: &'a Fold,
    pub(super) bracket: Bracket<'a>,
}

impl Halving<'_> {
    /// Trains all rungs.
    pub(super) fn run<B: NetworkFiles>(
        &self,
        workers: &Workers<'_>,
        backends: &mut [B],
    ) -> Result<Progress, RunError> {
        let mut progress = Progress::default();
        let recorded = workers.directory().entrants().read()?;
        for phase in 0..self.bracket.phases() {
            let entrants = self.bracket.entrants(phase, &progress);
            if phase != 1 {
                workers.report(self.started(Bracket::rung(phase), &entrants));
            }
            self.record(&entrants, &recorded, progress.entrants.len(), workers)?;
            let trainings = self.train(&entrants, workers, backends)?;
            progress.entrants.extend(entrants);
            progress.trainings.extend(trainings);
        }
        Ok(progress)
    }

    /// Trains one network, and evaluates it on the held-out images.
    pub(super) fn train_one<B: NetworkFiles>(
        &self,
        worker: &mut Worker<'_, '_, B>,
        entrant: &Entrant,
        seed: usize,
    ) -> Result<RungTraining, RunError> {
        let (rung, common) = (entrant.rung, &self.config.common);
        let training = TrainingConfig {
            epochs: self.bracket.halving.epochs_in(rung),
            ..common.training.clone()
        };
        let policy = entrant.policy(&self.bracket.space());
        let task = TrainTask {
            images: &self.fold.train,
            training: &training,
            policy: policy.as_ref(),
            // All policies of a rung have the same initial weights and order of images; those of the next
            // rung have new ones, so that none is promoted twice by the same luck.
            seed: derive(common.seed, Purpose::Rung, &[rung as u64, seed as u64]),
        };
        let id = TrainingId::Halving {
            rung,
            entrant: entrant.entrant,
            seed,
        };
        let held_out = Images::Train(&self.fold.validation);
        let evaluation = match worker.train_and_discard(id, &task, held_out)? {
            Outcome::Done(evaluation) => Some(evaluation),
            Outcome::Diverged(_) => None,
        };
        Ok(RungTraining::new(rung, entrant.entrant, seed, evaluation))
    }

    /// The start of a rung with the policies of its first phase. The fixed ones may come with the second.
    fn started(&self, rung: usize, entrants: &[Entrant]) -> Event {
        let halving = self.bracket.halving;
        let later = match rung {
            0 if halving.has_fixed(rung) => self.bracket.fixed(rung),
            _ => Vec::new(),
        };
        Event::RungStarted {
            rung,
            rungs: halving.rungs.get(),
            entrants: entrants.iter().chain(&later).map(Entrant::name).collect(),
            epochs: halving.epochs_in(rung).get(),
            seeds: halving.seeds_in(rung),
        }
    }

    /// Records policies in the lines that follow the first `lines`, or compares them with what is recorded.
    fn record(
        &self,
        entrants: &[Entrant],
        recorded: &[Entrant],
        lines: usize,
        workers: &Workers<'_>,
    ) -> Result<(), FileError> {
        let log = workers.directory().create_entrants()?;
        for (line, entrant) in (lines..).zip(entrants) {
            match recorded.get(line) {
                Some(found) if found.is_same(entrant) => {}
                Some(_) => {
                    let message = format!(
                        "{}, line {}: expected {} in rung {}, found a different policy: choose a \
                         different --out",
                        log.path().display(),
                        line + 1,
                        entrant.name(),
                        entrant.rung.saturating_add(1)
                    );
                    return Err(FileError::new(FileErrorKind::Damaged, message));
                }
                None => log.append(workers.directory().files(), entrant)?,
            }
        }
        Ok(())
    }

    /// Trains policies with every seed of their rung, as far as that is not yet done.
    fn train<B: NetworkFiles>(
        &self,
        entrants: &[Entrant],
        workers: &Workers<'_>,
        backends: &mut [B],
    ) -> Result<Vec<RungTraining>, RunError> {
        let seeds = |entrant: &Entrant| 0..self.bracket.halving.seeds_in(entrant.rung);
        let jobs = entrants
            .iter()
            .flat_map(|it| seeds(it).map(move |seed| (it, seed)));
        workers.run_parallel(backends, jobs, |worker, (entrant, seed)| {
            self.train_one(worker, entrant, seed)
        })
    }
}
