//! What `export_ops!` expands to. Not for use by hand.

#[cfg(any(target_family = "wasm", feature = "native", test))]
mod message;
#[cfg(feature = "native")]
mod native;
mod spec;
#[cfg(target_family = "wasm")]
mod wasm;

pub use alloc::boxed::Box;
use alloc::string::ToString;
pub use alloc::vec;
use alloc::vec::Vec;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

#[cfg(feature = "native")]
pub use self::native::{NativePlugin, NativeTable};
#[cfg(target_family = "wasm")]
pub use self::wasm::{WasmPlugin, record_panic};
use crate::{Call, Channels, ImageMut, Op, OpError};

/// The ops of a plugin.
pub type Ops = Vec<Box<dyn Op>>;

/// Major and minor version of the ABI.
pub const ABI: [u16; 2] = [1, 0];

/// The content of the custom section `faa.abi`.
pub const ABI_SECTION: [u8; 4] = {
    let [[major, major_high], [minor, minor_high]] = [ABI[0].to_le_bytes(), ABI[1].to_le_bytes()];
    [major, major_high, minor, minor_high]
};

/// The bytes of three tables of 256 levels.
pub const TABLES: usize = 3 * 256;

/// The ops of a plugin, made when they are first asked for.
pub struct Registry {
    make: fn() -> Ops,
    ops: AtomicPtr<Ops>,
}

/// Width, height and channels, as they come over the boundary.
#[derive(Clone, Copy)]
pub struct Shape {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The number of channels.
    pub channels: u32,
}

impl Shape {
    /// `width × height × channels`, where that can be.
    pub fn samples(self) -> Option<usize> {
        let samples = u64::from(self.width)
            .checked_mul(u64::from(self.height))?
            .checked_mul(u64::from(self.channels))?;
        usize::try_from(samples).ok()
    }
}

impl Registry {
    /// A registry that makes its ops with a function.
    pub const fn new(make: fn() -> Ops) -> Self {
        Self {
            make,
            ops: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// The ops. They live as long as the program: there is one list, or one a thread where several
    /// ask first, of which one stays.
    #[expect(
        unsafe_code,
        reason = "a list that is made once is shared from then on"
    )]
    pub fn ops(&self) -> &[Box<dyn Op>] {
        let mut ops = self.ops.load(Ordering::Acquire);
        if ops.is_null() {
            let made = Box::into_raw(Box::new((self.make)()));
            let exchanged = self.ops.compare_exchange(
                ptr::null_mut(),
                made,
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            ops = match exchanged {
                Ok(_) => made,
                Err(theirs) => {
                    // SAFETY: `made` came from a box a few lines above, and nobody else has it.
                    drop(unsafe { Box::from_raw(made) });
                    theirs
                }
            };
        }
        // SAFETY: a pointer that is not null came from a box that is never freed nor changed.
        unsafe { &*ops }
    }

    /// Applies an op by its number.
    pub fn apply(
        &self,
        op: u32,
        pixels: &mut [u8],
        shape: Shape,
        value: f64,
        call: &mut Call<'_>,
    ) -> Result<(), OpError> {
        let op = self.op(op)?;
        let channels = channels(shape.channels)?;
        let (width, height) = (shape.width as usize, shape.height as usize);
        let image = ImageMut::new(pixels, width, height, channels);
        let mut image = image.map_err(|error| failed(&error.to_string()))?;
        op.apply(&mut image, value, call)
    }

    /// The tables of an op, red's before green's before blue's.
    pub fn point(&self, op: u32, channels_count: u32, value: f64) -> Option<[u8; TABLES]> {
        let op = self.op(op).ok()?;
        let tables = op.lookup_tables(value, channels(channels_count).ok()?)?;
        let mut bytes = [0; TABLES];
        bytes.copy_from_slice(tables.tables().as_flattened());
        Some(bytes)
    }

    fn op(&self, op: u32) -> Result<&dyn Op, OpError> {
        let op = self.ops().get(op as usize).map(AsRef::as_ref);
        op.ok_or_else(|| failed("there is no op of this number"))
    }
}

/// The status that stands for an error.
pub fn status(error: &OpError) -> i32 {
    match error {
        OpError::UnsupportedShape { .. } => 1,
        _ => 2,
    }
}

fn channels(count: u32) -> Result<Channels, OpError> {
    Channels::from_count(count as usize).ok_or_else(|| failed("images have 1, 3 or 4 channels"))
}

fn failed(message: &str) -> OpError {
    OpError::Failed(message.into())
}

/// The exports of a WebAssembly module.
#[doc(hidden)]
#[macro_export]
macro_rules! __wasm_exports {
    ($make:path) => {
        static PLUGIN: $crate::export::WasmPlugin = $crate::export::WasmPlugin::new($make);

        #[unsafe(link_section = "faa.abi")]
        #[used]
        static ABI: [u8; 4] = $crate::export::ABI_SECTION;

        #[unsafe(no_mangle)]
        extern "C" fn faa_spec() -> u64 {
            PLUGIN.spec()
        }

        #[unsafe(no_mangle)]
        extern "C" fn faa_reserve(size: u32) -> u32 {
            PLUGIN.reserve(size)
        }

        #[unsafe(no_mangle)]
        unsafe extern "C" fn faa_apply(
            op: u32,
            pixels: u32,
            width: u32,
            height: u32,
            channels: u32,
            value: f64,
            seed: u64,
        ) -> i32 {
            let shape = $crate::export::Shape {
                width,
                height,
                channels,
            };
            // SAFETY: the host wrote that many pixels there.
            unsafe { PLUGIN.apply(op, pixels, shape, value, seed) }
        }

        #[unsafe(no_mangle)]
        extern "C" fn faa_error() -> u64 {
            PLUGIN.error()
        }

        #[unsafe(no_mangle)]
        extern "C" fn faa_point(op: u32, channels: u32, value: f64) -> u64 {
            PLUGIN.point(op, channels, value)
        }
    };
}

/// The table of a native library.
#[cfg(feature = "native")]
#[doc(hidden)]
#[macro_export]
macro_rules! __native_exports {
    ($make:path) => {
        static NATIVE: $crate::export::NativePlugin = $crate::export::NativePlugin::new($make);

        unsafe extern "C" fn spec(length: *mut usize) -> *const u8 {
            // SAFETY: the host passes a place for a length.
            unsafe { NATIVE.spec(length) }
        }

        unsafe extern "C" fn apply(
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
            let shape = $crate::export::Shape {
                width,
                height,
                channels,
            };
            // SAFETY: the host passes an image of that shape, and a place for a message.
            unsafe { NATIVE.apply(op, pixels, shape, value, seed, (message, capacity, written)) }
        }

        unsafe extern "C" fn point(op: u32, channels: u32, value: f64, tables: *mut u8) -> i32 {
            // SAFETY: the host passes a place for three tables.
            unsafe { NATIVE.point(op, channels, value, tables) }
        }

        #[unsafe(no_mangle)]
        #[allow(non_upper_case_globals, reason = "the name that the ABI states")]
        static faa_plugin: $crate::export::NativeTable =
            $crate::export::NativeTable::new(spec, apply, point);
    };
}

/// Nothing, without the feature `native`.
#[cfg(not(feature = "native"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __native_exports {
    ($make:path) => {};
}
