//! Hardware and output options, and the execution of requests by `faa-runtime-torch`.

use std::num::NonZeroUsize;
use std::path::Path;

use anyhow::{Result, anyhow, bail};
use clap::Args;
use faa_data::DataSpec;
use faa_op::text::clean;
use faa_report::page::{self, ReportOptions};
use faa_report::tensorboard::TensorBoard;
use faa_search::config::{RunConfig, SearchConfig};
use faa_search::device::DeviceName;
use faa_search::environment::Resources;
use faa_search::event::Event;
use faa_search::layout::TrainingId;
use faa_search::protocol::{End, Message, Request, RunRequest};
use faa_search::statistics::percent;
use faa_search::summary::{
    Comparison, FinalResult, Summary, class_changes, largest_changes, points,
};
use faa_system::log_line;

use super::jobs::{self, Task};
use super::{InUse, Stopped, Usage, print};
use crate::arguments::{check_utf8, count};
use crate::plugins::{KnownOps, PluginOptions};
use crate::progress::Progress;
use crate::table::{render, table};
use crate::torch_process::TorchProcess;

/// The number of classes that are printed of those that gain most, and of those that lose most.
const CLASSES: usize = 5;

/// Characters of a class's name in a table.
const MAX_NAME: usize = 40;

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
    // Whoever starts jobs prepends a default of its own.
    #[arg(long, value_name = "N", value_parser = count, overrides_with = "threads")]
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
    /// Number of folds or trainings to run in parallel; auto: one on a CPU, and on GPUs the fastest
    /// number, which is measured first.
    #[arg(
        long,
        value_name = "N",
        help_heading = "Hardware",
        default_value = "auto",
        value_parser = jobs_option
    )]
    jobs: Jobs,
    /// Print events as JSON, one per line.
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Write TensorBoard event files to OUT/tensorboard.
    #[arg(long, help_heading = "Output")]
    tensorboard: bool,
    /// End when standard input ends, and with it everything that was started: for programs that start this
    /// one, and may be killed. Standard input must be a pipe that they hold open.
    #[arg(long, help_heading = "Jobs, each in a process of its own")]
    end_with_stdin: bool,
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
    /// Does this of a run. Work is shown as progress, and its results are printed, after a report was written;
    /// with `--json`, its events.
    pub(crate) fn execute(
        &self,
        config: RunConfig,
        out: &Path,
        known: KnownOps,
        task: Task,
        text: impl Fn(&Summary) -> String,
    ) -> Result<()> {
        match task {
            Task::All => self.run(config, out, known, text),
            Task::One(job) => self.run_job(config, out, &known, job),
            Task::List => jobs::list(&config, &known, out, self.json),
            Task::Collect(parts) => jobs::bring_together(&config, &known, out, &parts, self.json),
        }
    }

    /// Does all that is missing of a run.
    fn run(
        &self,
        config: RunConfig,
        out: &Path,
        known: KnownOps,
        text: impl Fn(&Summary) -> String,
    ) -> Result<()> {
        let data = config.common.data.parse::<DataSpec>();
        let mut summary = None;
        self.work(config, out, None, |event| {
            if let (Event::Planned(_), Ok(data)) = (&event, &data) {
                // Without it, reports show images only on request.
                let _ = page::name_data(out, data);
            }
            if let Event::Finished(finished) = event {
                summary = Some(finished);
            }
        })?;
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

    /// Does one job of a run.
    fn run_job(
        &self,
        config: RunConfig,
        out: &Path,
        known: &KnownOps,
        job: TrainingId,
    ) -> Result<()> {
        let has_jobs = matches!(self.jobs, Jobs::Count(jobs) if jobs.get() > 1);
        let batch = config.search.as_ref().map_or(1, SearchConfig::batch_size);
        let is_shared = matches!(job, TrainingId::Fold(_)) && batch > 1;
        if !is_shared && (has_jobs || self.hardware.device.len() > 1) {
            bail!(Usage(
                "one job uses one device: omit --jobs, and give one --device (but a fold with \
                 --batch-proposals uses several)"
                    .into()
            ));
        }
        if !jobs::is_done(&config, known, out, job)? {
            self.work(config, out, Some(job), drop)?;
        }
        match self.json {
            true => Ok(()),
            false => print(&format!("{} is done\n", job.folder())),
        }
    }

    /// Works on a run, or on one job of it, and shows the progress. Every event goes to `observe`, too.
    fn work(
        &self,
        config: RunConfig,
        out: &Path,
        job: Option<TrainingId>,
        mut observe: impl FnMut(Event),
    ) -> Result<()> {
        let resources = self.hardware.resources(self.jobs)?;
        let mut request = RunRequest::new(config, out.to_owned(), resources);
        request.plugins = self.plugins.request()?;
        request.job = job;
        check_utf8("--out", out)?;
        let request = Request::Run(Box::new(request));
        let mut progress = Progress::new();
        let mut curves = self.tensorboard.then(|| TensorBoard::new(out));
        let result = send(&request, Some(out), self.end_with_stdin, |event| {
            progress.show(&event);
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
            observe(event);
            Ok(())
        });
        progress.end();
        result
    }
}

