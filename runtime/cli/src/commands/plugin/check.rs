mod behaviour;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use faa_op::{Op, OpSet};
use faa_ops_builtin::builtin_ops;
use faa_plugin::{Host, Native, Plugin, PluginError};
use serde_json::{Value, json};

use super::print;
use crate::plugins::{Allowance, in_a_line};
use crate::table::{render, table};

/// Check plugins: what they state, and how they behave. Exits with 1 where anything is wrong.
#[derive(Args)]
#[command(after_help = "\
Each op is tried on images of many shapes from 1×1 to 1024×1024, with 1, 3 and 4 channels, with values
at both ends of its range, in the middle and beyond: the same call must give the same bytes, whatever
was called before, and in another instance too.

Examples:
  faa-runtime plugin check vignette.wasm
  faa-runtime plugin check plugins/*.wasm --json")]
pub(crate) struct Check {
    /// The plugins.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print JSON for programs.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    allowance: Allowance,
}

/// Something that was checked.
struct Finding {
    what: String,
    ok: bool,
    /// What was found.
    detail: String,
    /// What to do, where it is not as it should be.
    advice: &'static str,
}

/// All that was found of one file.
struct Report {
    file: PathBuf,
    facts: Value,
    findings: Vec<Finding>,
}

impl Check {
    pub(crate) fn run(self) -> Result<()> {
        let host = self.allowance.host()?;
        let native = self.allowance.native();
        // What a folder with all of these would already have when the next one is loaded.
        let mut others = builtin_ops();
        let reports: Vec<Report> = (self.files.iter())
            .map(|file| Report::of(&host, native, file, &mut others))
            .collect();
        if self.json {
            let reports: Vec<Value> = reports.iter().map(Report::as_json).collect();
            print(&format!("{:#}\n", Value::from(reports)))?;
        } else {
            for report in &reports {
                print(&report.as_text())?;
            }
        }
        let broken = reports.iter().filter(|report| !report.is_fine()).count();
        if broken > 0 {
            bail!(
                "{broken} of {} plugin(s) are not as they should be",
                reports.len()
            );
        }
        Ok(())
    }
}

impl Finding {
    fn good(what: &str, detail: impl Into<String>) -> Self {
        Self {
            what: what.to_owned(),
            ok: true,
            detail: detail.into(),
            advice: "",
        }
    }
}

impl Report {
    fn of(host: &Host, native: Native, file: &Path, others: &mut OpSet) -> Self {
        let (facts, findings) = match host.load_path(file, native) {
            Ok(plugin) => {
                let size = fs::metadata(file).map_or(0, |facts| facts.len());
                let mut findings = findings(&plugin, size);
                findings.push(names_are_free(&plugin, others));
                (facts(&plugin, size), findings)
            }
            Err(error) => {
                let finding = Finding {
                    what: "loads".to_owned(),
                    ok: false,
                    detail: in_a_line(&error),
                    advice: advice(&error),
                };
                (json!({"error": error.kind()}), vec![finding])
            }
        };
        Self {
            file: file.to_owned(),
            facts,
            findings,
        }
    }

    fn is_fine(&self) -> bool {
        self.findings.iter().all(|finding| finding.ok)
    }

    fn as_json(&self) -> Value {
        let mut json = self.facts.clone();
        json["file"] = self.file.to_string_lossy().into();
        json["ok"] = self.is_fine().into();
        let checks = self.findings.iter().map(|finding| {
            let advice = (!finding.ok).then_some(finding.advice);
            let (what, ok, detail) = (&finding.what, finding.ok, &finding.detail);
            json!({"check": what, "ok": ok, "detail": detail, "advice": advice})
        });
        json["checks"] = checks.collect();
        json
    }

    fn as_text(&self) -> String {
        let mut table = table(&["", "check", "found"]);
        for finding in &self.findings {
            let mark = if finding.ok { "ok" } else { "FAILS" };
            let detail = match finding.advice {
                advice if finding.ok || advice.is_empty() => finding.detail.clone(),
                advice => format!("{}\n→ {advice}", finding.detail),
            };
            table.add_row([mark.to_owned(), finding.what.clone(), detail]);
        }
        format!("{}\n{}\n", self.file.display(), render(&table))
    }
}

/// What to do about a plugin that was not loaded.
fn advice(error: &PluginError) -> &'static str {
    match error {
        PluginError::Read(_) => "name a file that is there and can be read",
        PluginError::NoAbi | PluginError::BadAbi => {
            "`export_ops!` writes the section; a tool that strips modules must leave it"
        }
        PluginError::MissingExport(_) => {
            "`export_ops!` writes the exports; in other languages, tell the linker to keep them"
        }
        PluginError::Call { .. } => {
            "run the tests of the ops natively: what makes them must neither fail nor take long"
        }
        PluginError::TooComplex { .. } => {
            "build it with optimisation, and split large functions or mark them `#[inline(never)]`"
        }
        PluginError::NativeNotAllowed => "give --allow-native where you trust it",
        _ => "see what `faa-runtime plugin new` makes, and the plugin ABI, for what is expected",
    }
}

/// Whether the plugin can stand beside the built-in ops and the plugins that were named before it.
fn names_are_free(plugin: &Plugin, others: &mut OpSet) -> Finding {
    let what = "names";
    match plugin.add_to(others) {
        Ok(()) => Finding::good(what, "no other op has them"),
        Err(taken) => Finding {
            what: what.to_owned(),
            ok: false,
            detail: format!("{taken}, built in or of a plugin before this one"),
            advice: "give the op another name, or leave the other plugin away",
        },
    }
}

/// What is known of a plugin that was loaded, for programs.
fn facts(plugin: &Plugin, size: u64) -> Value {
    let ops = plugin.ops().iter().map(|op| {
        let spec = op.spec();
        let range = spec.value_range();
        json!({
            "name": spec.name(),
            "summary": spec.summary(),
            "low": range.map(|range| range.low),
            "high": range.map(|range| range.high),
            "unit": range.map(|range| range.unit.as_ref()),
            "mirrored": range.is_some_and(|range| range.centre.is_some()),
        })
    });
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

/// What a plugin states, which loading has checked, and what it does.
fn findings(plugin: &Plugin, size: u64) -> Vec<Finding> {
    let abi = plugin.abi();
    let mut found = vec![
        Finding::good("size", format!("{size} bytes, SHA-256 {}", plugin.sha256())),
        Finding::good("ABI", format!("{}.{}", abi.major, abi.minor)),
    ];
    if plugin.is_native() {
        found.push(Finding::good("kind", "a native library, without a sandbox"));
    } else {
        let memory = plugin.memory().unwrap_or_default();
        found.push(Finding::good("imports", "none"));
        found.push(Finding::good("exports", plugin.exports().join(", ")));
        found.push(Finding::good(
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
        found.push(Finding::good(spec.name(), format!("{summary} ({range})")));
        found.extend(behaviour::findings(plugin, op));
    }
    found
}
