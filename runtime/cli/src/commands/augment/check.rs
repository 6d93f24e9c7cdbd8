//! Comparison of the files that are there with those that were written.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::thread;

use faa_system::open_regular;

use super::outputs::Outputs;

/// How many files are compared at a time.
const BATCH: usize = 4096;

/// A file that was written.
pub(super) struct Check {
    /// The position of its image.
    pub(super) position: usize,
    /// Its path in the output folder.
    pub(super) output: String,
    pub(super) length: u64,
    pub(super) crc32: u32,
    /// The length of the image file at that time.
    pub(super) input_bytes: Option<u64>,
}

/// What is not as it was.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// A file of the image at this position is missing, or empty, as after a power cut.
    Missing(usize),
    /// A file was changed, which is not overwritten.
    Different(String),
}

/// Compares files on several threads, and keeps what it finds in their order.
pub(super) struct Findings<'a> {
    outputs: &'a Outputs<'a>,
    out: &'a Path,
    threads: usize,
    batch: Vec<Check>,
    found: Vec<Finding>,
}

impl<'a> Findings<'a> {
    pub(super) fn new(outputs: &'a Outputs<'a>, out: &'a Path, threads: usize) -> Self {
        Self {
            outputs,
            out,
            threads,
            batch: Vec::new(),
            found: Vec::new(),
        }
    }

    pub(super) fn check(&mut self, check: Check) {
        self.batch.push(check);
        if self.batch.len() == BATCH {
            self.compare();
        }
    }

    pub(super) fn finish(mut self) -> Vec<Finding> {
        self.compare();
        self.found
    }

    fn compare(&mut self) {
        let (outputs, out) = (self.outputs, self.out);
        let parts = self
            .batch
            .chunks(self.batch.len().div_ceil(self.threads).max(1));
        let found = thread::scope(|scope| {
            let started = parts.map(|part| {
                scope.spawn(move || -> Vec<Finding> {
                    part.iter()
                        .filter_map(|it| it.finding(outputs, out))
                        .collect()
                })
            });
            let started: Vec<_> = started.collect();
            let joined = started.into_iter().map(thread::ScopedJoinHandle::join);
            let found = joined.map(|found| found.expect("comparing does not panic"));
            found.flatten().collect::<Vec<_>>()
        });
        self.found.extend(found);
        self.batch.clear();
    }
}

impl Check {
    fn finding(&self, outputs: &Outputs<'_>, out: &Path) -> Option<Finding> {
        let input = &outputs.files.files()[self.position];
        let length = input.length();
        if length.is_some() && length != self.input_bytes {
            let path = input.path().display();
            return Some(Finding::Different(format!(
                "{path} has changed since it was augmented: choose a different --out"
            )));
        }
        let path = out.join(&self.output);
        let crc32 = match fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() && metadata.len() == 0 => None,
            Ok(metadata) if metadata.len() == self.length => crc32_of(&path).ok(),
            Ok(_) => Some(!self.crc32),
            Err(_) => None,
        };
        match crc32 {
            None => Some(Finding::Missing(self.position)),
            Some(crc32) if crc32 == self.crc32 => None,
            Some(_) => Some(Finding::Different(format!(
                "{} is not as it was written: remove it, and it is written again",
                path.display()
            ))),
        }
    }
}

/// The CRC-32 of a file, which is not read as a whole.
fn crc32_of(path: &Path) -> io::Result<u32> {
    let (file, _) = open_regular(path, File::options().read(true))?;
    let (mut reader, mut hasher) = (BufReader::new(file), crc32fast::Hasher::new());
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Ok(hasher.finalize());
        }
        hasher.update(bytes);
        let length = bytes.len();
        reader.consume(length);
    }
}
