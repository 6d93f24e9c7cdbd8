//! The trainings on all images, with a policy and with controls.

use faa_policy::{Policy, shipped};

use super::training::Trained;
use super::workers::{Shared, Worker};
use super::{FinalResult, SearchError, result_file};
use crate::config::{Control, Recipe};
use crate::event::{Event, Training};
use crate::files::{read_json, write_json};
use crate::judge::{Evaluation, Images, Judge, TrainTask};
use crate::seeds::{Purpose, derive};
use crate::space::Space;

/// What is trained.
pub(crate) struct Finals<'a> {
    /// The seed of the run.
    pub(crate) seed: u64,
    /// How; controls without Cutout leave that out.
    pub(crate) recipe: Recipe,
    /// What with.
    pub(crate) controls: &'a [Control],
    /// Seeds of each.
    pub(crate) seeds: usize,
    /// All images of the training split.
    pub(crate) images: usize,
    /// That of [`Control::Policy`].
    pub(crate) policy: Option<&'a Policy>,
    /// Where [`Control::Random`] draws from, and how many sub-policies.
    pub(crate) random: (Space, usize),
}

impl Finals<'_> {
    /// Trains everything that is not trained yet.
    pub(crate) fn train<J: Judge>(
        &self,
        shared: &Shared<'_>,
        judges: &mut [J],
    ) -> Result<Vec<FinalResult>, SearchError> {
        let all = every_training(self.controls, self.seeds);
        let evaluations = shared.side_by_side(judges, all, |worker, (control, seed)| {
            Ok((control, self.train_one(worker, control, seed)?))
        })?;
        let of = |control: Control| {
            let mine = evaluations
                .iter()
                .filter(move |(other, _)| *other == control);
            mine.map(|(_, evaluation)| evaluation)
        };
        let result = |control: &Control| FinalResult {
            control: *control,
            errors: of(*control)
                .flatten()
                .map(|evaluation| evaluation.error)
                .collect(),
            diverged: of(*control)
                .filter(|evaluation| evaluation.is_none())
                .count(),
        };
        Ok(self.controls.iter().map(result).collect())
    }

    /// One training, measured on the test split after its last epoch; `None` where it diverged.
    fn train_one<J: Judge>(
        &self,
        worker: &mut Worker<'_, '_, J>,
        control: Control,
        seed: usize,
    ) -> Result<Option<Evaluation>, SearchError> {
        let training = Training::Final { control, seed };
        let folder = worker.shared.run.final_training(control, seed)?;
        let done = |evaluation, resumed| Event::TrainingDone {
            training,
            evaluation,
            resumed,
        };
        if let Some(evaluation) = read_json::<Evaluation>(&result_file(&folder))? {
            worker.tell(done(evaluation, true));
            return Ok(Some(evaluation));
        }
        let policy = self.policy_of(control, seed)?;
        let cutout = match control {
            Control::None => 0,
            _ => self.recipe.cutout,
        };
        let recipe = Recipe {
            cutout,
            ..self.recipe.clone()
        };
        let images: Vec<usize> = (0..self.images).collect();
        let task = TrainTask {
            images: &images,
            recipe: &recipe,
            policy: policy.as_ref(),
            // Controls of one seed share first weights and the order of images.
            seed: derive(self.seed, Purpose::FinalTraining, &[seed as u64]),
        };
        let Ok(Trained { network, .. }) = worker.train(training, &task, &folder)? else {
            return Ok(None);
        };
        let Ok(evaluation) = worker.evaluate(training, &network, Images::Test, &folder)? else {
            return Ok(None);
        };
        write_json(&result_file(&folder), &evaluation)?;
        worker.tell(done(evaluation, false));
        Ok(Some(evaluation))
    }

    fn policy_of(&self, control: Control, seed: usize) -> Result<Option<Policy>, SearchError> {
        Ok(match control {
            Control::None | Control::Cutout => None,
            Control::Random => {
                let (space, sub_policies) = &self.random;
                let seed = derive(self.seed, Purpose::RandomPolicy, &[seed as u64]);
                Some(space.random_policy("random", *sub_policies, seed))
            }
            Control::TrivialAugment => Some(trivial_augment()?),
            Control::Policy => self.policy.cloned(),
        })
    }
}

/// TrivialAugment's wide space, as it is shipped.
pub(crate) fn trivial_augment() -> Result<Policy, SearchError> {
    let wide = shipped()
        .iter()
        .find(|policy| policy.name == "trivialaugment-wide");
    let wide = wide.expect("TrivialAugment is shipped");
    wide.policy().map_err(SearchError::Ops)
}

/// Every control with every seed: all controls of the first seed first.
pub(crate) fn every_training(
    controls: &[Control],
    seeds: usize,
) -> impl Iterator<Item = (Control, usize)> {
    (0..seeds).flat_map(|seed| controls.iter().map(move |control| (*control, seed)))
}
