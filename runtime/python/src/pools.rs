//! Pools of threads, for batches that ask for them.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

use crate::process::Process;

/// A pool, and the one that was made before it.
struct Pool {
    process: Process,
    pool: ThreadPool,
    next: Option<&'static Pool>,
}

/// The latest pool. Pools are never dropped: one for each number of threads that was asked for sleeps
/// until the process ends. After a fork, the child has no threads of its parent's pools, and a lock, which
/// could have been held at that moment, would never be released. So this is a list without a lock, of which
/// a process uses only its own pools.
static LATEST: AtomicPtr<Pool> = AtomicPtr::new(ptr::null_mut());

/// This process's pool of this many threads, which is made if there is none.
#[expect(unsafe_code, reason = "the list has no lock")]
pub(crate) fn pool(threads: usize) -> Result<&'static ThreadPool, ThreadPoolBuildError> {
    let process = Process::current();
    let mut latest = latest();
    let fits = |pool: &&Pool| pool.process == process && pool.pool.current_num_threads() == threads;
    let find =
        |latest: Option<&'static Pool>| std::iter::successors(latest, |pool| pool.next).find(fits);
    if let Some(found) = find(latest) {
        return Ok(&found.pool);
    }
    let name = |index| format!("faa {index}");
    let pool = ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(name);
    let own = Box::into_raw(Box::new(Pool {
        process,
        pool: pool.build()?,
        next: None,
    }));
    loop {
        // SAFETY: nobody else has the pointer before the exchange succeeds.
        unsafe { (*own).next = latest };
        let expected = latest.map_or(ptr::null_mut(), |pool| ptr::from_ref(pool).cast_mut());
        if LATEST
            .compare_exchange(expected, own, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
        {
            // SAFETY: it is never changed or dropped from here on.
            return Ok(unsafe { &(*own).pool });
        }
        latest = self::latest();
        // Another thread may have made the same pool meanwhile; then this one is dropped.
        if let Some(found) = find(latest) {
            // SAFETY: it was made by `Box::into_raw`, and nobody else has the pointer.
            drop(unsafe { Box::from_raw(own) });
            return Ok(&found.pool);
        }
    }
}

#[expect(unsafe_code, reason = "the list has no lock")]
fn latest() -> Option<&'static Pool> {
    // SAFETY: the pointer is null or that of a pool that was leaked, and is never changed again.
    unsafe { LATEST.load(Ordering::Acquire).as_ref() }
}
