//! What several sections speak of, computed once.

use faa_op::OpSet;
use faa_policy::{Policy, SubPolicy};

use super::pictures::{self, Gallery};
use super::record::{FoldRecord, Record};
use super::statistics::{Activity, untouched, untouched_if_uniform};
use faa_search::runner::best_sub_policies;

/// What a run's trials and policy come to.
pub(super) struct Evidence<'a> {
    /// The ops that the policy is applied with.
    pub(super) ops: &'a OpSet,
    /// The sub-policies of all trials.
    pub(super) all: Vec<&'a SubPolicy>,
    /// Those of the best trials of every fold and round: what the policy is merged from.
    pub(super) top_n: Vec<SubPolicy>,
    /// The policy, or what it would be if the search ended now.
    pub(super) policy: Option<Policy>,
    /// Images under the policy, or why there are none.
    pub(super) gallery: Result<Gallery, String>,
    /// By how many levels the policy and random ones change a pixel, or why that is not known.
    pub(super) changes: Result<(f64, f64), String>,
    /// Whether the images are others than those of the run.
    pub(super) other_images: bool,
    /// How much is done to images, where anything was kept.
    pub(super) activity: Option<Activity>,
}

impl<'a> Evidence<'a> {
    /// Looks at trials and policy, and applies the policy to `images` of the run's images.
    pub(super) fn gather(record: &'a Record, ops: &'a OpSet, images: usize) -> Self {
        let top_n = top_n(record);
        let so_far = || Policy::of_sub_policies("so far", top_n.clone());
        let policy = record.policy.clone();
        let policy = policy.or_else(|| (!top_n.is_empty()).then(so_far));
        let mut evidence = Self {
            ops,
            all: record
                .trials()
                .flat_map(|(_, trial)| &trial.candidate)
                .collect(),
            gallery: Err(String::new()),
            changes: Err(String::new()),
            other_images: false,
            activity: None,
            policy,
            top_n,
        };
        if let Err(reason) = evidence.look_at_images(record, images) {
            evidence.gallery = Err(reason.clone());
            evidence.changes = Err(reason);
        }
        evidence.activity = evidence.activity();
        evidence
    }

    /// Fills in what needs the run's images.
    ///
    /// # Errors
    ///
    /// Why there are none to look at, in words.
    fn look_at_images(&mut self, record: &Record, images: usize) -> Result<(), String> {
        let policy = self.policy.as_ref().ok_or("there is no policy yet")?;
        if images == 0 {
            return Err("no images were asked for".to_owned());
        }
        let dataset = pictures::load(record)?;
        let digest = format!("{:016x}", dataset.digest());
        let recorded = record.run["data_digest"].as_str();
        self.other_images = recorded.is_some_and(|recorded| recorded != digest);
        self.gallery = pictures::gallery(&dataset, policy, self.ops, images);
        self.changes = pictures::changes(&dataset, policy, record, self.ops);
        Ok(())
    }

    fn activity(&self) -> Option<Activity> {
        Some(Activity {
            top_n: self.top_n.len(),
            untouched: untouched(&self.top_n)?,
            untouched_if_uniform: untouched_if_uniform(&self.top_n)?,
            change: self.changes.as_ref().ok().copied(),
        })
    }
}

/// The sub-policies that are kept of the trials made so far.
fn top_n(record: &Record) -> Vec<SubPolicy> {
    let Some(top_n) = record.count("/search/top_n") else {
        return Vec::new();
    };
    (record.folds.iter())
        .flat_map(FoldRecord::rounds)
        .flat_map(|trials| best_sub_policies(trials, top_n))
        .collect()
}
