//! Errors as Python's exceptions.

use std::panic::{AssertUnwindSafe, catch_unwind};

use faa_op::OpErrorKind;
use faa_op::text::{chain, of_panic};
use faa_policy::{ApplyError, ReplayError, ReplayErrorKind};
use pyo3::create_exception;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;

create_exception!(
    faa,
    PolicyError,
    PyValueError,
    "A policy, a plan or a file to be converted is invalid; `path` says where."
);

/// An invalid policy or plan, with its path as an attribute.
pub(crate) fn of_policy(py: Python<'_>, error: &faa_policy::PolicyError) -> PyErr {
    let exception = PolicyError::new_err(error.to_string());
    match exception.value(py).setattr("path", error.path()) {
        Ok(()) => exception,
        Err(other) => other,
    }
}

/// A policy that could not be applied: a `ValueError` if the images do not fit it, and a
/// `RuntimeError` if an op failed.
pub(crate) fn of_apply(error: &ApplyError) -> PyErr {
    let message = chain(error);
    match error.kind() {
        OpErrorKind::NoPartner => PyValueError::new_err(format!(
            "{message}: give the images that it may mix in as `partners`"
        )),
        OpErrorKind::PartnerShape
        | OpErrorKind::SourceShape
        | OpErrorKind::MaskSize
        | OpErrorKind::UnknownWarp
        | OpErrorKind::UnsupportedShape { .. } => PyValueError::new_err(message),
        _ => PyRuntimeError::new_err(message),
    }
}

/// A plan that could not be replayed.
pub(crate) fn of_replay(py: Python<'_>, error: &ReplayError) -> PyErr {
    match error.kind() {
        ReplayErrorKind::Plan(error) => of_policy(py, error),
        ReplayErrorKind::Apply(error) => of_apply(error),
        _ => PyRuntimeError::new_err(chain(error)),
    }
}

/// Runs code that should not panic. If it does, that is a `RuntimeError`, which programs handle, and not
/// PyO3's exception, which passes through `except Exception`.
pub(crate) fn no_panic<T>(work: impl FnOnce() -> T) -> PyResult<T> {
    // Nothing that a panic may leave half done is used again: working memory has no invariants.
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        PyRuntimeError::new_err(format!(
            "internal error, please report it: {}",
            of_panic(&*panic)
        ))
    })
}
