use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use clap::Args;
use faa_op::Op;
use faa_plugin::{Host, HostConfig, Plugin};
use faa_search::device::DeviceName;
use faa_search::protocol::{Message, Request, TorchReport};
use serde_json::json;

use super::print;
use crate::libtorch::{self, Libtorch};
use crate::plugins::PluginOptions;
use crate::torch_process::{self, TorchProcess};
use crate::wasm_toolchain::{self, Toolchain};

/// Check the installation: libtorch, CUDA, CPU features, and what plugins need.
#[derive(Args)]
#[command(after_help = "\
The exit status is 1 if `search`, `train`, `audit` and `eval` cannot run.

Examples:
  faa-runtime doctor
  faa-runtime doctor --plugins plugins
  faa-runtime doctor --json")]
pub(crate) struct Doctor {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    plugins: PluginOptions,
}

/// What was found, or why it was not found.
struct Findings {
    cpu: Vec<&'static str>,
    threads: usize,
    libtorch: Result<Libtorch, String>,
    program: Result<PathBuf, String>,
    torch: Result<TorchReport, String>,
    /// The Rust toolchain that builds plugins.
    toolchain: Option<Toolchain>,
    /// The error says why plugins cannot run.
    host: Result<(), String>,
    /// The folder that caches compiled plugins, or why there is none.
    cache: Result<PathBuf, String>,
    /// Why the libtorch in the cache is not used, if there is one.
    unused_libtorch: Option<String>,
    /// The plugins of `--plugins`.
    plugins: Vec<Plugin>,
}

impl Doctor {
    pub(crate) fn run(self) -> Result<()> {
        let findings = Findings::gather(self.plugins.known_ops()?.plugins);
        let text = if self.json {
            findings.as_json()
        } else {
            findings.as_text()
        };
        print(&text)?;
        if findings.torch.is_err() {
            bail!("`search`, `train`, `audit` and `eval` cannot run here; all other commands can");
        }
        Ok(())
    }
}

impl Findings {
    fn gather(plugins: Vec<Plugin>) -> Self {
        let libtorch = libtorch::find(&[DeviceName::Auto]).map_err(|error| error.to_string());
        let program = torch_process::program().map_err(|error| error.to_string());
        let torch = match (&libtorch, &program) {
            (Ok(libtorch), Ok(_)) => ask_torch(libtorch).map_err(|error| format!("{error:#}")),
            _ => Err("unknown, because the above is missing".to_owned()),
        };
        Self {
            cpu: cpu_features(),
            threads: std::thread::available_parallelism().map_or(1, Into::into),
            libtorch,
            program,
            torch,
            toolchain: wasm_toolchain::find_installed(),
            host: Host::new(HostConfig::default())
                .map(drop)
                .map_err(|error| format!("{:#}", anyhow!(error))),
            cache: plugin_cache(),
            unused_libtorch: unused_libtorch(),
            plugins,
        }
    }

    fn as_text(&self) -> String {
        let libtorch = match &self.libtorch {
            Ok(found) => {
                let (version, home, origin) =
                    (libtorch::VERSION, found.home.display(), found.origin);
                format!("{version} at {home} (from {origin})")
            }
            Err(why) => format!("MISSING: {why}"),
        };
        let unused = self
            .unused_libtorch
            .as_ref()
            .map_or_else(String::new, |why| {
                format!("; the one in the cache is NOT USED: {why}")
            });
        let program = match &self.program {
            Ok(path) => path.display().to_string(),
            Err(why) => format!("MISSING: {why}"),
        };
        let (onednn, cuda) = match &self.torch {
            Ok(report) => (
                if report.onednn {
                    "yes"
                } else {
                    "no: trainings on the CPU will be slow"
                },
                report.cuda.as_str(),
            ),
            Err(why) => ("unknown", why.as_str()),
        };
        let text = format!(
            "program            faa-runtime {}\n\
             CPU                {} threads; {}\n\
             libtorch           {libtorch}{unused}\n\
             faa-runtime-torch  {program}\n\
             oneDNN             {onednn}\n\
             CUDA               {cuda}\n\
             plugins            {}; {}\n\
             building plugins   {}\n",
            env!("CARGO_PKG_VERSION"),
            self.threads,
            self.cpu.join(", "),
            match &self.host {
                Ok(()) => "WebAssembly plugins can run",
                Err(why) => why,
            },
            match &self.cache {
                Ok(folder) => format!("cache: {}", folder.display()),
                Err(why) => format!("the cache is NOT USED: {why}"),
            },
            match &self.toolchain {
                Some(toolchain) => toolchain.to_string(),
                None => format!("MISSING: {}", wasm_toolchain::HOW_TO_INSTALL),
            },
        );
        let plugins = self.plugins.iter().map(|plugin| {
            let path = plugin.path().unwrap_or(Path::new("?")).display();
            format!("plugin             {path}: {}\n", names(plugin).join(", "))
        });
        text + &plugins.collect::<String>()
    }

