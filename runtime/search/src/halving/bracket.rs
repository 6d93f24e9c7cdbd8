//! Which policies take part, as a function of the trainings so far.

use faa_op::Stream;
use faa_policy::Policy;

use super::entrant::{Entrant, Origin};
use super::explanation::observations;
use super::model::Ridge;
use super::space::{Point, PolicySpace};
use super::training::{RungTraining, mean_losses};
use crate::config::{Augmentation, HalvingConfig};
use crate::seeds::{Purpose, derive};

/// Of how many random points the additive model proposes the best.
const PROPOSALS: usize = 256;

/// A policy that takes part in the last two rungs in any case; without a policy, it is the base
/// augmentation alone.
pub(crate) type FixedPolicy = (&'static str, Option<Policy>);

/// All fixed policies, with those that an audit and a search by density matching have made. The result of
/// halving is not worse than any of them, but for noise.
pub(crate) fn fixed_policies(audited: Option<Policy>, density: Option<Policy>) -> Vec<FixedPolicy> {
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

/// The policies of all rungs. A rung is one phase, whose trainings do not wait for each other, and the first
/// rung is two: its random policies, and those that the additive model of these proposes.
pub(crate) struct Bracket<'a> {
    /// The run's seed.
    pub(crate) seed: u64,
    pub(crate) halving: &'a HalvingConfig,
    pub(crate) fixed: Vec<FixedPolicy>,
}

/// What has been done so far.
#[derive(Default)]
pub(crate) struct Progress {
    /// The policies of all phases so far, in the order of the log.
    pub(crate) entrants: Vec<Entrant>,
    pub(crate) trainings: Vec<RungTraining>,
}

impl Bracket<'_> {
    pub(crate) fn phases(&self) -> usize {
        self.halving.rungs.get() + 1
    }

    /// The rung of a phase.
    pub(crate) fn rung(phase: usize) -> usize {
        phase.saturating_sub(1)
    }

    /// Whether the fixed policies take part in a phase.
    pub(crate) fn has_fixed(&self, phase: usize) -> bool {
        phase > 0 && self.halving.has_fixed(Self::rung(phase))
    }

    /// The policies of a phase, when those before are done.
    pub(crate) fn entrants(&self, phase: usize, progress: &Progress) -> Vec<Entrant> {
        let rung = Self::rung(phase);
        let mut entrants = match phase {
            0 => self.random(),
            1 => self.proposed(progress),
            _ => self.promoted(rung, progress),
        };
        if self.has_fixed(phase) {
            entrants.extend(self.fixed(rung));
        }
        entrants
    }

    /// The fixed policies, numbered after all others.
    pub(crate) fn fixed(&self, rung: usize) -> Vec<Entrant> {
        let numbered = (self.halving.entrants.get()..).zip(&self.fixed);
        let entrant = |(number, (name, policy)): (usize, &FixedPolicy)| {
            Entrant::fixed(number, name, policy.clone()).in_rung(rung)
        };
        numbered.map(entrant).collect()
    }

    pub(crate) fn space(&self) -> PolicySpace<'_> {
        PolicySpace::new(&self.halving.ops)
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

    /// The random stream of a searched policy.
    fn stream(&self, entrant: usize) -> Stream {
        let seed = derive(self.seed, Purpose::Entrant, &[entrant as u64]);
        Stream::for_op(seed)
    }
}
