//! The ops that a command can use: the built-in ops and those of plugins.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use faa_op::text::clean;
use faa_op::{Op, OpSet};
use faa_ops_builtin::builtin_ops;
use faa_plugin::{Broken, Found, Host, NativePermission, Plugin};
use faa_policy::{Executor, Policy, PolicyErrorKind};
use faa_system::log_line;
use serde::Deserialize;
use serde_json::Value;

use crate::arguments::{check_utf8, in_range};

/// Plugin folders and limits.
#[derive(Args)]
#[command(next_help_heading = "Plugins")]
pub(crate) struct PluginOptions {
    /// Load the plugins in this folder; can be repeated.
    #[arg(long = "plugins", value_name = "DIR")]
    folders: Vec<PathBuf>,
    #[command(flatten)]
    limits: PluginLimits,
}

/// Limits of plugins.
#[derive(Args)]
#[command(next_help_heading = "Plugins")]
pub(crate) struct PluginLimits {
    /// Also load native libraries, which run without a sandbox, with all of your permissions.
    #[arg(long)]
    allow_native: bool,
    /// Memory limit per plugin and thread, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = default_limits().memory_mib,
          value_parser = in_range(faa_plugin::PluginOptions::MEMORY_MIB))]
    plugin_memory: u32,
    /// Memory limit of all plugins and threads together, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = default_limits().total_memory_mib,
          value_parser = in_range(faa_plugin::PluginOptions::TOTAL_MEMORY_MIB))]
    plugin_total_memory: u32,
    /// Time limit per call into a plugin, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = default_limits().call_seconds,
          value_parser = in_range(faa_plugin::PluginOptions::CALL_SECONDS))]
    plugin_time: f64,
}

fn default_limits() -> faa_plugin::PluginOptions {
    faa_plugin::PluginOptions::new(Vec::new())
}

/// The available ops, and where they come from.
pub(crate) struct KnownOps {
    pub(crate) ops: OpSet,
    pub(crate) plugins: Vec<Plugin>,
    /// The files in the folders of plugins that could not be loaded.
    pub(crate) broken: Vec<PathBuf>,
    /// The folders without plugins.
    pub(crate) empty: Vec<PathBuf>,
    folders: Vec<PathBuf>,
}

/// An op of a plugin, recorded in a policy's provenance when the policy was found.
#[derive(Deserialize)]
struct RecordedOp {
    op: String,
    sha256: String,
}

impl PluginLimits {
    pub(crate) fn host(&self) -> Result<Host> {
        Ok(self.with_folders(&[]).host()?)
    }

    #[expect(unsafe_code, reason = "only the user can vouch for a native library")]
    pub(crate) fn native(&self) -> Option<NativePermission> {
        // SAFETY: with --allow-native, whose help describes the risk, the user vouches for the libraries.
        unsafe { self.with_folders(&[]).native_permission() }
    }

    fn with_folders(&self, folders: &[PathBuf]) -> faa_plugin::PluginOptions {
        let mut options = faa_plugin::PluginOptions::new(folders.to_owned());
        options.allow_native = self.allow_native;
        options.memory_mib = self.plugin_memory;
        options.total_memory_mib = self.plugin_total_memory;
        options.call_seconds = self.plugin_time;
        options
    }
}

impl PluginOptions {
    /// The built-in ops and those of the plugins. Broken plugins are reported and skipped.
    pub(crate) fn known_ops(&self) -> Result<KnownOps> {
        self.known_ops_with(builtin_ops())
    }

    /// Like [`Self::known_ops`], with the given built-in ops.
    pub(crate) fn known_ops_with(&self, mut ops: OpSet) -> Result<KnownOps> {
        let options = self.limits.with_folders(&self.folders);
        let Found { loaded, broken, .. } = options.load_into(self.limits.native(), &mut ops)?;
        let files =
            || (loaded.iter().filter_map(Plugin::path)).chain(broken.iter().map(|it| &*it.path));
        let mut empty = self.folders.clone();
        empty.retain(|folder| !files().any(|file| file.parent() == Some(folder)));
        for folder in &empty {
            let name = folder.to_string_lossy();
            log_line!("warning: there is no plugin in {}", clean(&name, 200));
        }
        let mut paths = Vec::new();
        for Broken { path, error, .. } in broken {
            let (name, why) = (path.to_string_lossy(), anyhow!(error));
            log_line!("warning: {} was not loaded: {why:#}", clean(&name, 200));
            paths.push(path);
        }
        Ok(KnownOps {
            ops,
            plugins: loaded,
            broken: paths,
            empty,
            folders: self.folders.clone(),
        })
    }

    /// The options for `faa-runtime-torch`, with absolute paths; `None` without plugin folders.
    pub(crate) fn request(&self) -> Result<Option<faa_plugin::PluginOptions>> {
        if self.folders.is_empty() {
            return Ok(None);
        }
        let folders = self.folders.iter().map(|folder| {
            check_utf8("--plugins", folder)?;
            std::path::absolute(folder)
                .with_context(|| format!("cannot read the folder {}", folder.display()))
        });
        let folders = folders.collect::<Result<Vec<_>>>()?;
        Ok(Some(self.limits.with_folders(&folders)))
    }
}

