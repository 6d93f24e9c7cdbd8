//! The exports of a WebAssembly module.
#![expect(
    unsafe_code,
    reason = "the host hands over places in memory, and an instance has state of its own"
)]

use alloc::string::String;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::panic::PanicInfo;
use core::slice;

use super::message::Message;
use super::{Ops, Registry, Shape, TABLES, status};
use crate::{Call, Scratch};

/// What an instance keeps between calls.
pub struct WasmPlugin {
    registry: Registry,
    state: Alone<State>,
}

struct State {
    spec: String,
    buffer: Vec<u8>,
    scratch: Scratch,
    tables: [u8; TABLES],
}

static MESSAGE: Alone<Message> = Alone(UnsafeCell::new(Message::new()));

/// State of a program that has one thread.
struct Alone<T>(UnsafeCell<T>);

// SAFETY: the ABI has no threads, and a host uses an instance from one thread at a time.
unsafe impl<T> Sync for Alone<T> {}

impl<T> Alone<T> {
    /// # Safety
    ///
    /// No other reference is in use: exports do not call each other, and a panic ends the one that
    /// it happens in.
    #[allow(
        clippy::mut_from_ref,
        reason = "there is one thread, and one caller at a time"
    )]
    unsafe fn get(&self) -> &mut T {
        // SAFETY: the caller vouches for it.
        unsafe { &mut *self.0.get() }
    }
}

impl WasmPlugin {
    /// The plugin with these ops.
    pub const fn new(make: fn() -> Ops) -> Self {
        Self {
            registry: Registry::new(make),
            state: Alone(UnsafeCell::new(State {
                spec: String::new(),
                buffer: Vec::new(),
                scratch: Scratch::new(),
                tables: [0; TABLES],
            })),
        }
    }

    /// `faa_spec`.
    pub fn spec(&self) -> u64 {
        record_panics();
        // SAFETY: this is an export.
        let state = unsafe { self.state.get() };
        state.spec = self.registry.spec_json();
        place(state.spec.as_bytes())
    }

    /// `faa_reserve`.
    pub fn reserve(&self, size: u32) -> u32 {
        record_panics();
        // SAFETY: this is an export.
        let buffer = &mut unsafe { self.state.get() }.buffer;
        // Given back first, so that what fits does not depend on what was reserved before.
        *buffer = Vec::new();
        let size = size as usize;
        if buffer.try_reserve_exact(size).is_err() {
            return 0;
        }
        buffer.resize(size, 0);
        buffer.as_mut_ptr() as u32
    }

    /// `faa_apply`.
    ///
    /// # Safety
    ///
    /// An image of that shape is at `pixels`, in a buffer that this plugin has reserved.
    pub unsafe fn apply(&self, op: u32, pixels: u32, shape: Shape, value: f64, seed: u64) -> i32 {
        record_panics();
        // SAFETY: this is an export.
        let state = unsafe { self.state.get() };
        let Some(length) = shape.samples() else {
            return 1;
        };
        // SAFETY: the host vouches for the image; nothing else refers to the buffer.
        let pixels = unsafe { slice::from_raw_parts_mut(pixels as *mut u8, length) };
        let mut call = Call::new(seed, &mut state.scratch);
        match self.registry.apply(op, pixels, shape, value, &mut call) {
            Ok(()) => 0,
            Err(error) => {
                // SAFETY: nothing else refers to the message now.
                unsafe { MESSAGE.get() }.set(&error);
                status(&error)
            }
        }
    }

    /// `faa_error`.
    pub fn error(&self) -> u64 {
        // SAFETY: this is an export.
        place(unsafe { MESSAGE.get() }.as_bytes())
    }

    /// `faa_point`.
    pub fn point(&self, op: u32, channels: u32, value: f64) -> u64 {
        record_panics();
        // SAFETY: this is an export.
        let state = unsafe { self.state.get() };
        match self.registry.point(op, channels, value) {
            Some(tables) => {
                state.tables = tables;
                place(&state.tables)
            }
            None => 0,
        }
    }
}

/// Keeps the message of a panic for the host.
pub fn record_panic(info: &PanicInfo<'_>) {
    // SAFETY: nothing else refers to the message: it is set after a call, and read after that.
    unsafe { MESSAGE.get() }.set(info);
}

#[cfg(feature = "std")]
fn record_panics() {
    use core::sync::atomic::{AtomicBool, Ordering};

    static DONE: AtomicBool = AtomicBool::new(false);
    if !DONE.swap(true, Ordering::Relaxed) {
        std::panic::set_hook(alloc::boxed::Box::new(|info| {
            // SAFETY: as in `record_panic`.
            unsafe { MESSAGE.get() }.set(info);
        }));
    }
}

/// The plugin's own panic handler does it.
#[cfg(not(feature = "std"))]
fn record_panics() {}

fn place(bytes: &[u8]) -> u64 {
    (bytes.as_ptr() as u64) << 32 | bytes.len() as u64
}
