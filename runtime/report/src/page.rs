//! A run as one HTML page that needs nothing else: no script, no font, no other file.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use faa_report::page::{ReportOptions, write};
//!
//! let page = write(Path::new("runs/demo"), &ReportOptions::default())?;
//! println!("{}", page.display());
//! # Ok::<(), faa_report::page::ReportError>(())
//! ```
//!
//! The page shows the configuration, the training curves of the folds, the rewards of the trials
//! against what random search is expected to find, the ops that the search preferred, the policy
//! with real images under it, and the final trainings. Whether the search has fallen back to doing
//! nothing is said at the top: it has where the kept candidates leave an image untouched more than
//! 1.5 times as often as uniformly random ones, or where the policy changes a pixel by less than
//! half as much as random policies do. Where the latter was not measured, it is left open.
//!
//! What random search is expected to find is estimated from a fold's start-up trials, which are
//! random, without replacement: for no more candidates than there are such trials.
//!
//! **What is read.** A run may be unfinished, and a search may be writing to it: nothing in it is
//! changed but the page, and the last line of a log is passed over while it is not whole. Two
//! pages of the same run, ops and images have the same bytes.
//!
//! **Untrusted input.** Whatever comes from the run is escaped. Files over 256 MiB are refused.

mod chart;
mod evidence;
mod pictures;
mod record;
mod sections;
mod statistics;
#[cfg(test)]
mod tests;
mod text;

use std::path::{Path, PathBuf};

use faa_op::OpSet;
use faa_ops_builtin::builtin_ops;
use faa_policy::PolicyError;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use evidence::Evidence;
use faa_search::files::FileError;
use record::Record;
use sections::{
    Section, configuration, final_trainings, images, ops, policy, reward, summary, training,
};

const STYLE: &str = include_str!("page/style.css");

/// What can be chosen about a report.
#[derive(Clone, Debug)]
pub struct ReportOptions {
    /// Where the page is written; `report.html` in the run where not given.
    pub out: Option<PathBuf>,
    /// The ops that the policy is applied with: also those of plugins that the run used.
    pub ops: OpSet,
    /// How many images are shown under the policy. With 0 the data set is not loaded at all, and
    /// how much the policy changes pixels is not measured.
    pub images: usize,
}

impl Default for ReportOptions {
    /// In the run, with the built-in ops, of six images.
    fn default() -> Self {
        Self {
            out: None,
            ops: builtin_ops(),
            images: 6,
        }
    }
}

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The folder holds no run.
    #[error("{} holds no run: there is no run.json in it; name the --out of a search or a training", .0.display())]
    NoRun(PathBuf),
    /// A file is too large to be one of a run.
    #[error("{} has more than {} bytes, too many for a file of a run", .0.display(), record::MOST_BYTES)]
    TooLarge(PathBuf),
    /// A line or a whole file is not what a run holds.
    #[error("{}, line {line}, is damaged: move the file away to have a report without it", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The reason.
        source: serde_json::Error,
    },
    /// The policy in a file is none.
    #[error("the policy in {} cannot be read", path.display())]
    Policy {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: PolicyError,
    },
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Writes the report of a run, and says where.
///
/// What the images of the run or an op of its policy would be needed for is left out where they
/// are not at hand, and the page says so in their place.
///
/// # Errors
///
/// [`ReportError`] where there is no run, a file of it is damaged, or the page cannot be written.
pub fn write(run: &Path, options: &ReportOptions) -> Result<PathBuf, ReportError> {
    let record = Record::read(run)?;
    let evidence = Evidence::gather(&record, &options.ops, options.images);
    let page = page(&record, &evidence).into_string();
    let out = options.out.clone();
    let out = out.unwrap_or_else(|| run.join("report.html"));
    faa_system::write_whole(&out, page.as_bytes()).map_err(FileError::io("write", &out))?;
    Ok(out)
}

fn page(record: &Record, evidence: &Evidence<'_>) -> Markup {
    let sections = sections(record, evidence);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (summary::title(record)) }
                // The style sheet is this crate's own, and nothing of a run is in it.
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (summary::header(record, evidence, &sections))
                    @for section in &sections {
                        section id=(section.id) {
                            h2 { (section.heading) }
                            (section.body)
                        }
                    }
                }
            }
        }
    }
}

/// The sections that a search has, or those of them that a training has.
fn sections(record: &Record, evidence: &Evidence<'_>) -> Vec<Section> {
    let section = |id, heading, body| Section { id, heading, body };
    let mut sections = vec![section(
        "configuration",
        "Configuration and provenance",
        configuration::body(record),
    )];
    if record.is_search() {
        sections.extend([
            section("training", "Training curves", training::body(record)),
            section("reward", "Reward over trials", reward::body(record)),
            section(
                "ops",
                "What the search preferred",
                ops::body(record, evidence),
            ),
        ]);
    }
    if record.is_search() || evidence.policy.is_some() {
        sections.extend([
            section("policy", "The policy", policy::body(record, evidence)),
            section("images", "Images under the policy", images::body(evidence)),
        ]);
    }
    sections.push(section(
        "final_trainings",
        "Final trainings",
        final_trainings::body(record),
    ));
    sections
}
