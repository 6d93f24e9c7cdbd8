//! The functions of a native library.
#![expect(unsafe_code, reason = "the host passes pointers")]

use core::slice;
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::string::String;
use std::sync::{Once, OnceLock};

use super::message::Message;
use super::registry::{Ops, Registry, Shape, status};
use crate::abi::{STATUS_DONE, STATUS_FAILED, STATUS_UNSUPPORTED_SHAPE, TABLES_BYTES};
use crate::{Call, Scratch};

/// The ops of a library, and functions that call them and catch panics.
#[derive(Debug)]
pub struct NativeExports {
    registry: Registry,
    spec: OnceLock<Option<String>>,
}

std::thread_local! {
    static SCRATCH: RefCell<Scratch> = const { RefCell::new(Scratch::new()) };
    /// The message of this thread's last failure.
    static MESSAGE: RefCell<Message> = const { RefCell::new(Message::new()) };
}

impl NativeExports {
    /// The functions of a library whose ops `make` creates.
    pub const fn new(make: fn() -> Ops) -> Self {
        Self {
            registry: Registry::new(make),
            spec: OnceLock::new(),
        }
    }

    /// `spec`; null if writing the specification panics.
    ///
    /// # Safety
    ///
    /// `length` can be written to.
    pub unsafe fn spec(&self, length: *mut usize) -> *const u8 {
        let spec = self
            .spec
            .get_or_init(|| caught(|| self.registry.spec_json()));
        match spec {
            Some(spec) => {
                // SAFETY: the caller vouches for the length.
                unsafe { length.write(spec.len()) };
                spec.as_ptr()
            }
            None => core::ptr::null(),
        }
    }

    /// `apply`.
    ///
    /// # Safety
    ///
    /// An image of that shape is at `pixels`, and `capacity` bytes of the message and its length can
    /// be written to.
    pub unsafe fn apply(
        &self,
        op: u32,
        pixels: *mut u8,
        shape: Shape,
        value: f64,
        seed: u64,
        (message, capacity, written): (*mut u8, usize, *mut usize),
    ) -> i32 {
        let Some(length) = shape.samples() else {
            return STATUS_UNSUPPORTED_SHAPE;
        };
        // SAFETY: the caller vouches for the image.
        let pixels = unsafe { slice::from_raw_parts_mut(pixels, length) };
        let result = caught(|| {
            SCRATCH.with_borrow_mut(|scratch| {
                let mut call = Call::new(seed, scratch);
                self.registry.apply(op, pixels, shape, value, &mut call)
            })
        });
        let status = match result {
            Some(Ok(())) => return STATUS_DONE,
            Some(Err(error)) => {
                MESSAGE.with_borrow_mut(|message| message.set(&error));
                status(&error)
            }
            None => STATUS_FAILED,
        };
        MESSAGE.with_borrow(|found| {
            let found = found.as_bytes();
            let length = found.len().min(capacity);
            // SAFETY: the caller vouches for the message and its length.
            unsafe {
                message.copy_from_nonoverlapping(found.as_ptr(), length);
                written.write(length);
            }
        });
        status
    }

    /// `lookup_tables`.
    ///
    /// # Safety
    ///
    /// Three tables can be written to `tables`.
    pub unsafe fn lookup_tables(&self, op: u32, channels: u32, value: f64, tables: *mut u8) -> i32 {
        match caught(|| self.registry.lookup_tables(op, channels, value)).flatten() {
            Some(found) => {
                // SAFETY: the caller vouches for the tables.
                unsafe { tables.copy_from_nonoverlapping(found.as_ptr(), TABLES_BYTES) };
                1
            }
            None => 0,
        }
    }
}

/// Runs something, and records the message if it panics.
///
/// A library has its own copy of the standard library, so this hook does not replace the program's.
fn caught<T>(work: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        panic::set_hook(std::boxed::Box::new(|info| {
            MESSAGE.with_borrow_mut(|message| message.set(info));
        }));
    });
    // A panic can only leave working memory half-written, whose content is unspecified anyway.
    panic::catch_unwind(AssertUnwindSafe(work)).ok()
}
