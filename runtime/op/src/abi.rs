//! The plugin ABI, version 1.1: the names, numbers and layouts that a host and a plugin must agree
//! on. `plugin-sdk/ABI.md` is its specification; authors of ops need neither.
//!
//! The export names are repeated as literals where `faa-plugin-sdk` defines the exports, because an
//! attribute cannot name a constant. A plugin built with names that differ would not load.

use crate::{Affine, Rectangle, Size, Warp};

/// The version of the ABI that this crate describes.
pub const VERSION: AbiVersion = AbiVersion { major: 1, minor: 1 };

/// The name of the custom section that holds [`AbiVersion::to_bytes`].
pub const SECTION: &str = "faa.abi";

/// The exported memory.
pub const MEMORY: &str = "memory";
/// The exported function that returns the specification.
pub const SPEC: &str = "faa_spec";
/// The exported function that returns a buffer for pixels.
pub const RESERVE: &str = "faa_reserve";
/// The exported function that applies an op.
pub const APPLY: &str = "faa_apply";
/// The optional exported function that returns the message of a failure.
pub const ERROR: &str = "faa_error";
/// The optional exported function that returns an op's lookup tables.
pub const LOOKUP_TABLES: &str = "faa_lookup_tables";
/// The optional exported function that returns the [`WarpNumbers`] of an op, since version 1.1.
pub const WARP: &str = "faa_warp";
/// The optional exported function that returns the [field](crate::Op::field) of an op, since version 1.1.
pub const FIELD: &str = "faa_field";

/// The symbol of a native library, a [`NativeTable`].
pub const NATIVE_SYMBOL: &str = "faa_plugin";

/// The status of a call that succeeded.
pub const STATUS_DONE: i32 = 0;
/// The status of an op that does not support the image's shape.
pub const STATUS_UNSUPPORTED_SHAPE: i32 = 1;
/// The status of an op that failed for any other reason.
pub const STATUS_FAILED: i32 = 2;

/// The maximum length of a specification, in bytes.
pub const MAX_SPEC_BYTES: usize = 64 << 10;
/// The maximum depth of nested lists and objects in a specification.
pub const MAX_SPEC_DEPTH: usize = 16;
/// The maximum number of ops in a plugin.
pub const MAX_OPS: usize = 64;
/// The maximum length of an op's name, in ASCII characters.
pub const MAX_NAME_CHARS: usize = 64;
/// The maximum length of an op's summary, in characters.
pub const MAX_SUMMARY_CHARS: usize = 200;
/// The maximum length of a value's unit, in characters.
pub const MAX_UNIT_CHARS: usize = 40;
/// The maximum length of an error message, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 4096;
/// The length of an op's lookup tables, three of 256 levels each, in bytes.
pub const TABLES_BYTES: usize = 3 * 256;

/// A [`Warp`] as a plugin returns it: its kind, and up to six numbers; those that a kind does not have are 0.
///
/// | kind | | numbers |
/// |---|---|---|
/// | 0 | [`Warp::Identity`] | |
/// | 1 | [`Warp::Affine`] | a, b, c, d, e, f |
/// | 2 | [`Warp::Erase`] | left, top, right, bottom |
/// | 3 | [`Warp::Field`] | |
pub type WarpNumbers = [f64; 7];