fn jobs_option(text: &str) -> Result<Jobs, String> {
    match text {
        "auto" => Ok(Jobs::Auto),
        _ => count(text)
            .map(Jobs::Count)
            .map_err(|error| format!("{error}, or auto")),
    }
}

/// Sends a request to `faa-runtime-torch`, and passes its events to `consume`. If a signal stops a run,
/// the error names `out`, in which it can be continued.
/// With `ends_with_stdin`, so does the end of standard input.
pub(crate) fn send(
    request: &Request<faa_plugin::PluginOptions>,
    out: Option<&Path>,
    ends_with_stdin: bool,
    mut consume: impl FnMut(Event) -> Result<()>,
) -> Result<()> {
    let process = TorchProcess::find_and_start(request)?;
    process.stop_on_signal()?;
    if ends_with_stdin {
        process.stop_at_end_of_stdin();
    }
    process.messages(|message| match message {
        Message::Event(event) => consume(event),
        Message::Ended {
            ended: End::Failed(causes),
        } => Err(chained(causes)),
        Message::Ended {
            ended: End::InUse(message),
        } => match request {
            Request::Run(run) if run.job.is_some() => bail!(InUse(message)),
            _ => bail!(message),
        },
        Message::Ended {
            ended: End::Stopped,
        } => bail!(Stopped(match out {
            Some(out) => format!("stopped; the same command continues in {}", out.display()),
            None => "stopped".to_owned(),
        })),
        _ => Ok(()),
    })
}

/// The final trainings' test errors, what the policy is worth against each baseline, and the classes that
/// it changes most; empty if there are no final trainings.
pub(crate) fn results(summary: &Summary) -> String {
    if summary.final_trainings.is_empty() {
        return String::new();
    }
    let mut parts = vec![errors_table(summary)];
    let sentences = summary.comparisons.iter();
    let sentences: Vec<String> = sentences.map(|it| it.sentence() + "\n").collect();
    parts.push(sentences.concat());
    parts.push(classes_table(&summary.final_trainings));
    parts.retain(|part| !part.is_empty());
    parts.join("\n") + "\n"
}

fn errors_table(summary: &Summary) -> String {
    let mut header = vec!["trained with", "test error", "seeds"];
    if !summary.comparisons.is_empty() {
        header.push("policy minus this, points (95 %)");
    }
    let mut table = table(&header);
    for result in &summary.final_trainings {
        let seeds = match result.diverged {
            0 => result.errors.len().to_string(),
            diverged => format!("{}, and {diverged} diverged", result.errors.len()),
        };
        let trained_with = result.augmentation.description().to_owned();
        let mut row = vec![trained_with, result.error(), seeds];
        let mut comparisons = summary.comparisons.iter();
        let comparison = comparisons.find(|it| it.baseline == result.augmentation);
        row.extend(comparison.map(Comparison::points));
        table.add_row(row);
    }
    render(&table)
}

