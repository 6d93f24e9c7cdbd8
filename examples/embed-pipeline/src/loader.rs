use std::any::Any;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::{fmt, mem};

use faa_op::text::clean;
use faa_op::{DrawKey, Stream};
use faa_ops_builtin::Normaliser;
use faa_policy::Executor;

use crate::error::shown;
use crate::pool::Pool;
use crate::worker::Worker;
use crate::{Folder, LoadError};

/// The options of a [`Loader`].
#[derive(Clone, Debug)]
pub struct Options {
    /// The width and height of all images in a batch.
    pub size: u32,
    /// Batch size, in images; the last batch of an epoch may have fewer.
    pub batch: usize,
    /// How many threads make batches.
    pub threads: usize,
    /// How many finished batches may wait for the consumer, per thread.
    pub prefetch: usize,
    /// The seed of the draws and of the order.
    pub seed: u64,
    /// Whether each epoch has a different random order; otherwise it is the folder's.
    pub shuffle: bool,
    /// Mean of each channel, for samples from 0 to 1.
    pub mean: [f32; 3],
    /// Standard deviation of each channel, for samples from 0 to 1.
    pub deviation: [f32; 3],
}

impl Default for Options {
    /// Batches of 64 shuffled images, 224 pixels wide and high, with ImageNet's mean and deviation,
    /// made by one thread per core.
    fn default() -> Self {
        Self {
            size: 224,
            batch: 64,
            threads: thread::available_parallelism().map_or(1, NonZero::get),
            prefetch: 1,
            seed: 0,
            shuffle: true,
            mean: [0.485, 0.456, 0.406],
            deviation: [0.229, 0.224, 0.225],
        }
    }
}

impl Options {
    /// The number of floats of an image.
    pub(crate) fn image_length(&self) -> usize {
        3 * (self.size as usize).pow(2)
    }
}

/// A folder of images as batches, epoch after epoch.
#[expect(missing_debug_implementations, reason = "it holds threads and buffers")]
pub struct Loader {
    shared: Arc<Shared>,
}

/// What all threads look at.
pub(crate) struct Shared {
    pub(crate) folder: Folder,
    pub(crate) executor: Executor,
    pub(crate) options: Options,
    pub(crate) normaliser: Normaliser,
    pub(crate) pool: Pool,
}

/// One pass over the folder, as its threads see it.
pub(crate) struct Epoch {
    pub(crate) number: u32,
    /// Indices into the folder's files.
    order: Vec<usize>,
    /// Whether the consumer has left.
    pub(crate) stopped: AtomicBool,
}

impl Loader {
    /// A loader; it starts no thread yet.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if a number of the options cannot be 0, or an op of the policy needs a partner
    /// image, which this loader does not keep; see
    /// [`Workspace::with_partners`](faa_policy::Workspace::with_partners).
    pub fn new(folder: Folder, executor: Executor, options: Options) -> Result<Self, LoadError> {
        let batch = options.batch;
        for (name, number) in [
            ("size", options.size as usize),
            ("batch", batch),
            ("threads", options.threads),
        ] {
            if number == 0 {
                return Err(LoadError::new(format!("{name} must be at least 1")));
            }
        }
        if let Some(op) = executor.partner_op() {
            return Err(LoadError::new(format!(
                "the policy's op {op} needs a partner image, which this loader does not provide"
            )));
        }
        let shared = Arc::new(Shared {
            normaliser: Normaliser::new(options.mean, options.deviation),
            pool: Pool::new(batch.min(folder.files.len()) * options.image_length()),
            folder,
            executor,
            options,
        });
        Ok(Self { shared })
    }

    /// The batches of one pass over the folder. The same number always gives the same ones.
    ///
    /// Every epoch starts new threads: that takes microseconds, and leaves nothing running
    /// between epochs.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if the operating system starts no more threads.
    pub fn epoch(&self, number: u32) -> Result<Batches, LoadError> {
        let epoch = Arc::new(Epoch {
            number,
            order: self.order(number),
            stopped: AtomicBool::new(false),
        });
        let options = &self.shared.options;
        let count = epoch.order.len().div_ceil(options.batch);
        let mut batches = Batches {
            threads: Vec::new(),
            epoch: epoch.clone(),
            next: 0,
            count,
        };
        let threads = options.threads.min(count);
        for first in 0..threads {
            let (sender, receiver) = sync_channel(options.prefetch);
            let (shared, epoch) = (self.shared.clone(), epoch.clone());
            let handle = thread::Builder::new()
                .name(format!("loader-{first}"))
                .spawn(move || make_every_nth(&shared, &epoch, first, threads, &sender))
                .map_err(|why| LoadError::because("cannot start a thread", why))?;
            batches.threads.push(Thread { receiver, handle });
        }
        Ok(batches)
    }

