//! Builds the policy that a search has found.

use std::path::Path;

use faa_policy::{Policy, Provenance, SubPolicy};
use serde_json::{Value, json};

use crate::VERSION;
use crate::config::RunConfig;
use crate::halving::{HalvingResult, Origin};

/// The policy of these sub-policies, with its provenance.
pub(super) fn merged(
    config: &RunConfig,
    sub_policies: Vec<SubPolicy>,
    diverged: &[usize],
) -> Policy {
    let mut facts = facts("Fast AutoAugment search", config);
    if !diverged.is_empty() {
        facts["diverged_folds"] = json!(diverged);
    }
    named(config, Policy::of_sub_policies("", sub_policies), &facts)
}

/// The policy that won successive halving, with its provenance.
pub(super) fn winner(config: &RunConfig, policy: Policy, result: &HalvingResult) -> Policy {
    let mut facts = facts("Successive halving over short trainings", config);
    if let Some(winner) = result.winner() {
        let origin = match &winner.origin {
            Origin::Fixed(name) => format!("{name}, which takes part in every search"),
            Origin::Model => "proposed by the additive model".to_owned(),
            Origin::Random => "drawn at random".to_owned(),
        };
        let equals: Vec<_> = result.equals().map(|it| &it.name).collect();
        facts["objective"] = json!("train");
        facts["winner"] = json!(origin);
        facts["validation_losses"] = json!(winner.losses);
        facts["validation_errors"] = json!(winner.errors);
        facts["equal_within_noise"] = json!(equals);
    }
    named(config, policy, &facts)
}

/// What is known about every found policy. There is no date and no path, so that the same search writes
/// the same file, byte for byte.
fn facts(search: &str, config: &RunConfig) -> Value {
    let common = &config.common;
    let source = format!(
        "{search} on {}, seed {}, by faa-runtime {VERSION}",
        common.data, common.seed
    );
    let mut facts = json!({"source": source, "config": config});
    if !common.plugins.is_empty() {
        facts["plugins"] = json!(common.plugins);
    }
    facts
}

fn named(config: &RunConfig, mut policy: Policy, facts: &Value) -> Policy {
    let common = &config.common;
    policy.name = format!("{}-{}", data_name(&common.data), common.training.model);
    policy.provenance = Provenance::from_facts(facts).expect("facts are a JSON object");
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
