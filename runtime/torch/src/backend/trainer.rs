//! The steps of a training.

use std::thread::{self, ThreadId};

use faa_data::ChannelStatistics;
use tch::{Kind, TchError, Tensor};

use super::totals::{Sums, Totals, losses};
use crate::batches::{Batch, HostBatch, Normalise};
use crate::cuda::Graph;
use crate::network::{Trainable, WideResNet};
use crate::sgd::Sgd;

/// What the training of one network keeps on the device.
#[derive(Debug)]
pub(super) struct Trainer {
    step: Step,
    /// On CUDA, the input of the step, and the thread that has taken it: libraries prepare themselves at
    /// their first call on a thread, which cannot be recorded.
    batch: Option<(Batch, ThreadId)>,
    /// On CUDA, the recorded step.
    graph: Option<Graph>,
}

/// A step, which has the same inputs and outputs each time.
#[derive(Debug)]
struct Step {
    trainable: Trainable,
    sgd: Sgd,
    normalise: Normalise,
    learning_rate: Tensor,
    sums: Sums,
}

impl Trainer {
    /// Trains the network in `kind`, on images with these statistics. `threads` are for a network on a CPU.
    pub(super) fn new(
        network: &WideResNet,
        sgd: Sgd,
        statistics: ChannelStatistics,
        (kind, threads): (Kind, usize),
    ) -> Result<Self, TchError> {
        let device = network.device();
        let step = Step {
            trainable: Trainable::new(network, kind, threads)?,
            sgd,
            normalise: Normalise::new(statistics, device)?,
            learning_rate: Sgd::learning_rate(network, 0.0)?,
            sums: Sums::zero(device)?,
        };
        Ok(Self {
            step,
            batch: None,
            graph: None,
        })
    }

    pub(super) fn sgd(&self) -> &Sgd {
        &self.step.sgd
    }

    /// Forgets the totals so far.
    pub(super) fn begin_epoch(&mut self) -> Result<(), TchError> {
        self.step.sums.clear()
    }

    /// The totals of the steps since [`begin_epoch`](Self::begin_epoch). Waits for the device.
    pub(super) fn totals(&self) -> Result<Totals, TchError> {
        self.step.sums.read()
    }

    /// One step. On CUDA, that of the first batch is done kernel by kernel, the next one of the same size is
    /// recorded as a graph and replayed, and so are those after it. Another thread, with a stream of its own,
    /// begins anew.
    pub(super) fn step(
        &mut self,
        network: &WideResNet,
        batch: &HostBatch,
        learning_rate: f64,
    ) -> Result<(), TchError> {
        drop(self.step.learning_rate.f_fill_(learning_rate)?);
        let Some((input, thread)) = &mut self.batch else {
            return self.first_step(network, batch);
        };
        if *thread != thread::current().id() || !batch.upload_to(input)? {
            return self.first_step(network, batch);
        }
        let graph = match &mut self.graph {
            Some(graph) => graph,
            none => {
                #[expect(unsafe_code, reason = "the step is recorded")]
                // SAFETY: The step and the batch own all tensors that a step uses, or share them with the
                // network, and are kept beside the graph, which only this thread uses.
                none.insert(unsafe { Graph::record(|| self.step.take(network, input))? })
            }
        };
        graph.replay()
    }

    /// The first step with batches of this size; on a CPU, every step.
    fn first_step(&mut self, network: &WideResNet, batch: &HostBatch) -> Result<(), TchError> {
        let batch = batch.upload(network.device())?;
        self.step.take(network, &batch)?;
        if network.device().is_cuda() {
            (self.batch, self.graph) = (Some((batch, thread::current().id())), None);
        }
        Ok(())
    }
}

impl Step {
    fn take(&mut self, network: &WideResNet, batch: &Batch) -> Result<(), TchError> {
        let images = self.normalise.apply(&batch.pixels)?;
        let (logits, pass) = self.trainable.forward(&images)?;
        let losses = losses(&logits, &batch.labels)?;
        self.sums.add(&logits, &losses, &batch.labels)?;
        let gradient = self.trainable.backward(pass, &logits, &batch.labels)?;
        drop(self.sgd.step(network, gradient, &self.learning_rate)?);
        Ok(())
    }
}