/// The classes whose errors the policy changes most.
fn classes_table(results: &[FinalResult]) -> String {
    let Some((base, changes)) = class_changes(results) else {
        return String::new();
    };
    let columns = [
        "class",
        "images",
        base.in_words(),
        "with the policy",
        "points",
    ];
    let mut table = table(&columns);
    for class in largest_changes(&changes, CLASSES) {
        table.add_row([
            clean(&class.class, MAX_NAME),
            class.images.to_string(),
            percent(class.base, 2),
            percent(class.policy, 2),
            points(class.change()),
        ]);
    }
    let which = match changes.len() > 2 * CLASSES {
        true => format!(
            " (of {} classes, the {CLASSES} that gain and the {CLASSES} that lose most)",
            changes.len()
        ),
        false => String::new(),
    };
    format!("errors by class{which}:\n{}", render(&table))
}

/// This program as it was called, so that suggested commands can be pasted.
pub(crate) fn program() -> String {
    let called = std::env::args().next();
    called.unwrap_or_else(|| "faa-runtime".to_owned())
}

/// An error from its messages, the outermost first.
fn chained(causes: Vec<String>) -> anyhow::Error {
    let mut causes = causes.into_iter().rev();
    let innermost = anyhow!(causes.next().unwrap_or_else(|| "unknown".to_owned()));
    causes.fold(innermost, anyhow::Error::context)
}

#[cfg(test)]
mod tests {
    use faa_search::config::Augmentation;
    use faa_search::results::{Evaluation, Prediction};

    use super::*;

    /// A result of two seeds with this many wrong answers to 50 images of each of 12 classes.
    fn result(augmentation: Augmentation, wrong: usize) -> FinalResult {
        let names: Vec<String> = (0..12)
            .map(|class| format!("\u{1b}class {class}"))
            .collect();
        let evaluation = |seed: usize| {
            let prediction = |(class, image): (u32, usize)| {
                let is_wrong = image < wrong * class as usize + seed;
                Prediction::new(class, class + u32::from(is_wrong), 1.0)
            };
            let images = (0..12).flat_map(|class| (0..50).map(move |image| (class, image)));
            let predictions: Vec<Prediction> = images.map(prediction).collect();
            Evaluation::by_class(&predictions, &names)
        };
        FinalResult::new(augmentation, &[evaluation(0), evaluation(1)], 1)
    }

    #[test]
    fn jobs_are_a_positive_number_or_automatic() {
        assert_eq!(jobs_option("auto"), Ok(Jobs::Auto));
        assert_eq!(
            jobs_option("3"),
            Ok(Jobs::Count(NonZeroUsize::new(3).unwrap()))
        );
        for text in ["0", "x", "", "-1", "1.5", "Auto"] {
            let expected = "must be a whole number of at least 1, or auto";
            assert_eq!(jobs_option(text), Err(expected.to_owned()));
        }
    }

    #[test]
    fn results_are_said_in_numbers_and_words() {
        let trainings = vec![
            result(Augmentation::Cutout, 2),
            result(Augmentation::Policy, 1),
        ];
        let text = results(&Summary::new(None, 0, trainings));
        let expected = "\
trained with               test error      seeds              policy minus this, points (95 %)
crop, flip, Cutout (base)  23.00 ± 1.41 %  2, and 1 diverged  −11.00 (−17.08 to −4.92)
the policy + base          12.00 ± 1.41 %  2, and 1 diverged

The policy is better than Cutout by 4.92 to 17.08 points (95 %); 2 trainings that diverged are left out.

errors by class (of 12 classes, the 5 that gain and the 5 that lose most):
class     images  Cutout   with the policy  points
class 11  50      45.00 %  23.00 %          −22.00
class 10  50      41.00 %  21.00 %          −20.00
class 9   50      37.00 %  19.00 %          −18.00
class 8   50      33.00 %  17.00 %          −16.00
class 7   50      29.00 %  15.00 %          −14.00
class 4   50      17.00 %  9.00 %           −8.00
class 3   50      13.00 %  7.00 %           −6.00
class 2   50      9.00 %   5.00 %           −4.00
class 1   50      5.00 %   3.00 %           −2.00
class 0   50      1.00 %   1.00 %           0.00

";
        assert_eq!(text, expected);
        let alone = vec![FinalResult::new(
            Augmentation::None,
            &[Evaluation::new(0.125, 1.0)],
            0,
        )];
        let text = results(&Summary::new(None, 0, alone));
        assert_eq!(
            text,
            "trained with  test error  seeds\ncrop, flip    12.50 %     1\n\n"
        );
        assert_eq!(results(&Summary::new(None, 0, Vec::new())), "");
    }
}
