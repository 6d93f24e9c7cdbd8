use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

use faa_op::Scratch;

/// Working memory of one thread, kept from image to image.
#[derive(Debug, Default)]
pub struct Workspace {
    pub(crate) scratch: Scratch,
}

impl Workspace {
    /// Empty working memory; it grows with the first images.
    pub fn new() -> Self {
        Self::default()
    }
}

/// Workspaces that batches share: as many as were ever in use at the same time.
#[derive(Default)]
pub(crate) struct Pool {
    idle: Mutex<Vec<Workspace>>,
}

impl Pool {
    pub(crate) fn take(&self) -> Borrowed<'_> {
        // A panic elsewhere cannot leave the list in a state that matters here.
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        Borrowed {
            pool: self,
            workspace: idle.pop().unwrap_or_default(),
        }
    }
}

/// A workspace that goes back to its pool when it is dropped.
pub(crate) struct Borrowed<'a> {
    pool: &'a Pool,
    workspace: Workspace,
}

impl Deref for Borrowed<'_> {
    type Target = Workspace;

    fn deref(&self) -> &Workspace {
        &self.workspace
    }
}

impl DerefMut for Borrowed<'_> {
    fn deref_mut(&mut self) -> &mut Workspace {
        &mut self.workspace
    }
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        let workspace = std::mem::take(&mut self.workspace);
        let mut idle = (self.pool.idle.lock()).unwrap_or_else(PoisonError::into_inner);
        idle.push(workspace);
    }
}
