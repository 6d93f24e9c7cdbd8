//! The record of who worked on a job, with what, and when.

use faa_policy::Policy;
use faa_system::{fnv1a, host_name, utc_now};
use serde::{Deserialize, Serialize};

use crate::config::RunConfig;
use crate::environment::Environment;

/// An attempt at a job: a line of its `attempts.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Attempt {
    /// What the results depend on.
    #[serde(flatten)]
    pub inputs: Inputs,
    /// The name of the machine.
    pub host: String,
    /// The build, hardware and precision.
    #[serde(flatten)]
    pub environment: Environment,
    /// When it began, in UTC, as in RFC 3339.
    pub started: String,
    /// When it finished the job; `None` if it was stopped, failed or was killed, or goes on.
    pub ended: Option<String>,
}

/// Digests of what the results of a job depend on, each as 16 hexadecimal digits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Inputs {
    /// Of the configuration of the run, without the path of its data set and without plugins.
    pub config: String,
    /// Of the images.
    pub data: String,
    /// Of the plugins' ops and SHA-256.
    pub plugins: String,
    /// Of the ops of the policy that a training has, without its name and provenance; `None` without one.
    pub policy: Option<String>,
}

impl Inputs {
    /// Those of a job without a policy.
    pub(crate) fn new(config: &RunConfig, data_digest: &str) -> Self {
        let mut config = config.clone();
        config.common.data.clear();
        let plugins = std::mem::take(&mut config.common.plugins);
        Self {
            config: digest(&config),
            data: data_digest.to_owned(),
            plugins: digest(&plugins),
            policy: None,
        }
    }

    /// Those of a training with a policy.
    pub(crate) fn with_policy(&self, policy: Option<&Policy>) -> Self {
        let rule = |policy: &Policy| Policy::new("", policy.rule.clone()).to_json();
        Self {
            policy: policy.map(|policy| hex(rule(policy).into_bytes())),
            ..self.clone()
        }
    }
}

impl Attempt {
    /// One that begins now, on this machine.
    pub(crate) fn begin(inputs: Inputs, environment: Environment) -> Self {
        Self {
            inputs,
            host: host_name(),
            environment,
            started: utc_now(),
            ended: None,
        }
    }

    /// The same, finished now.
    pub(crate) fn end(self) -> Self {
        let ended = Some(utc_now());
        Self { ended, ..self }
    }

    /// What its results depend on besides `inputs`, if there is anything: its name, and the digests recorded
    /// and of `inputs`.
    ///
    /// A different build may write the same configuration in a different form, so the digest of the
    /// configuration counts within one build. Opening a directory compares configurations themselves.
    pub(crate) fn difference<'a>(
        &'a self,
        inputs: &'a Inputs,
        build: &str,
    ) -> Option<(&'static str, &'a str, &'a str)> {
        let policy = |inputs: &'a Inputs| inputs.policy.as_deref().unwrap_or("none");
        let (recorded, is_same_build) = (&self.inputs, self.environment.build == build);
        let all = [
            ("images", recorded.data.as_str(), inputs.data.as_str()),
            ("plugins", &recorded.plugins, &inputs.plugins),
            ("configuration", &recorded.config, &inputs.config),
            ("policy", policy(recorded), policy(inputs)),
        ];
        let mut all = all.into_iter();
        all.find(|(what, recorded, current)| {
            recorded != current && (is_same_build || *what != "configuration")
        })
    }
}

fn digest(value: &impl Serialize) -> String {
    hex(serde_json::to_vec(value).expect("our types can be written as JSON"))
}

fn hex(bytes: Vec<u8>) -> String {
    format!("{:016x}", fnv1a(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Augmentation, PluginOp, Preset};

    #[test]
    fn whatever_results_depend_on_is_compared() {
        let config = RunConfig::for_search(Preset::Demo, "glyphs");
        let policy = Augmentation::TrivialAugment.shipped_policy().unwrap();
        let of = |change: fn(&mut RunConfig), data: &str, policy: Option<&Policy>| {
            let mut changed = config.clone();
            change(&mut changed);
            Inputs::new(&changed, data).with_policy(policy)
        };
        let environment = Environment::of_this_build();
        let build = environment.build.clone();
        let recorded = Attempt::begin(of(|_| (), "1", Some(&policy)), environment);
        let mut renamed = policy.clone();
        renamed.name = "renamed".into();
        let plugin = |config: &mut RunConfig| {
            let plugin = PluginOp::new("Swirl".into(), "00".into());
            config.common.plugins.push(plugin);
        };
        for (inputs, expected) in [
            (of(|_| (), "1", Some(&renamed)), None),
            (
                of(|it| it.common.data = "tar:a".into(), "1", Some(&policy)),
                None,
            ),
            (
                of(|it| it.common.seed = 1, "1", Some(&policy)),
                Some("configuration"),
            ),
            (of(plugin, "1", Some(&policy)), Some("plugins")),
            (of(|_| (), "2", Some(&policy)), Some("images")),
            (of(|_| (), "1", None), Some("policy")),
        ] {
            let found = recorded.difference(&inputs, &build);
            assert_eq!(found.map(|it| it.0), expected);
        }
        let seeded = of(|it| it.common.seed = 1, "1", Some(&policy));
        assert_eq!(recorded.difference(&seeded, "another build"), None);
    }
}
