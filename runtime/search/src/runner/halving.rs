//! Successive halving: the rungs, and the policies that take part in them.

use faa_op::Stream;
use faa_policy::Policy;

use super::error::RunError;
use super::policy;
use super::workers::{Worker, Workers};
use crate::backend::{Images, NetworkFiles, TrainTask};
use crate::config::{Augmentation, HalvingConfig, RunConfig, TrainingConfig};
use crate::event::Event;
use crate::files::{FileError, FileErrorKind};
use crate::folds::Fold;
use crate::halving::{
    Entrant, HalvingResult, Origin, Point, PolicySpace, Ridge, RungTraining, mean_losses,
    observations,
};
use crate::layout::TrainingId;
use crate::results::Outcome;
use crate::seeds::{Purpose, derive};

/// Of how many random points the additive model proposes the best.
const PROPOSALS: usize = 256;

/// A policy that takes part in the last two rungs in any case; without a policy, it is the base
/// augmentation alone.
pub(super) type FixedPolicy = (&'static str, Option<Policy>);

/// All fixed policies, with those that an audit and a search by density matching have made. The result of
/// halving is not worse than any of them, but for noise.
pub(super) fn fixed_policies(audited: Option<Policy>, density: Option<Policy>) -> Vec<FixedPolicy> {
    let shipped = [Augmentation::TrivialAugment, Augmentation::RandAugment];
    let shipped = shipped.map(|it| (it.name(), it.shipped_policy()));
    let made = [("audited", audited), ("density", density)];
    let made = made.into_iter().filter(|(_, policy)| policy.is_some());
    [("base", None)]
        .into_iter()
        .chain(shipped)
        .chain(made)
        .collect()
}

/// A search by successive halving.
pub(super) struct Halving<'a> {
    pub(super) config: &'a RunConfig,
    pub(super) halving: &'a HalvingConfig,
    pub(super) fold: &'a Fold,
    pub(super) fixed: Vec<FixedPolicy>,
}

/// What has been done so far.
#[derive(Default)]
struct Progress {
    /// The policies of all rungs so far, in the order of the log.
    entrants: Vec<Entrant>,
    trainings: Vec<RungTraining>,
}

