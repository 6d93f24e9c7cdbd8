//! What tch has no functions for: a few lines of C++ over libtorch's own (`shim.cpp`).
#![expect(unsafe_code, reason = "calls into C++ go through a C interface")]

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_void};
use std::ptr;

use tch::{Device, Kind, TchError, Tensor};

/// A message, or null.
type Outcome = *mut c_char;
/// A `C_tensor`, whose name tch does not pass on.
type Handle = *const c_void;

unsafe extern "C" {
    fn faa_free(message: Outcome);
    fn faa_convolution(
        out: *mut *mut c_void,
        x: Handle,
        weight: Handle,
        bias: Handle,
        stride: i64,
        padding: i64,
        relu: bool,
    ) -> Outcome;
    fn faa_convolution_add(sum: Handle, x: Handle, weight: Handle, padding: i64) -> Outcome;
    fn faa_fused_sgd(
        weights: Handle,
        gradient: Handle,
        momentum: Handle,
        factor: f64,
        weight_decay: f64,
        learning_rate: f64,
    ) -> Outcome;
    fn faa_autocast_bf16(cuda: bool, on: bool) -> Outcome;
    fn faa_own_stream(device: i64) -> Outcome;
    fn faa_disable_tf32() -> Outcome;
    fn faa_pinned(out: *mut *mut c_void, size: *const i64, dimensions: i64, bytes: bool)
    -> Outcome;
}

/// oneDNN's convolution, with bias and ReLU in the same pass. On the CPU only.
pub(crate) fn convolution(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    [stride, padding]: [i64; 2],
    relu: bool,
) -> Result<Tensor, TchError> {
    let bias = bias.map_or(ptr::null(), handle);
    let mut out = ptr::null_mut();
    // SAFETY: the handles are those of living tensors, and `out` has room for one.
    let outcome = unsafe {
        faa_convolution(
            &raw mut out,
            handle(x),
            handle(weight),
            bias,
            stride,
            padding,
            relu,
        )
    };
    checked(outcome)?;
    // SAFETY: without an error, `out` is a new tensor that nobody else owns.
    Ok(unsafe { Tensor::from_ptr(out.cast()) })
}

/// oneDNN's convolution with a stride of 1, added to `sum` in the same pass. On the CPU only.
pub(crate) fn convolution_add(
    sum: &mut Tensor,
    x: &Tensor,
    weight: &Tensor,
    padding: i64,
) -> Result<(), TchError> {
    // SAFETY: the handles are those of living tensors.
    checked(unsafe { faa_convolution_add(handle(sum), handle(x), handle(weight), padding) })
}

/// `g ← gradient + weight_decay · weights`, `v ← factor · v + g`,
/// `weights ← weights − learning_rate · (g + factor · v)`, as one kernel.
pub(crate) fn fused_sgd(
    weights: &mut Tensor,
    gradient: &Tensor,
    momentum: &mut Tensor,
    factor: f64,
    weight_decay: f64,
    learning_rate: f64,
) -> Result<(), TchError> {
    let (weights, gradient, momentum) = (handle(weights), handle(gradient), handle(momentum));
    // SAFETY: the handles are those of living tensors.
    checked(unsafe {
        faa_fused_sgd(
            weights,
            gradient,
            momentum,
            factor,
            weight_decay,
            learning_rate,
        )
    })
}

/// While it lives, this thread's convolutions and linear layers calculate in bf16.
pub(crate) struct AutocastBf16 {
    cuda: bool,
}

impl AutocastBf16 {
    pub(crate) fn on(device: Device) -> Result<Self, TchError> {
        let cuda = device.is_cuda();
        // SAFETY: there is nothing to hold.
        checked(unsafe { faa_autocast_bf16(cuda, true) })?;
        Ok(Self { cuda })
    }
}

impl Drop for AutocastBf16 {
    fn drop(&mut self) {
        // SAFETY: there is nothing to hold. It fails for unknown devices only, and this one is known.
        let outcome = unsafe { faa_autocast_bf16(self.cuda, false) };
        drop(checked(outcome));
    }
}

thread_local! {
    /// The CUDA device on which this thread has a stream of its own.
    static HAS_STREAM: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Gives this thread a stream of its own on a CUDA device, unless it has one, so that its work runs
/// beside that of other threads.
pub(crate) fn own_stream(device: usize) -> Result<(), TchError> {
    if HAS_STREAM.get() != Some(device) {
        // SAFETY: there is nothing to hold.
        checked(unsafe { faa_own_stream(device as i64) })?;
        HAS_STREAM.set(Some(device));
    }
    Ok(())
}

/// From now on, convolutions of 32-bit floats on CUDA calculate with all of their bits. libtorch
/// would round them to TF32's eleven.
pub(crate) fn disable_tf32() -> Result<(), TchError> {
    // SAFETY: there is nothing to hold.
    checked(unsafe { faa_disable_tf32() })
}

/// A new tensor of bytes or of 64-bit integers in pinned memory, from which a GPU copies beside
/// everything else. It has any values.
pub(crate) fn pinned(size: &[i64], kind: Kind) -> Result<Tensor, TchError> {
    let mut out = ptr::null_mut();
    let (dimensions, bytes) = (size.len() as i64, kind == Kind::Uint8);
    // SAFETY: `size` has as many numbers as are told, and `out` has room for a tensor.
    checked(unsafe { faa_pinned(&raw mut out, size.as_ptr(), dimensions, bytes) })?;
    // SAFETY: without an error, `out` is a new tensor that nobody else owns.
    Ok(unsafe { Tensor::from_ptr(out.cast()) })
}

fn handle(tensor: &Tensor) -> Handle {
    tensor.as_ptr().cast()
}

fn checked(outcome: Outcome) -> Result<(), TchError> {
    if outcome.is_null() {
        return Ok(());
    }
    // SAFETY: a message is a C string of the shim's, given back once, after its last use.
    let message = unsafe {
        let message = CStr::from_ptr(outcome).to_string_lossy().into_owned();
        faa_free(outcome);
        message
    };
    Err(TchError::Torch(message))
}
