//! Hardware and output options, and the execution of requests by `faa-runtime-torch`.

use std::num::NonZeroUsize;
use std::path::Path;

use anyhow::{Result, anyhow, bail};
use clap::Args;
use faa_data::DataSpec;
use faa_report::page::{self, ReportOptions};
use faa_report::tensorboard::TensorBoard;
use faa_search::config::RunConfig;
use faa_search::device::DeviceName;
use faa_search::environment::Resources;
use faa_search::event::Event;
use faa_search::protocol::{End, Message, Request, RunRequest};
use faa_search::results::{FinalResult, Summary};
use faa_system::log_line;

use super::{Stopped, Usage, print};
use crate::arguments::{check_utf8, count};
use crate::plugins::{KnownOps, PluginOptions};
use crate::progress::Progress;
use crate::table::{render, table};
use crate::torch_process::TorchProcess;

#[derive(Args)]
#[command(next_help_heading = "Hardware")]
pub(crate) struct HardwareOptions {
    /// Device: auto, cpu, cuda or cuda:N; for several GPUs, separate them by commas.
    #[arg(
        long,
        visible_alias = "devices",
        value_name = "DEVICE",
        default_value = "auto",
        value_delimiter = ','
    )]
    device: Vec<DeviceName>,
    /// Number of CPU threads [default: all cores].
    #[arg(long, value_name = "N", value_parser = count)]
    threads: Option<NonZeroUsize>,
}

/// How many folds or trainings run in parallel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Jobs {
    Auto,
    Count(NonZeroUsize),
}

/// How a run is executed and shown.
#[derive(Args)]
pub(crate) struct ExecutionOptions {
    #[command(flatten)]
    hardware: HardwareOptions,
    /// Number of folds or trainings to run in parallel, or auto: one on a CPU; on GPUs the number that is
    /// the fastest, which is measured first.
    #[arg(
        long,
        value_name = "N",
        help_heading = "Hardware",
        default_value = "auto",
        value_parser = jobs
    )]
    jobs: Jobs,
    /// Print events as JSON, one per line.
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Write TensorBoard event files to OUT/tensorboard.
    #[arg(long, help_heading = "Output")]
    tensorboard: bool,
    #[command(flatten)]
    pub(crate) plugins: PluginOptions,
}

impl HardwareOptions {
    pub(crate) fn resources(&self, jobs: Jobs) -> Result<Resources> {
        let cores = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let threads = self.threads.map_or_else(cores, NonZeroUsize::get);
        let mut resources = Resources::new(self.device.clone(), threads);
        resources.jobs = match jobs {
            Jobs::Auto => None,
            Jobs::Count(count) => Some(count.get()),
        };
        resources
            .check()
            .map_err(|error| Usage(error.to_string()))?;
        Ok(resources)
    }
}

impl ExecutionOptions {
    /// Executes a run, shows its progress, writes its report, and prints its results; with `--json`, its
    /// events.
    pub(crate) fn execute(
        &self,
        config: RunConfig,
        out: &Path,
        known: KnownOps,
        text: impl Fn(&Summary) -> String,
    ) -> Result<()> {
        let data = config.common.data.parse::<DataSpec>();
        let resources = self.hardware.resources(self.jobs)?;
        let mut request = RunRequest::new(config, out.to_owned(), resources);
        request.plugins = self.plugins.request()?;
        check_utf8("--out", out)?;
        let request = Request::Run(Box::new(request));
        let mut progress = Progress::new();
        let mut curves = self.tensorboard.then(|| TensorBoard::new(out));
        let mut summary = None;
        let result = send(&request, Some(out), |event| {
            progress.show(&event);
            if let (Event::Planned(_), Ok(data)) = (&event, &data) {
                // Without it, reports show images only on request.
                let _ = page::name_data(out, data);
            }
            if let Some(Err(error)) = curves.as_mut().map(|curves| curves.record(&event)) {
                // The run is worth more than its curves.
                progress.warn(&format!(
                    "cannot write TensorBoard files, so the run continues without them: {error}"
                ));
                curves = None;
            }
            if self.json {
                print(&format!("{}\n", serde_json::to_string(&event)?))?;
            }
            if let Event::Finished(finished) = event {
                summary = Some(finished);
            }
            Ok(())
        });
        progress.end();
        result?;
        let mut options = ReportOptions::default();
        options.ops = known.ops;
        options.images = Some(page::IMAGES);
        match page::write(out, &options) {
            Ok(page) if !self.json => log_line!("report: {}", page.display()),
            Ok(_) => {}
            Err(error) => log_line!(
                "warning: cannot write the report: {:#}",
                anyhow::Error::from(error)
            ),
        }
        let summary = summary.ok_or_else(|| anyhow!("the run ended without a result"))?;
        match self.json {
            true => Ok(()),
            false => print(&text(&summary)),
        }
    }
}

fn jobs(text: &str) -> Result<Jobs, String> {
    match text {
        "auto" => Ok(Jobs::Auto),
        _ => count(text)
            .map(Jobs::Count)
            .map_err(|error| format!("{error}, or auto")),
    }
}

/// Sends a request to `faa-runtime-torch`, and passes its events to `consume`. If a signal stops a run,
/// the error names `out`, in which it can be continued.
pub(crate) fn send(
    request: &Request<faa_plugin::PluginOptions>,
    out: Option<&Path>,
    mut consume: impl FnMut(Event) -> Result<()>,
) -> Result<()> {
    let process = TorchProcess::find_and_start(request)?;
    process.stop_on_signal()?;
    process.messages(|message| match message {
        Message::Event(event) => consume(event),
        Message::Ended {
            ended: End::Failed(causes),
        } => Err(chained(causes)),
        Message::Ended {
            ended: End::Stopped,
        } => bail!(Stopped(match out {
            Some(out) => format!("stopped; the same command continues in {}", out.display()),
            None => "stopped".to_owned(),
        })),
        _ => Ok(()),
    })
}

/// A table of the final trainings' test errors; empty if there are none.
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

/// This program as it was called, so that suggested commands can be pasted.
pub(crate) fn program() -> String {
    let called = std::env::args().next();
    called.unwrap_or_else(|| "faa-runtime".to_owned())
}

/// The mean of fractions, as a percentage; with the sample standard deviation if there are several.
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

/// An error from its messages, the outermost first.
fn chained(causes: Vec<String>) -> anyhow::Error {
    let mut causes = causes.into_iter().rev();
    let innermost = anyhow!(causes.next().unwrap_or_else(|| "unknown".to_owned()));
    causes.fold(innermost, anyhow::Error::context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_a_positive_number_or_automatic() {
        assert_eq!(jobs("auto"), Ok(Jobs::Auto));
        assert_eq!(jobs("3"), Ok(Jobs::Count(NonZeroUsize::new(3).unwrap())));
        for text in ["0", "x", "", "-1", "1.5", "Auto"] {
            let expected = "must be a whole number of at least 1, or auto";
            assert_eq!(jobs(text), Err(expected.to_owned()));
        }
    }

    #[test]
    fn errors_are_shown_with_their_standard_deviation() {
        assert_eq!(percent(&[0.125]), "12.50 %");
        // Sample deviation: the square root of (1 + 0 + 1) / 2.
        assert_eq!(percent(&[0.01, 0.02, 0.03]), "2.00 ± 1.00 %");
        assert_eq!(percent(&[]), "–");
    }
}
