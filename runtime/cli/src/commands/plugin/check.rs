mod behaviour;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use clap::Args;
use faa_op::{Op, OpSet};
use faa_ops_builtin::builtin_ops;
use faa_plugin::{Host, NativePermission, Plugin, PluginErrorKind};
use serde_json::{Value, json};

use super::super::{ops, print};
use crate::arguments::in_range;
use crate::plugins::PluginLimits;
use crate::table::{render, table};

/// Check the format and behaviour of plugins; the exit status is 1 if a check fails.
#[derive(Args)]
#[command(after_help = "\
Each op is applied to images from 1×1 to 1024×1024 pixels with 1, 3 and 4 channels, with values at
both ends, in the middle and outside of its range. The same call must always give the same bytes,
regardless of earlier calls, and in a new instance too.

Examples:
  faa-runtime plugin check vignette.wasm
  faa-runtime plugin check plugins/*.wasm --json")]
pub(crate) struct Check {
    /// Plugin files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Time limit for all checks together, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 600.0,
          value_parser = in_range(faa_plugin::PluginOptions::CALL_SECONDS))]
    total_time: f64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    limits: PluginLimits,
}

/// The result of one check.
struct Finding {
    check: String,
    ok: bool,
    /// The result in words.
    detail: String,
    /// How to fix it if the check fails.
    advice: &'static str,
}

/// The results of all checks of one file.
struct Report {
    file: PathBuf,
    /// The plugin's properties, as JSON.
    info: Value,
    findings: Vec<Finding>,
}

impl Check {
    pub(crate) fn run(self) -> Result<()> {
        let host = self.limits.host()?;
        let native = self.limits.native();
        let deadline = Instant::now() + Duration::from_secs_f64(self.total_time);
        // The ops that are already loaded when a folder with these plugins is loaded in this order.
        let mut others = builtin_ops();
        let reports: Vec<Report> = (self.files.iter())
            .map(|file| Report::of(&host, native, file, &mut others, deadline))
            .collect();
        if self.json {
            let reports: Vec<Value> = reports.iter().map(Report::as_json).collect();
            print(&format!("{:#}\n", Value::from(reports)))?;
        } else {
            for report in &reports {
                print(&report.as_text())?;
            }
        }
        let broken = reports.iter().filter(|report| !report.is_ok()).count();
        if broken > 0 {
            bail!("{broken} of {} plugin(s) failed the check", reports.len());
        }
        Ok(())
    }
}

impl Finding {
    fn passed(check: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            check: check.into(),
            ok: true,
            detail: detail.into(),
            advice: "",
        }
    }

    fn failed(check: impl Into<String>, detail: String, advice: &'static str) -> Self {
        Self {
            check: check.into(),
            ok: false,
            detail,
            advice,
        }
    }
}

/// The failure of a check that has not ended by the deadline of all checks.
fn out_of_time(check: &str, deadline: Instant) -> Option<Finding> {
    let advice = "make the ops faster, or check fewer plugins at once, or raise --total-time";
    let late = Instant::now() >= deadline;
    late.then(|| Finding::failed(check, "not finished within --total-time".to_owned(), advice))
}

impl Report {
    fn of(
        host: &Host,
        native: Option<NativePermission>,
        file: &Path,
        others: &mut OpSet,
        deadline: Instant,
    ) -> Self {
        let (info, findings) = match host.load_path(file, native) {
            Ok(plugin) => {
                let size = fs::metadata(file).map_or(0, |file| file.len());
                let mut findings = findings(&plugin, size, deadline);
                findings.push(names_are_unique(&plugin, others));
                // The next plugin may need the memory.
                plugin.drop_instance();
                (info(&plugin, size), findings)
            }
            Err(error) => {
                let (code, advice) = (error.code(), advice(error.kind()));
                let finding = Finding::failed("loads", format!("{:#}", anyhow!(error)), advice);
                (json!({"error": code}), vec![finding])
            }
        };
        let file = file.to_owned();
        Self {
            file,
            info,
            findings,
        }
    }

    fn is_ok(&self) -> bool {
        self.findings.iter().all(|finding| finding.ok)
    }

    fn as_json(&self) -> Value {
        let mut json = self.info.clone();
        json["file"] = self.file.to_string_lossy().into();
        json["ok"] = self.is_ok().into();
        let checks = self.findings.iter().map(|finding| {
            let advice = (!finding.ok).then_some(finding.advice);
            let (check, ok, detail) = (&finding.check, finding.ok, &finding.detail);
            json!({"check": check, "ok": ok, "detail": detail, "advice": advice})
        });
        json["checks"] = checks.collect();
        json
    }

    fn as_text(&self) -> String {
        let mut table = table(&["", "check", "result"]);
        for finding in &self.findings {
            let mark = if finding.ok { "ok" } else { "FAILS" };
            let detail = match finding.advice {
                advice if finding.ok || advice.is_empty() => finding.detail.clone(),
                advice => format!("{}\n→ {advice}", finding.detail),
            };
            table.add_row([mark.to_owned(), finding.check.clone(), detail]);
        }
        format!("{}\n{}\n", self.file.display(), render(&table))
    }
}

/// How to fix a plugin that could not be loaded.
fn advice(kind: &PluginErrorKind) -> &'static str {
    match kind {
        PluginErrorKind::Read(_) => "name a file that exists and can be read",
        PluginErrorKind::NoAbi | PluginErrorKind::BadAbi => {
            "`export_ops!` writes the section; tools that strip modules must keep it"
        }
        PluginErrorKind::MissingExport(_) => {
            "`export_ops!` writes the exports; in other languages, make the linker keep them"
        }
        PluginErrorKind::Call { .. } => {
            "test the ops natively with `cargo test`: creating an op must not fail or take long"
        }
        PluginErrorKind::TooComplex { .. } => {
            "build it with optimisations, and split large functions or mark them `#[inline(never)]`"
        }
        PluginErrorKind::NativeNotAllowed => "pass --allow-native if you trust it",
        _ => {
            "compare it with a plugin created by `faa-runtime plugin new`, and with plugin-sdk/ABI.md"
        }
    }
}

/// Whether the names differ from those of built-in ops and of the plugins checked before.
fn names_are_unique(plugin: &Plugin, others: &mut OpSet) -> Finding {
    match plugin.add_to(others) {
        Ok(()) => Finding::passed("names", "unique"),
        Err(taken) => Finding::failed(
            "names",
            format!("{taken}, built-in or in an earlier plugin"),
            "rename the op, or remove the other plugin",
        ),
    }
}

/// The properties of a loaded plugin, as JSON.
fn info(plugin: &Plugin, size: u64) -> Value {
    let ops = plugin.ops().iter().map(|op| ops::as_json(op.spec()));
    json!({
        "bytes": size,
        "sha256": plugin.sha256(),
        "native": plugin.is_native(),
        "abi": {"major": plugin.abi().major, "minor": plugin.abi().minor},
        "exports": plugin.exports(),
        "imports": [],
        "memory_bytes": plugin.memory(),
        "ops": ops.collect::<Value>(),
    })
}

/// The format of a plugin, which loading has checked, and its behaviour.
fn findings(plugin: &Plugin, size: u64, deadline: Instant) -> Vec<Finding> {
    let abi = plugin.abi();
    let mut found = vec![
        Finding::passed("size", format!("{size} bytes, SHA-256 {}", plugin.sha256())),
        Finding::passed("ABI", format!("{}.{}", abi.major, abi.minor)),
    ];
    if plugin.is_native() {
        found.push(Finding::passed(
            "kind",
            "a native library, without a sandbox",
        ));
    } else {
        let memory = plugin.memory().unwrap_or_default();
        found.push(Finding::passed("imports", "none"));
        found.push(Finding::passed("exports", plugin.exports().join(", ")));
        found.push(Finding::passed(
            "memory",
            format!("{} KiB before the first image", memory / 1024),
        ));
    }
    for op in plugin.ops() {
        let spec = op.spec();
        let range = match spec.value_range() {
            Some(range) => {
                let mirrored = if range.centre.is_some() {
                    ", mirrored"
                } else {
                    ""
                };
                format!("{} … {} {}{mirrored}", range.low, range.high, range.unit)
            }
            None => "no value".to_owned(),
        };
        let summary = spec.summary();
        found.push(Finding::passed(spec.name(), format!("{summary} ({range})")));
        found.extend(behaviour::findings(plugin, op, deadline));
    }
    found
}
