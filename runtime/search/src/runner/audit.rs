//! The audit: the training of its network, and the measurement of ops on held-out images.

use std::time::Instant;

use super::error::{RunError, failed};
use super::workers::Worker;
use crate::audit::{Point, analyse, augmentation_seed, policy_at, without_base_augmentation};
use crate::backend::{Images, NetworkFiles, ScoringTask, TrainTask};
use crate::config::{AuditConfig, CommonConfig, TrainingConfig};
use crate::event::Event;
use crate::files::{FileError, FileErrorKind, Log};
use crate::folds::Fold;
use crate::layout::{TrainingFiles, TrainingId};
use crate::results::{Outcome, Prediction};
use crate::seeds::{Purpose, derive};

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
    ) -> Result<(), RunError> {
        let id = TrainingId::Audit;
        let (files, file) = (
            worker.directory().training(id),
            worker.directory().audit_file(),
        );
        if files.has_diverged() {
            return worker.recorded(id, None).map(drop);
        }
        let classes = worker.backend.dataset().classes;
        let points = self.recorded(&files)?;
        if points.len() == self.audit.points().count() && file.exists() {
            worker.check_inputs(id, None)?;
            let audit = analyse(self.audit, &points, &classes);
            worker.report(Event::AuditDone(Box::new(audit)));
            return Ok(());
        }
        let job = worker.begin(id, None)?;
        if let Some(points) = self.measured(worker, &files)? {
            let audit = analyse(self.audit, &points, &classes);
            worker.files().write_json(&file, &audit)?;
            worker.report(Event::AuditDone(Box::new(audit)));
        }
        Ok(job.end()?)
    }

    /// All points; `None` if the training of the network has diverged.
    fn measured<B: NetworkFiles>(
        &self,
        worker: &mut Worker<'_, '_, B>,
        files: &TrainingFiles,
    ) -> Result<Option<Vec<Point>>, RunError> {
        let log = files.points();
        let mut points = self.recorded(files)?;
        let planned = self.audit.points().count();
        if points.len() < planned {
            // Otherwise the network is not needed any more, and may be gone.
            let Outcome::Done(network) = self.network(worker, files)? else {
                return Ok(None);
            };
            worker.report(Event::AuditStarted {
                points: planned,
                resumed: points.len(),
            });
            self.measure(worker, &network, &log, &mut points)?;
        }
        Ok(Some(points))
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

    /// The recorded points, which must be the first points of this audit.
    fn recorded(&self, files: &TrainingFiles) -> Result<Vec<Point>, FileError> {
        let log = files.points();
        let recorded = log.read()?;
        let mut planned = self.audit.points();
        for (line, point) in (1..).zip(&recorded) {
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
        Ok(recorded)
    }
}
