#![expect(unsafe_code, reason = "the pointers are C's")]

use std::ffi::{CString, c_char};
use std::ptr;

use faa_op::OpSet;
use faa_ops_builtin::builtin_ops;
use faa_policy::{Executor, PolicyError, nearest_name, shipped};

use crate::error::{Error, FAA_NOT_FOUND, Status, creating, free, guarded, items, text};

/// `faa_policy`.
#[derive(Debug)]
pub struct Policy {
    pub(crate) executor: Executor,
    pub(crate) ops: OpSet,
    partner_op: Option<CString>,
    op_without_warp: Option<CString>,
}

// Threads share it.
const _: fn() = || {
    fn is_shareable<T: Send + Sync>() {}
    is_shareable::<Policy>();
};

impl Policy {
    /// A policy with these ops.
    pub(crate) fn new(policy: &faa_policy::Policy, ops: OpSet) -> Result<Self, Error> {
        let executor = Executor::new(policy, &ops)?;
        // No name of an op has a zero byte.
        let name = |op: Option<&str>| op.map(|op| CString::new(op).unwrap_or_default());
        Ok(Self {
            partner_op: name(executor.partner_op()),
            op_without_warp: name(executor.op_without_warp()),
            executor,
            ops,
        })
    }

    /// The policy of this file with these ops.
    pub(crate) fn parse(json: &[u8], ops: OpSet) -> Result<Self, Error> {
        Self::new(&faa_policy::Policy::parse(json)?, ops)
    }
}

/// See `faa.h`.
///
/// # Safety
///
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn faa_policy_parse(
    json: *const c_char,
    length: usize,
    policy: *mut *mut Policy,
    error: *mut *mut Error,
) -> Status {
    // SAFETY: the caller vouches for the pointers.
    unsafe {
        creating(policy, "policy", error, || {
            Policy::parse(items(json.cast(), length, "json")?, builtin_ops())
        })
    }
}

/// See `faa.h`.
///
/// # Safety
///
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn faa_policy_shipped(
    name: *const c_char,
    policy: *mut *mut Policy,
    error: *mut *mut Error,
) -> Status {
    // SAFETY: the caller vouches for the pointers.
    unsafe {
        creating(policy, "policy", error, || {
            let name = text(name, "name")?;
            match shipped().iter().find(|shipped| shipped.c_name() == name) {
                Some(shipped) => Policy::new(&shipped.policy()?, builtin_ops()),
                None => Err(unknown(&name.to_string_lossy())),
            }
        })
    }
}

fn unknown(name: &str) -> Error {
    let message = match PolicyError::of_configuration(name) {
        Some(error) => error.to_string(),
        None => {
            let hint = match nearest_name(name, shipped().iter().map(|shipped| shipped.name)) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => "faa_shipped_name lists them".to_owned(),
            };
            format!("no shipped policy is named `{name}`; {hint}")
        }
    };
    Error::new(FAA_NOT_FOUND, "name", &message)
}

/// See `faa.h`.
#[unsafe(no_mangle)]
pub extern "C" fn faa_shipped_count() -> usize {
    guarded(0, || shipped().len())
}

/// See `faa.h`.
#[unsafe(no_mangle)]
pub extern "C" fn faa_shipped_name(index: usize) -> *const c_char {
    guarded(ptr::null(), || {
        let shipped = shipped().get(index);
        shipped.map_or(ptr::null(), |shipped| shipped.c_name().as_ptr())
    })
}

/// See `faa.h`.
///
/// # Safety
///
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn faa_policy_partner_op(policy: *const Policy) -> *const c_char {
    // SAFETY: the caller's pointer is valid or null.
    let policy = unsafe { policy.as_ref() };
    guarded(ptr::null(), || {
        let op = policy.and_then(|policy| policy.partner_op.as_ref());
        op.map_or(ptr::null(), |op| op.as_ptr())
    })
}

/// See `faa.h`.
///
/// # Safety
///
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn faa_policy_op_without_warp(policy: *const Policy) -> *const c_char {
    // SAFETY: the caller's pointer is valid or null.
    let policy = unsafe { policy.as_ref() };
    guarded(ptr::null(), || {
        let op = policy.and_then(|policy| policy.op_without_warp.as_ref());
        op.map_or(ptr::null(), |op| op.as_ptr())
    })
}

/// See `faa.h`.
///
/// # Safety
///
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn faa_policy_free(policy: *mut Policy) {
    // SAFETY: the caller's pointer is null or one that an entry here made.
    unsafe { free(policy) }
}
