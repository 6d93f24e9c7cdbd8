//! Images are read, augmented and written on all threads, and reported in order.

use std::ops::ControlFlow;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Result, anyhow};
use faa_data::EncodedImage;
use faa_policy::Workspace;

use super::images::Images;
use super::manifest::Line;

/// How many images per thread may be done before the one that is reported next. Of these, only lines are in
/// memory.
const AHEAD: usize = 16;

struct Job<'a> {
    position: usize,
    content: EncodedImage<'a>,
    answer: Sender<Result<Vec<Line>>>,
}

/// Writes the images at these ascending positions, and passes the lines of each to `take`, in this order. Ends
/// early if `stop` is set, or at the first error.
///
/// Each image has a channel for its answer. Its receiver goes into a queue, in the order of the images, whose
/// length bounds how far threads get ahead of a slow one.
pub(super) fn run(
    images: &Images<'_>,
    wanted: &[usize],
    threads: usize,
    stop: &AtomicBool,
    mut take: impl FnMut(usize, Vec<Line>) -> Result<()>,
) -> Result<()> {
    let (order, answers) = sync_channel(AHEAD * threads);
    // An encoded image for each thread that becomes idle.
    let (jobs, queue) = sync_channel(threads);
    let queue = Mutex::new(queue);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| work(images, &queue));
        }
        let reader = scope.spawn(move || {
            images.outputs.files.read(wanted, |position, content| {
                let (answer, receiver) = channel();
                let job = Job {
                    position,
                    content,
                    answer,
                };
                let is_over = stop.load(Ordering::Relaxed)
                    || order.send((position, receiver)).is_err()
                    || jobs.send(job).is_err();
                match is_over {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            })
        });
        let taken = answers
            .into_iter()
            .try_for_each(|(position, answer): Answer| take(position, answer.recv()??));
        // An error ends the queue of answers, so the reader, and so the workers.
        let read = reader.join();
        taken?;
        Ok(read.map_err(|_| anyhow!("the thread that reads has panicked"))??)
    })
}

/// The position of an image, and where its lines come from.
type Answer = (usize, Receiver<Result<Vec<Line>>>);

fn work<'a>(images: &Images<'_>, queue: &Mutex<Receiver<Job<'a>>>) {
    let mut workspace = Workspace::new();
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job {
            position,
            content,
            answer,
        }) = job
        else {
            return;
        };
        let file = &images.outputs.files.files()[position];
        // Images are hostile. A panic must be an error, as other threads wait for this one.
        let written = AssertUnwindSafe(|| images.write(file, content, &mut workspace));
        let written = panic::catch_unwind(written).unwrap_or_else(|_| {
            workspace = Workspace::new();
            Err(anyhow!("augmenting {} has panicked", file.inner_path()))
        });
        // Nobody waits for it after an error.
        let _ = answer.send(written);
    }
}
