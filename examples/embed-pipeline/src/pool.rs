use std::sync::{Mutex, PoisonError};

/// Memory of batches, which goes from a worker to the consumer and back.
pub(crate) struct Pool {
    idle: Mutex<Vec<Vec<f32>>>,
    /// The maximum number of floats in a batch.
    length: usize,
}

impl Pool {
    pub(crate) fn new(length: usize) -> Self {
        Self {
            idle: Mutex::default(),
            length,
        }
    }

    /// As many floats as a whole batch has, of unspecified content.
    pub(crate) fn take(&self) -> Vec<f32> {
        let Some(mut memory) = self.with_idle(Vec::pop) else {
            return vec![0.0; self.length];
        };
        // Only what a shorter batch has cut off is written to.
        memory.resize(self.length, 0.0);
        memory
    }

    pub(crate) fn give(&self, memory: Vec<f32>) {
        // A consumer may have kept a batch's floats and left an empty vector in their place.
        if memory.capacity() >= self.length {
            self.with_idle(|idle| idle.push(memory));
        }
    }

    fn with_idle<T>(&self, action: impl FnOnce(&mut Vec<Vec<f32>>) -> T) -> T {
        // A panic elsewhere cannot leave the list in a state that matters here.
        action(&mut self.idle.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
impl Pool {
    pub(crate) fn idle(&self) -> usize {
        self.with_idle(|idle| idle.len())
    }
}
