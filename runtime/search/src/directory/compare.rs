//! Whether two runs are the same.

use std::path::{Display, Path};

use serde_json::{Map, Value};

use super::record::RunRecord;
use crate::config::RunConfig;
use crate::files::{FileError, FileErrorKind};

/// Checks that a directory's run is this one, so that it can be continued.
pub(super) fn check_same(
    path: &Path,
    recorded: &RunRecord,
    current: &RunRecord,
) -> Result<(), FileError> {
    let path = path.display();
    let command = |run: &RunRecord| match &run.config {
        config if config.is_search() => "search",
        RunConfig { audit: Some(_), .. } => "audit",
        _ => "train",
    };
    let message = if command(recorded) != command(current) {
        let (recorded, current) = (command(recorded), command(current));
        format!("{path} was created by `{recorded}`, not by `{current}`: choose a different --out")
    } else if let Some(message) = different_seeds(&path, recorded, current) {
        message
    } else if let Some((key, recorded, current)) = different_setting(recorded, current) {
        format!(
            "{path} holds a run with a different `{key}` (recorded {recorded}, now {current}): use \
             the recorded settings to continue it, or choose a different --out"
        )
    } else if recorded.data_digest != current.data_digest {
        format!(
            "the images of {} are not those that the run in {path} began with, which were in {}: \
             restore them to continue it, or choose a different --out",
            current.config.common.data, recorded.config.common.data
        )
    } else {
        return Ok(());
    };
    Err(FileError::new(FileErrorKind::DifferentRun, message))
}

/// Checks that two directories are parts of one run.
pub(crate) fn check_part(
    (path, record): (&Path, &RunRecord),
    (other_path, other): (&Path, &RunRecord),
) -> Result<(), FileError> {
    let Some((key, found, expected)) = difference(record, other) else {
        return Ok(());
    };
    let message = format!(
        "{} and {} are of different runs: `{key}` is {found} in the one and {expected} in the other",
        path.display(),
        other_path.display()
    );
    Err(FileError::new(FileErrorKind::DifferentRun, message))
}

/// In what two runs differ, and the values of both: a setting, or their images.
fn difference(one: &RunRecord, other: &RunRecord) -> Option<(String, String, String)> {
    different_setting(one, other).or_else(|| {
        let digests = [one, other].map(|run| run.data_digest.clone());
        let [one, other] = digests;
        (one != other).then(|| ("digest of the images".to_owned(), one, other))
    })
}

/// The first setting in which two configurations differ, and both values. Images may be in different folders.
fn different_setting(one: &RunRecord, other: &RunRecord) -> Option<(String, String, String)> {
    let config = |run: &RunRecord| {
        let mut config = run.config.clone();
        config.common.data.clear();
        serde_json::to_value(config).expect("a configuration can be written as JSON")
    };
    first_difference("", &config(one), &config(other))
}

/// Why a run cannot be continued with this number of seeds, if that is so. A number that was left open is no
/// setting that could be given, so the message names the option to add or to omit.
fn different_seeds(
    path: &Display<'_>,
    recorded: &RunRecord,
    current: &RunRecord,
) -> Option<String> {
    let option = match current.config.is_search() {
        true => "--final-seeds",
        false => "--seeds",
    };
    let seeds = |run: &RunRecord| run.config.final_trainings.seeds;
    match (seeds(recorded), seeds(current)) {
        (None, Some(_)) => Some(format!(
            "the run in {path} was started with an automatic number of seeds: omit {option} to continue it, or choose a \
             different --out"
        )),
        (Some(seeds), None) => Some(format!(
            "the run in {path} was started with {option} {seeds}: add it to continue, or choose a different --out"
        )),
        _ => None,
    }
}

/// The innermost key whose values differ.
fn first_difference(
    path: &str,
    recorded: &Value,
    current: &Value,
) -> Option<(String, String, String)> {
    if let (Value::Object(recorded), Value::Object(current)) = (recorded, current) {
        let mut keys = recorded.keys().chain(current.keys());
        return keys.find_map(|key| {
            let dot = if path.is_empty() { "" } else { "." };
            let path = format!("{path}{dot}{key}");
            let value = |map: &'_ Map<_, _>| map.get(key).cloned().unwrap_or_default();
            first_difference(&path, &value(recorded), &value(current))
        });
    }
    let differ = recorded != current;
    // An option that is not given has no text that could be.
    let text = |value: &Value| match value {
        Value::Null => "none".to_owned(),
        value => value.to_string(),
    };
    differ.then(|| (path.to_owned(), text(recorded), text(current)))
}
