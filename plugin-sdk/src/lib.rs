//! Write image-augmentation ops that faa-runtime loads as plugins.
//!
//! An op is an implementation of [`Op`], as it is for a built-in one, and a line that exports it:
//!
//! ```
//! use faa_plugin_sdk::{Call, ImageMut, Op, OpError, OpSpec, export_ops};
//!
//! /// Darkens rows at random places, as many as the value says.
//! struct Scanlines(OpSpec);
//!
//! impl Scanlines {
//!     fn new() -> Self {
//!         Self(OpSpec::new("Scanlines", "darkens some rows").range(0.0, 20.0, "rows"))
//!     }
//! }
//!
//! impl Op for Scanlines {
//!     fn spec(&self) -> &OpSpec {
//!         &self.0
//!     }
//!
//!     fn apply(&self, image: &mut ImageMut<'_>, value: f64, call: &mut Call<'_>) -> Result<(), OpError> {
//!         let mut stream = call.stream(); // All of an op's randomness comes from its seed.
//!         for _ in 0..value as usize {
//!             let y = stream.below(image.height() as u64) as usize;
//!             image.row_mut(y).iter_mut().for_each(|sample| *sample /= 2);
//!         }
//!         Ok(())
//!     }
//! }
//!
//! export_ops!(Scanlines::new());
//! ```
//!
//! `faa-runtime plugin new NAME` makes a crate of that kind, `plugin build` builds it, and `plugin
//! check` tries it. The same source can be compiled into a program, built to WebAssembly, and built
//! to a native library, and gives the same bytes; tests of an op run natively, without WebAssembly.
//!
//! **Panics** become errors: the host is told the message, throws the instance away, and goes on.
//!
//! **Numbers.** Where WebAssembly and native code must agree, functions such as `sin` have to come
//! from [`math`] and not from the platform. Additions, multiplications, divisions, square roots and
//! casts are the same everywhere.
//!
//! **Speed.** An instance is kept from call to call, so memory from [`Call::scratch`](Call) is
//! allocated once. Plain loops over samples become vector instructions (SIMD128) where the target
//! feature is on, as `faa-runtime plugin build` has it. An op that changes every sample by itself can
//! implement [`Op::lookup_tables`] too, through which neighbouring ops become one pass.
//!
//! **Without the standard library**: turn the default feature `std` off, add an allocator, and call
//! [`panic_handler!`]. `examples/plugins/fade` does.
//!
//! The protocol below is specified in `ABI.md`, for authors in other languages.

#![no_std]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

#[doc(hidden)]
pub mod export;

pub use faa_op::*;

/// Exports ops from a plugin: `export_ops!(First::new(), Second::default());`, once in a crate.
///
/// The expressions make the ops, whose numbers are their places in the list. In a build for
/// WebAssembly they become the exports of ABI 1, and with the feature `native` the table of a native
/// library. In any other build they are only checked, so that several plugins can be compiled into
/// one program.
///
/// An op that needs a [partner](OpSpec::with_partner) cannot be exported: version 1 of the ABI has no
/// place for a partner. The host is told so when it loads the plugin.
#[macro_export]
macro_rules! export_ops {
    ($($op:expr),+ $(,)?) => {
        const _: () = {
            fn make() -> $crate::export::Ops {
                $crate::export::vec![
                    $($crate::export::Box::new($op) as $crate::export::Box<dyn $crate::Op>),+
                ]
            }
            // Counts as a use where nothing is exported.
            const _: fn() -> $crate::export::Ops = make;
            #[cfg(target_family = "wasm")]
            $crate::__wasm_exports!(make);
            $crate::__native_exports!(make);
        };
    };
}

/// The panic handler of a plugin without the standard library: keeps the message for the host, and
/// traps.
#[macro_export]
macro_rules! panic_handler {
    () => {
        #[panic_handler]
        fn panic(info: &::core::panic::PanicInfo<'_>) -> ! {
            $crate::export::record_panic(info);
            ::core::arch::wasm32::unreachable()
        }
    };
}
