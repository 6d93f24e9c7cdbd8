//! What a run directory holds, read without touching it: a search may be writing there.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use faa_policy::Policy;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::ReportError;
use faa_search::config::Augmentation;
use faa_search::files::FileError;
use faa_search::results::{Divergence, Epoch, Evaluation};
use faa_search::trial::Trial;

/// The most bytes that are read of a file. A log of 100,000 trials has a quarter of them.
pub(super) const MOST_BYTES: u64 = 256 << 20;

/// Counts of a configuration above this are taken as not stated: no search is that large, and
/// charts are laid out by them.
const MOST_COUNTED: u64 = 1_000_000;

/// The controls in the order in which they build on each other; others follow.
const CONTROLS: [Augmentation; 5] = [
    Augmentation::None,
    Augmentation::Cutout,
    Augmentation::Random,
    Augmentation::TrivialAugment,
    Augmentation::Policy,
];

/// A run, as far as it has come.
pub(super) struct Record {
    /// `run.json`.
    pub(super) run: Value,
    /// `environment.jsonl`: with what the run was worked on, an object for each distinct set of means in
    /// order. What is in them is taken as it is.
    pub(super) resources: Vec<Value>,
    /// The folds that were begun, in order.
    pub(super) folds: Vec<FoldRecord>,
    /// The policy that a search found, or that a training was given.
    pub(super) policy: Option<Policy>,
    /// The final trainings that were begun, by control and seed.
    pub(super) final_trainings: Vec<FinalRecord>,
    /// Whether `summary.json` is there, which a run writes last.
    pub(super) finished: bool,
}

/// The folder of a fold.
pub(super) struct FoldRecord {
    pub(super) number: usize,
    pub(super) epochs: Vec<Epoch>,
    pub(super) trials: Vec<Trial>,
    /// How the fold's network does on D_A.
    pub(super) evaluation: Option<Evaluation>,
    pub(super) diverged: Option<Divergence>,
}

/// The folder of a final training.
pub(super) struct FinalRecord {
    pub(super) augmentation: String,
    pub(super) seed: u64,
    pub(super) epochs: Vec<Epoch>,
    /// How the network does on the test split.
    pub(super) result: Option<Evaluation>,
    pub(super) diverged: Option<Divergence>,
}

impl Record {
    /// Reads a run directory.
    ///
    /// # Errors
    ///
    /// [`ReportError`] where there is no run or a file of it is damaged; a last line that is not
    /// whole is passed over.
    pub(super) fn read(path: &Path) -> Result<Self, ReportError> {
        let Some(run) = read_json::<Value>(&path.join("run.json"))? else {
            return Err(ReportError::NoRun(path.to_owned()));
        };
        let mut folds = Vec::new();
        for name in folders(path)? {
            let number = name
                .strip_prefix("fold-")
                .and_then(|number| number.parse::<usize>().ok());
            if let Some(number) = number {
                folds.push(FoldRecord::read(number, &path.join(&name))?);
            }
        }
        folds.sort_by_key(|fold| fold.number);
        let mut final_trainings = Vec::new();
        for name in folders(&path.join("final"))? {
            let Some((augmentation, seed)) = name.rsplit_once('-') else {
                continue;
            };
            if let Ok(seed) = seed.parse::<u64>() {
                let folder = path.join("final").join(&name);
                final_trainings.push(FinalRecord::read(augmentation, seed, &folder)?);
            }
        }
        final_trainings.sort_by(|a, b| a.order().cmp(&b.order()));
        let mut resources = read_lines::<Value>(&path.join("environment.jsonl"))?;
        resources.retain(Value::is_object);
        Ok(Self {
            resources,
            folds,
            policy: read_policy(path)?,
            final_trainings,
            finished: path.join("summary.json").exists(),
            run,
        })
    }

    /// Whether this is a search, and not a training with a policy that was given.
    pub(super) fn is_search(&self) -> bool {
        self.run["task"] != "train"
    }

    /// The configuration: null where `run.json` has none.
    pub(super) fn config(&self) -> &Value {
        &self.run["config"]
    }

    /// A text of the configuration, by its JSON pointer.
    pub(super) fn text(&self, pointer: &str) -> Option<&str> {
        self.config().pointer(pointer)?.as_str()
    }

    /// A count of the configuration, by its JSON pointer.
    pub(super) fn count(&self, pointer: &str) -> Option<usize> {
        let count = self.config().pointer(pointer)?.as_u64()?;
        usize::try_from(count)
            .ok()
            .filter(|_| count <= MOST_COUNTED)
    }

    /// The data set, as after `--data`.
    pub(super) fn data(&self) -> &str {
        self.text("/data").unwrap_or("an unknown data set")
    }

