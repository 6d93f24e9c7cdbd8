//! Memory that is exported through Arrow's C data interface, as Pillow's images are.

use std::ffi::{c_char, c_void};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyCapsuleMethods};

/// Arrow's structure of this name.
#[repr(C)]
struct ArrowArray {
    length: i64,
    null_count: i64,
    offset: i64,
    buffer_count: i64,
    child_count: i64,
    buffers: *const *const c_char,
    children: *const *const Self,
    dictionary: *const Self,
    release: *const c_void,
    private_data: *const c_void,
}

/// The start and the length of an array of bytes, or of lists of bytes of one length. The capsule keeps the
/// memory from being freed.
#[expect(unsafe_code, reason = "the interface is one of C")]
pub(crate) fn bytes(capsule: &Bound<'_, PyCapsule>) -> PyResult<(*mut u8, usize)> {
    let array = capsule
        .pointer_checked(Some(c"arrow_array"))?
        .cast::<ArrowArray>();
    // SAFETY: a capsule of this name holds such an array, by the interface.
    let mut array = unsafe { array.as_ref() };
    if array.child_count == 1 {
        // SAFETY: it has one child, the lists' content.
        array = unsafe { &**array.children };
    }
    let length = usize::try_from(array.length).unwrap_or(0);
    if array.release.is_null() || array.buffer_count != 2 || array.offset != 0 || length == 0 {
        return Err(PyValueError::new_err("expected an array of bytes"));
    }
    // SAFETY: the second of the two buffers has the values.
    let start = unsafe { *array.buffers.add(1) };
    Ok((start.cast_mut().cast(), length))
}
