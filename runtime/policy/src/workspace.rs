use std::fmt;

use faa_op::Scratch;

use crate::Partners;
#[cfg(feature = "builtin")]
use crate::movement::Movement;

/// What one thread applies policies with: working memory, which is kept from image to image, and the
/// partner images, if there are any.
///
/// Make one per thread and reuse it. [`Executor::apply_batch`](crate::Executor::apply_batch), which
/// may use many threads, takes one for all of them.
#[derive(Default)]
pub struct Workspace<'a> {
    pub(crate) scratch: Scratch,
    pub(crate) partners: Option<&'a dyn Partners>,
    #[cfg(feature = "builtin")]
    pub(crate) movement: Movement,
    #[cfg(feature = "rayon")]
    pub(crate) pool: pool::Pool,
}

impl<'a> Workspace<'a> {
    /// A workspace without partners. Its memory grows with the first images.
    pub fn new() -> Self {
        Self::default()
    }

    /// A workspace with the images that ops such as SamplePairing may mix in.
    pub fn with_partners(partners: &'a dyn Partners) -> Self {
        Self {
            partners: Some(partners),
            ..Self::default()
        }
    }

    /// The same working memory with these partners, or with none, in place of its own. So memory can be
    /// kept for longer than the partners are borrowed.
    pub fn replace_partners<'b>(self, partners: Option<&'b dyn Partners>) -> Workspace<'b> {
        Workspace {
            scratch: self.scratch,
            partners,
            #[cfg(feature = "builtin")]
            movement: self.movement,
            #[cfg(feature = "rayon")]
            pool: self.pool,
        }
    }

    /// How many partner images there are; 0 for a workspace without partners.
    pub fn partner_count(&self) -> u64 {
        self.partners.map_or(0, Partners::count)
    }
}

impl fmt::Debug for Workspace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workspace")
            .field("partner_count", &self.partner_count())
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "rayon")]
pub(crate) mod pool {
    use std::mem;
    use std::sync::{Mutex, PoisonError};

    use super::Scratch;

    /// Working memory for the threads of a batch: as many pieces as were ever in use at one time.
    #[derive(Default)]
    pub(crate) struct Pool(Mutex<Vec<Scratch>>);

    impl Pool {
        pub(crate) fn take(&self) -> Borrowed<'_> {
            let scratch = self.with_idle(Vec::pop).unwrap_or_default();
            Borrowed {
                pool: self,
                scratch,
            }
        }

        fn with_idle<T>(&self, action: impl FnOnce(&mut Vec<Scratch>) -> T) -> T {
            // A panic elsewhere cannot leave the list in a state that matters here.
            action(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
        }
    }

    /// Working memory that goes back to its pool when it is dropped.
    pub(crate) struct Borrowed<'a> {
        pool: &'a Pool,
        pub(crate) scratch: Scratch,
    }

    impl Drop for Borrowed<'_> {
        fn drop(&mut self) {
            let scratch = mem::take(&mut self.scratch);
            self.pool.with_idle(|idle| idle.push(scratch));
        }
    }
}