    /// A key under `finals`, where a search has it; a training has it outermost.
    pub(super) fn of_finals(&self, key: &str) -> String {
        let place = if self.is_search() {
            "/final_trainings"
        } else {
            ""
        };
        format!("{place}/{key}")
    }

    /// The controls that were asked for or have been begun, in their order.
    pub(super) fn augmentations(&self) -> Vec<String> {
        let asked = self.config().pointer(&self.of_finals("augmentations"));
        let asked = asked.and_then(Value::as_array).into_iter().flatten();
        let mut augmentations: Vec<String> = asked
            .filter_map(Value::as_str)
            .chain(
                self.final_trainings
                    .iter()
                    .map(|training| training.augmentation.as_str()),
            )
            .map(str::to_owned)
            .collect();
        augmentations.sort_by(|a, b| (rank(a), a).cmp(&(rank(b), b)));
        augmentations.dedup();
        augmentations
    }

    /// All trials, with the number of their fold.
    pub(super) fn trials(&self) -> impl Iterator<Item = (usize, &Trial)> {
        self.folds.iter().flat_map(|fold| {
            let number = fold.number;
            fold.trials.iter().map(move |trial| (number, trial))
        })
    }
}

impl FoldRecord {
    fn read(number: usize, folder: &Path) -> Result<Self, ReportError> {
        Ok(Self {
            number,
            epochs: read_lines(&folder.join("epochs.jsonl"))?,
            trials: read_lines(&folder.join("trials.jsonl"))?,
            evaluation: read_json(&folder.join("evaluation.json"))?,
            diverged: read_json(&folder.join("diverged.json"))?,
        })
    }

    /// The trials of each round.
    pub(super) fn rounds(&self) -> impl Iterator<Item = &[Trial]> {
        self.trials.chunk_by(|a, b| a.round == b.round)
    }
}

impl FinalRecord {
    fn read(augmentation: &str, seed: u64, folder: &Path) -> Result<Self, ReportError> {
        Ok(Self {
            augmentation: augmentation.to_owned(),
            seed,
            epochs: read_lines(&folder.join("epochs.jsonl"))?,
            result: read_json(&folder.join("result.json"))?,
            diverged: read_json(&folder.join("diverged.json"))?,
        })
    }

    fn order(&self) -> (usize, &str, u64) {
        (
            rank(&self.augmentation),
            self.augmentation.as_str(),
            self.seed,
        )
    }
}

/// The control of this name.
pub(super) fn known_control(name: &str) -> Option<Augmentation> {
    CONTROLS.into_iter().find(|known| known.name() == name)
}

fn rank(augmentation: &str) -> usize {
    let known = CONTROLS
        .iter()
        .position(|known| known.name() == augmentation);
    known.unwrap_or(CONTROLS.len())
}

fn read_policy(run: &Path) -> Result<Option<Policy>, ReportError> {
    let path = run.join("policy.json");
    let Some(json) = read(&path)? else {
        return Ok(None);
    };
    let parsed = Policy::parse(&json).map(Some);
    parsed.map_err(|source| ReportError::Policy { path, source })
}

/// The names of the folders in a folder; none where it is not there.
fn folders(folder: &Path) -> Result<Vec<String>, ReportError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(FileError::io("list", folder)(error).into()),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(FileError::io("list", folder))?;
        if entry.path().is_dir()
            && let Ok(name) = entry.file_name().into_string()
        {
            names.push(name);
        }
    }
    Ok(names)
}

