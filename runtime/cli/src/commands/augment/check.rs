//! Comparison of the files that are there with those that were written, and of the images with those that were
//! read.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, PoisonError};
use std::thread;

use faa_data::{DataError, EncodedImage, ImageFiles};
use faa_system::open_regular;

use super::labelling::ImageLabels;

/// How many files are compared at a time.
const BATCH: usize = 4096;

/// A file that was written.
pub(super) struct Check {
    /// The position of its image.
    pub(super) position: usize,
    /// Its path in the output folder.
    pub(super) output: String,
    /// Whether it has the annotations of an image that was written with it.
    pub(super) is_label: bool,
    pub(super) length: u64,
    pub(super) crc32: u32,
}

/// An image file that was read.
pub(super) struct Input {
    pub(super) position: usize,
    /// Its length and CRC-32; `None` if it could not be read.
    pub(super) content: Option<(u64, u32)>,
    /// The same of its file of annotations, if it has one.
    pub(super) label: Option<(u64, u32)>,
    /// Whether that was read: not of an image that was only mixed in, or could not be read.
    pub(super) reads_label: bool,
    /// Whether it was skipped.
    pub(super) is_skipped: bool,
}

/// What is not as it was.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// This file of the image at this position is missing, or empty, as after a power cut; and whether it has
    /// annotations.
    Missing(usize, String, bool),
    /// A file was changed, which is not overwritten.
    Different(String),
}

/// Compares files on several threads, and keeps what it finds in their order.
pub(super) struct Findings<'a> {
    out: &'a Path,
    threads: usize,
    batch: Vec<Check>,
    found: Vec<Finding>,
}

impl<'a> Findings<'a> {
    pub(super) fn new(out: &'a Path, threads: usize) -> Self {
        Self {
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
        let out = self.out;
        let parts = self
            .batch
            .chunks(self.batch.len().div_ceil(self.threads).max(1));
        let found = thread::scope(|scope| {
            let started = parts.map(|part| {
                scope.spawn(move || -> Vec<Finding> {
                    part.iter().filter_map(|it| it.finding(out)).collect()
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
    fn finding(&self, out: &Path) -> Option<Finding> {
        let path = out.join(&self.output);
        let crc32 = match fs::metadata(&path) {
            // Files of annotations may have been written empty.
            Ok(metadata) if metadata.is_file() && metadata.len() == 0 && self.length > 0 => None,
            Ok(metadata) if metadata.len() == self.length => crc32_of(&path).ok(),
            Ok(_) => Some(!self.crc32),
            Err(_) => None,
        };
        match crc32 {
            None => {
                let output = self.output.clone();
                Some(Finding::Missing(self.position, output, self.is_label))
            }
            Some(crc32) if crc32 == self.crc32 => None,
            Some(_) => Some(Finding::Different(format!(
                "{} is not as it was written: remove it, and it is written again",
                path.display()
            ))),
        }
    }
}

/// Those of these image files that are not as they were, in their ascending order. Ends early if `stop` is set.
pub(super) fn changed<'i>(
    files: &ImageFiles,
    inputs: &'i [Input],
    threads: usize,
    stop: &AtomicBool,
) -> Result<Vec<&'i Input>, DataError> {
    let positions: Vec<usize> = inputs.iter().map(|it| it.position).collect();
    let of = |position| {
        let index = positions.binary_search(&position);
        &inputs[index.expect("only these are read")]
    };
    let (jobs, queue) = sync_channel::<(usize, EncodedImage<'_>)>(threads);
    let (queue, found) = (Mutex::new(queue), Mutex::new(Vec::new()));
    let compare = || {
        loop {
            let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok((position, content)) = job else {
                return;
            };
            let input = of(position);
            let bytes = content.into_bytes().ok();
            let content = bytes.map(|bytes| (bytes.len() as u64, crc32fast::hash(&bytes)));
            let is_labelled_as_before = || {
                let label = files.read_label(position).ok().flatten();
                ImageLabels::content(label.as_ref()) == input.label
            };
            if content != input.content || (input.reads_label && !is_labelled_as_before()) {
                let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                found.push(input);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(compare);
        }
        // The queue ends with it, and so do the threads.
        let jobs = jobs;
        files.read(&positions, |position, content| {
            match stop.load(Ordering::Relaxed) || jobs.send((position, content)).is_err() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        })
    })?;
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.sort_by_key(|input| input.position);
    Ok(found)
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
