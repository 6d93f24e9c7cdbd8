//! What several sections refer to, computed once.

use std::collections::BTreeMap;

use faa_op::OpSet;
use faa_policy::{Policy, SubPolicy};

use super::broken::{self, Broken};
use super::pictures::{self, Gallery, IMAGES};
use super::record::{FoldRecord, Record};
use super::statistics::{Activity, untouched, untouched_if_uniform};

/// What a run's trials and policy amount to.
pub(super) struct Evidence<'a> {
    pub(super) ops: &'a OpSet,
    /// The sub-policies of all trials.
    pub(super) all: Vec<&'a SubPolicy>,
    /// Those of the top n trials of each fold and round, which are merged into the policy.
    pub(super) top_n: Vec<SubPolicy>,
    /// The policy, or what it would be if the search ended now.
    pub(super) policy: Option<Policy>,
    /// For each op of an audit, an image that it breaks, or why there are none.
    pub(super) broken: Result<BTreeMap<String, Broken>, String>,
    /// Images under the policy, or why there are none.
    pub(super) gallery: Result<Gallery, String>,
    /// What reading the images warned of.
    pub(super) warnings: Vec<String>,
    /// By how many levels the policy and random ones change a pixel, or why that is unknown.
    pub(super) changes: Result<(f64, f64), String>,
    /// How much is done to images, where there is a top n.
    pub(super) activity: Option<Activity>,
}

impl<'a> Evidence<'a> {
    /// Examines trials and policy, and applies the policy to `images` of the run's images, unless that is
    /// `None`, which says that they must be asked for.
    pub(super) fn gather(record: &'a Record, ops: &'a OpSet, images: Option<usize>) -> Self {
        let top_n = top_n(record);
        let so_far = || Policy::of_sub_policies("so far", top_n.clone());
        let policy = record.policy.clone();
        // Successive halving may choose a different policy.
        let is_merged = record.config().halving.is_none() && !top_n.is_empty();
        let policy = policy.or_else(|| is_merged.then(so_far));
        let mut evidence = Self {
            ops,
            all: record
                .trials()
                .flat_map(|(_, trial)| &trial.candidate)
                .collect(),
            broken: Err(String::new()),
            gallery: Err(String::new()),
            warnings: Vec::new(),
            changes: Err(String::new()),
            activity: None,
            policy,
            top_n,
        };
        if let Err(reason) = evidence.examine_images(record, images) {
            evidence.gallery = Err(reason.clone());
            evidence.changes = Err(reason);
        }
        evidence.broken = match images {
            None => Err(not_named(record)),
            Some(0) => Err("no images were requested".to_owned()),
            Some(_) => broken::find(record, ops),
        };
        evidence.activity = evidence.activity();
        evidence
    }

    /// Fills in what needs the run's images.
    ///
    /// # Errors
    ///
    /// Why there are none, in words.
    fn examine_images(&mut self, record: &Record, images: Option<usize>) -> Result<(), String> {
        let policy = self.policy.as_ref().ok_or("there is no policy yet")?;
        let images = images.ok_or_else(|| not_named(record))?;
        if images == 0 {
            return Err("no images were requested".to_owned());
        }
        let dataset = pictures::load(record, images)?;
        self.gallery = pictures::gallery(&dataset, policy, self.ops, images);
        self.changes = match record.config().halving {
            None => pictures::changes(&dataset, policy, record, self.ops),
            Some(_) => Err("the policy is that of successive halving".to_owned()),
        };
        self.warnings = dataset.warnings;
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

fn not_named(record: &Record) -> String {
    format!(
        "it is not recorded here that the user who made this page chose {0} for this run, so images of {0} \
         are read only on request, with --images {IMAGES}",
        record.data()
    )
}

/// The sub-policies of the top n of the trials made so far.
fn top_n(record: &Record) -> Vec<SubPolicy> {
    let Some(search) = &record.config().search else {
        return Vec::new();
    };
    (record.folds.iter())
        .flat_map(FoldRecord::rounds)
        .flat_map(|round| round.sub_policies(search))
        .collect()
}
