//! The ops that a command knows: the built-in ones, and those of plugins.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use faa_op::{Op, OpSet};
use faa_ops_builtin::builtin_ops;
use faa_plugin::{Host, HostConfig, Native, Plugin};
use faa_policy::{Executor, Policy, PolicyErrorKind};
use faa_search::config::PluginOp;
use faa_search::protocol::Plugins;
use serde::Deserialize;
use serde_json::Value;

/// Where plugins are, and what they may do.
#[derive(Args)]
#[command(next_help_heading = "Plugins")]
pub(crate) struct PluginOptions {
    /// A folder of plugins; may be given several times.
    #[arg(long = "plugins", value_name = "DIR")]
    folders: Vec<PathBuf>,
    #[command(flatten)]
    allowance: Allowance,
}

/// What plugins may do.
#[derive(Args)]
#[command(next_help_heading = "Plugins")]
pub(crate) struct Allowance {
    /// Load native libraries too. They run without a sandbox, with all of your rights.
    #[arg(long)]
    allow_native: bool,
    /// Memory of a plugin, a thread.
    #[arg(long, value_name = "MIB", default_value_t = 256,
          value_parser = clap::value_parser!(u32).range(1..=4096))]
    plugin_memory: u32,
    /// The longest that a call into a plugin may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = parse_seconds)]
    plugin_time: f64,
}

/// Ops, and where they come from.
pub(crate) struct KnownOps {
    pub(crate) ops: OpSet,
    pub(crate) plugins: Vec<Plugin>,
    folders: Vec<PathBuf>,
}

/// What a policy's provenance says of the plugins that it was found with.
#[derive(Deserialize)]
struct Recorded {
    op: String,
    sha256: String,
}

impl Allowance {
    pub(crate) fn host(&self) -> Result<Host> {
        let memory = (self.plugin_memory as usize).saturating_mul(1 << 20);
        let call_time = Duration::from_secs_f64(self.plugin_time);
        Ok(Host::new(HostConfig::bounded(memory, call_time))?)
    }

    pub(crate) fn native(&self) -> Native {
        if self.allow_native {
            Native::Trusted
        } else {
            Native::Refused
        }
    }
}

impl PluginOptions {
    /// The built-in ops and those of the plugins. A plugin that is broken is reported, and left out.
    pub(crate) fn known_ops(&self) -> Result<KnownOps> {
        self.known_ops_with(builtin_ops())
    }

    /// The same with built-in ops of the caller's choice.
    pub(crate) fn known_ops_with(&self, mut ops: OpSet) -> Result<KnownOps> {
        let mut plugins = Vec::new();
        if !self.folders.is_empty() {
            let host = self.allowance.host()?;
            let found = host.load_folders(&self.folders, self.allowance.native(), &mut ops)?;
            for broken in found.broken {
                let (path, why) = (broken.path.display(), in_a_line(&broken.error));
                eprintln!(
                    "warning: {} was not loaded: {why}",
                    shown(&path.to_string())
                );
            }
            plugins = found.loaded;
        }
        let folders = self.folders.clone();
        Ok(KnownOps {
            ops,
            plugins,
            folders,
        })
    }

    /// The same for the sibling; `None` where there is no plugin.
    pub(crate) fn request(&self) -> Result<Option<Plugins>> {
        if self.folders.is_empty() {
            return Ok(None);
        }
        let folders = self.folders.iter().map(|folder| {
            std::path::absolute(folder)
                .with_context(|| format!("cannot read the folder {}", folder.display()))
        });
        Ok(Some(Plugins {
            folders: folders.collect::<Result<_>>()?,
            allow_native: self.allowance.allow_native,
            memory_mib: self.allowance.plugin_memory,
            call_seconds: self.allowance.plugin_time,
        }))
    }
}

impl KnownOps {
    /// The plugin that an op comes from; `None` for a built-in one.
    pub(crate) fn plugin_of(&self, op: &str) -> Option<&Plugin> {
        let has_it = |plugin: &&Plugin| plugin.ops().iter().any(|it| it.spec().name() == op);
        self.plugins.iter().find(has_it)
    }

    /// Where an op comes from: `built-in`, or a plugin's file.
    pub(crate) fn source(&self, op: &str) -> String {
        match self.plugin_of(op).and_then(Plugin::path) {
            Some(path) => path.display().to_string(),
            None => "built-in".to_owned(),
        }
    }

