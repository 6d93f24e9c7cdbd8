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
//! compared with what random search is expected to find, the ops that the search preferred, the rungs
//! of successive halving with what each op does, the policy with real images under it, and the final
//! trainings. Its top says whether a search by density matching has fallen back to doing nothing: it has
//! if the top n candidates leave an image untouched more than 1.5 times as often as uniformly random
//! ones, or if the policy changes a pixel by less than half as much as random policies do. If the latter
//! was not measured, the question is left open.
//!
//! Of an audit, it shows a small curve for each op: accuracy over its values with intervals, what is
//! accepted, the safe range, the worst-affected class, and an image that the op breaks.
//!
//! The expected result of random search is estimated from a fold's start-up trials, which are random,
//! without replacement, and only for as many candidates as there are such trials.
//!
//! **Input.** A run may be unfinished, and a search may be writing to it: nothing in it is changed
//! but the page, and a torn last line of a log is passed over. Of the data set, only the images that
//! are shown or measured are decoded. Two pages of the same run, ops and images have the same bytes.
//!
//! **Untrusted input.** Everything that comes from the run is escaped, and the page's content security
//! policy forbids scripts and everything that is not in the page. Files over 256 MiB are refused. The
//! data set that a run names is not opened unless the user named it ([`name_data`]) or asks for its
//! images.

mod broken;
mod chart;
mod error;
mod evidence;
mod origin;
mod pictures;
mod record;
mod sections;
mod statistics;
#[cfg(test)]
mod tests;
mod text;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use faa_op::OpSet;
use faa_ops_builtin::builtin_ops;
use faa_search::files::FileError;
use faa_search::layout::Layout;
use faa_system::write_whole;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

pub use self::error::{ReportError, ReportErrorKind};
use self::evidence::Evidence;
pub use self::origin::name_data;
pub use self::pictures::IMAGES;
use self::record::Record;
use self::sections::{
    Section, audit, configuration, final_trainings, halving, images, ops, policy, reward, summary,
    training,
};

const STYLE: &str = include_str!("page/style.css");

/// What the head of every page has, by which one is recognised.
const GENERATOR: &str = r#"<meta name="generator" content="faa-runtime">"#;

/// What can be chosen about a report; set the fields of a default.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ReportOptions {
    /// Where the page is written; `None` for `report.html` in the run directory.
    pub out: Option<PathBuf>,
    /// The ops that the policy is applied with, including those of plugins that the run used.
    pub ops: OpSet,
    /// How many images are shown under the policy. With 0 the data set is not read at all, and how
    /// much the policy changes pixels is not measured. `None` for [`IMAGES`] if the program draws the
    /// data set, or its user named it for this run ([`name_data`]), and for 0 otherwise.
    pub images: Option<usize>,
    /// Whether `out` is replaced even if it is not a report.
    pub overwrite: bool,
}

impl Default for ReportOptions {
    /// The built-in ops, written into the run directory.
    fn default() -> Self {
        Self {
            out: None,
            ops: builtin_ops(),
            images: None,
            overwrite: false,
        }
    }
}

/// Writes the report of a run, and returns its path.
///
/// If the images of the run or an op of its policy are not available, the page says so in place of
/// what needs them. An earlier report is replaced.
///
/// # Errors
///
/// [`ReportError`] if there is no run, a file of it is damaged or of a different version, or the page
/// cannot be written. What is in its place and is neither a report nor empty is replaced only if
/// [`overwrite`](ReportOptions::overwrite) is set, and a device or folder never.
pub fn write(run: &Path, options: &ReportOptions) -> Result<PathBuf, ReportError> {
    let record = Record::read(run)?;
    let out = options.out.clone();
    let out = out.unwrap_or_else(|| Layout::new(run).report_file());
    check_target(&out, options.overwrite)?;
    let images = options.images.or_else(|| default_images(run, &record));
    let evidence = Evidence::gather(&record, &options.ops, images);
    let page = page(&record, &evidence).into_string();
    let written = write_whole(&out, page.as_bytes()).map_err(FileError::io("write", &out));
    written.map_err(ReportErrorKind::from)?;
    Ok(out)
}

fn check_target(out: &Path, overwrite: bool) -> Result<(), ReportErrorKind> {
    let metadata = match fs::metadata(out) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found.map_err(FileError::io("read", out))?,
    };
    if !metadata.is_file() {
        let not_a_file = io::Error::other("it exists and is not a file");
        return Err(FileError::io("write", out)(not_a_file).into());
    }
    let mut head = Vec::new();
    let read = File::open(out).and_then(|file| file.take(1024).read_to_end(&mut head));
    let is_report = head.is_empty() || String::from_utf8_lossy(&head).contains(GENERATOR);
    match overwrite || (read.is_ok() && is_report) {
        true => Ok(()),
        false => Err(ReportErrorKind::Exists(out.to_owned())),
    }
}

/// The images that are shown unasked; `None` if an untrusted run directory names the data set.
fn default_images(run: &Path, record: &Record) -> Option<usize> {
    let data = record.data().parse();
    let is_untrusted = data.is_ok_and(|data| !origin::is_named(run, &data));
    (!is_untrusted).then_some(IMAGES)
}

/// Nothing but the page's own style sheet and the images in it is loaded, and nothing runs.
fn content_security_policy() -> String {
    let style = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; img-src data:; style-src 'sha256-{style}'; base-uri 'none'; \
         form-action 'none'"
    )
}

fn page(record: &Record, evidence: &Evidence<'_>) -> Markup {
    let sections = sections(record, evidence);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                (PreEscaped(GENERATOR))
                meta http-equiv="Content-Security-Policy" content=(content_security_policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (summary::title(record)) }
                // The style sheet is this crate's own; it contains nothing of a run.
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

/// The sections of a search, an audit or a training.
fn sections(record: &Record, evidence: &Evidence<'_>) -> Vec<Section> {
    let section = |id, heading, body| Section { id, heading, body };
    let config = record.config();
    let configuration = configuration::body(record);
    let mut sections = vec![section(
        "configuration",
        "Configuration and provenance",
        configuration,
    )];
    if config.audit.is_some() {
        let audit = section("audit", "Which ops are safe", audit::body(record, evidence));
        // It is what an audit is about, and one of the beginnings of a search.
        let index = if config.is_search() { 1 } else { 0 };
        sections.insert(index, audit);
    }
    if let Some(search) = &config.search {
        let training = training::body(record, &config.common.training, search);
        let ops = ops::body(search, evidence);
        sections.extend([
            section("training", "Training curves", training),
            section("reward", "Reward over trials", reward::body(record, search)),
            section("ops", "What the search preferred", ops),
        ]);
    }
    if let Some(config) = &config.halving {
        let body = halving::body(record, config);
        sections.push(section("halving", "Successive halving", body));
    }
    if config.is_search() || evidence.policy.is_some() {
        let images = images::body(record, evidence);
        sections.extend([
            section("policy", "The policy", policy::body(record, evidence)),
            section("images", "Images under the policy", images),
        ]);
    }
    let final_trainings = final_trainings::body(record);
    sections.push(section(
        "final_trainings",
        "Final trainings",
        final_trainings,
    ));
    sections
}
