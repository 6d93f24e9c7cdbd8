//! The table of a native library.
#![expect(unsafe_code, reason = "the host hands over pointers")]

use core::slice;
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::string::String;
use std::sync::{Once, OnceLock};

use super::message::Message;
use super::{ABI, Ops, Registry, Shape, TABLES, status};
use crate::{Call, Scratch};

type Spec = unsafe extern "C" fn(*mut usize) -> *const u8;
type Apply =
    unsafe extern "C" fn(u32, *mut u8, u32, u32, u32, f64, u64, *mut u8, usize, *mut usize) -> i32;
type Point = unsafe extern "C" fn(u32, u32, f64, *mut u8) -> i32;

/// `struct faa_plugin_v1`.
#[repr(C)]
pub struct NativeTable {
    major: u16,
    minor: u16,
    size: u32,
    spec: Spec,
    apply: Apply,
    point: Point,
}

impl NativeTable {
    /// The table of these functions.
    pub const fn new(spec: Spec, apply: Apply, point: Point) -> Self {
        Self {
            major: ABI[0],
            minor: ABI[1],
            size: size_of::<Self>() as u32,
            spec,
            apply,
            point,
        }
    }
}

/// A plugin whose functions catch panics.
pub struct NativePlugin {
    registry: Registry,
    spec: OnceLock<Option<String>>,
}

std::thread_local! {
    static SCRATCH: RefCell<Scratch> = const { RefCell::new(Scratch::new()) };
    /// What went wrong in this thread last.
    static MESSAGE: RefCell<Message> = const { RefCell::new(Message::new()) };
}

impl NativePlugin {
    /// The plugin with these ops.
    pub const fn new(make: fn() -> Ops) -> Self {
        Self {
            registry: Registry::new(make),
            spec: OnceLock::new(),
        }
    }

    /// `spec`; null where making the specification panics.
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
                // SAFETY: the caller vouches for it.
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
    /// An image of that shape is at `pixels`; the message's bytes and length can be written to.
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
            return 1;
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
            Some(Ok(())) => return 0,
            Some(Err(error)) => {
                MESSAGE.with_borrow_mut(|message| message.set(&error));
                status(&error)
            }
            None => 2,
        };
        MESSAGE.with_borrow(|found| {
            let found = found.as_bytes();
            let length = found.len().min(capacity);
            // SAFETY: the caller vouches for `capacity` bytes, and for the length's place.
            unsafe {
                message.copy_from_nonoverlapping(found.as_ptr(), length);
                written.write(length);
            }
        });
        status
    }

    /// `point`.
    ///
    /// # Safety
    ///
    /// Three tables can be written to `tables`.
    pub unsafe fn point(&self, op: u32, channels: u32, value: f64, tables: *mut u8) -> i32 {
        match caught(|| self.registry.point(op, channels, value)).flatten() {
            Some(found) => {
                // SAFETY: the caller vouches for it.
                unsafe { tables.copy_from_nonoverlapping(found.as_ptr(), TABLES) };
                1
            }
            None => 0,
        }
    }
}

/// Runs something, and keeps the message of a panic.
///
/// A library has a standard library of its own, so the hook is its own too and the program's stays.
fn caught<T>(work: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        panic::set_hook(std::boxed::Box::new(|info| {
            MESSAGE.with_borrow_mut(|message| message.set(info));
        }));
    });
    // What a panic leaves half-done is scratch memory, whose content is unspecified anyway.
    panic::catch_unwind(AssertUnwindSafe(work)).ok()
}
