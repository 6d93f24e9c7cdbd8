//! What instances may take of memory and tables.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use wasmtime::ResourceLimiter;

use crate::config::Limits;

/// The memory of all instances of a host together, in bytes.
#[derive(Debug)]
pub(crate) struct HostMemory {
    used: AtomicUsize,
    limit: usize,
}

/// The host's limit is reached.
#[derive(Debug, thiserror::Error)]
#[error("the memory limit of all plugins together is reached")]
pub(crate) struct HostMemoryExceeded(pub(crate) usize);

/// The memory and table elements of an instance, which it may have by its own limits and the host's.
pub(crate) struct Quota {
    host: Arc<HostMemory>,
    memory_limit: usize,
    table_limit: usize,
    memory: usize,
    table_elements: usize,
    /// What was last added to the memory.
    added: usize,
}

impl HostMemory {
    pub(crate) fn new(limit: usize) -> Self {
        let used = AtomicUsize::new(0);
        Self { used, limit }
    }
}

impl Quota {
    pub(crate) fn new(host: Arc<HostMemory>, limits: &Limits) -> Self {
        Self {
            host,
            memory_limit: limits.memory,
            table_limit: limits.table_elements,
            memory: 0,
            table_elements: 0,
            added: 0,
        }
    }
}

impl ResourceLimiter for Quota {
    /// A memory that would exceed the instance's limit does not grow, which the plugin sees. One that
    /// would exceed the host's ends the call, because that is not the plugin's fault.
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > self.memory_limit {
            return Ok(false);
        }
        let HostMemory { used, limit } = &*self.host;
        let added = desired.saturating_sub(current);
        let fits = |used: usize| used.checked_add(added).filter(|sum| sum <= limit);
        used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .map_err(|_| HostMemoryExceeded(*limit))?;
        self.memory += added;
        self.added = added;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.memory -= self.added;
        self.host.used.fetch_sub(self.added, Ordering::Relaxed);
        self.added = 0;
        Ok(())
    }

    /// The limit is that of all tables together.
    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let added = desired.saturating_sub(current);
        let sum = self.table_elements.saturating_add(added);
        let fits = sum <= self.table_limit;
        if fits {
            self.table_elements = sum;
        }
        Ok(fits)
    }

    fn instances(&self) -> usize {
        1
    }

    fn memories(&self) -> usize {
        1
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        self.host.used.fetch_sub(self.memory, Ordering::Relaxed);
    }
}