    /// The ops of plugins, with the digest of the module that each comes from.
    pub(crate) fn of_plugins(&self) -> Vec<PluginOp> {
        let ops = self.plugins.iter().flat_map(|plugin| {
            let sha256 = plugin.sha256();
            plugin.ops().iter().map(move |op| PluginOp {
                op: op.spec().name().to_owned(),
                sha256: sha256.clone(),
            })
        });
        let mut ops: Vec<_> = ops.collect();
        ops.sort();
        ops
    }

    /// An executor of a policy with these ops. Says so where the policy was found with another module
    /// under the name of an op.
    pub(crate) fn executor(&self, policy: &Policy, name: &str) -> Result<Executor> {
        for changed in self.changed(policy) {
            eprintln!("warning: {name}: {changed}");
        }
        Executor::new(policy, &self.ops)
            .map_err(|error| self.explained(error, policy, name))
            .with_context(|| format!("cannot apply the policy {name}"))
    }

    /// Checks that the ops fit a policy.
    pub(crate) fn check(&self, policy: &Policy, name: &str) -> Result<()> {
        policy
            .check(&self.ops)
            .map_err(|error| self.explained(error, policy, name))
            .with_context(|| format!("{name} does not fit the known ops"))?;
        match self.changed(policy).first() {
            Some(changed) => Err(anyhow!("{name}: {changed}")),
            None => Ok(()),
        }
    }

    /// What is said of each op that comes from another module than when the policy was found.
    fn changed(&self, policy: &Policy) -> Vec<String> {
        let changed = |recorded: Recorded| {
            let (op, then) = (&recorded.op, &recorded.sha256);
            // An op that is not there is an error of its own.
            self.ops.get(op)?;
            let now = self.plugin_of(op).map(Plugin::sha256);
            let source = self.source(op);
            (now.as_ref() != Some(then)).then(|| {
                format!(
                    "it was found with another module for `{op}` (SHA-256 {then:.12}…) than the one \
                     here ({source}): its images may differ"
                )
            })
        };
        recorded(policy).into_iter().filter_map(changed).collect()
    }

    /// An error, with more about an op that is not there.
    fn explained(
        &self,
        error: faa_policy::PolicyError,
        policy: &Policy,
        name: &str,
    ) -> anyhow::Error {
        let PolicyErrorKind::UnknownOp { op, .. } = error.kind() else {
            return error.into();
        };
        let where_looked = match &self.folders[..] {
            [] => "the built-in ops alone: name the folder of its plugin with --plugins DIR"
                .to_owned(),
            folders => {
                let folders: Vec<_> = folders
                    .iter()
                    .map(|folder| folder.display().to_string())
                    .collect();
                format!("the built-in ops and the plugins of {}", folders.join(", "))
            }
        };
        let shown_op = shown(op);
        let mut message = format!(
            "the policy {name} needs the op `{shown_op}`, which is not among {where_looked}"
        );
        if let Some(known) = recorded(policy).into_iter().find(|known| known.op == *op) {
            message += &format!("; it was found with a plugin of SHA-256 {}", known.sha256);
        }
        anyhow::Error::new(error).context(message)
    }
}

/// The entries that can be read, whose digests are digests; a policy may hold anything there.
fn recorded(policy: &Policy) -> Vec<Recorded> {
    let plugins: Option<Vec<Value>> = policy.provenance.get("plugins");
    let entries = plugins.into_iter().flatten();
    entries
        .filter_map(|entry| Recorded::deserialize(entry).ok())
        .filter(|it| it.sha256.len() == 64 && it.sha256.bytes().all(|b| b.is_ascii_hexdigit()))
        .collect()
}

/// An error with its causes, in one line.
pub(crate) fn in_a_line(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line += &format!(": {error}");
        cause = error.source();
    }
    line
}

/// Text from a file, fit for a terminal.
fn shown(text: &str) -> String {
    let fit = |character: char| {
        if character.is_control() {
            '\u{fffd}'
        } else {
            character
        }
    };
    text.chars().map(fit).take(200).collect()
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok();
    seconds
        .filter(|seconds| (0.01..=86_400.0).contains(seconds))
        .ok_or_else(|| "it is a number from 0.01 to 86400".to_owned())
}
