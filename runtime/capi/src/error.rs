//! Statuses and errors, and what every entry does first and last: check pointers, catch panics.
#![expect(unsafe_code, reason = "the pointers are C's")]

use std::ffi::{CStr, CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::slice;

use faa_op::text::{chain, clean, of_panic};
use faa_op::{OpErrorKind, ShapeError};
use faa_policy::{ApplyError, PolicyError, ReplayError, ReplayErrorKind};

/// `faa_status`.
pub type Status = i32;

/// See `faa.h`.
pub const FAA_OK: Status = 0;
/// See `faa.h`.
pub const FAA_INVALID_ARGUMENT: Status = 1;
/// See `faa.h`.
pub const FAA_INVALID_POLICY: Status = 2;
/// See `faa.h`.
pub const FAA_NOT_FOUND: Status = 3;
/// See `faa.h`.
pub const FAA_PARTNER: Status = 4;
/// See `faa.h`.
pub const FAA_OP_FAILED: Status = 5;
/// See `faa.h`.
pub const FAA_PLUGIN_FAILED: Status = 6;
/// See `faa.h`.
pub const FAA_INTERNAL: Status = 7;

/// The characters of a message or a path beyond which it is cut off. They may come from a file.
const MAX_CHARS: usize = 1000;

/// `faa_error`.
#[derive(Debug)]
pub struct Error {
    status: Status,
    message: CString,
    path: CString,
}

impl Error {
    /// An error at a path, with which the message begins unless it is empty.
    pub(crate) fn new(status: Status, path: &str, message: &str) -> Self {
        let colon = if path.is_empty() { "" } else { ": " };
        Self::of(status, path, &format!("{path}{colon}{message}"))
    }

    /// An argument that is not what it should be.
    pub(crate) fn argument(path: &str, message: &str) -> Self {
        Self::new(FAA_INVALID_ARGUMENT, path, message)
    }

    fn of(status: Status, path: &str, message: &str) -> Self {
        // Nothing that was cleaned has a zero byte.
        let text = |text| CString::new(clean(text, MAX_CHARS)).unwrap_or_default();
        Self {
            status,
            message: text(message),
            path: text(path),
        }
    }

    /// An image, named by `path`, whose shape does not fit its memory.
    pub(crate) fn shape(path: &str, error: impl Into<ShapeError>) -> Self {
        Self::argument(path, &error.into().to_string())
    }
}

impl From<PolicyError> for Error {
    fn from(error: PolicyError) -> Self {
        Self::of(FAA_INVALID_POLICY, error.path(), &error.to_string())
    }
}

impl From<ApplyError> for Error {
    fn from(error: ApplyError) -> Self {
        let message = chain(&error);
        match error.kind() {
            OpErrorKind::NoPartner => Self::new(
                FAA_PARTNER,
                "",
                &format!("{message}: give the workspace some by faa_workspace_set_partners"),
            ),
            OpErrorKind::PartnerShape => Self::new(FAA_PARTNER, "", &message),
            OpErrorKind::UnknownWarp => Self::new(FAA_INVALID_POLICY, "", &message),
            _ => Self::new(FAA_OP_FAILED, "", &message),
        }
    }
}

impl From<ReplayError> for Error {
    fn from(error: ReplayError) -> Self {
        match error.kind() {
            ReplayErrorKind::Plan(error) => error.clone().into(),
            ReplayErrorKind::Apply(error) => error.clone().into(),
            _ => Self::new(FAA_OP_FAILED, "", &chain(&error)),
        }
    }
}

/// See `faa.h`.
///
/// # Safety
///
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn faa_error_message(error: *const Error) -> *const c_char {
    // SAFETY: the caller's pointer is valid or null.
    let error = unsafe { error.as_ref() };
    guarded(c"".as_ptr(), || {
        error.map_or(c"", |error| &error.message).as_ptr()
    })
}

/// See `faa.h`.
///
/// # Safety
///
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn faa_error_path(error: *const Error) -> *const c_char {
    // SAFETY: the caller's pointer is valid or null.
    let error = unsafe { error.as_ref() };
    guarded(c"".as_ptr(), || {
        error.map_or(c"", |error| &error.path).as_ptr()
    })
}

/// See `faa.h`.
///
/// # Safety
///
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn faa_error_free(error: *mut Error) {
    // SAFETY: the caller's pointer is null or one that `returning` gave away.
    unsafe { free(error) }
}

/// Runs the work of an entry, and returns its status. Its error, or null, is stored in `error` unless that is
/// null.
///
/// # Safety
///
/// `error` is null or valid for a write.
pub(crate) unsafe fn returning(
    error: *mut *mut Error,
    work: impl FnOnce() -> Result<(), Error>,
) -> Status {
    // Nothing that a panic may leave half done is used again: a workspace's memory has no invariants,
    // and everything else does not change.
    let result = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let message = format!("please report this fault: {}", of_panic(&*panic));
        Err(Error::new(FAA_INTERNAL, "", &message))
    });
    let status = result
        .as_ref()
        .map_or_else(|error| error.status, |()| FAA_OK);
    if !error.is_null() {
        let own = result.map_or_else(|own| Box::into_raw(Box::new(own)), |()| ptr::null_mut());
        // SAFETY: it is not null, so the caller vouches for it.
        unsafe { error.write(own) }
    }
    status
}

