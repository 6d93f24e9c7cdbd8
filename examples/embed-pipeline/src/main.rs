//! Loads a folder of images, augmented, and prints how fast that goes.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Parser;
use embed_pipeline::{Folder, Loader, Options, decode_all};
use faa_policy::{Executor, Policy, shipped};
use faa_system::{flush_log, log_line};

/// Load a folder of images as augmented batches, and print how fast that goes.
#[derive(Parser)]
struct Arguments {
    /// Folder with images in `<class>/*`, or without classes.
    folder: PathBuf,
    /// Name of a shipped policy, or policy file.
    #[arg(long, value_name = "NAME|FILE", default_value = "autoaugment-imagenet")]
    policy: String,
    /// Batch size, in images.
    #[arg(long, default_value_t = 64)]
    batch: usize,
    /// Threads that decode and augment [default: one per core].
    #[arg(long)]
    threads: Option<usize>,
    /// Passes over the folder.
    #[arg(long, default_value_t = 1)]
    epochs: u32,
    /// Seed of all random draws and of the order.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Width and height of the images in a batch.
    #[arg(long, default_value_t = 224, value_parser = clap::value_parser!(u32).range(1..=4096))]
    size: u32,
    /// Only decode, on one thread: what no loader can be faster than.
    #[arg(long)]
    decode_only: bool,
}

fn main() -> ExitCode {
    let code = match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log_line!("error: {error:#}");
            ExitCode::FAILURE
        }
    };
    flush_log();
    code
}

fn run() -> Result<()> {
    let arguments = Arguments::parse();
    let defaults = Options::default();
    let options = Options {
        size: arguments.size,
        batch: arguments.batch,
        threads: arguments.threads.unwrap_or(defaults.threads),
        seed: arguments.seed,
        ..defaults
    };
    let threads = options.threads;
    let executor = Executor::builtin(&policy(&arguments.policy)?)?;
    let folder = Folder::open(&arguments.folder)?;
    let (files, classes) = (folder.files.len(), folder.classes.len());
    let mut out = io::stdout();
    if arguments.decode_only {
        for epoch in 0..arguments.epochs {
            let started = Instant::now();
            let images = decode_all(&folder, arguments.size);
            let rate = images as f64 / started.elapsed().as_secs_f64();
            writeln!(
                out,
                "pass {epoch}: {images} of {files} files decoded, {rate:.0} images/s"
            )?;
        }
        return Ok(());
    }
    let loader = Loader::new(folder, executor, options)?;
    writeln!(out, "{files} files, {classes} classes, {threads} threads")?;
    let mut reported = BTreeSet::new();
    for epoch in 0..arguments.epochs {
        let started = Instant::now();
        let (mut images, mut batches, mut sum, mut samples) = (0, 0, 0.0, 0);
        for batch in loader.epoch(epoch)? {
            let batch = batch?;
            for file in &batch.skipped {
                if reported.insert(file.path.clone()) {
                    log_line!("skipped {file}");
                }
            }
            // In place of a training step: a few floats, so that the rate is that of the loader.
            let few = batch.images.iter().step_by(997);
            samples += few.len();
            sum += few.copied().map(f64::from).sum::<f64>();
            images += batch.labels.len();
            batches += 1;
        }
        if images == 0 {
            bail!("no file in {} is an image", arguments.folder.display());
        }
        let rate = images as f64 / started.elapsed().as_secs_f64();
        let mean = sum / samples as f64;
        writeln!(
            out,
            "epoch {epoch}: {images} images in {batches} batches, mean {mean:.6}, {rate:.0} images/s"
        )?;
    }
    Ok(())
}

fn policy(name_or_file: &str) -> Result<Policy> {
    if let Some(shipped) = shipped().iter().find(|policy| policy.name == name_or_file) {
        return Ok(shipped.policy()?);
    }
    let json = fs::read(name_or_file)
        .with_context(|| format!("{name_or_file} is neither a shipped policy nor a file"))?;
    Policy::parse(&json).with_context(|| format!("{name_or_file} is not a valid policy"))
}