/// The numbers of a warp; `None` for [`Warp::Unknown`].
pub fn warp_numbers(warp: Warp) -> Option<WarpNumbers> {
    Some(match warp {
        Warp::Unknown => return None,
        Warp::Identity => [0.0; 7],
        Warp::Affine(Affine([a, b, c, d, e, f])) => [1.0, a, b, c, d, e, f],
        Warp::Erase(area) => {
            let edges = [area.left, area.top, area.right, area.bottom];
            let [left, top, right, bottom] = edges.map(|edge| edge as f64);
            [2.0, left, top, right, bottom, 0.0, 0.0]
        }
        Warp::Field => [3.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    })
}

/// The warp that has these numbers, for an image of this size; `None` if there is none: an unknown kind, a
/// coefficient that is not finite, or a rectangle that is not made of whole pixels of the image.
pub fn warp_of(numbers: WarpNumbers, size: Size) -> Option<Warp> {
    let [kind, a, b, c, d, e, f] = numbers;
    let edge = |number: f64, end: usize| {
        let edge = number as usize;
        (edge as f64 == number && edge <= end).then_some(edge)
    };
    match kind {
        0.0 => Some(Warp::Identity),
        1.0 => {
            let map = [a, b, c, d, e, f];
            let finite = map.iter().all(|number| number.is_finite());
            finite.then_some(Warp::Affine(Affine(map)))
        }
        2.0 => {
            let (left, top) = (edge(a, size.width)?, edge(b, size.height)?);
            let (right, bottom) = (edge(c, size.width)?, edge(d, size.height)?);
            let area = Rectangle {
                left,
                top,
                right,
                bottom,
            };
            (left <= right && top <= bottom).then(|| Warp::erase(area))
        }
        3.0 => Some(Warp::Field),
        _ => None,
    }
}

/// A version of the plugin ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct AbiVersion {
    /// Incompatible versions differ in this number.
    pub major: u16,
    /// A higher number adds optional features, which older hosts ignore.
    pub minor: u16,
}

impl AbiVersion {
    /// The content of the custom section [`SECTION`]: both numbers in little-endian order.
    pub const fn to_bytes(self) -> [u8; 4] {
        let ([a, b], [c, d]) = (self.major.to_le_bytes(), self.minor.to_le_bytes());
        [a, b, c, d]
    }

    /// The version that a section states.
    pub const fn from_bytes([a, b, c, d]: [u8; 4]) -> Self {
        Self {
            major: u16::from_le_bytes([a, b]),
            minor: u16::from_le_bytes([c, d]),
        }
    }

    /// Whether a host for [`VERSION`] can load a plugin made for this version.
    pub const fn is_supported(self) -> bool {
        self.major == VERSION.major
    }
}

/// Packs the offset and length of bytes in a module's memory into the 64 bits that its exports
/// return.
pub const fn pack_span(offset: u32, length: u32) -> u64 {
    (offset as u64) << 32 | length as u64
}

/// The offset and length in a span that [`pack_span`] made.
pub const fn unpack_span(span: u64) -> (u32, u32) {
    ((span >> 32) as u32, span as u32)
}

/// Returns the specification as JSON and writes its length, in bytes; null on failure.
pub type NativeSpec = unsafe extern "C" fn(length: *mut usize) -> *const u8;

/// Applies an op to an image in place and returns a status. On failure, writes a message of at most
/// `capacity` bytes and its length.
///
/// `faa-plugin-sdk` repeats the parameters, because a function cannot be defined by the name of its type;
/// the compiler compares both where the SDK fills a [`NativeTable`].
pub type NativeApply = unsafe extern "C" fn(
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
) -> i32;

/// Writes an op's lookup tables, [`TABLES_BYTES`] bytes, and returns 1; returns 0 if it has none.
pub type NativeLookupTables =
    unsafe extern "C" fn(op: u32, channels: u32, value: f64, tables: *mut u8) -> i32;

/// Writes an op's [`WarpNumbers`] and returns 1; returns 0 if it does not say where pixels go.
pub type NativeWarp = unsafe extern "C" fn(
    op: u32,
    width: u32,
    height: u32,
    value: f64,
    seed: u64,
    numbers: *mut f64,
) -> i32;

/// Writes an op's field, two numbers per pixel, and returns 1; returns 0 on failure.
pub type NativeField = unsafe extern "C" fn(
    op: u32,
    width: u32,
    height: u32,
    value: f64,
    seed: u64,
    sources: *mut [i32; 2],
) -> i32;

/// The start of a [`NativeTable`], the same in every version of the ABI.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct NativeHeader {
    /// The version of the ABI that the library was made for.
    pub version: AbiVersion,
    /// The size of the whole table, in bytes; newer minor versions append fields.
    pub size: u32,
}

/// What a native library exports as [`NATIVE_SYMBOL`]: `struct faa_plugin_v1` in C.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct NativeTable {
    /// Version and size.
    pub header: NativeHeader,
    /// Required; null in a faulty library.
    pub spec: Option<NativeSpec>,
    /// Required; null in a faulty library.
    pub apply: Option<NativeApply>,
    /// Optional.
    pub lookup_tables: Option<NativeLookupTables>,
    /// Optional, since version 1.1.
    pub warp: Option<NativeWarp>,
    /// Optional, since version 1.1.
    pub field: Option<NativeField>,
}

