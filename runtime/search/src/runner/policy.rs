//! The policy that the folds have found.

use std::path::Path;

use faa_policy::{Policy, Provenance, Rule, SubPolicy};
use serde_json::json;

use crate::VERSION;
use crate::config::RunConfig;

/// The policy of these sub-policies, with where it comes from.
pub(super) fn merged(
    config: &RunConfig,
    sub_policies: Vec<SubPolicy>,
    diverged: &[usize],
) -> Policy {
    let common = &config.common;
    let source = format!(
        "Fast AutoAugment search on {}, seed {}, by faa-runtime {VERSION}",
        common.data, common.seed
    );
    // No date and no path: the same search gives the same file, byte for byte.
    let mut provenance = Provenance::from_iter([
        ("source".to_owned(), json!(source)),
        ("config".to_owned(), json!(config)),
    ]);
    if !common.plugins.is_empty() {
        provenance.insert("plugins".to_owned(), json!(common.plugins));
    }
    if !diverged.is_empty() {
        provenance.insert("diverged_folds".to_owned(), json!(diverged));
    }
    Policy {
        name: format!("{}-{}", data_name(&common.data), common.training.model),
        rule: Rule::SubPolicies(sub_policies),
        provenance,
    }
}

/// A short name of a data set: that of its file or folder, or its kind.
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