impl Halving<'_> {
    /// Trains all rungs. Returns the policy with the lowest validation loss in the last one.
    pub(super) fn run<B: NetworkFiles>(
        &self,
        workers: &Workers<'_>,
        backends: &mut [B],
    ) -> Result<(Policy, HalvingResult), RunError> {
        let mut progress = Progress::default();
        let recorded = workers.directory().entrants().read()?;
        for rung in 0..self.halving.rungs.get() {
            let mut entrants = match rung {
                0 => self.random(),
                _ => self.promoted(rung, &progress),
            };
            workers.report(self.started(rung, &entrants));
            if rung == 0 {
                self.train(&entrants, &recorded, &mut progress, workers, backends)?;
                entrants = self.proposed(&progress);
            }
            if self.halving.has_fixed(rung) {
                entrants.extend(self.fixed(rung));
            }
            self.train(&entrants, &recorded, &mut progress, workers, backends)?;
        }
        let Progress {
            entrants,
            trainings,
        } = progress;
        let result = HalvingResult::of(self.halving, &entrants, &trainings);
        let winner = result.winner().ok_or_else(RunError::all_diverged)?;
        let mut all = entrants.iter();
        let winner = all.find(|it| it.entrant == winner.entrant);
        let winner = winner.expect("the winner took part");
        let space = self.space();
        let identity = || space.policy("", &Point::new(1, Vec::new()));
        let found = winner.policy(&space).unwrap_or_else(identity);
        let found = policy::winner(self.config, found.rule, &result);
        workers.report(Event::HalvingDone(result.clone()));
        Ok((found, result))
    }

    fn space(&self) -> PolicySpace<'_> {
        PolicySpace::new(&self.halving.ops)
    }

    fn started(&self, rung: usize, entrants: &[Entrant]) -> Event {
        let (fixed, has_fixed) = (self.fixed(rung), self.halving.has_fixed(rung));
        let fixed = fixed.iter().filter(|_| has_fixed);
        Event::RungStarted {
            rung,
            rungs: self.halving.rungs.get(),
            entrants: entrants.iter().chain(fixed).map(Entrant::name).collect(),
            epochs: self.halving.epochs_in(rung).get(),
            seeds: self.halving.seeds_in(rung),
        }
    }

    /// The first half of the first rung: policies drawn uniformly.
    fn random(&self) -> Vec<Entrant> {
        let point = |number| self.space().random(&mut self.stream(number));
        (0..self.halving.random_entrants())
            .map(|number| Entrant::searched(number, Origin::Random, point(number)))
            .collect()
    }

    /// The second half of the first rung. The additive model of the first half proposes each policy as the
    /// best of many that are drawn for it, so that proposals differ. Without a model, the first drawn one
    /// is taken.
    fn proposed(&self, progress: &Progress) -> Vec<Entrant> {
        let (space, trainings) = (self.space(), &progress.trainings);
        let model = Ridge::fit(&observations(&space, &progress.entrants, trainings, |it| {
            it.loss
        }));
        let loss = |point: &Point| {
            let model = model.as_ref();
            model.map_or(0.0, |it| it.predict(&space.features(point)))
        };
        let mut taken: Vec<_> = progress
            .entrants
            .iter()
            .filter_map(|it| it.point.clone())
            .collect();
        let mut entrants = Vec::new();
        for number in taken.len()..self.halving.entrants.get() {
            let stream = &mut self.stream(number);
            let points: Vec<_> = (0..PROPOSALS).map(|_| space.random(stream)).collect();
            let new = points.iter().filter(|point| !taken.contains(point));
            let best = new.min_by(|a, b| loss(a).total_cmp(&loss(b)));
            // A space of fewer points than policies has no new ones left.
            let point = best.unwrap_or(&points[0]).clone();
            taken.push(point.clone());
            entrants.push(Entrant::searched(number, Origin::Model, point));
        }
        entrants
    }

    /// The searched policies with the lowest validation losses in the rung before. Ties go to the earlier
    /// policy. One that diverged is never promoted.
    fn promoted(&self, rung: usize, progress: &Progress) -> Vec<Entrant> {
        let before = progress.entrants.iter();
        let before = before.filter(|it| it.rung + 1 == rung && !it.is_fixed());
        let losses = mean_losses(&progress.trainings);
        let loss = |it: &Entrant| losses.get(&(rung - 1, it.entrant));
        let mut ranked: Vec<_> = before.filter_map(|it| Some((loss(it)?, it))).collect();
        // The sort is stable.
        ranked.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        ranked.truncate(self.halving.entrants_in(rung));
        ranked.into_iter().map(|(_, it)| it.in_rung(rung)).collect()
    }

    /// The fixed policies, numbered after all others.
    fn fixed(&self, rung: usize) -> Vec<Entrant> {
        let numbered = (self.halving.entrants.get()..).zip(&self.fixed);
        let entrant = |(number, (name, policy)): (usize, &FixedPolicy)| {
            Entrant::fixed(number, name, policy.clone()).in_rung(rung)
        };
        numbered.map(entrant).collect()
    }

    /// Records policies and trains them with every seed of their rung, as far as that is not yet done.
    fn train<B: NetworkFiles>(
        &self,
        entrants: &[Entrant],
        recorded: &[Entrant],
        progress: &mut Progress,
        workers: &Workers<'_>,
        backends: &mut [B],
    ) -> Result<(), RunError> {
        let log = workers.directory().create_entrants()?;
        for entrant in entrants {
            let line = progress.entrants.len();
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
                    return Err(FileError::new(FileErrorKind::Damaged, message).into());
                }
                None => log.append(workers.directory().files(), entrant)?,
            }
            progress.entrants.push(entrant.clone());
        }
        let seeds = |entrant: &Entrant| 0..self.halving.seeds_in(entrant.rung);
        let jobs = entrants
            .iter()
            .flat_map(|it| seeds(it).map(move |seed| (it, seed)));
        let trainings = workers.run_parallel(backends, jobs, |worker, (entrant, seed)| {
            self.train_one(worker, entrant, seed)
        })?;
        progress.trainings.extend(trainings);
        Ok(())
    }

    /// Trains one network, and evaluates it on the held-out images.
    fn train_one<B: NetworkFiles>(
        &self,
        worker: &mut Worker<'_, '_, B>,
        entrant: &Entrant,
        seed: usize,
    ) -> Result<RungTraining, RunError> {
        let (rung, common) = (entrant.rung, &self.config.common);
        let training = TrainingConfig {
            epochs: self.halving.epochs_in(rung),
            ..common.training.clone()
        };
        let policy = entrant.policy(&self.space());
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

    /// The random stream of a searched policy.
    fn stream(&self, entrant: usize) -> Stream {
        let seed = derive(self.config.common.seed, Purpose::Entrant, &[entrant as u64]);
        Stream::for_op(seed)
    }
}