/// Reads a log. What stands behind the last newline is being written, or was torn by a crash.
fn read_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, ReportError> {
    let content = read(path)?.unwrap_or_default();
    let lines = content.split_inclusive(|byte| *byte == b'\n').enumerate();
    lines
        .filter(|(_, line)| line.ends_with(b"\n"))
        .map(|(place, line)| {
            serde_json::from_slice(line).map_err(|source| ReportError::Damaged {
                path: path.to_owned(),
                line: place + 1,
                source,
            })
        })
        .collect()
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ReportError> {
    let Some(content) = read(path)? else {
        return Ok(None);
    };
    let parsed = serde_json::from_slice(&content).map(Some);
    parsed.map_err(|source| ReportError::Damaged {
        path: path.to_owned(),
        line: source.line(),
        source,
    })
}

/// A file's content; `None` where there is no file.
fn read(path: &Path) -> Result<Option<Vec<u8>>, ReportError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FileError::io("read", path)(error).into()),
    };
    let mut content = Vec::new();
    file.take(MOST_BYTES + 1)
        .read_to_end(&mut content)
        .map_err(FileError::io("read", path))?;
    if content.len() as u64 > MOST_BYTES {
        return Err(ReportError::TooLarge(path.to_owned()));
    }
    Ok(Some(content))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with a `run.json` and these files.
    fn run(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("run.json", r#"{"config": {}}"#)].iter().chain(files) {
            let file = folder.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        folder
    }

    const EPOCH: &str =
        r#"{"epoch":0,"loss":1.5,"error":0.5,"learning_rate":0.1,"seconds":2.0,"images":30}"#;

    #[test]
    fn a_torn_last_line_is_passed_over_and_left_as_it_is() {
        let log = format!("{EPOCH}\n{{\"epoch\":1,\"lo");
        let folder = run(&[("fold-0/epochs.jsonl", &log)]);
        let record = Record::read(folder.path()).unwrap();
        assert_eq!(record.folds[0].epochs.len(), 1);
        let after = fs::read_to_string(folder.path().join("fold-0/epochs.jsonl")).unwrap();
        assert_eq!(after, log);
    }

    #[test]
    fn a_damaged_line_is_named() {
        let log = format!("{EPOCH}\n{{\"epoch\":1,\"lo\n{EPOCH}\n");
        let folder = run(&[("fold-0/epochs.jsonl", &log)]);
        let error = Record::read(folder.path()).err().unwrap();
        assert!(
            matches!(error, ReportError::Damaged { line: 2, .. }),
            "{error}"
        );
        assert!(
            error.to_string().contains("epochs.jsonl, line 2"),
            "{error}"
        );
    }

    #[test]
    fn folds_and_final_trainings_are_in_order() {
        let result = r#"{"error":0.25,"loss":1.0}"#;
        let folder = run(&[
            ("fold-10/epochs.jsonl", ""),
            ("fold-2/epochs.jsonl", ""),
            ("fold-x/epochs.jsonl", "not read"),
            ("final/policy-0/result.json", result),
            ("final/none-10/result.json", result),
            ("final/none-9/result.json", result),
            ("final/mine/result.json", "not read"),
            ("final/my-own-1/result.json", result),
        ]);
        let record = Record::read(folder.path()).unwrap();
        let folds: Vec<_> = record.folds.iter().map(|fold| fold.number).collect();
        assert_eq!(folds, [2, 10]);
        let final_trainings: Vec<_> = (record.final_trainings.iter())
            .map(|training| (training.augmentation.as_str(), training.seed))
            .collect();
        assert_eq!(
            final_trainings,
            [("none", 9), ("none", 10), ("policy", 0), ("my-own", 1)]
        );
        assert_eq!(record.augmentations(), ["none", "policy", "my-own"]);
    }

    #[test]
    fn means_are_read_in_order_and_may_be_absent() {
        let record = Record::read(run(&[]).path()).unwrap();
        assert!(record.resources.is_empty());
        let log = "{\"threads\":2}\n3\n{\"threads\":1,\"new\":[]}\n{\"thr";
        let record = Record::read(run(&[("environment.jsonl", log)]).path()).unwrap();
        let threads = record
            .resources
            .iter()
            .map(|resources| resources["threads"].as_u64());
        assert_eq!(threads.collect::<Vec<_>>(), [Some(2), Some(1)]);
    }

    #[test]
    fn a_training_has_other_places_for_its_counts() {
        let run_json = r#"{"task": "train", "config": {"seeds": 2, "augmentations": ["policy"]}}"#;
        let folder = run(&[("run.json", run_json)]);
        let record = Record::read(folder.path()).unwrap();
        assert!(!record.is_search());
        assert_eq!(record.count(&record.of_finals("seeds")), Some(2));
        assert_eq!(record.augmentations(), ["policy"]);
    }

    #[test]
    fn counts_that_no_search_has_are_not_stated() {
        let run_json = r#"{"config": {"a": 1000000, "b": 1000001, "c": -1, "d": 1.5}}"#;
        let folder = run(&[("run.json", run_json)]);
        let record = Record::read(folder.path()).unwrap();
        let counts = ["/a", "/b", "/c", "/d", "/e"].map(|key| record.count(key));
        assert_eq!(counts, [Some(1_000_000), None, None, None, None]);
    }

    #[test]
    fn a_folder_without_a_run_and_a_damaged_policy_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let error = Record::read(folder.path()).err().unwrap();
        assert!(matches!(error, ReportError::NoRun(_)), "{error}");
        let folder = run(&[("policy.json", r#"{"format": "faa-policy", "version": 2}"#)]);
        let error = Record::read(folder.path()).err().unwrap();
        assert!(matches!(error, ReportError::Policy { .. }), "{error}");
    }
}
