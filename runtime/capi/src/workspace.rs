#![expect(unsafe_code, reason = "the pointers are C's")]

use std::mem;
use std::ptr;
use std::sync::Arc;

use faa_op::{ImageMut, ImageRef};

use crate::error::{Error, Status, free, guarded, object, returning};
use crate::image::{Image, View};
use crate::partners::{Partners, Set};
use crate::targets::{Moving, Targets};

/// `faa_workspace`.
#[derive(Debug, Default)]
pub struct Workspace {
    memory: faa_policy::Workspace<'static>,
    partners: Option<Arc<Set>>,
    /// Copies of a source and of a result that ops cannot work on as they are.
    copies: [Vec<u8>; 2],
    moving: Moving,
}

/// A source, unless the image is changed in place, and a result, which fit each other.
pub(crate) type Views = (Option<View>, View);

impl Workspace {
    /// Checks the images of a call.
    pub(crate) fn views(&self, source: Option<&Image>, result: &Image) -> Result<Views, Error> {
        let result = View::new(result, &"result")?;
        let source = source.map(|source| View::new(source, &"source"));
        let source = source.transpose()?.filter(|source| *source != result);
        self.check(source.as_ref(), &result)?;
        Ok((source, result))
    }

    /// Makes the result from the source, or from itself. `change` is given the image to be changed, which either
    /// holds the source already or is to be overwritten with it.
    ///
    /// # Safety
    ///
    /// The images' memory and that of the partners is as `faa_apply` demands.
    pub(crate) unsafe fn change(
        &mut self,
        (source, result): Views,
        change: impl FnOnce(
            Option<ImageRef<'_>>,
            &mut ImageMut<'_>,
            &mut faa_policy::Workspace<'_>,
        ) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let bytes = result.packed_bytes();
        let [source_copy, result_copy] = &mut self.copies;
        // SAFETY: the caller vouches for the memory, and the source does not overlap the result.
        let source = source.map(|source| unsafe {
            let (samples, stride) = match source.interleaved() {
                Some(samples) => (samples, source.stride),
                None => {
                    let copy = sized(source_copy, bytes);
                    source.gather(copy);
                    (&*copy, bytes / source.height)
                }
            };
            let (width, height) = (source.width, source.height);
            ImageRef::with_stride(samples, width, height, source.channels, stride)
                .expect("as long as that")
        });
        // SAFETY: the caller vouches for the memory, of which nothing else here is a part.
        let (samples, is_copy) = match unsafe { result.packed() } {
            Some(samples) => (samples, false),
            None => (sized(result_copy, bytes), true),
        };
        if is_copy && source.is_none() {
            // SAFETY: as above.
            unsafe { result.gather(samples) };
        }
        let (width, height) = (result.width, result.height);
        let mut image =
            ImageMut::new(samples, width, height, result.channels).expect("as long as that");
        match &self.partners {
            None => change(source, &mut image, &mut self.memory)?,
            Some(partners) => {
                // SAFETY: the caller vouches for the memory.
                let partners = unsafe { partners.images()? };
                let mut own = mem::take(&mut self.memory).replace_partners(Some(&partners));
                let changed = change(source, &mut image, &mut own);
                self.memory = own.replace_partners(None);
                changed?;
            }
        }
        if is_copy {
            // SAFETY: as above.
            unsafe { result.scatter(samples) };
        }
        Ok(())
    }

    /// `change`, and moves targets along; those that are images come last, with none of their own.
    ///
    /// # Safety
    ///
    /// As `faa_apply_with_targets`.
    pub(crate) unsafe fn change_with_targets(
        &mut self,
        (source, result): Views,
        targets: &Targets,
        change: impl Fn(
            Option<ImageRef<'_>>,
            &mut ImageMut<'_>,
            Option<&mut faa_policy::Targets<'_, '_>>,
            &mut faa_policy::Workspace<'_>,
        ) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut moving = mem::take(&mut self.moving);
        // SAFETY: the caller vouches for the arrays, and for the memory, of which no part belongs to two.
        let done = unsafe {
            moving.read(targets, result.size()).and_then(|()| {
                let partners = self.partners.as_ref().map(|partners| partners.addresses());
                moving.check_overlaps(&result, source.as_ref(), partners)?;
                moving.apply(|targets| {
                    self.change((source, result), |source, image, own| {
                        change(source, image, Some(targets), own)
                    })
                })?;
                for image in moving.images() {
                    self.change((None, *image), |_, image, own| {
                        change(None, image, None, own)
                    })?;
                }
                moving.write(targets);
                Ok(())
            })
        };
        self.moving = moving;
        done
    }

    fn check(&self, source: Option<&View>, result: &View) -> Result<(), Error> {
        let overlap = |other: std::ops::Range<usize>| {
            let own = result.addresses();
            own.start < other.end && other.start < own.end
        };
        if let Some(source) = source {
            if !source.has_shape_of(result) {
                let message = "has a different size or different channels than the result";
                return Err(Error::argument("source", message));
            }
            if overlap(source.addresses()) {
                let message = "overlaps the result, and is not the same";
                return Err(Error::argument("source", message));
            }
        }
        // Partners would be augmented already when they are mixed in, or while they are.
        match &self.partners {
            Some(partners) if overlap(partners.addresses()) => Err(Error::argument(
                "result",
                "shares memory with the partners of the workspace",
            )),
            _ => Ok(()),
        }
    }
}

fn sized(samples: &mut Vec<u8>, length: usize) -> &mut [u8] {
    if samples.len() < length {
        samples.resize(length, 0);
    }
    &mut samples[..length]
}

/// See `faa.h`.
#[unsafe(no_mangle)]
pub extern "C" fn faa_workspace_new() -> *mut Workspace {
    guarded(ptr::null_mut(), || Box::into_raw(Box::default()))
}

/// See `faa.h`.
///
/// # Safety
///
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn faa_workspace_free(workspace: *mut Workspace) {
    // SAFETY: the caller's pointer is null or one that `faa_workspace_new` made.
    unsafe { free(workspace) }
}

/// See `faa.h`.
///
/// # Safety
///
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn faa_workspace_set_partners(
    workspace: *mut Workspace,
    partners: *const Partners,
    error: *mut *mut Error,
) -> Status {
    // SAFETY: the caller vouches for the pointers.
    unsafe {
        returning(error, || {
            object(workspace, "workspace")?;
            (*workspace).partners = partners.as_ref().map(|Partners(set)| Arc::clone(set));
            Ok(())
        })
    }
}
