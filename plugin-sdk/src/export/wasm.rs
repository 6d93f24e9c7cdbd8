//! The exports of a WebAssembly module.
#![expect(
    unsafe_code,
    reason = "the host passes addresses, and an instance has mutable state"
)]

use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{OnceCell, UnsafeCell};
use core::panic::PanicInfo;
use core::slice;

use super::message::Message;
use super::registry::{Registry, Shape, status};
use crate::abi::{STATUS_DONE, STATUS_UNSUPPORTED_SHAPE, TABLES_BYTES, WarpNumbers, pack_span};
use crate::{Call, OpError, Scratch};

/// The ops of a module, its exported functions, and the state of an instance.
pub struct WasmExports {
    make: fn() -> Registry,
    state: SingleThreaded<State>,
}

struct State {
    registry: OnceCell<Registry>,
    spec: String,
    buffer: Vec<u8>,
    scratch: Scratch,
    tables: [u8; TABLES_BYTES],
    warp: WarpNumbers,
    field: Vec<[i32; 2]>,
}

static MESSAGE: SingleThreaded<Message> = SingleThreaded(UnsafeCell::new(Message::new()));

/// Mutable state of a program that has one thread.
struct SingleThreaded<T>(UnsafeCell<T>);

// SAFETY: plugins have no threads, and by the ABI a host uses an instance from one thread at a time.
unsafe impl<T> Sync for SingleThreaded<T> {}

impl<T> SingleThreaded<T> {
    /// # Safety
    ///
    /// No other reference from this function is in use. Exports do not call each other, and a panic
    /// ends the export that it happens in, so each may take one reference.
    #[allow(
        clippy::mut_from_ref,
        reason = "the caller makes sure that there is only one"
    )]
    unsafe fn get(&self) -> &mut T {
        // SAFETY: the caller makes sure that the reference is the only one.
        unsafe { &mut *self.0.get() }
    }
}

impl WasmExports {
    /// The exports of a module whose ops `make` creates.
    pub const fn new(make: fn() -> Registry) -> Self {
        Self {
            make,
            state: SingleThreaded(UnsafeCell::new(State {
                registry: OnceCell::new(),
                spec: String::new(),
                buffer: Vec::new(),
                scratch: Scratch::new(),
                tables: [0; TABLES_BYTES],
                warp: [0.0; 7],
                field: Vec::new(),
            })),
        }
    }

    /// `faa_spec`.
    pub fn spec(&self) -> u64 {
        record_panics();
        // SAFETY: the only reference in this export.
        let state = unsafe { self.state.get() };
        state.spec = state.registry.get_or_init(self.make).spec_json();
        span_of(state.spec.as_bytes())
    }

    /// `faa_reserve`.
    pub fn reserve(&self, size: u32) -> u32 {
        record_panics();
        // SAFETY: the only reference in this export.
        let buffer = &mut unsafe { self.state.get() }.buffer;
        // Freed first, so that what fits does not depend on what was reserved before.
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
        // SAFETY: the only reference in this export.
        let state = unsafe { self.state.get() };
        let Some(length) = shape.samples() else {
            return STATUS_UNSUPPORTED_SHAPE;
        };
        // SAFETY: the caller vouches for the image; `state.buffer` is not used meanwhile.
        let pixels = unsafe { slice::from_raw_parts_mut(pixels as *mut u8, length) };
        let mut call = Call::new(seed, &mut state.scratch);
        let registry = state.registry.get_or_init(self.make);
        match registry.apply(op, pixels, shape, value, &mut call) {
            Ok(()) => STATUS_DONE,
            Err(error) => {
                // SAFETY: the op has returned, and nothing panics while the message is written.
                unsafe { MESSAGE.get() }.set(&error);
                status(&error)
            }
        }
    }

    /// `faa_error`.
    pub fn error(&self) -> u64 {
        // SAFETY: the only reference in this export.
        span_of(unsafe { MESSAGE.get() }.as_bytes())
    }

    /// `faa_lookup_tables`.
    pub fn lookup_tables(&self, op: u32, channels: u32, value: f64) -> u64 {
        record_panics();
        // SAFETY: the only reference in this export.
        let state = unsafe { self.state.get() };
        let registry = state.registry.get_or_init(self.make);
        match registry.lookup_tables(op, channels, value) {
            Some(tables) => {
                state.tables = tables;
                span_of(&state.tables)
            }
            None => 0,
        }
    }

    /// `faa_warp`.
    pub fn warp(&self, op: u32, size: (u32, u32), value: f64, seed: u64) -> u64 {
        record_panics();
        // SAFETY: the only reference in this export.
        let state = unsafe { self.state.get() };
        let registry = state.registry.get_or_init(self.make);
        match registry.warp(op, size, value, seed) {
            Some(numbers) => {
                state.warp = numbers;
                pack_span(state.warp.as_ptr() as u32, size_of_val(&state.warp) as u32)
            }
            None => 0,
        }
    }

    /// `faa_field`.
    pub fn field(&self, op: u32, size: (u32, u32), value: f64, seed: u64) -> u64 {
        record_panics();
        // SAFETY: the only reference in this export.
        let state = unsafe { self.state.get() };
        let registry = state.registry.get_or_init(self.make);
        let result = match resized(&mut state.field, size) {
            Some(sources) => registry.field(op, size, value, seed, sources),
            None => Err(OpError::failed("there is not enough memory")),
        };
        match result {
            Ok(()) => {
                let field = state.field.as_slice();
                pack_span(field.as_ptr() as u32, size_of_val(field) as u32)
            }
            Err(error) => {
                // SAFETY: the op has returned, and nothing panics while the message is written.
                unsafe { MESSAGE.get() }.set(&error);
                0
            }
        }
    }
}

/// The positions of as many pixels as an image of this size has, if there is memory for them.
fn resized(field: &mut Vec<[i32; 2]>, (width, height): (u32, u32)) -> Option<&mut [[i32; 2]]> {
    let pixels = (width as usize).checked_mul(height as usize)?;
    field.clear();
    field.try_reserve_exact(pixels).ok()?;
    field.resize(pixels, [0; 2]);
    Some(field)
}

/// Records the message of a panic for the host.
pub fn record_panic(info: &PanicInfo<'_>) {
    // SAFETY: ops panic only before their message is written, and `faa_error` does not panic.
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

/// The plugin's own panic handler records them.
#[cfg(not(feature = "std"))]
fn record_panics() {}

fn span_of(bytes: &[u8]) -> u64 {
    pack_span(bytes.as_ptr() as u32, bytes.len() as u32)
}