    /// The indices of all files, in an order that follows from the seed and the epoch.
    fn order(&self, epoch: u32) -> Vec<usize> {
        let Options { seed, shuffle, .. } = self.shared.options;
        let mut order: Vec<_> = (0..self.shared.folder.files.len()).collect();
        if shuffle {
            // No image has this index, so its stream is free for the order.
            let mut stream = Stream::for_image(DrawKey::new(seed, epoch, u64::MAX));
            for last in (1..order.len()).rev() {
                order.swap(last, stream.below(last as u64 + 1) as usize);
            }
        }
        order
    }
}

/// Makes batches `first`, `first + threads`, and so on, until there is no more, one fails, or the
/// consumer leaves. Waits if the consumer is behind.
fn make_every_nth(
    shared: &Arc<Shared>,
    epoch: &Epoch,
    first: usize,
    threads: usize,
    sender: &SyncSender<Result<Batch, LoadError>>,
) {
    let mut worker = Worker::new(shared);
    let batches = epoch.order.chunks(shared.options.batch);
    for indices in batches.skip(first).step_by(threads) {
        let batch = worker.batch(epoch, indices);
        let failed = batch.is_err();
        if sender.send(batch).is_err() || failed {
            return;
        }
    }
}

/// The batches of an epoch, in order. Ends after the first error.
#[expect(missing_debug_implementations, reason = "it holds threads and buffers")]
pub struct Batches {
    /// Empty once the epoch has ended.
    threads: Vec<Thread>,
    epoch: Arc<Epoch>,
    /// The number of the next batch.
    next: usize,
    count: usize,
}

struct Thread {
    /// One channel per thread, so that batches are taken in turns: nothing has to be sorted, and one
    /// that is late holds up the others once they are `prefetch` ahead.
    receiver: Receiver<Result<Batch, LoadError>>,
    handle: JoinHandle<()>,
}

impl Iterator for Batches {
    type Item = Result<Batch, LoadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.count {
            self.end();
        }
        if self.threads.is_empty() {
            return None;
        }
        let turn = self.next % self.threads.len();
        self.next += 1;
        let received = self.threads[turn].receiver.recv();
        // Only a panic ends a thread that has not sent all its batches or an error.
        let batch = received.unwrap_or_else(|_| Err(self.panic_of(turn)));
        if batch.is_err() {
            self.end();
        }
        Some(batch)
    }
}

impl Batches {
    fn panic_of(&mut self, turn: usize) -> LoadError {
        let joined = self.threads.swap_remove(turn).handle.join();
        let message = joined.err().and_then(|panic| message_of(panic.as_ref()));
        let message = message.unwrap_or_else(|| "it left no message".to_owned());
        LoadError::new(format!("a thread of the loader panicked: {message}"))
    }

    /// Stops the threads and waits for them.
    fn end(&mut self) {
        self.epoch.stopped.store(true, Ordering::Relaxed);
        // All receivers go first: a thread that waits for room in its channel learns by that.
        let handles: Vec<_> = self.threads.drain(..).map(|thread| thread.handle).collect();
        for handle in handles {
            // Nobody needs what a thread would have made after this, so its panic does not matter.
            let _ = handle.join();
        }
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        self.end();
    }
}

fn message_of(panic: &(dyn Any + Send)) -> Option<String> {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
}

/// Images of one size, normalised, with their labels.
///
/// Dropping it lets the loader use its memory again. A consumer that needs `images` for longer takes
/// it away with [`mem::take`].
#[expect(missing_debug_implementations, reason = "it holds threads and buffers")]
pub struct Batch {
    /// `labels.len() × 3 × size × size` floats: for every image a plane of red, one of green and
    /// one of blue.
    pub images: Vec<f32>,
    /// A label for every image.
    pub labels: Vec<u32>,
    /// The index in [`Folder::files`], for every image.
    pub indices: Vec<usize>,
    /// The files that are missing in this batch, because they cannot be decoded.
    pub skipped: Vec<Skipped>,
    shared: Arc<Shared>,
}

/// A file that could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The file.
    pub path: PathBuf,
    /// Why, in the words of the decoder or the operating system.
    pub reason: String,
}

/// Both as messages show them.
impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", shown(&self.path), clean(&self.reason, 500))
    }
}

impl Batch {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        Self {
            images: shared.pool.take(),
            labels: Vec::new(),
            indices: Vec::new(),
            skipped: Vec::new(),
            shared: shared.clone(),
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.shared.pool.give(mem::take(&mut self.images));
    }
}

#[cfg(test)]
mod tests;