    fn as_json(&self) -> String {
        let findings = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "threads": self.threads,
            "cpu_features": self.cpu,
            "unused_libtorch": self.unused_libtorch,
            "libtorch": match &self.libtorch {
                Ok(found) => json!({
                    "version": libtorch::VERSION,
                    "home": found.home,
                    "origin": found.origin.to_string(),
                    "has_cuda": found.has_cuda(),
                }),
                Err(why) => json!({"missing": why}),
            },
            "faa_runtime_torch": match &self.program {
                Ok(path) => json!(path),
                Err(why) => json!({"missing": why}),
            },
            "torch": match &self.torch {
                Ok(report) => json!(report),
                Err(why) => json!({"error": why}),
            },
            "plugins": {
                "error": self.host.as_ref().err(),
                "cache": self.cache.as_ref().ok(),
                "cache_error": self.cache.as_ref().err(),
                "loaded": self.plugins.iter().map(|plugin| json!({
                    "file": plugin.path(), "sha256": plugin.sha256(), "ops": names(plugin),
                })).collect::<Vec<_>>(),
                "toolchain": self.toolchain.as_ref().map(ToString::to_string),
            },
        });
        format!("{findings:#}\n")
    }
}

/// The folder that caches compiled plugins. It may be missing until it is first used.
fn plugin_cache() -> Result<PathBuf, String> {
    faa_system::cache_folder().map_err(|error| error.to_string())?;
    let folder = faa_plugin::default_cache();
    let folder = folder.ok_or("nobody can check who may write to it on this system")?;
    match faa_system::private_folder(&folder) {
        Err(error) if !error.is_missing() => Err(error.to_string()),
        _ => Ok(folder),
    }
}

fn unused_libtorch() -> Option<String> {
    let cache = faa_system::cache_folder().ok()?;
    let found = faa_system::libtorch::in_cache(&cache).exists();
    let error = found.then(|| faa_system::libtorch::find_in_cache(&cache).err())?;
    error.map(|error| error.to_string())
}

fn names(plugin: &Plugin) -> Vec<&str> {
    let ops = plugin.ops().iter();
    ops.map(|op| op.spec().name()).collect()
}

fn ask_torch(libtorch: &Libtorch) -> Result<TorchReport> {
    let mut answer = None;
    TorchProcess::start(&Request::Doctor, libtorch)?.messages(|message| {
        if let Message::Doctor { doctor } = message {
            answer = Some(doctor);
        }
        Ok(())
    })?;
    match answer {
        Some(report) => Ok(report),
        None => bail!("faa-runtime-torch did not answer"),
    }
}

/// The instruction sets of this CPU that speed up ops and networks.
fn cpu_features() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    {
        macro_rules! detected {
            ($($name:tt)*) => { [$(is_x86_feature_detected!($name).then_some($name)),*] };
        }
        let all = detected!("sse4.1" "avx2" "fma" "avx512f" "avx512bw" "avx512bf16");
        all.into_iter().flatten().collect()
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        vec![std::env::consts::ARCH]
    }
}
