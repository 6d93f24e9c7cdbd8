//! The commands of `faa-runtime`.

mod apply;
mod audit;
mod augment;
mod bench;
mod completions;
mod doctor;
mod eval;
mod execution;
mod jobs;
mod one_op;
mod ops;
mod plugin;
mod policy;
mod report;
mod search;
mod train;
mod training;

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use faa_op::OpSet;
use faa_op::text::clean_lines;
use faa_policy::{MAX_BYTES, Policy, PolicyError, nearest_name, shipped};

#[derive(Subcommand)]
pub(crate) enum Command {
    Search(Box<search::Search>),
    Train(Box<train::Train>),
    Audit(Box<audit::Audited>),
    Eval(Box<eval::Eval>),
    Report(report::Report),
    Apply(apply::Apply),
    Augment(augment::Augment),
    Bench(bench::Bench),
    Ops(ops::Ops),
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
    Doctor(doctor::Doctor),
    Completions(completions::Completions),
}

impl Command {
    /// `program` makes the whole program's command line.
    pub(crate) fn run(self, program: fn() -> clap::Command) -> Result<()> {
        match self {
            Self::Search(search) => search.run(),
            Self::Train(train) => train.run(),
            Self::Audit(audit) => audit.run(),
            Self::Eval(eval) => eval.run(),
            Self::Report(report) => report.run(),
            Self::Apply(apply) => apply.run(),
            Self::Augment(augment) => augment.run(),
            Self::Bench(bench) => bench.run(),
            Self::Ops(ops) => ops.run(),
            Self::Policy(policy) => policy.run(),
            Self::Plugin(plugin) => plugin.run(),
            Self::Doctor(doctor) => doctor.run(),
            Self::Completions(completions) => completions.run(program),
        }
    }
}

/// Invalid arguments that clap cannot detect; the exit status is 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

/// The user has asked to stop, which is no failure. The exit status is 1, because the work is not done.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Stopped(String);

/// A different process works on the job that was asked for. The exit status is 75, EX_TEMPFAIL of `sysexits.h`: it
/// may be tried again later.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct InUse(String);

/// Writes text or JSON to standard output, whatever names are in it. This is an error, and not a panic, if
/// the reader is gone.
fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(clean_lines(text).as_bytes())?;
    Ok(out.flush()?)
}

/// The shipped policy of that name, or the policy in that file.
fn find_policy(file_or_name: &str) -> Result<Policy> {
    if let Some(shipped) = shipped().iter().find(|policy| policy.name == file_or_name) {
        return Ok(shipped.policy()?);
    }
    let path = Path::new(file_or_name);
    if !path.exists()
        && let Some(error) = PolicyError::of_configuration(file_or_name)
    {
        bail!(
            "{error}; `faa-runtime policy show NAME --json` prints a shipped policy as a file in which \
             settings can be changed"
        );
    }
    let looks_like_a_file = path.extension().is_some() || path.components().count() > 1;
    if !path.exists() && !looks_like_a_file {
        let names = shipped().iter().map(|policy| policy.name);
        let hint = hint(file_or_name, names, "faa-runtime policy list");
        bail!("there is no file and no shipped policy named `{file_or_name}`; {hint}");
    }
    let json =
        read_bounded(path).with_context(|| format!("cannot read the policy {file_or_name}"))?;
    Policy::parse(&json).with_context(|| format!("{file_or_name} is not a valid policy"))
}

/// Reads a file up to one byte beyond the parsers' limit, at which they refuse it.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    read_bounded_from(File::open(path)?)
}

fn read_bounded_from(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut json = Vec::new();
    reader.take(MAX_BYTES as u64 + 1).read_to_end(&mut json)?;
    Ok(json)
}

/// The message about a name that no op has.
fn unknown_op(name: &str, ops: &OpSet) -> String {
    let names = ops.iter().map(|op| op.spec().name());
    let hint = hint(name, names, "faa-runtime ops");
    format!("no op is named `{name}`; {hint}")
}

/// The nearest name, or the command that lists all names.
fn hint<'a>(name: &str, names: impl IntoIterator<Item = &'a str>, list: &str) -> String {
    match nearest_name(name, names) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("`{list}` lists all names"),
    }
}
