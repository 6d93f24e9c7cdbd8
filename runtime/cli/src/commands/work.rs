//! What `search`, `train` and `eval` share: the hardware, and how the work is watched.

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::Path;

use anyhow::{Result, anyhow, bail};
use clap::Args;
use faa_op::OpSet;
use faa_plugin::PluginOptions;
use faa_report::page::{self, ReportOptions};
use faa_report::tensorboard::TensorBoard;
use faa_search::config::RunConfig;
use faa_search::device::DeviceName;
use faa_search::environment::Resources;
use faa_search::event::Event;
use faa_search::protocol::{End, Message, Request, RunRequest};
use faa_search::results::{FinalResult, Summary};

use super::Usage;
use crate::progress::Progress;
use crate::table::{render, table};
use crate::torch_process::TorchProcess;

#[derive(Args)]
#[command(next_help_heading = "Hardware")]
pub(crate) struct HardwareOptions {
    /// Device: auto, cpu, cuda or cuda:N; several, separated by commas, for several GPUs.
    #[arg(
        long,
        visible_alias = "devices",
        value_name = "DEVICE",
        default_value = "auto",
        value_delimiter = ','
    )]
    device: Vec<DeviceName>,
    /// CPU threads [default: all cores].
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

#[derive(Args)]
#[command(next_help_heading = "Hardware")]
pub(crate) struct JobsOption {
    /// Folds or trainings in parallel [default: one per device].
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
}

#[derive(Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct WatchOptions {
    /// Print events as JSON, one per line.
    #[arg(long)]
    pub(crate) json: bool,
    /// Write the curves for TensorBoard to OUT/tensorboard.
    #[arg(long)]
    tensorboard: bool,
}

impl HardwareOptions {
    pub(crate) fn resources(&self, jobs: Option<&JobsOption>) -> Result<Resources> {
        let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let resources = Resources {
            devices: self.device.clone(),
            threads: self.threads.map_or_else(cores, NonZeroUsize::get),
            jobs: jobs.and_then(|jobs| jobs.jobs).map(NonZeroUsize::get),
        };
        resources
            .check()
            .map_err(|error| Usage(error.to_string()))?;
        Ok(resources)
    }
}

impl WatchOptions {
    /// Has the run done, shows how it goes, and writes its report. With `--json` nothing is left to
    /// print.
    pub(crate) fn follow(
        &self,
        config: RunConfig,
        out: &Path,
        resources: Resources,
        plugins: Option<PluginOptions>,
        ops: OpSet,
    ) -> Result<Summary> {
        let mut progress = Progress::new();
        progress.wait();
        let mut curves = self.tensorboard.then(|| TensorBoard::new(out));
        let mut summary = None;
        let request = Request::Run(Box::new(RunRequest {
            config,
            out: out.to_owned(),
            resources,
            plugins,
        }));
        let result = talk(&request, Some(out), |event| {
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
        result?;
        let options = ReportOptions {
            ops,
            ..ReportOptions::default()
        };
        match page::write(out, &options) {
            Ok(page) if !self.json => eprintln!("report: {}", page.display()),
            Ok(_) => {}
            Err(error) => eprintln!("warning: no report: {:#}", anyhow::Error::from(error)),
        }
        summary.ok_or_else(|| anyhow!("the run ended without a result"))
    }
}

/// Passes every event of a request to `consume`.
pub(crate) fn talk(
    request: &Request<PluginOptions>,
    out: Option<&Path>,
    mut consume: impl FnMut(Event) -> Result<()>,
) -> Result<()> {
    let process = TorchProcess::start_with_any(request)?;
    process.stop_on_ctrl_c()?;
    process.messages(|message| match message {
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

/// The test errors of final trainings, for people; empty if there are none.
pub(crate) fn results_table(results: &[FinalResult]) -> String {
    if results.is_empty() {
        return String::new();
    }
    let mut table = table(&["trained with", "test error", "seeds"]);
    for result in results {
        let seeds = match result.diverged {
            0 => result.errors.len().to_string(),
            diverged => format!("{}, and {diverged} diverged", result.errors.len()),
        };
        let trained_with = result.augmentation.description().to_owned();
        table.add_row([trained_with, percent(&result.errors), seeds]);
    }
    format!("{}\n", render(&table))
}

/// This program as it was called, so that a line with it can be pasted.
pub(crate) fn program() -> String {
    let called = std::env::args().next();
    called.unwrap_or_else(|| "faa-runtime".to_owned())
}

pub(crate) fn print_line(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

/// The mean of some fractions, with their sample standard deviation if there are several.
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

/// An error of the other program as one of ours.
fn as_error(causes: Vec<String>) -> anyhow::Error {
    let mut causes = causes.into_iter().rev();
    let innermost = anyhow!(causes.next().unwrap_or_else(|| "unknown".to_owned()));
    causes.fold(innermost, anyhow::Error::context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_shown_with_their_spread() {
        assert_eq!(percent(&[0.125]), "12.50 %");
        // Sample deviation: the square root of (1 + 0 + 1) / 2.
        assert_eq!(percent(&[0.01, 0.02, 0.03]), "2.00 ± 1.00 %");
        assert_eq!(percent(&[]), "–");
    }
}
