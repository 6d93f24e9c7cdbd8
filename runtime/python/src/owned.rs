//! Values that belong to the process in which they were made.

use std::mem::ManuallyDrop;
use std::ops::Deref;

use crate::process::Process;

/// A value that is dropped only in the process that made it.
///
/// A process that was forked has a copy of everything except the threads, so locks may be held by
/// threads that it does not have. The copy of a plugin's host is therefore forgotten there.
pub(crate) struct Owned<T> {
    process: Process,
    value: ManuallyDrop<T>,
}

impl<T> Owned<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            process: Process::current(),
            value: ManuallyDrop::new(value),
        }
    }

    /// Whether it is the copy of a value that a different process made.
    pub(crate) fn is_inherited(&self) -> bool {
        self.process != Process::current()
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
        if !self.is_inherited() {
            // SAFETY: the value is not used after this, the owner's own drop.
            unsafe { ManuallyDrop::drop(&mut self.value) }
        }
    }
}
