use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Result, anyhow, bail};
use clap::{Args, ValueEnum};
use faa_search::config::{Control, Preset, Reward};
use faa_search::protocol::{End, Message, Request};
use faa_search::{Event, SearchConfig, Summary};

use super::Usage;
use crate::plugins::PluginOptions;
use crate::progress::Progress;
use crate::sibling::Sibling;
use crate::table::{render, table};

/// Search for a policy on a labelled image set.
#[derive(Args)]
#[command(after_help = "\
A search that was stopped, by Ctrl-C or otherwise, goes on where it was when the same command is
given again.

Data sets:
  glyphs, glyphs:SEED   small coloured shapes, made by the program
  folder:DIR            DIR/train/<class>/* and DIR/test/<class>/*
  tar:FILE              the same in a tar file, as it is or packed by gzip or zstd
  cifar10:DIR           CIFAR-10, the files of its binary version
  cifar100:DIR          CIFAR-100, likewise, with its fine labels

Examples:
  faa-runtime search --data glyphs --preset demo --out runs/demo
  faa-runtime search --data folder:pets --image-size 32 --model wrn-16-2 --out runs/pets
  faa-runtime search --data folder:cifar10 --preset cifar10-reduced --out runs/reduced
  faa-runtime search --data folder:pets --plugins plugins --out runs/pets-with-plugins")]
pub(crate) struct Search {
    /// The data set: glyphs, folder:DIR, tar:FILE, cifar10:DIR, or cifar100:DIR.
    #[arg(long, value_name = "SPEC")]
    data: String,
    /// The run directory: everything is written there.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Where the numbers come from that are not given below.
    #[arg(long, value_enum, default_value_t = PresetName::Cifar10)]
    preset: PresetName,
    /// auto, cpu, cuda, or cuda:N.
    #[arg(long, default_value = "auto", value_parser = parse_device)]
    device: String,
    /// CPU threads; all cores where not given.
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Print events as lines of JSON for programs.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    plugins: PluginOptions,
}

/// What a preset leaves to be changed.
#[derive(Args)]
#[command(next_help_heading = "Settings (the preset's where not given)")]
struct Settings {
    /// The seed of every random choice.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Scale and crop all images to squares of this side.
    #[arg(long, value_name = "PIXELS")]
    image_size: Option<u32>,
    /// The network: wrn-DEPTH-WIDTH.
    #[arg(long, value_name = "wrn-D-K", value_parser = parse_model)]
    model: Option<[usize; 2]>,
    /// Folds of the training images.
    #[arg(long, value_name = "K")]
    folds: Option<NonZeroUsize>,
    /// Draw folds independently, and hold out this share of the images.
    #[arg(long, value_name = "SHARE")]
    held_out: Option<f64>,
    /// Search on this many of the training images.
    #[arg(long, value_name = "N")]
    images: Option<NonZeroUsize>,
    /// Epochs of a fold's training.
    #[arg(long, value_name = "N")]
    epochs: Option<NonZeroUsize>,
    /// Images a training step.
    #[arg(long, value_name = "N")]
    batch: Option<NonZeroUsize>,
    /// The peak of the learning rate.
    #[arg(long, value_name = "RATE")]
    learning_rate: Option<f64>,
    /// Epochs of linear warm-up.
    #[arg(long, value_name = "N")]
    warmup_epochs: Option<usize>,
    /// L2 penalty on weights, batch norm's left out.
    #[arg(long, value_name = "X")]
    weight_decay: Option<f64>,
    /// The largest norm of the gradient.
    #[arg(long, value_name = "X")]
    clip_norm: Option<f64>,
    /// Pixels of padding for the random crop; 0 for none.
    #[arg(long, value_name = "PIXELS")]
    crop_padding: Option<usize>,
    /// Do not mirror images left to right.
    #[arg(long)]
    no_flip: bool,
    /// The side of the baseline's Cutout; 0 for none.
    #[arg(long, value_name = "PIXELS")]
    cutout: Option<usize>,
    /// The ops to search over, separated by commas; those of plugins are searched over where not
    /// given.
    #[arg(long, value_name = "OPS", value_delimiter = ',')]
    ops: Option<Vec<String>>,
    /// How often the sampler starts afresh on a fold.
    #[arg(long, value_name = "T")]
    rounds: Option<NonZeroUsize>,
    /// Trials a round.
    #[arg(long, value_name = "B")]
    trials: Option<NonZeroUsize>,
    /// Candidates kept of a round.
    #[arg(long, value_name = "N")]
    kept: Option<NonZeroUsize>,
    /// Sub-policies of a candidate.
    #[arg(long, value_name = "N")]
    sub_policies: Option<NonZeroUsize>,
    /// Ops of a sub-policy.
    #[arg(long, value_name = "N")]
    ops_per_sub_policy: Option<NonZeroUsize>,
    /// How often each held-out image is augmented in a trial.
    #[arg(long, value_name = "N")]
    draws: Option<NonZeroUsize>,
    /// What a candidate is judged by: an image counts where any of its draws is right, or by the
    /// mean of its draws.
    #[arg(long, value_enum)]
    reward: Option<RewardName>,
    /// What to train in the end, separated by commas.
    #[arg(
        long,
        value_enum,
        value_name = "LIST",
        value_delimiter = ',',
        conflicts_with = "no_finals"
    )]
    finals: Option<Vec<ControlName>>,
    /// End with the policy.
    #[arg(long)]
    no_finals: bool,
    /// Epochs of a final training.
    #[arg(long, value_name = "N")]
    final_epochs: Option<NonZeroUsize>,
    /// Seeds of each final training.
    #[arg(long, value_name = "N")]
    final_seeds: Option<NonZeroUsize>,
}

#[derive(Clone, Copy, ValueEnum)]
enum PresetName {
    /// Minutes on two cores.
    Demo,
    /// The paper's search on 4,000 images.
    Cifar10Reduced,
    /// The paper's search on all images.
    Cifar10,
}

#[derive(Clone, Copy, ValueEnum)]
enum RewardName {
    Any,
    Mean,
}

#[derive(Clone, Copy, ValueEnum)]
enum ControlName {
    /// Crop and flip alone.
    None,
    /// And Cutout.
    Cutout,
    /// A random policy of the found one's size, and Cutout.
    Random,
    /// The found policy, and Cutout.
    Policy,
}

impl Search {
    pub(crate) fn run(self) -> Result<()> {
        let config = self.config()?;
        let request = Request::Search {
            config: Box::new(config),
            out: self.out.clone(),
            device: self.device.clone(),
            threads: self.threads.map_or_else(all_cores, NonZeroUsize::get),
            plugins: self.plugins.request()?,
        };
        let sibling = Sibling::start_with_any(&request)?;
        sibling.stop_on_ctrl_c()?;
        let mut progress = Progress::new();
        progress.wait();
        let mut summary = None;
        let outcome = sibling.messages(|message| match message {
            Message::Event(event) => {
                progress.show(&event);
                if self.json {
                    print_line(&serde_json::to_string(&event)?)?;
                }
                if let Event::Finished(finished) = event {
                    summary = Some(finished);
                }
                Ok(())
            }
            Message::Ended {
                ended: End::Failed(causes),
            } => Err(as_error(causes)),
            Message::Ended {
                ended: End::Stopped,
            } => {
                bail!(
                    "stopped; the same command continues in {}",
                    self.out.display()
                )
            }
            _ => Ok(()),
        });
        progress.end();
        outcome?;
        let summary = summary.ok_or_else(|| anyhow!("the search ended without a result"))?;
        if !self.json {
            print_line(&self.report(&summary))?;
        }
        Ok(())
    }

    fn config(&self) -> Result<SearchConfig> {
        // Told here, at once, rather than by the sibling.
        if let Err(error) = self.data.parse::<faa_search::data::DataSpec>() {
            bail!(Usage(error.to_string()));
        }
        let preset = match self.preset {
            PresetName::Demo => Preset::Demo,
            PresetName::Cifar10Reduced => Preset::Cifar10Reduced,
            PresetName::Cifar10 => Preset::Cifar10,
        };
        let mut config = SearchConfig::preset(preset, &self.data);
        let known = self.plugins.known_ops()?;
        config.plugins = known.of_plugins();
        // Ops of plugins are searched over like the built-in ones.
        let plugin_ops = config.plugins.iter().map(|plugin| plugin.op.clone());
        config.explore.ops.extend(plugin_ops);
        self.settings.change(&mut config);
        config
            .plugins
            .retain(|plugin| config.explore.ops.contains(&plugin.op));
        config.check().map_err(|error| Usage(error.to_string()))?;
        Ok(config)
    }

    /// What people are told in the end.
    fn report(&self, summary: &Summary) -> String {
        let mut text = String::new();
        if !summary.finals.is_empty() {
            let mut table = table(&["trained with", "test error", "seeds"]);
            for result in &summary.finals {
                let seeds = result.errors.len().to_string();
                table.add_row([
                    described(result.control).to_owned(),
                    percent(&result.errors),
                    seeds,
                ]);
            }
            text = format!("{}\n", render(&table));
        }
        let policy = summary.policy.display();
        // As it was called, so that the lines can be pasted.
        let program = std::env::args()
            .next()
            .unwrap_or_else(|| "faa-runtime".to_owned());
        text + &format!(
            "policy: {policy} ({} sub-policies)\n\n\
             next:\n  \
             {program} policy show {policy}\n  \
             {program} apply --policy {policy} --grid 15 IMAGE --out sheets",
            summary.sub_policies
        )
    }
}

impl Settings {
    fn change(&self, config: &mut SearchConfig) {
        fn set<T: Clone>(place: &mut T, given: Option<&T>) {
            if let Some(given) = given {
                place.clone_from(given);
            }
        }
        let training = &mut config.training;
        if let Some([depth, width]) = self.model {
            (training.depth, training.width) = (depth, width);
        }
        set(&mut training.epochs, self.epochs.as_ref());
        set(&mut training.batch, self.batch.as_ref());
        set(&mut training.learning_rate, self.learning_rate.as_ref());
        set(&mut training.warmup_epochs, self.warmup_epochs.as_ref());
        set(&mut training.weight_decay, self.weight_decay.as_ref());
        set(&mut training.clip_norm, self.clip_norm.as_ref());
        set(&mut training.crop_padding, self.crop_padding.as_ref());
        set(&mut training.cutout, self.cutout.as_ref());
        training.flip &= !self.no_flip;

        set(&mut config.seed, self.seed.as_ref());
        config.image_size = self.image_size.or(config.image_size);
        set(&mut config.folds.count, self.folds.as_ref());
        config.folds.held_out = self.held_out.or(config.folds.held_out);
        config.folds.images = self.images.or(config.folds.images);

        let explore = &mut config.explore;
        set(&mut explore.ops, self.ops.as_ref());
        set(&mut explore.rounds, self.rounds.as_ref());
        set(&mut explore.trials, self.trials.as_ref());
        set(&mut explore.kept, self.kept.as_ref());
        set(&mut explore.sub_policies, self.sub_policies.as_ref());
        set(
            &mut explore.ops_per_sub_policy,
            self.ops_per_sub_policy.as_ref(),
        );
        set(&mut explore.draws, self.draws.as_ref());
        match self.reward {
            Some(RewardName::Any) => explore.reward = Reward::Any,
            Some(RewardName::Mean) => explore.reward = Reward::Mean,
            None => {}
        }

        let finals = &mut config.finals;
        if let Some(controls) = &self.finals {
            finals.controls = controls.iter().copied().map(Control::from).collect();
        }
        if self.no_finals {
            finals.controls.clear();
        }
        set(&mut finals.epochs, self.final_epochs.as_ref());
        set(&mut finals.seeds, self.final_seeds.as_ref());
    }
}

impl From<ControlName> for Control {
    fn from(name: ControlName) -> Self {
        match name {
            ControlName::None => Self::None,
            ControlName::Cutout => Self::Cutout,
            ControlName::Random => Self::Random,
            ControlName::Policy => Self::Policy,
        }
    }
}

fn parse_model(word: &str) -> Result<[usize; 2], String> {
    let numbers = word
        .strip_prefix("wrn-")
        .and_then(|rest| rest.split_once('-'))
        .and_then(|(depth, width)| Some([depth.parse().ok()?, width.parse().ok()?]));
    match numbers {
        Some([depth, width]) if depth >= 10 && depth % 6 == 4 && width >= 1 => Ok([depth, width]),
        _ => Err(
            "a network is named wrn-DEPTH-WIDTH, where DEPTH is 10, 16, 22, 28 … and WIDTH at \
                  least 1"
                .to_owned(),
        ),
    }
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

fn described(control: Control) -> &'static str {
    match control {
        Control::None => "crop, flip",
        Control::Cutout => "crop, flip, Cutout",
        Control::Random => "the same, with a random policy",
        Control::Policy => "the same, with the found policy",
    }
}

/// The mean of some shares, with their standard deviation where there are several.
fn percent(errors: &[f64]) -> String {
    let count = errors.len() as f64;
    let mean = errors.iter().sum::<f64>() / count;
    if errors.len() < 2 {
        return format!("{:.1} %", 100.0 * mean);
    }
    let variance = errors
        .iter()
        .map(|error| (error - mean).powi(2))
        .sum::<f64>()
        / (count - 1.0);
    format!("{:.1} ± {:.1} %", 100.0 * mean, 100.0 * variance.sqrt())
}

fn print_line(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

/// The sibling's error as one of ours.
fn as_error(causes: Vec<String>) -> anyhow::Error {
    let mut causes = causes.into_iter().rev();
    let innermost = anyhow!(causes.next().unwrap_or_else(|| "unknown".to_owned()));
    causes.fold(innermost, anyhow::Error::context)
}