/// The size of the table of version 1.0, in bytes, which ends before [`NativeTable::warp`].
pub const NATIVE_SIZE_1_0: usize = core::mem::offset_of!(NativeTable, warp);

impl NativeTable {
    /// The table of a library with all functions.
    pub const fn new(
        spec: NativeSpec,
        apply: NativeApply,
        lookup_tables: NativeLookupTables,
        warp: NativeWarp,
        field: NativeField,
    ) -> Self {
        Self {
            header: NativeHeader {
                version: VERSION,
                size: size_of::<Self>() as u32,
            },
            spec: Some(spec),
            apply: Some(apply),
            lookup_tables: Some(lookup_tables),
            warp: Some(warp),
            field: Some(field),
        }
    }
}

/// The layout that the specification states, on a machine with pointers of any size.
const _: () = {
    use core::mem::offset_of;
    let pointer = size_of::<usize>();
    assert!(size_of::<NativeHeader>() == 8 && size_of::<NativeTable>() == 8 + 5 * pointer);
    assert!(offset_of!(NativeTable, spec) == 8 && offset_of!(NativeTable, apply) == 8 + pointer);
    assert!(offset_of!(NativeTable, lookup_tables) == 8 + 2 * pointer);
    assert!(
        NATIVE_SIZE_1_0 == 8 + 3 * pointer && offset_of!(NativeTable, field) == 8 + 4 * pointer
    );
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_spans_are_read_back_as_they_were() {
        assert_eq!(VERSION.to_bytes(), [1, 0, 1, 0]);
        let newer = AbiVersion {
            major: 1,
            minor: 0x203,
        };
        assert_eq!(AbiVersion::from_bytes([1, 0, 3, 2]), newer);
        assert!(newer.is_supported() && !AbiVersion::from_bytes([2, 0, 0, 0]).is_supported());
        assert_eq!(pack_span(16, 92), 16 << 32 | 92);
        assert_eq!(unpack_span(pack_span(u32::MAX, 7)), (u32::MAX, 7));
    }

    #[test]
    fn warps_are_read_back_as_they_were_and_others_are_refused() {
        let size = Size {
            width: 9,
            height: 7,
        };
        let area = Rectangle {
            left: 0,
            top: 2,
            right: 9,
            bottom: 7,
        };
        let affine = Warp::Affine(Affine([0.5, -0.25, 1e300, 0.0, 2.0, -3.0]));
        for warp in [Warp::Identity, affine, Warp::Erase(area), Warp::Field] {
            assert_eq!(warp_of(warp_numbers(warp).unwrap(), size), Some(warp));
        }
        assert_eq!(warp_numbers(Warp::Unknown), None);
        let empty = [2.0, 3.0, 3.0, 3.0, 5.0, 0.0, 0.0];
        assert_eq!(warp_of(empty, size), Some(Warp::Identity));
        for numbers in [
            [4.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
            [f64::NAN, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
            [1.0, 1.0, 0.0, f64::NAN, 0.0, 1.0, 0.0],
            [1.0, 1.0, 0.0, 0.0, 0.0, 1.0, f64::INFINITY],
            [2.0, 0.0, 0.0, 10.0, 7.0, 0.0, 0.0],
            [2.0, 0.0, 0.0, 9.0, 8.0, 0.0, 0.0],
            [2.0, 0.5, 0.0, 9.0, 7.0, 0.0, 0.0],
            [2.0, -1.0, 0.0, 9.0, 7.0, 0.0, 0.0],
            [2.0, 5.0, 0.0, 4.0, 7.0, 0.0, 0.0],
            [2.0, f64::NAN, 0.0, 9.0, 7.0, 0.0, 0.0],
            [2.0, 0.0, 0.0, 1e300, 7.0, 0.0, 0.0],
        ] {
            assert_eq!(warp_of(numbers, size), None, "{numbers:?}");
        }
    }
}