/// `returning`, for an entry that makes an object and stores it in `object`, the argument `name`, or null if
/// it fails.
///
/// # Safety
///
/// `object` and `error` are each null or valid for a write.
pub(crate) unsafe fn creating<T>(
    object: *mut *mut T,
    name: &str,
    error: *mut *mut Error,
    create: impl FnOnce() -> Result<T, Error>,
) -> Status {
    let work = || {
        not_null(object, name)?;
        // SAFETY: it is not null, so the caller vouches for it.
        unsafe { object.write(ptr::null_mut()) }
        let own = Box::into_raw(Box::new(create()?));
        // SAFETY: as above.
        unsafe { object.write(own) }
        Ok(())
    };
    // SAFETY: the caller vouches for `error`.
    unsafe { returning(error, work) }
}

/// Runs the work of an entry that returns no status; returns `default` if it panics.
pub(crate) fn guarded<T>(default: T, work: impl FnOnce() -> T) -> T {
    // As in `returning`.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(default)
}

/// Frees an object; null is none.
///
/// # Safety
///
/// `object` is null or was made by `creating`, and nobody uses it any more.
pub(crate) unsafe fn free<T>(object: *mut T) {
    if !object.is_null() {
        // SAFETY: `creating` got it from a box, and the caller gives it up.
        let object = unsafe { Box::from_raw(object) };
        guarded((), || drop(object));
    }
}

/// The object behind the argument `name`.
///
/// # Safety
///
/// `object` is null or valid for reads as long as the result is used.
pub(crate) unsafe fn object<'a, T>(object: *const T, name: &str) -> Result<&'a T, Error> {
    not_null(object, name)?;
    // SAFETY: it is not null, so the caller vouches for it.
    Ok(unsafe { &*object })
}

/// The items behind the argument `name`; it may be null if there are none.
///
/// # Safety
///
/// `start` is null or valid for reads of `count` items, which do not change, as long as the result is used.
pub(crate) unsafe fn items<'a, T>(
    start: *const T,
    count: usize,
    name: &str,
) -> Result<&'a [T], Error> {
    if count == 0 {
        return Ok(&[]);
    }
    not_null(start, name)?;
    let bytes = count.checked_mul(size_of::<T>());
    if bytes.is_none_or(|bytes| isize::try_from(bytes).is_err()) {
        return Err(Error::argument(name, "too long to address"));
    }
    // SAFETY: it is not null, so the caller vouches for it; and it is not too long for a slice.
    Ok(unsafe { slice::from_raw_parts(start, count) })
}

/// The text behind the argument `name`.
///
/// # Safety
///
/// `text` is null or points to bytes up to a zero byte, which do not change as long as the result is used.
pub(crate) unsafe fn text<'a>(text: *const c_char, name: &str) -> Result<&'a CStr, Error> {
    not_null(text, name)?;
    // SAFETY: it is not null, so the caller vouches for it.
    Ok(unsafe { CStr::from_ptr(text) })
}

fn not_null<T>(pointer: *const T, name: &str) -> Result<(), Error> {
    match pointer.is_null() {
        true => Err(Error::argument(name, "must not be NULL")),
        false => Ok(()),
    }
}
