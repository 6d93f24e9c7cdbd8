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

use tch::{Kind, TchError, Tensor};

/// Null on success, otherwise an error message to be released with `faa_free`.
type Status = *mut c_char;
/// A pointer to an `at::Tensor`; tch does not re-export its type for it, `C_tensor`.
type Handle = *const c_void;

unsafe extern "C" {
    fn faa_free(message: *mut c_char);
    fn faa_keep_memory();
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
        learning_rate: Handle,
    ) -> Status;
    fn faa_convolution_backward(
        x_gradient: *mut *mut c_void,
        weight_gradient: *mut *mut c_void,
        gradient: Handle,
        x: Handle,
        weight: Handle,
        stride: i64,
        padding: i64,
    ) -> Status;
    fn faa_copy(target: Handle, source: Handle) -> Status;
    fn faa_stream(out: *mut *mut c_void, device: i64) -> Status;
    fn faa_graph_begin(out: *mut *mut c_void) -> Status;
    fn faa_graph_end(graph: *mut c_void) -> Status;
    fn faa_graph_replay(graph: *mut c_void) -> Status;
    fn faa_graph_delete(graph: *mut c_void) -> Status;
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
    learning_rate: &Tensor,
) -> Result<(), TchError> {
    // SAFETY: The tensors are borrowed during the call, those that change mutably.
    check(unsafe {
        faa_fused_sgd(
            handle(weights),
            handle(gradient),
            handle(momentum_buffer),
            momentum,
            weight_decay,
            handle(learning_rate),
        )
    })
}

/// The gradient of a convolution's result with respect to its input.
pub(crate) fn convolution_gradient_of_x(
    gradient: &Tensor,
    x: &Tensor,
    weight: &Tensor,
    [stride, padding]: [i64; 2],
) -> Result<Tensor, TchError> {
    let (gradient, x, weight) = (handle(gradient), handle(x), handle(weight));
    let none = ptr::null_mut();
    // SAFETY: The tensors are borrowed during the call. `faa_convolution_backward` writes a new tensor to
    // each pointer that is not null if it succeeds.
    unsafe {
        new_tensor(|out| faa_convolution_backward(out, none, gradient, x, weight, stride, padding))
    }
}

/// The gradient of a convolution's result with respect to its weights.
pub(crate) fn convolution_gradient_of_weight(
    gradient: &Tensor,
    x: &Tensor,
    weight: &Tensor,
    [stride, padding]: [i64; 2],
) -> Result<Tensor, TchError> {
    let (gradient, x, weight) = (handle(gradient), handle(x), handle(weight));
    let none = ptr::null_mut();
    // SAFETY: As in `convolution_gradient_of_x`.
    unsafe {
        new_tensor(|out| faa_convolution_backward(none, out, gradient, x, weight, stride, padding))
    }
}

/// Copies to a tensor of the same size. If the source is pinned and the target on a GPU, the copy happens
/// later, in the order of the stream; libtorch keeps the source's memory until then.
pub(crate) fn copy(target: &mut Tensor, source: &Tensor) -> Result<(), TchError> {
    // SAFETY: The tensors are borrowed during the call, the one that changes mutably.
    check(unsafe { faa_copy(handle(target), handle(source)) })
}

/// The handle of this thread's current stream on a CUDA device, which is its `cudaStream_t`.
pub(crate) fn stream(device: usize) -> Result<*mut c_void, TchError> {
    let mut stream = ptr::null_mut();
    // SAFETY: `faa_stream` writes a handle.
    check(unsafe { faa_stream(&raw mut stream, device as i64) })?;
    Ok(stream)
}

/// A CUDA graph of libtorch.
#[derive(Debug)]
pub(crate) struct GraphHandle(*mut c_void);

// SAFETY: The methods of libtorch's graph that change the generator that all graphs of a device share hold a
// lock in `shim.cpp`. Everything else belongs to this graph, which one thread uses at a time, since
// `GraphHandle` is not `Sync`.
unsafe impl Send for GraphHandle {}

impl Drop for GraphHandle {
    fn drop(&mut self) {
        // SAFETY: The graph was created by `faa_graph_begin`, and is deleted only here.
        let status = unsafe { faa_graph_delete(self.0) };
        // Nothing can be done about a failure.
        drop(check(status));
    }
}

/// Starts to record the work of this thread's current stream.
pub(crate) fn begin_graph() -> Result<GraphHandle, TchError> {
    let mut graph = ptr::null_mut();
    // SAFETY: `faa_graph_begin` writes a new graph if it succeeds. Without CUDA, it finds no function.
    check(unsafe { faa_graph_begin(&raw mut graph) })?;
    Ok(GraphHandle(graph))
}

/// Ends the recording that [`begin_graph`] has started on this thread.
pub(crate) fn end_graph(graph: &GraphHandle) -> Result<(), TchError> {
    // SAFETY: The graph exists.
    check(unsafe { faa_graph_end(graph.0) })
}

/// Does the recorded work on this thread's current stream.
pub(crate) fn replay_graph(graph: &GraphHandle) -> Result<(), TchError> {
    // SAFETY: The graph exists, and its private memory with it. Its other tensors are kept by its creator.
    check(unsafe { faa_graph_replay(graph.0) })
}

thread_local! {
    /// The CUDA device on which this thread has set its stream.
    static STREAM_DEVICE: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Makes a stream of the CUDA device's pool this thread's current one, unless it already has, so that
/// its work runs concurrently with that of other threads.
pub(crate) fn set_stream(device: usize) -> Result<(), TchError> {
    if STREAM_DEVICE.get() != Some(device) {
        // SAFETY: No pointer is passed, and device and stream are settings of the calling thread. Without CUDA,
        // or without this device, libtorch throws, which is caught.
        check(unsafe { faa_set_stream(device as i64) })?;
        STREAM_DEVICE.set(Some(device));
    }
    Ok(())
}

/// Makes the process keep the memory that it frees, for its next tensors. With glibc's defaults, a training's
/// tensors are given back to the system and taken again, zeroed, in every step, and there are eight arenas for each
/// core, into which tensors fit badly. One for each core is left, and one for the main thread: threads that share an
/// arena wait for each other. Variables of the environment such as `MALLOC_ARENA_MAX` win. To be called before other
/// threads start. Does nothing without glibc.
pub fn keep_memory() {
    // SAFETY: No pointer is passed. `mallopt` sets variables of the allocator, and it is called before other
    // threads allocate.
    unsafe { faa_keep_memory() }
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
