//! Builds the policy that a search or an audit has found.

use std::path::Path;

use faa_policy::{Policy, Provenance, Rule, Sampler, SubPolicy};
use serde_json::{Value, json};

use crate::VERSION;
use crate::config::{CommonConfig, RunConfig};
use crate::halving::{HalvingResult, Origin, Standing};

/// The policy of these sub-policies, with its provenance.
pub(crate) fn merged(
    config: &RunConfig,
    sub_policies: Vec<SubPolicy>,
    diverged: &[usize],
) -> Policy {
    let mut facts = facts(config, "Fast AutoAugment search");
    if !diverged.is_empty() {
        facts["diverged_folds"] = json!(diverged);
    }
    let rule = Rule::SubPolicies(sub_policies);
    with_facts(&config.common, "", rule, &facts)
}

/// The policy of the ops that an audit found safe, with its provenance.
pub(crate) fn audited(config: &RunConfig, sampler: Sampler) -> Policy {
    let facts = facts(config, "audit of ops");
    with_facts(&config.common, "-safe", Rule::Sampler(sampler), &facts)
}

/// The policy that won successive halving, with its provenance.
pub(crate) fn winner(config: &RunConfig, rule: Rule, result: &HalvingResult) -> Policy {
    let mut facts = facts(config, "successive halving over short trainings");
    if let Some(winner) = result.winner() {
        let origin = match &winner.origin {
            Origin::Fixed(name) => format!("{name}, which takes part in every search"),
            Origin::Model => "proposed by the additive model".to_owned(),
            Origin::Random => "drawn at random".to_owned(),
        };
        let names = |equals: Vec<&Standing>| -> Vec<_> {
            equals.iter().map(|it| it.name.clone()).collect()
        };
        // Not an empty list, if it is not known.
        let equals = match result.equals().map(names) {
            Some(equals) => json!(equals),
            None => json!(result.why_unknown()),
        };
        facts["objective"] = json!("train");
        facts["winner"] = json!(origin);
        facts["validation_losses"] = json!(winner.losses);
        facts["validation_errors"] = json!(winner.errors);
        facts["equal_within_noise"] = equals;
    }
    with_facts(&config.common, "", rule, &facts)
}

fn facts(config: &RunConfig, task: &str) -> Value {
    // Without a date or a folder, so that the same search writes the same file, byte for byte.
    let mut config = config.clone();
    config.common.data = config.common.short_data();
    let common = &config.common;
    let source = format!(
        "{task} on {}, seed {}, by faa-runtime {VERSION}",
        common.data, common.seed
    );
    let mut facts = json!({"source": source, "config": config});
    if !common.plugins.is_empty() {
        facts["plugins"] = json!(common.plugins);
    }
    facts
}

fn with_facts(common: &CommonConfig, suffix: &str, rule: Rule, facts: &Value) -> Policy {
    let (data, model) = (data_name(&common.data), common.training.model);
    let mut policy = Policy::new(format!("{data}-{model}{suffix}"), rule);
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
