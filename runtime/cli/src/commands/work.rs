//! What `search`, `train` and `eval` have in common: what they work with, and how they are watched.

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::Path;

use anyhow::{Result, anyhow, bail};
use clap::{Args, ValueEnum};
use faa_op::OpSet;
use faa_search::config::Precision;
use faa_search::event::Event;
use faa_search::protocol::{End, Message, Request, Resources};
use faa_search::report::{self, ReportOptions};
use faa_search::{FinalResult, Summary, TensorBoard};

use crate::progress::Progress;
use crate::table::{render, table};
use crate::torch_process::TorchProcess;

/// What the work is done with.
#[derive(Args)]
#[command(next_help_heading = "Resources")]
pub(crate) struct HardwareOptions {
    /// auto, cpu, cuda, or cuda:N; several, separated by commas, for several GPUs.
    #[arg(long, visible_alias = "devices", value_name = "DEVICE", default_value = "auto",
          value_delimiter = ',', value_parser = parse_device)]
    device: Vec<String>,
    /// CPU threads; all cores where not given.
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

/// What networks that learn are worked on with.
#[derive(Args)]
#[command(next_help_heading = "Resources")]
pub(crate) struct PrecisionOptions {
    /// Numbers of networks: float32, bf16, or auto, which is bf16 on CUDA, and for judging
    /// candidates on a CPU with AMX. Test errors are float32's always.
    #[arg(long, value_enum, value_name = "NUMBERS", default_value_t = PrecisionName::Auto)]
    precision: PrecisionName,
    /// Folds, or trainings, side by side; one a device where not given.
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
}

/// How the work is watched.
#[derive(Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct WatchOptions {
    /// Print events as lines of JSON for programs.
    #[arg(long)]
    pub(crate) json: bool,
    /// Write the curves for TensorBoard, too, into OUT/tensorboard.
    #[arg(long)]
    tensorboard: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum PrecisionName {
    Auto,
    Float32,
    Bf16,
}

impl HardwareOptions {
    pub(crate) fn resources(&self, learning: Option<&PrecisionOptions>) -> Resources {
        let jobs = learning.and_then(|learning| learning.jobs);
        Resources {
            devices: self.device.clone(),
            threads: self.threads.map_or_else(all_cores, NonZeroUsize::get),
            jobs: jobs.map(NonZeroUsize::get),
        }
    }
}

impl PrecisionOptions {
    pub(crate) fn precision(&self) -> Precision {
        match self.precision {
            PrecisionName::Auto => Precision::Auto,
            PrecisionName::Float32 => Precision::Float32,
            PrecisionName::Bf16 => Precision::Bf16,
        }
    }
}

impl WatchOptions {
    /// Has the request done by the sibling, shows how it goes, and writes the run's report. With
    /// `--json` nothing is left to print.
    pub(crate) fn follow(&self, request: &Request, out: &Path, ops: OpSet) -> Result<Summary> {
        let mut progress = Progress::new();
        progress.wait();
        let mut curves = self.tensorboard.then(|| TensorBoard::new(out));
        let mut summary = None;
        let outcome = talk(request, Some(out), |event| {
            progress.show(&event);
            if let Some(Err(error)) = curves.as_mut().map(|curves| curves.record(&event)) {
                // The run is worth more than its curves.
                progress.warn(&format!("no more curves for TensorBoard: {error}"));
                curves = None;
            }
            if self.json {
                print_line(&serde_json::to_string(&event)?)?;
            }
            if let Event::Finished(finished) = event {
                summary = Some(finished);
            }
            Ok(())
        });
        progress.end();
        outcome?;
        let options = ReportOptions {
            ops,
            ..ReportOptions::default()
        };
        match report::write(out, &options) {
            Ok(page) if !self.json => eprintln!("report: {}", page.display()),
            Ok(_) => {}
            Err(error) => eprintln!("warning: no report: {:#}", anyhow::Error::from(error)),
        }
        summary.ok_or_else(|| anyhow!("the work ended without a result"))
    }
}

/// Hands every event of the sibling's work to `consume`.
pub(crate) fn talk(
    request: &Request,
    out: Option<&Path>,
    mut consume: impl FnMut(Event) -> Result<()>,
) -> Result<()> {
    let torch_process = TorchProcess::start_with_any(request)?;
    torch_process.stop_on_ctrl_c()?;
    torch_process.messages(|message| match message {
        Message::Event(event) => consume(event),
        Message::Ended {
            ended: End::Failed(causes),
        } => Err(as_error(causes)),
        Message::Ended {
            ended: End::Stopped,
        } => match out {
            Some(out) => bail!("stopped; the same command continues in {}", out.display()),
            None => bail!("stopped"),
        },
        _ => Ok(()),
    })
}

/// The errors of final trainings, for people; empty where there were none.
pub(crate) fn table_of(final_trainings: &[FinalResult]) -> String {
    if final_trainings.is_empty() {
        return String::new();
    }
    let mut table = table(&["trained with", "test error", "seeds"]);
    for result in final_trainings {
        let seeds = match result.diverged {
            0 => result.errors.len().to_string(),
            diverged => format!("{}, and {diverged} diverged", result.errors.len()),
        };
        table.add_row([
            result.augmentation.described().to_owned(),
            percent(&result.errors),
            seeds,
        ]);
    }
    format!("{}\n", render(&table))
}

/// This program as it was called, so that a line with it can be pasted.
pub(crate) fn program() -> String {
    std::env::args()
        .next()
        .unwrap_or_else(|| "faa-runtime".to_owned())
}

pub(crate) fn print_line(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

/// The mean of some shares, with their sample standard deviation where there are several.
fn percent(errors: &[f64]) -> String {
    let count = errors.len() as f64;
    let mean = errors.iter().sum::<f64>() / count;
    match errors.len() {
        0 => return "–".to_owned(),
        1 => return format!("{:.2} %", 100.0 * mean),
        _ => {}
    }
    let squares = errors.iter().map(|error| (error - mean).powi(2));
    let variance = squares.sum::<f64>() / (count - 1.0);
    format!("{:.2} ± {:.2} %", 100.0 * mean, 100.0 * variance.sqrt())
}

fn parse_device(word: &str) -> Result<String, String> {
    let index = word.strip_prefix("cuda:").map(str::parse::<usize>);
    if matches!(word, "auto" | "cpu" | "cuda") || matches!(index, Some(Ok(_))) {
        return Ok(word.to_owned());
    }
    Err("a device is auto, cpu, cuda or cuda:N".to_owned())
}

fn all_cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// The sibling's error as one of ours.
fn as_error(causes: Vec<String>) -> anyhow::Error {
    let mut causes = causes.into_iter().rev();
    let innermost = anyhow!(causes.next().unwrap_or_else(|| "unknown".to_owned()));
    causes.fold(innermost, anyhow::Error::context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_with_their_spread() {
        assert_eq!(percent(&[0.125]), "12.50 %");
        // Sample deviation: the square root of (1 + 0 + 1) / 2.
        assert_eq!(percent(&[0.01, 0.02, 0.03]), "2.00 ± 1.00 %");
        assert_eq!(percent(&[]), "–");
    }
}
