#![expect(unsafe_code, reason = "the memory is the caller's")]

use std::ops::Range;
use std::sync::Arc;

use faa_op::Channels;
use faa_policy::PackedImages;

use crate::error::{Error, Status, creating, free, guarded, items};

/// `faa_partners`.
#[derive(Debug)]
pub struct Partners(pub(crate) Arc<Set>);

/// Images of one shape, one after the other, in memory of the caller.
#[derive(Debug)]
pub(crate) struct Set {
    samples: *const u8,
    length: usize,
    width: usize,
    height: usize,
    channels: Channels,
}

// SAFETY: nobody changes the memory during calls, by the description of `faa_partners_new`, so threads may
// read it at the same time.
unsafe impl Send for Set {}
// SAFETY: as above.
unsafe impl Sync for Set {}

impl Set {
    /// The images.
    ///
    /// # Safety
    ///
    /// The memory is still there, and does not change as long as the result is used.
    pub(crate) unsafe fn images<'a>(&self) -> Result<PackedImages<'a>, Error> {
        // SAFETY: the caller vouches for the memory.
        let samples = unsafe { items(self.samples, self.length, "samples")? };
        let images = PackedImages::new(samples, self.width, self.height, self.channels);
        images.map_err(|error| Error::shape("partners", error))
    }

    pub(crate) fn addresses(&self) -> Range<usize> {
        let start = self.samples.addr();
        start..start + self.length
    }
}

/// See `faa.h`.
///
/// # Safety
///
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn faa_partners_new(
    samples: *const u8,
    length: usize,
    width: usize,
    height: usize,
    channels: usize,
    partners: *mut *mut Partners,
    error: *mut *mut Error,
) -> Status {
    // SAFETY: the caller vouches for the pointers.
    unsafe {
        creating(partners, "partners", error, || {
            let channels = Channels::from_count(channels).ok_or_else(|| {
                let message = format!("images have 1, 3 or 4 channels, not {channels}");
                Error::argument("channels", &message)
            })?;
            let set = Set {
                samples,
                length,
                width,
                height,
                channels,
            };
            set.images()?;
            if samples.addr().checked_add(length).is_none() {
                return Err(Error::argument("length", "too long to address"));
            }
            Ok(Partners(Arc::new(set)))
        })
    }
}

/// See `faa.h`.
///
/// # Safety
///
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn faa_partners_count(partners: *const Partners) -> u64 {
    // SAFETY: the caller's pointer is valid or null.
    let partners = unsafe { partners.as_ref() };
    guarded(0, || {
        partners.map_or(0, |Partners(set)| {
            let bytes = set.width * set.height * set.channels.count();
            (set.length / bytes) as u64
        })
    })
}

/// See `faa.h`.
///
/// # Safety
///
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn faa_partners_free(partners: *mut Partners) {
    // SAFETY: the caller's pointer is null or one that `faa_partners_new` made.
    unsafe { free(partners) }
}
