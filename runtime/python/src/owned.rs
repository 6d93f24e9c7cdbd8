//! Values that belong to the process in which they were made.

use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::process;

/// A value that is dropped only in the process that made it.
///
/// A process that was forked has a copy of everything except the threads, so locks may be held by
/// threads that it does not have. The copy of a plugin's host is therefore forgotten there.
pub(crate) struct Owned<T> {
    process: u32,
    value: ManuallyDrop<T>,
}

impl<T> Owned<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            process: process::id(),
            value: ManuallyDrop::new(value),
        }
    }

    /// The process that made it.
    pub(crate) fn process(&self) -> u32 {
        self.process
    }
}

impl<T> Deref for Owned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Drop for Owned<T> {
    #[expect(unsafe_code, reason = "whether to drop is known only here")]
    fn drop(&mut self) {
        if self.process == process::id() {
            // SAFETY: the value is not used after this, the owner's own drop.
            unsafe { ManuallyDrop::drop(&mut self.value) }
        }
    }
}
