//! The audit: the training of its network, and the measurement of ops on held-out images.

use std::time::Instant;

use faa_op::OpSet;
use faa_policy::Policy;

use super::error::{RunError, failed};
use super::policy;
use super::workers::{Worker, Workers};
use crate::audit::{
    Audit, Point, analyse, augmentation_seed, policy_at, sampler, without_base_augmentation,
};
use crate::backend::{Images, NetworkFiles, ScoringTask, TrainTask};
use crate::config::{AuditConfig, CommonConfig, RunConfig, TrainingConfig};
use crate::event::Event;
use crate::files::{FileError, FileErrorKind, Log};
use crate::folds::Fold;
use crate::layout::{TrainingFiles, TrainingId};
use crate::results::{Outcome, Prediction};
use crate::seeds::{Purpose, derive};

/// Audits ops, and makes a policy of those that are safe; `None` if the training of the network has
/// diverged.
pub(super) fn safe_policy<B: NetworkFiles>(
    config: &RunConfig,
    stage: AuditStage<'_>,
    ops: &OpSet,
    workers: &Workers<'_>,
    backends: &mut [B],
) -> Result<Option<Policy>, RunError> {
    let mut audits = workers.run_parallel(backends, [stage], |worker, stage| stage.run(worker))?;
    match audits.swap_remove(0) {
        Outcome::Done(audit) => Ok(Some(policy::audited(config, sampler(&audit, ops)))),
        Outcome::Diverged(_) => Ok(None),
    }
}

/// An audit of ops.
#[derive(Clone, Copy)]
pub(super) struct AuditStage<'a> {
    pub(super) common: &'a CommonConfig,
    pub(super) audit: &'a AuditConfig,
    /// The network is trained on `train`, and ops are measured on `validation`.
    pub(super) fold: &'a Fold,
    /// The group of every training image; empty without groups.
    pub(super) groups: &'a [u32],
}

impl AuditStage<'_> {
    /// Measures all points that are not yet recorded, and writes what they amount to.
    pub(super) fn run<B: NetworkFiles>(
        &self,
        worker: &mut Worker<'_, '_, B>,
    ) -> Result<Outcome<Audit>, RunError> {
        let files = worker.directory().create_training(TrainingId::Audit)?;
        let log = files.points();
        let mut points = log.read()?;
        self.check_recorded(&log, &points)?;
        let planned = self.audit.points().count();
        if points.len() < planned {
            // Otherwise the network is not needed any more, and may be gone.
            let network = match self.network(worker, &files)? {
                Outcome::Done(network) => network,
                Outcome::Diverged(divergence) => return Ok(Outcome::Diverged(divergence)),
            };
            worker.report(Event::AuditStarted {
                points: planned,
                resumed: points.len(),
            });
            self.measure(worker, &network, &log, &mut points)?;
        }
        let audit = analyse(self.audit, &points, &worker.backend.dataset().classes);
        let file = worker.directory().audit_file();
        worker.files().write_json(&file, &audit)?;
        worker.report(Event::AuditDone(Box::new(audit.clone())));
        Ok(Outcome::Done(audit))
    }

    /// The network that was given, or else is trained here.
    fn network<B: NetworkFiles>(
        &self,
        worker: &mut Worker<'_, '_, B>,
        files: &TrainingFiles,
    ) -> Result<Outcome<B::Network>, RunError> {
        let (id, own) = (TrainingId::Audit, files.network());
        let Some(given) = &self.audit.network else {
            let task = TrainTask {
                images: &self.fold.train,
                // In a search, the base augmentation may flip.
                training: &TrainingConfig {
                    flip: false,
                    ..self.common.training.clone()
                },
                policy: None,
                seed: derive(self.common.seed, Purpose::Audit, &[0]),
            };
            let validation = Images::Train(&self.fold.validation);
            return Ok(match worker.train(id, &task, validation)? {
                Outcome::Done((network, _)) => Outcome::Done(network),
                Outcome::Diverged(divergence) => Outcome::Diverged(divergence),
            });
        };
        let stage = "reading the network";
        if own.exists() {
            let network = worker.backend.load_any(&own);
            return network.map(Outcome::Done).map_err(failed(stage));
        }
        let network = worker.backend.load_any(given).map_err(failed(stage))?;
        // A copy, so that the run goes on with the same network whatever becomes of the file.
        worker.files().before_backend_writes(&own)?;
        let saved = worker.backend.save(&network, &own);
        saved.map_err(failed("copying the network"))?;
        Ok(Outcome::Done(network))
    }

    /// Measures the points that follow the recorded ones.
    fn measure<B: NetworkFiles>(
        &self,
        worker: &mut Worker<'_, '_, B>,
        network: &B::Network,
        log: &Log<Point>,
        points: &mut Vec<Point>,
    ) -> Result<(), RunError> {
        // `Identity` instead of no op, so that both are classified in the same precision.
        let before = self.predictions(worker, network, ("Identity", None), 1)?;
        let classes = worker.backend.dataset().classes.len();
        for (op, value) in self.audit.points().skip(points.len()) {
            let (images, draws) = (&self.fold.validation, op.draws.get());
            let started = Instant::now();
            let after = self.predictions(worker, network, (&op.op, value), draws)?;
            let point = Point {
                op: op.op.clone(),
                value,
                draws,
                seconds: started.elapsed().as_secs_f64(),
                classes: Point::classes(images, self.groups, &before, &after, draws, classes),
            };
            let mut losses = point.classes.iter();
            if !losses.all(|it| it.loss_before.is_finite() && it.loss_after.is_finite()) {
                return Err(RunError::not_finite(&format!("the audit of {}", op.op)));
            }
            log.append(worker.files(), &point)?;
            worker.report(Event::PointDone {
                op: point.op.clone(),
                value,
                images: after.len(),
                correct: point.classes.iter().map(|it| it.after).sum(),
                seconds: point.seconds,
            });
            points.push(point);
        }
        Ok(())
    }

    fn predictions<B: NetworkFiles>(
        &self,
        worker: &mut Worker<'_, '_, B>,
        network: &B::Network,
        (op, value): (&str, Option<f64>),
        draws: usize,
    ) -> Result<Vec<Prediction>, RunError> {
        let stage = format!("the audit of {op}");
        let stop = worker.stop();
        stop.check().map_err(failed(&stage))?;
        let task = ScoringTask {
            images: &self.fold.validation,
            training: &without_base_augmentation(&self.common.training),
            candidate: &policy_at(op, value),
            draws,
            seed: augmentation_seed(self.common.seed),
        };
        let predictions = worker.backend.classify_augmented(network, &task, stop);
        predictions.map_err(failed(&stage))
    }

    /// Checks that the recorded points are the first points of this audit.
    fn check_recorded(&self, log: &Log<Point>, recorded: &[Point]) -> Result<(), FileError> {
        let mut planned = self.audit.points();
        for (line, point) in (1..).zip(recorded) {
            let expected = planned.next();
            if !expected.is_some_and(|(op, value)| (&op.op, value) == (&point.op, point.value)) {
                let message = format!(
                    "{}, line {line}, is not a point of this audit: move the file away to repeat its \
                     measurements",
                    log.path().display()
                );
                return Err(FileError::new(FileErrorKind::Damaged, message));
            }
        }
        Ok(())
    }
}
