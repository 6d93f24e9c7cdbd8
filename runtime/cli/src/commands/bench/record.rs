//! What `bench --all` measured, and on what: its JSON.

use std::fmt;
use std::fs;
use std::path::Path;
use std::thread;

use anyhow::{Context, Result, bail};
use faa_op::Channels;
use faa_op::text::clean;
use faa_ops_builtin::SimdLevel;
use serde::{Deserialize, Serialize};

/// The rates of all ops on one machine.
#[derive(Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) machine: Machine,
    channels: usize,
    threads: u32,
    pub(super) results: Vec<Measurement>,
}

/// What was measured on, and with which program.
#[derive(PartialEq, Serialize, Deserialize)]
pub(super) struct Machine {
    processor: String,
    cores: usize,
    simd: String,
    faa_runtime: String,
    os: String,
}

/// The rates of an op or a policy, in images per second of all threads together.
#[derive(Serialize, Deserialize)]
pub(super) struct Measurement {
    pub(super) what: String,
    /// Width and height in pixels.
    pub(super) size: u32,
    /// Of the median round.
    pub(super) images_per_second: u64,
    pub(super) slowest: u64,
    pub(super) fastest: u64,
    /// Per thread.
    pub(super) ns_per_image: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) before: Option<Before>,
}

/// The same in the record that was compared with.
#[derive(Serialize, Deserialize)]
pub(super) struct Before {
    pub(super) images_per_second: u64,
    /// Whether all rounds of one of the two were faster than all of the other.
    pub(super) changed: bool,
}

/// The largest record that is read, in bytes.
const MAX_BYTES: u64 = 16 << 20;

impl Record {
    /// A record without results.
    pub(super) fn new(level: SimdLevel, channels: Channels, threads: u32) -> Self {
        Self {
            machine: Machine::at(level),
            channels: channels.count(),
            threads,
            results: Vec::new(),
        }
    }

    pub(super) fn read(path: &Path) -> Result<Self> {
        let name = clean(&path.to_string_lossy(), 200);
        let size = fs::metadata(path)
            .with_context(|| format!("cannot read {name}"))?
            .len();
        if size > MAX_BYTES {
            bail!("{name} has more than {} MiB", MAX_BYTES >> 20);
        }
        let json = fs::read(path).with_context(|| format!("cannot read {name}"))?;
        serde_json::from_slice(&json).with_context(|| {
            format!("{name} is not the output of `faa-runtime bench --all --json`")
        })
    }

    /// Adds to each result the earlier one of the same name and size.
    pub(super) fn compare(&mut self, before: &Self) {
        for now in &mut self.results {
            let mut earlier = before.results.iter();
            let same = |it: &&Measurement| (&it.what, it.size) == (&now.what, now.size);
            now.before = earlier.find(same).map(|earlier| Before {
                images_per_second: earlier.images_per_second,
                changed: now.slowest > earlier.fastest || now.fastest < earlier.slowest,
            });
        }
    }

    /// What two records must share for their rates to be comparable; versions may differ.
    pub(super) fn conditions(&self) -> impl PartialEq {
        let machine = &self.machine;
        let (processor, simd) = (machine.processor.clone(), machine.simd.clone());
        (processor, machine.cores, simd, self.channels, self.threads)
    }
}

impl Machine {
    fn at(level: SimdLevel) -> Self {
        Self {
            processor: processor(),
            cores: thread::available_parallelism().map_or(1, Into::into),
            simd: level.to_string(),
            faa_runtime: env!("CARGO_PKG_VERSION").to_owned(),
            os: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            processor,
            cores,
            simd,
            faa_runtime,
            os,
        } = self;
        write!(
            f,
            "{processor}, {cores} cores, {simd}; faa-runtime {faa_runtime}, {os}"
        )
    }
}

/// The processor's name, family and model, from Linux's description of the first; `unknown` elsewhere.
fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |key: &str| {
        let mut pairs = info.lines().filter_map(|line| line.split_once(':'));
        pairs
            .find(|pair| pair.0.trim() == key)
            .map(|pair| pair.1.trim())
    };
    match (value("model name"), value("cpu family"), value("model")) {
        (Some(name), Some(family), Some(model)) => {
            format!("{name} (family {family}, model {model})")
        }
        (Some(name), ..) => name.to_owned(),
        _ => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(rates: [[u64; 3]; 3]) -> Record {
        let mut record = Record::new(SimdLevel::best(), Channels::Rgb, 1);
        for ([slowest, images_per_second, fastest], what) in rates.into_iter().zip(["A", "B", "C"])
        {
            record.results.push(Measurement {
                what: what.to_owned(),
                size: 32,
                images_per_second,
                slowest,
                fastest,
                ns_per_image: 0,
                before: None,
            });
        }
        record
    }

    #[test]
    fn a_rate_has_changed_if_the_rounds_do_not_overlap() {
        let before = record([[90, 100, 110], [90, 100, 110], [90, 100, 110]]);
        let mut now = record([[111, 120, 130], [60, 70, 89], [60, 80, 90]]);
        now.results[2].size = 32;
        now.compare(&before);
        let changed = |it: &Measurement| it.before.as_ref().map(|before| before.changed);
        let changed: Vec<_> = now.results.iter().map(changed).collect();
        assert_eq!(changed, [Some(true), Some(true), Some(false)]);

        now.results[0].size = 224;
        now.results[0].before = None;
        now.compare(&before);
        assert!(
            now.results[0].before.is_none(),
            "a size that was not measured before"
        );
        assert!(now.conditions() == before.conditions());
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let written = record([[1, 2, 3]; 3]);
        fs::write(file.path(), serde_json::to_vec(&written).unwrap()).unwrap();
        let read = Record::read(file.path()).unwrap();
        assert!(read.machine == written.machine);
        assert_eq!(read.results[1].fastest, 3);

        fs::write(file.path(), "{}").unwrap();
        let error = Record::read(file.path()).err().unwrap().to_string();
        assert!(
            error.contains("is not the output of `faa-runtime bench --all --json`"),
            "{error}"
        );
    }
}
