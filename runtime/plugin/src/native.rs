//! Native libraries. What is checked here keeps honest libraries from being misunderstood; nothing
//! can be done about others.
#![expect(unsafe_code, reason = "a native library is called through pointers")]

use std::mem::offset_of;
use std::path::Path;
use std::slice;

use faa_op::{Channels, ImageMut, LookupTables, OpSpec};
use libloading::Library;

use crate::message::{MESSAGE, readable};
use crate::spec::parse_spec;
use crate::{AbiVersion, CallError, Limits, PluginError};

/// The name of the one symbol.
const SYMBOL: &str = "faa_plugin";

/// What every version of the table begins with.
#[derive(Clone, Copy)]
#[repr(C)]
struct Header {
    major: u16,
    minor: u16,
    size: u32,
}

/// `struct faa_plugin_v1`. A pointer may be null until it was checked.
#[derive(Clone, Copy)]
#[repr(C)]
struct Table {
    header: Header,
    spec: Option<unsafe extern "C" fn(*mut usize) -> *const u8>,
    apply: Option<Apply>,
    point: Option<Point>,
}

type Apply =
    unsafe extern "C" fn(u32, *mut u8, u32, u32, u32, f64, u64, *mut u8, usize, *mut usize) -> i32;
type Point = unsafe extern "C" fn(u32, u32, f64, *mut u8) -> i32;

/// A library that stays loaded as long as its functions can be called.
pub(crate) struct NativePlugin {
    apply: Apply,
    point: Option<Point>,
    _library: Library,
}

impl NativePlugin {
    /// # Safety
    ///
    /// The library does as it says.
    pub(crate) unsafe fn open(
        path: &Path,
        limits: &Limits,
    ) -> Result<(Self, Vec<OpSpec>, AbiVersion), PluginError> {
        // A bare name would be looked for among the libraries of the system.
        let path = std::path::absolute(path).map_err(PluginError::Read)?;
        // SAFETY: the caller vouches for what the library does as it is loaded.
        let library = unsafe { Library::new(&path) }
            .map_err(|error| PluginError::NotNative(error.to_string()))?;
        // SAFETY: the symbol is a table by the ABI; only its header is looked at for now, which
        // begins every version of it.
        let table = unsafe { library.get::<*const Header>(SYMBOL) }
            .map_err(|_| PluginError::MissingExport(SYMBOL))?;
        let table: *const Header = *table;
        if table.is_null() {
            return Err(PluginError::MissingExport(SYMBOL));
        }
        // SAFETY: as above.
        let Header { major, minor, size } = unsafe { table.read() };
        let abi = AbiVersion { major, minor };
        abi.check()?;
        if (size as usize) < size_of::<Table>() {
            return Err(PluginError::WrongExport {
                name: SYMBOL,
                expected: "a table of at least the size of version 1.0",
                found: format!("a table of {size} bytes"),
            });
        }
        // SAFETY: a table of this major version and of at least this size begins with these fields.
        let table = unsafe { table.cast::<Table>().read() };
        let apply = table.apply.ok_or(null("apply"))?;
        let spec = table.spec.ok_or(null("spec"))?;
        let mut length = 0;
        // SAFETY: the function is the library's, and `length` can be written to.
        let text = unsafe { spec(&raw mut length) };
        if text.is_null() {
            return Err(PluginError::Call {
                phase: "spec",
                cause: CallError::Failed(None),
            });
        }
        if length > limits.spec {
            let (found, limit) = (length, limits.spec);
            return Err(crate::SpecError::TooLong { found, limit }.into());
        }
        // SAFETY: the library says that so many bytes are there, as long as it is loaded.
        let text = unsafe { slice::from_raw_parts(text, length) };
        let specs = parse_spec(text, limits)?;
        let plugin = Self {
            apply,
            point: table.point,
            _library: library,
        };
        Ok((plugin, specs, abi))
    }

    pub(crate) fn apply(
        &self,
        op: u32,
        image: &mut ImageMut<'_>,
        value: f64,
        seed: u64,
    ) -> Result<(), CallError> {
        let (width, height, channels) = (image.width(), image.height(), image.channels());
        let no_buffer = CallError::NoBuffer(image.samples().len());
        let (Ok(columns), Ok(rows)) = (u32::try_from(width), u32::try_from(height)) else {
            return Err(no_buffer);
        };
        let mut message = [0; MESSAGE];
        let mut written = 0;
        // SAFETY: the pixels have that shape, and the message that capacity.
        let status = unsafe {
            (self.apply)(
                op,
                image.samples_mut().as_mut_ptr(),
                columns,
                rows,
                channels.count() as u32,
                value,
                seed,
                message.as_mut_ptr(),
                MESSAGE,
                &raw mut written,
            )
        };
        match status {
            0 => Ok(()),
            1 => Err(CallError::Shape {
                width,
                height,
                channels,
            }),
            2 => Err(CallError::Failed(message.get(..written).and_then(readable))),
            status => Err(CallError::Status(status)),
        }
    }

    pub(crate) fn point(&self, op: u32, value: f64, channels: Channels) -> Option<LookupTables> {
        let mut tables = [[0_u8; 256]; 3];
        // SAFETY: there is place for three tables.
        let there_are = unsafe {
            (self.point?)(
                op,
                channels.count() as u32,
                value,
                tables.as_flattened_mut().as_mut_ptr(),
            )
        };
        (there_are == 1).then(|| LookupTables::per_channel(tables))
    }
}

fn null(function: &str) -> PluginError {
    PluginError::WrongExport {
        name: SYMBOL,
        expected: "a table whose `spec` and `apply` are functions",
        found: format!("a table whose `{function}` is null"),
    }
}

/// The layout that the ABI states, with pointers of the machine at hand.
const _: () = {
    let pointer = size_of::<usize>();
    assert!(size_of::<Header>() == 8 && size_of::<Table>() == 8 + 3 * pointer);
    assert!(offset_of!(Table, spec) == 8 && offset_of!(Table, apply) == 8 + pointer);
    assert!(offset_of!(Table, point) == 8 + 2 * pointer);
};