impl KnownOps {
    /// The plugin that has an op; `None` for a built-in one.
    pub(crate) fn plugin_of(&self, op: &str) -> Option<&Plugin> {
        self.plugins.iter().find(|plugin| plugin.has_op(op))
    }

    /// Whether `work`, which was asked to use every plugin, can do so.
    ///
    /// # Errors
    ///
    /// If a plugin was not loaded, or a folder has none.
    pub(crate) fn check_complete(&self, work: &str) -> Result<()> {
        let name = |path: &Path| clean(&path.to_string_lossy(), 200);
        if let Some(broken) = self.broken.first() {
            bail!(
                "the {work} would leave out the plugin {}: repair or remove it, or name the ops to use \
                 with --ops",
                name(broken)
            );
        }
        if let Some(empty) = self.empty.first() {
            check_utf8("--plugins", empty)?;
            bail!(
                "there is no plugin in {}, so the {work} would use built-in ops only: name the folder \
                 with the plugins, or omit --plugins",
                name(empty)
            );
        }
        Ok(())
    }

    /// Where an op comes from: `built-in`, or a plugin's file.
    pub(crate) fn source(&self, op: &str) -> String {
        match self.plugin_of(op).and_then(Plugin::path) {
            Some(path) => path.display().to_string(),
            None => "built-in".to_owned(),
        }
    }

    /// The ops of plugins, sorted by name, each with the digest of its module or library.
    pub(crate) fn of_plugins(&self) -> Vec<(String, String)> {
        let ops = self.plugins.iter().flat_map(|plugin| {
            let ops = plugin.ops().iter();
            ops.map(|op| (op.spec().name().to_owned(), plugin.sha256()))
        });
        let mut ops: Vec<_> = ops.collect();
        ops.sort();
        ops
    }

    /// An executor of a policy with these ops. Warns if the policy was found with a different module
    /// for one of its ops.
    pub(crate) fn executor(&self, policy: &Policy, name: &str) -> Result<Executor> {
        for changed in self.changed(policy) {
            log_line!("warning: {name}: {changed}");
        }
        Executor::new(policy, &self.ops)
            .map_err(|error| self.explained(error, policy, name))
            .with_context(|| format!("cannot apply the policy {name}"))
    }

    /// Checks that a policy can be applied with these ops.
    pub(crate) fn check(&self, policy: &Policy, name: &str) -> Result<()> {
        policy
            .check(&self.ops)
            .map_err(|error| self.explained(error, policy, name))
            .with_context(|| format!("the policy {name} cannot be applied"))?;
        match self.changed(policy).first() {
            Some(changed) => Err(anyhow!("{name}: {changed}")),
            None => Ok(()),
        }
    }

    /// A message for each op that comes from a different module than when the policy was found.
    fn changed(&self, policy: &Policy) -> Vec<String> {
        let changed = |RecordedOp { op, sha256 }| {
            // Unknown ops are reported by `explained`.
            self.ops.get(&op)?;
            let current = self.plugin_of(&op).map(Plugin::sha256);
            let source = self.source(&op);
            (current.as_ref() != Some(&sha256)).then(|| {
                format!(
                    "the policy was found with a different module for `{op}` (SHA-256 {sha256:.12}…) \
                     than {source}: images may differ"
                )
            })
        };
        recorded(policy).into_iter().filter_map(changed).collect()
    }

    /// Adds to an error about an unknown op where the op was looked up.
    fn explained(
        &self,
        error: faa_policy::PolicyError,
        policy: &Policy,
        name: &str,
    ) -> anyhow::Error {
        let PolicyErrorKind::UnknownOp { op, .. } = error.kind() else {
            return error.into();
        };
        let searched = match &self.folders[..] {
            [] => "the built-in ops: add --plugins DIR with the folder of its plugin".to_owned(),
            folders => {
                let folders = folders.iter().map(|folder| folder.display().to_string());
                let folders = folders.collect::<Vec<_>>().join(", ");
                format!("the built-in ops and the plugins of {folders}")
            }
        };
        let mut recorded = recorded(policy).into_iter();
        let found_with = recorded.find(|recorded| recorded.op == *op);
        let found_with = found_with.map_or(String::new(), |RecordedOp { sha256, .. }| {
            format!("; the policy was found with a plugin of SHA-256 {sha256}")
        });
        let op = clean(op, 200);
        let message = format!(
            "the policy {name} needs the op `{op}`, which is not among {searched}{found_with}"
        );
        anyhow::Error::new(error).context(message)
    }
}

/// The plugins' ops in a policy's provenance. Invalid entries are skipped, because a policy may contain
/// anything there.
fn recorded(policy: &Policy) -> Vec<RecordedOp> {
    let plugins: Option<Vec<Value>> = policy.provenance.get("plugins");
    let entries = plugins.into_iter().flatten();
    entries
        .filter_map(|entry| serde_json::from_value::<RecordedOp>(entry).ok())
        .filter(|it| it.sha256.len() == 64 && it.sha256.bytes().all(|b| b.is_ascii_hexdigit()))
        .collect()
}
