//! Functions of libtorch that tch does not bind, called through `shim.cpp`.
//!
//! Three premises hold for all calls. `shim.cpp` catches every C++ exception and returns its message,
//! so none unwinds into Rust. A [`Handle`] points to the `at::Tensor` of a [`Tensor`] that is borrowed
//! during the call, and `shim.cpp` does not store it. A `Tensor` is not `Sync`, so no other thread uses
//! the same `at::Tensor` meanwhile; elements that it shares with other handles are as unprotected as
//! in tch's own in-place functions.
#![expect(unsafe_code, reason = "C++ is called through a C interface")]

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_void};
use std::ptr;

use tch::{Device, Kind, TchError, Tensor};

/// Null on success, otherwise an error message to be released with `faa_free`.
type Status = *mut c_char;
/// A pointer to an `at::Tensor`; tch does not re-export its type for it, `C_tensor`.
type Handle = *const c_void;

unsafe extern "C" {
    fn faa_free(message: *mut c_char);
    fn faa_convolution(
        out: *mut *mut c_void,
        x: Handle,
        weight: Handle,
        bias: Handle,
        stride: i64,
        padding: i64,
        relu: bool,
    ) -> Status;
    fn faa_convolution_add(sum: Handle, x: Handle, weight: Handle, padding: i64) -> Status;
    fn faa_fused_sgd(
        weights: Handle,
        gradient: Handle,
        momentum_buffer: Handle,
        momentum: f64,
        weight_decay: f64,
        learning_rate: f64,
    ) -> Status;
    fn faa_autocast_bf16(cuda: bool, on: bool) -> Status;
    fn faa_set_stream(device: i64) -> Status;
    fn faa_disable_tf32() -> Status;
    fn faa_pinned(out: *mut *mut c_void, size: *const i64, dimensions: i64, bytes: bool) -> Status;
}

/// oneDNN's convolution, fused with bias and ReLU. On the CPU only.
pub(crate) fn convolution(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    [stride, padding]: [i64; 2],
    relu: bool,
) -> Result<Tensor, TchError> {
    let (x, weight, bias) = (handle(x), handle(weight), bias.map_or(ptr::null(), handle));
    // SAFETY: The tensors are borrowed during the call, and `bias` may be null. `faa_convolution`
    // writes a new tensor to `out` if it succeeds.
    unsafe { new_tensor(|out| faa_convolution(out, x, weight, bias, stride, padding, relu)) }
}

/// oneDNN's convolution with a stride of 1, added to `sum` in place. On the CPU only.
pub(crate) fn convolution_add(
    sum: &mut Tensor,
    x: &Tensor,
    weight: &Tensor,
    padding: i64,
) -> Result<(), TchError> {
    // SAFETY: The tensors are borrowed during the call, the one that changes mutably.
    check(unsafe { faa_convolution_add(handle(sum), handle(x), handle(weight), padding) })
}

/// `g ← gradient + weight_decay · weights`, `v ← momentum · v + g`,
/// `weights ← weights − learning_rate · (g + momentum · v)`, with `v` the momentum buffer, as one
/// kernel.
pub(crate) fn fused_sgd(
    weights: &mut Tensor,
    gradient: &Tensor,
    momentum_buffer: &mut Tensor,
    momentum: f64,
    weight_decay: f64,
    learning_rate: f64,
) -> Result<(), TchError> {
    // SAFETY: The tensors are borrowed during the call, those that change mutably.
    check(unsafe {
        faa_fused_sgd(
            handle(weights),
            handle(gradient),
            handle(momentum_buffer),
            momentum,
            weight_decay,
            learning_rate,
        )
    })
}

/// Until it is dropped, this thread's convolutions and linear layers compute in bf16.
pub(crate) struct AutocastBf16 {
    cuda: bool,
}

impl AutocastBf16 {
    pub(crate) fn enable(device: Device) -> Result<Self, TchError> {
        let cuda = device.is_cuda();
        // SAFETY: No pointer is passed. The settings are the calling thread's, and libtorch guards
        // the cache of converted weights, which threads share, by a mutex.
        check(unsafe { faa_autocast_bf16(cuda, true) })?;
        Ok(Self { cuda })
    }
}

impl Drop for AutocastBf16 {
    fn drop(&mut self) {
        // SAFETY: As in `enable`.
        let status = unsafe { faa_autocast_bf16(self.cuda, false) };
        // It fails only for device types without autocast, and `enable` has succeeded for this one.
        drop(check(status));
    }
}

thread_local! {
    /// The CUDA device on which this thread has set its stream.
    static STREAM_DEVICE: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Makes a stream of the CUDA device's pool this thread's current one, unless it already has, so that
/// its work runs concurrently with that of other threads.
pub(crate) fn set_stream(device: usize) -> Result<(), TchError> {
    if STREAM_DEVICE.get() != Some(device) {
        // SAFETY: No pointer is passed, and device, stream and autograd state are settings of the
        // calling thread. Without CUDA, or without this device, libtorch throws, which is caught.
        check(unsafe { faa_set_stream(device as i64) })?;
        STREAM_DEVICE.set(Some(device));
    }
    Ok(())
}

/// Makes float32 convolutions on CUDA compute in full precision, in the whole process. By default
/// libtorch rounds their factors to TF32's eleven bits. To be called before other threads use CUDA.
pub(crate) fn disable_tf32() -> Result<(), TchError> {
    // SAFETY: No pointer is passed. The setting is a global variable of libtorch without a lock, like
    // those behind tch's own safe setters; convolutions on CUDA read it, and the callers of
    // `prepare_cuda` call it before they create a backend.
    check(unsafe { faa_disable_tf32() })
}

/// A new tensor of bytes or of 64-bit integers in pinned memory, which a GPU can copy
/// asynchronously. Its elements are uninitialised.
pub(crate) fn pinned(size: &[i64], kind: Kind) -> Result<Tensor, TchError> {
    let (dimensions, bytes) = (size.len() as i64, kind == Kind::Uint8);
    // SAFETY: `size` points to as many numbers as `dimensions` states, and they are read during the
    // call only. `faa_pinned` writes a new tensor to `out` if it succeeds.
    unsafe { new_tensor(|out| faa_pinned(out, size.as_ptr(), dimensions, bytes)) }
}

/// The tensor that a function of the shim returns.
///
/// # Safety
///
/// On success, `create` must have written a pointer to a new `at::Tensor`, owned by nobody else.
unsafe fn new_tensor(create: impl FnOnce(*mut *mut c_void) -> Status) -> Result<Tensor, TchError> {
    let mut out = ptr::null_mut();
    check(create(&raw mut out))?;
    // SAFETY: The caller guarantees a tensor that nobody else owns; tch deletes it on drop, as
    // `shim.cpp` expects.
    Ok(unsafe { Tensor::from_ptr(out.cast()) })
}

fn handle(tensor: &Tensor) -> Handle {
    tensor.as_ptr().cast()
}

fn check(status: Status) -> Result<(), TchError> {
    if status.is_null() {
        return Ok(());
    }
    // SAFETY: A status that is not null is a NUL-terminated string that `shim.cpp` allocated for this
    // call. It is copied, and then released once.
    let message = unsafe {
        let message = CStr::from_ptr(status).to_string_lossy().into_owned();
        faa_free(status);
        message
    };
    Err(TchError::Torch(message))
}
