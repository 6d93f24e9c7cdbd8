//! Images are read, augmented and written on all threads, and reported in order.

use std::mem;
use std::ops::{ControlFlow, Range};
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::held::Held;
use super::images::{Images, Memory, Source, Written};

/// How many files a job has at most: of several images, or of one image with many copies, which is so written on
/// several threads. Threads exchange jobs rarely enough that this costs nothing.
const MAX_FILES: usize = 16;

/// The minimum number of jobs per thread, where there are enough files, so that threads end together.
const JOBS: usize = 8;

/// How many jobs per thread may be done before the one that is reported next. Of these, only lines are in memory,
/// and the files that go into an archive.
const AHEAD: usize = 2;

/// The encoded images, in bytes, of a job that read them from an archive; the one that exceeds it is held too.
const MAX_HELD: usize = 1 << 20;

/// How long the lines of files that are written may wait for those of the same job.
const WAIT: Duration = Duration::from_millis(100);

/// What a thread does at a time.
struct Job<'a> {
    number: u64,
    parts: Vec<Part<'a>>,
    answer: Sender<Result<Vec<Written>>>,
}

/// Some of the files of an image.
struct Part<'a> {
    source: Arc<Source<'a>>,
    versions: Range<usize>,
}

/// Writes the images at these ascending positions, and passes what was written to `take`, in this order. Ends early
/// if `stop` is set, or at the first error; that of an image that `stop` has cut is
/// [`Stopped`](crate::commands::Stopped).
///
/// Each job has a channel for its answers. Its receiver goes into a queue, in the order of the jobs, whose
/// length bounds how far threads get ahead of a slow one.
pub(super) fn run(
    images: &Images<'_>,
    wanted: &[usize],
    threads: usize,
    stop: &AtomicBool,
    take: &mut dyn FnMut(Vec<Written>) -> Result<()>,
) -> Result<()> {
    let files = images.outputs.files.files();
    let versions = |position: usize| images.outputs.versions(&files[position]).count();
    let total: usize = wanted.iter().map(|&position| versions(position)).sum();
    let files_per_job = (total / (threads * JOBS)).clamp(1, MAX_FILES);
    let (order, answers) = sync_channel(AHEAD * threads);
    // A job for each thread that becomes idle.
    let (jobs, queue) = sync_channel(threads);
    let (queue, held) = (Mutex::new(queue), Held::new());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| work(images, stop, &queue, &held));
        }
        let reader = scope.spawn(move || {
            let mut number = 0;
            let mut send = |parts| {
                let (answer, receiver) = channel();
                let job = Job {
                    number,
                    parts,
                    answer,
                };
                number += 1;
                let is_over = stop.load(Ordering::Relaxed)
                    || order.send(receiver).is_err()
                    || jobs.send(job).is_err();
                match is_over {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            };
            let (mut parts, mut count, mut bytes) = (Vec::new(), 0, 0);
            let read = images.outputs.files.read(wanted, |position, content| {
                bytes += content.held();
                let source = Arc::new(Source::new(position, content));
                let versions = versions(position);
                for start in (0..versions).step_by(files_per_job) {
                    let end = versions.min(start + files_per_job);
                    parts.push(Part {
                        source: Arc::clone(&source),
                        versions: start..end,
                    });
                    count += end - start;
                    if count >= files_per_job || bytes > MAX_HELD {
                        (count, bytes) = (0, 0);
                        send(mem::take(&mut parts))?;
                    }
                }
                ControlFlow::Continue(())
            });
            if !parts.is_empty() {
                let _ = send(parts);
            }
            read
        });
        let mut numbers = 0..;
        let taken: Result<()> = answers.into_iter().zip(&mut numbers).try_for_each(
            |(answer, number): (Answers, u64)| {
                held.next(number);
                for written in answer {
                    let written = written?;
                    let bytes = written.iter().map(Written::held).sum();
                    take(written)?;
                    held.release(bytes);
                }
                Ok(())
            },
        );
        // An error ends the queue of answers, so the reader, and so the workers.
        held.end();
        let read = reader.join();
        taken?;
        Ok(read.map_err(|_| anyhow!("the thread that reads has panicked"))??)
    })
}

type Answers = Receiver<Result<Vec<Written>>>;

fn work<'a>(images: &Images<'a>, stop: &AtomicBool, queue: &Mutex<Receiver<Job<'a>>>, held: &Held) {
    let mut memory = Memory::default();
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else {
            return;
        };
        let (mut written, mut sent) = (Vec::new(), Instant::now());
        for part in job.parts {
            // Images are hostile. A panic must be an error, as other threads wait for this one.
            let done = AssertUnwindSafe(|| {
                let take = &mut |one: Written| {
                    held.add(job.number, one.held());
                    written.push(one);
                    if sent.elapsed() < WAIT {
                        return Ok(());
                    }
                    sent = Instant::now();
                    let written = Ok(mem::take(&mut written));
                    // Nobody waits for them after an error of another image.
                    (job.answer.send(written)).map_err(|_| anyhow!("the command is over"))
                };
                images.write(&part.source, part.versions, &mut memory, stop, take)
            });
            let done = panic::catch_unwind(done).unwrap_or_else(|_| {
                memory = Memory::default();
                let file = &images.outputs.files.files()[part.source.position];
                Err(anyhow!("augmenting {} has panicked", file.inner_path()))
            });
            if let Err(error) = done {
                let _ = job.answer.send(Ok(mem::take(&mut written)));
                let _ = job.answer.send(Err(error));
                break;
            }
        }
        let _ = job.answer.send(Ok(written));
    }
}
