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
    /// The size that the memory has or was last allowed to grow to, in bytes; it is part of what the host
    /// has used.
    memory: usize,
    table_elements: usize,
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
        }
    }
}

/// Only the operating system can prevent a growth that is allowed here. It counts nevertheless, until the
/// memory grows or the instance ends: `memory_grow_failed` cannot give it back, because wasmtime also
/// calls that for sizes that it never asked about.
impl ResourceLimiter for Quota {
    /// A memory that would exceed the instance's limit does not grow, which the plugin sees. One that
    /// would exceed the host's ends the call, because that is not the plugin's fault.
    fn memory_growing(
        &mut self,
        _: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > self.memory_limit || exceeds(desired, maximum) {
            return Ok(false);
        }
        let HostMemory { used, limit } = &*self.host;
        let fits = |used: usize| {
            let sum = (used - self.memory).checked_add(desired);
            sum.filter(|sum| sum <= limit)
        };
        used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .map_err(|_| HostMemoryExceeded(*limit))?;
        self.memory = desired;
        Ok(true)
    }

    /// The limit is that of all tables together.
    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let added = desired.saturating_sub(current);
        let sum = self.table_elements.saturating_add(added);
        let fits = sum <= self.table_limit && !exceeds(desired, maximum);
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

fn exceeds(desired: usize, maximum: Option<usize>) -> bool {
    maximum.is_some_and(|maximum| desired > maximum)
}

impl Drop for Quota {
    fn drop(&mut self) {
        self.host.used.fetch_sub(self.memory, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 64 << 10;

    /// The quotas of two instances, and the memory of their host.
    fn quotas() -> ([Quota; 2], Arc<HostMemory>) {
        let host = Arc::new(HostMemory::new(10 * PAGE));
        let limits = Limits {
            memory: 8 * PAGE,
            ..Limits::default()
        };
        let quota = || Quota::new(host.clone(), &limits);
        ([quota(), quota()], host.clone())
    }

    #[test]
    fn what_instances_have_is_what_the_host_has_used() {
        let ([mut first, mut second], host) = quotas();
        let used = || host.used.load(Ordering::Relaxed) / PAGE;
        let grow = |quota: &mut Quota, current: usize, desired: usize| {
            let result = quota.memory_growing(current * PAGE, desired.saturating_mul(PAGE), None);
            result.map_err(|error| error.downcast::<HostMemoryExceeded>().is_ok())
        };
        assert_eq!(grow(&mut first, 0, 2), Ok(true));
        assert_eq!((grow(&mut second, 0, 3), used()), (Ok(true), 5));
        // Beyond the instance's limit, and beyond what a sum can hold.
        assert_eq!((grow(&mut first, 2, 9), used()), (Ok(false), 5));
        assert_eq!((grow(&mut first, 2, usize::MAX), used()), (Ok(false), 5));
        // wasmtime did not ask about the size that it could not grow to.
        let failed = || wasmtime::Error::msg("memory growth exceeds memory type's limits");
        first.memory_grow_failed(failed()).unwrap();
        assert_eq!(used(), 5);
        // Asked again after a growth that failed, nothing is added twice.
        assert_eq!((grow(&mut first, 2, 6), used()), (Ok(true), 9));
        first.memory_grow_failed(failed()).unwrap();
        assert_eq!((grow(&mut first, 2, 6), used()), (Ok(true), 9));
        assert_eq!((grow(&mut first, 2, 3), used()), (Ok(true), 6));
        // Beyond the host's limit.
        assert_eq!((grow(&mut second, 3, 8), used()), (Err(true), 6));
        drop(second);
        assert_eq!(used(), 3);
        drop(first);
        assert_eq!(used(), 0);
    }

    #[test]
    fn what_exceeds_a_maximum_counts_nothing() {
        let ([mut quota, _], host) = quotas();
        assert!(!quota.memory_growing(0, 2 * PAGE, Some(PAGE)).unwrap());
        assert_eq!(host.used.load(Ordering::Relaxed), 0);
        for _ in 0..2 {
            assert!(!quota.table_growing(0, 6_000, Some(10)).unwrap());
        }
        assert!(quota.table_growing(0, 6_000, None).unwrap());
        assert!(!quota.table_growing(0, 6_000, None).unwrap());
        assert!(!quota.table_growing(5, usize::MAX, None).unwrap());
    }
}
