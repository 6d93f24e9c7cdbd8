#![expect(unsafe_code, reason = "the pointers are C's")]

use std::ffi::{CString, c_char};
use std::ptr;

use faa_op::{DrawKey, ImageMut, ImageRef, OpSet};
use faa_policy::{Executor, Plan};

use crate::error::{Error, Status, guarded, items, object, returning};
use crate::image::Image;
use crate::policy::Policy;
use crate::targets::Targets;
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
#[unsafe(no_mangle)]
pub extern "C" fn faa_key_for_frame(key: Key, frame: u32) -> Key {
    // Of the key, a frame's depends on the seed alone.
    guarded(key, || Key {
        seed: DrawKey::new(key.seed, 0, key.index).for_frame(frame).seed,
        ..key
    })
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
        run(policy, source, result, workspace, error, None, |policy| {
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
pub unsafe extern "C" fn faa_apply_with_targets(
    policy: *const Policy,
    key: Key,
    source: *const Image,
    result: *mut Image,
    targets: *const Targets,
    workspace: *mut Workspace,
    error: *mut *mut Error,
) -> Status {
    let targets = Some(targets);
    // SAFETY: the caller vouches for the pointers, and for the memory of images and targets.
    unsafe {
        run(
            policy,
            source,
            result,
            workspace,
            error,
            targets,
            |policy| Ok(Change::Draw(&policy.executor, key.checked()?)),
        )
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
        run(policy, source, result, workspace, error, None, |policy| {
            Change::replay(policy, plan, length)
        })
    }
}

/// See `faa.h`.
///
/// # Safety
///
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn faa_replay_with_targets(
    policy: *const Policy,
    plan: *const c_char,
    length: usize,
    source: *const Image,
    result: *mut Image,
    targets: *const Targets,
    workspace: *mut Workspace,
    error: *mut *mut Error,
) -> Status {
    let targets = Some(targets);
    // SAFETY: the caller vouches for the pointers, and for the memory of images and targets.
    unsafe {
        run(
            policy,
            source,
            result,
            workspace,
            error,
            targets,
            |policy| Change::replay(policy, plan, length),
        )
    }
}

/// What changes an image.
enum Change<'a> {
    Draw(&'a Executor, DrawKey),
    Replay(&'a OpSet, Plan),
}

impl<'a> Change<'a> {
    /// A plan, over the ops of a policy.
    ///
    /// # Safety
    ///
    /// As `items`.
    unsafe fn replay(
        policy: &'a Policy,
        plan: *const c_char,
        length: usize,
    ) -> Result<Self, Error> {
        // SAFETY: passed on.
        let plan = unsafe { items(plan.cast(), length, "plan")? };
        Ok(Self::Replay(&policy.ops, Plan::parse(plan)?))
    }

    fn apply(
        &self,
        source: Option<ImageRef<'_>>,
        image: &mut ImageMut<'_>,
        targets: Option<&mut faa_policy::Targets<'_, '_>>,
        own: &mut faa_policy::Workspace<'_>,
    ) -> Result<(), Error> {
        match self {
            &Self::Draw(executor, key) => match (source, targets) {
                (None, None) => executor.apply(image, key, own)?,
                (None, Some(targets)) => executor.apply_with_targets(image, targets, key, own)?,
                (Some(source), None) => executor.apply_to(source, image, key, own)?,
                (Some(source), Some(targets)) => {
                    executor.apply_to_with_targets(source, image, targets, key, own)?;
                }
            },
            Self::Replay(ops, plan) => match (source, targets) {
                (None, None) => plan.replay(ops, image, own)?,
                (None, Some(targets)) => plan.replay_with_targets(ops, image, targets, own)?,
                (Some(source), None) => plan.replay_to(ops, source, image, own)?,
                (Some(source), Some(targets)) => {
                    plan.replay_to_with_targets(ops, source, image, targets, own)?;
                }
            },
        }
        Ok(())
    }
}

/// Changes an image in place, or makes it from a source, and moves targets along if the call has them.
///
/// # Safety
///
/// As `faa_apply_with_targets`.
unsafe fn run<'a>(
    policy: *const Policy,
    source: *const Image,
    result: *mut Image,
    workspace: *mut Workspace,
    error: *mut *mut Error,
    targets: Option<*const Targets>,
    change: impl FnOnce(&'a Policy) -> Result<Change<'a>, Error>,
) -> Status {
    // SAFETY: the caller vouches for the pointers, and for the memory of images and targets.
    unsafe {
        returning(error, || {
            let policy = object(policy, "policy")?;
            let result = object(result, "result")?;
            let targets = targets.map(|targets| object(targets, "targets"));
            let targets = targets.transpose()?;
            object(workspace, "workspace")?;
            let change = change(policy)?;
            let workspace = &mut *workspace;
            let views = workspace.views(source.as_ref(), result)?;
            match targets {
                None => workspace.change(views, |source, image, own| {
                    change.apply(source, image, None, own)
                }),
                Some(targets) => {
                    workspace.change_with_targets(views, targets, |source, image, targets, own| {
                        change.apply(source, image, targets, own)
                    })
                }
            }
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
