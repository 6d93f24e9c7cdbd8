//! The table of a native library, and the functions in it.
#![expect(unsafe_code, reason = "the host passes pointers")]

use core::{ptr, slice};
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::string::String;
use std::sync::{Once, OnceLock};

use super::message::Message;
use super::registry::{Registry, Shape, status};
use crate::abi::{NativeTable, STATUS_DONE, STATUS_FAILED, STATUS_UNSUPPORTED_SHAPE, TABLES_BYTES};
use crate::{Call, Scratch};

/// A library's ops and its specification, each created when it is first needed.
pub struct NativeState {
    make: fn() -> Registry,
    registry: OnceLock<Registry>,
    spec: OnceLock<Option<String>>,
}

impl NativeState {
    /// The state of a library of which `make` creates the ops.
    pub const fn new(make: fn() -> Registry) -> Self {
        Self {
            make,
            registry: OnceLock::new(),
            spec: OnceLock::new(),
        }
    }

    fn registry(&self) -> &Registry {
        self.registry.get_or_init(self.make)
    }
}

/// A type that names a library's state, so that functions without captures can reach it.
pub trait NativeLibrary: 'static {
    /// The state.
    fn state() -> &'static NativeState;
}

/// The table of a library.
pub const fn native_table<L: NativeLibrary>() -> NativeTable {
    NativeTable::new(
        spec::<L>,
        apply::<L>,
        lookup_tables::<L>,
        warp::<L>,
        field::<L>,
    )
}

std::thread_local! {
    static SCRATCH: RefCell<Scratch> = const { RefCell::new(Scratch::new()) };
    /// The message of this thread's last failure.
    static MESSAGE: RefCell<Message> = const { RefCell::new(Message::new()) };
}

/// Null if writing the specification panics.
///
/// # Safety
///
/// As `NativeSpec` requires.
unsafe extern "C" fn spec<L: NativeLibrary>(length: *mut usize) -> *const u8 {
    let spec = || caught(|| L::state().registry().spec_json());
    let Some(spec) = L::state().spec.get_or_init(spec) else {
        return ptr::null();
    };
    // SAFETY: by the ABI, the length can be written to.
    unsafe { length.write(spec.len()) };
    spec.as_ptr()
}

/// # Safety
///
/// As `NativeApply` requires.
unsafe extern "C" fn apply<L: NativeLibrary>(
    op: u32,
    pixels: *mut u8,
    width: u32,
    height: u32,
    channels: u32,
    value: f64,
    seed: u64,
    message: *mut u8,
    capacity: usize,
    written: *mut usize,
) -> i32 {
    let shape = Shape {
        width,
        height,
        channels,
    };
    let Some(length) = shape.samples() else {
        return STATUS_UNSUPPORTED_SHAPE;
    };
    // SAFETY: by the ABI, an image of that shape is there.
    let pixels = unsafe { slice::from_raw_parts_mut(pixels, length) };
    let result = caught(|| {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut call = Call::new(seed, scratch);
            (L::state().registry()).apply(op, pixels, shape, value, &mut call)
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
        // SAFETY: by the ABI, the message's bytes and its length can be written to.
        unsafe {
            message.copy_from_nonoverlapping(found.as_ptr(), length);
            written.write(length);
        }
    });
    status
}

/// # Safety
///
/// As `NativeLookupTables` requires.
unsafe extern "C" fn lookup_tables<L: NativeLibrary>(
    op: u32,
    channels: u32,
    value: f64,
    tables: *mut u8,
) -> i32 {
    match caught(|| L::state().registry().lookup_tables(op, channels, value)).flatten() {
        Some(found) => {
            // SAFETY: by the ABI, three tables can be written to.
            unsafe { tables.copy_from_nonoverlapping(found.as_ptr(), TABLES_BYTES) };
            1
        }
        None => 0,
    }
}

/// # Safety
///
/// As `NativeWarp` requires.
unsafe extern "C" fn warp<L: NativeLibrary>(
    op: u32,
    width: u32,
    height: u32,
    value: f64,
    seed: u64,
    numbers: *mut f64,
) -> i32 {
    match caught(|| L::state().registry().warp(op, (width, height), value, seed)).flatten() {
        Some(found) => {
            // SAFETY: by the ABI, the numbers of a warp can be written to.
            unsafe { numbers.copy_from_nonoverlapping(found.as_ptr(), found.len()) };
            1
        }
        None => 0,
    }
}

/// # Safety
///
/// As `NativeField` requires.
unsafe extern "C" fn field<L: NativeLibrary>(
    op: u32,
    width: u32,
    height: u32,
    value: f64,
    seed: u64,
    sources: *mut [i32; 2],
) -> i32 {
    // SAFETY: by the ABI, a position per pixel is there.
    let sources = unsafe { slice::from_raw_parts_mut(sources, width as usize * height as usize) };
    let field = || {
        L::state()
            .registry()
            .field(op, (width, height), value, seed, sources)
    };
    i32::from(matches!(caught(field), Some(Ok(()))))
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
