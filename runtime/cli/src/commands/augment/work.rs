//! Images are read, augmented and written on all threads, and reported in order.

use std::iter;
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

/// How many files per thread may be written before those of the image that is reported next; at least one image.
/// Of these, only lines are in memory.
const AHEAD: usize = 16;

struct Job<'a> {
    position: usize,
    content: EncodedImage<'a>,
    answer: Sender<Result<Line>>,
}

/// Writes the images at these ascending positions, and passes their lines to `take`, in this order: those of an
/// image as they become known, in one or several parts. Ends early if `stop` is set, or at the first error; that
/// of an image that `stop` has cut is [`Stopped`](crate::commands::Stopped).
///
/// Each image has a channel for its answer. Its receiver goes into a queue, in the order of the images, whose
/// length bounds how far threads get ahead of a slow one.
pub(super) fn run(
    images: &Images<'_>,
    wanted: &[usize],
    threads: usize,
    stop: &AtomicBool,
    take: &mut dyn FnMut(usize, Vec<Line>) -> Result<()>,
) -> Result<()> {
    let files_per_image = images.outputs.copies as usize + usize::from(images.outputs.keep);
    let (order, answers) = sync_channel((AHEAD / files_per_image).max(1) * threads);
    // An encoded image for each thread that becomes idle.
    let (jobs, queue) = sync_channel(threads);
    let queue = Mutex::new(queue);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| work(images, stop, &queue));
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
        let taken: Result<()> = answers
            .into_iter()
            .try_for_each(|(position, answer): Answer| {
                while let Ok(first) = answer.recv() {
                    let lines = iter::once(first).chain(answer.try_iter());
                    take(position, lines.collect::<Result<_>>()?)?;
                }
                Ok(())
            });
        // An error ends the queue of answers, so the reader, and so the workers.
        let read = reader.join();
        taken?;
        Ok(read.map_err(|_| anyhow!("the thread that reads has panicked"))??)
    })
}

/// The position of an image, and where its lines come from.
type Answer = (usize, Receiver<Result<Line>>);

fn work<'a>(images: &Images<'_>, stop: &AtomicBool, queue: &Mutex<Receiver<Job<'a>>>) {
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
        let written = AssertUnwindSafe(|| {
            // Nobody waits for lines after an error of another image.
            let over = |_| anyhow!("the command is over");
            let take = &mut |line| answer.send(Ok(line)).map_err(over);
            images.write(file, content, &mut workspace, stop, take)
        });
        let written = panic::catch_unwind(written).unwrap_or_else(|_| {
            workspace = Workspace::new();
            Err(anyhow!("augmenting {} has panicked", file.inner_path()))
        });
        if let Err(error) = written {
            let _ = answer.send(Err(error));
        }
    }
}
