#![expect(unsafe_code, reason = "the pointers are C's")]

use std::ffi::{CString, c_char};
use std::ptr;

use faa_op::{DrawKey, ImageRef, OpSet};
use faa_policy::{Executor, Plan};

use crate::error::{Error, Status, guarded, items, object, returning};
use crate::image::Image;
use crate::policy::Policy;
use crate::workspace::Workspace;

/// `faa_key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Key {
    /// See `faa.h`.
    pub seed: u64,
    /// See `faa.h`.
    pub epoch: u64,
    /// See `faa.h`.
    pub index: u64,
}

impl Key {
    fn checked(self) -> Result<DrawKey, Error> {
        let Self { seed, epoch, index } = self;
        match u32::try_from(epoch) {
            // The last number is set aside for the streams of ops.
            Ok(epoch) if epoch < u32::MAX => Ok(DrawKey::new(seed, epoch, index)),
            _ => {
                let message = format!("{epoch} is not below {}", u32::MAX);
                Err(Error::argument("key.epoch", &message))
            }
        }
    }
}

/// See `faa.h`.
///
/// # Safety
///
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn faa_apply(
    policy: *const Policy,
    key: Key,
    source: *const Image,
    result: *mut Image,
    workspace: *mut Workspace,
    error: *mut *mut Error,
) -> Status {
    // SAFETY: the caller vouches for the pointers, and for the memory of the images.
    unsafe {
        change(policy, source, result, workspace, error, |policy| {
            Ok(Change::Draw(&policy.executor, key.checked()?))
        })
    }
}

/// See `faa.h`.
///
/// # Safety
///
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn faa_plan(
    policy: *const Policy,
    key: Key,
    partner_count: u64,
    plan: *mut *mut c_char,
    error: *mut *mut Error,
) -> Status {
    // SAFETY: the caller vouches for the pointers.
    unsafe {
        returning(error, || {
            object(plan, "plan")?;
            plan.write(ptr::null_mut());
            let executor = &object(policy, "policy")?.executor;
            let partners = &Counted(partner_count);
            let own = faa_policy::Workspace::with_partners(partners);
            let json = executor.plan(key.checked()?, &own).to_json();
            // JSON has no zero byte.
            plan.write(CString::new(json).unwrap_or_default().into_raw());
            Ok(())
        })
    }
}

/// See `faa.h`.
///
/// # Safety
///
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn faa_replay(
    policy: *const Policy,
    plan: *const c_char,
    length: usize,
    source: *const Image,
    result: *mut Image,
    workspace: *mut Workspace,
    error: *mut *mut Error,
) -> Status {
    // SAFETY: the caller vouches for the pointers, and for the memory of the images.
    unsafe {
        change(policy, source, result, workspace, error, |policy| {
            let plan = Plan::parse(items(plan.cast(), length, "plan")?)?;
            Ok(Change::Replay(&policy.ops, plan))
        })
    }
}

/// What changes an image.
enum Change<'a> {
    Draw(&'a Executor, DrawKey),
    Replay(&'a OpSet, Plan),
}

/// Changes an image in place, or makes it from a source.
///
/// # Safety
///
/// As `faa_apply`.
unsafe fn change<'a>(
    policy: *const Policy,
    source: *const Image,
    result: *mut Image,
    workspace: *mut Workspace,
    error: *mut *mut Error,
    change: impl FnOnce(&'a Policy) -> Result<Change<'a>, Error>,
) -> Status {
    // SAFETY: the caller vouches for the pointers, and for the memory of the images.
    unsafe {
        returning(error, || {
            let policy = object(policy, "policy")?;
            let result = object(result, "result")?;
            object(workspace, "workspace")?;
            let change = change(policy)?;
            (*workspace).change(source.as_ref(), result, |source, image, own| {
                match (change, source) {
                    (Change::Draw(executor, key), Some(source)) => {
                        executor.apply_to(source, image, key, own)?;
                    }
                    (Change::Draw(executor, key), None) => executor.apply(image, key, own)?,
                    (Change::Replay(ops, plan), Some(source)) => {
                        plan.replay_to(ops, source, image, own)?;
                    }
                    (Change::Replay(ops, plan), None) => plan.replay(ops, image, own)?,
                }
                Ok(())
            })
        })
    }
}

/// See `faa.h`.
///
/// # Safety
///
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn faa_string_free(text: *mut c_char) {
    if !text.is_null() {
        // SAFETY: `faa_plan` got it from `into_raw`, and the caller gives it up.
        let text = unsafe { CString::from_raw(text) };
        guarded((), || drop(text));
    }
}

/// A number of partners, for plans, which do not look at them.
struct Counted(u64);

impl faa_policy::Partners for Counted {
    fn count(&self) -> u64 {
        self.0
    }

    fn image(&self, _: u64) -> ImageRef<'_> {
        unreachable!("a plan looks at no partner")
    }
}
