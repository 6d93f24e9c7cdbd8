#![expect(unsafe_code, reason = "a recording keeps nothing alive")]

use tch::TchError;

use crate::shim::{self, GraphHandle};

/// Recorded work on a CUDA stream, which is repeated as a whole, on the same memory: launching its hundreds of
/// kernels one by one takes longer than executing them.
#[derive(Debug)]
pub(crate) struct Graph {
    handle: GraphHandle,
}

impl Graph {
    /// Records `work`, without doing it. Memory that it allocates on the device belongs to the graph,
    /// and may not be used after a later replay for anything else.
    ///
    /// All work must be on this thread's current stream, which must not be the default one, and nothing
    /// may wait for the device. Similar work must have been done before on this stream, since libraries
    /// cannot initialise themselves meanwhile.
    ///
    /// # Safety
    ///
    /// Tensors that `work` uses and does not allocate must live as long as the graph, and be used on the same
    /// stream, or after waiting for it.
    pub(crate) unsafe fn record(
        work: impl FnOnce() -> Result<(), TchError>,
    ) -> Result<Self, TchError> {
        let handle = shim::begin_graph()?;
        let done = work();
        // Also after a failure: the stream would be of no use otherwise.
        let ended = shim::end_graph(&handle);
        done.and(ended)?;
        Ok(Self { handle })
    }

    /// Does the work once, on this thread's current stream.
    pub(crate) fn replay(&self) -> Result<(), TchError> {
        shim::replay_graph(&self.handle)
    }
}
