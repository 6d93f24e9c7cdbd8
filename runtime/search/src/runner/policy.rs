//! Builds the policy from the sub-policies of all folds.

use std::path::Path;

use faa_policy::{Policy, Provenance, SubPolicy};
use serde_json::json;

use crate::VERSION;
use crate::config::RunConfig;

/// The policy of these sub-policies, with its provenance.
pub(super) fn merged(
    config: &RunConfig,
    sub_policies: Vec<SubPolicy>,
    diverged: &[usize],
) -> Policy {
    // Without a date or a folder, so that the same search writes the same file, byte for byte.
    let mut config = config.clone();
    config.common.data = config.common.short_data();
    let common = &config.common;
    let source = format!(
        "Fast AutoAugment search on {}, seed {}, by faa-runtime {VERSION}",
        common.data, common.seed
    );
    let mut facts = json!({"source": source, "config": config});
    if !common.plugins.is_empty() {
        facts["plugins"] = json!(common.plugins);
    }
    if !diverged.is_empty() {
        facts["diverged_folds"] = json!(diverged);
    }
    let name = format!("{}-{}", data_name(&common.data), common.training.model);
    let mut policy = Policy::of_sub_policies(name, sub_policies);
    policy.provenance = Provenance::from_facts(&facts).expect("facts are a JSON object");
    policy
}

/// A short name for a data set: the name of its file or folder, or its kind.
fn data_name(data: &str) -> String {
    let (kind, path) = data.split_once(':').unwrap_or((data, ""));
    let file = Path::new(path)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    match (kind, file.split('.').next().unwrap_or_default()) {
        ("folder" | "tar", name) if !name.is_empty() => name.to_owned(),
        _ => kind.to_owned(),
    }
}
