//! Native libraries. The checks here keep an honest mistake from being misread; nothing protects from
//! a library that is malicious.
#![expect(unsafe_code, reason = "a native library is called through pointers")]

use std::mem::MaybeUninit;
use std::slice;

use faa_op::abi::{
    self, AbiVersion, NativeApply, NativeField, NativeHeader, NativeLookupTables, NativeTable,
    NativeWarp,
};
use faa_op::{Channels, ImageMut, LookupTables, OpSpec, Size, Warp};
use libloading::Library;

use crate::copy::PrivateCopy;
use crate::error::{CallError, CallErrorKind, PluginError, PluginErrorKind};
use crate::message::plugin_message;
use crate::spec::{check_length, parse_spec};

/// Permission to load native libraries from the paths and folders that it is passed along with.
///
/// It can only be created by an unsafe function, so that the functions that take it can be safe:
///
/// ```compile_fail,E0133
/// let permission = faa_plugin::NativePermission::new();
/// ```
#[derive(Clone, Copy, Debug)]
pub struct NativePermission(());

impl NativePermission {
    /// Grants the permission.
    ///
    /// # Safety
    ///
    /// Every native library that is loaded with it must be as [`Host::load_native`] requires. A
    /// program cannot check that; it can only ask its user. Whoever can write to a folder of plugins
    /// can then do whatever the program can.
    ///
    /// [`Host::load_native`]: crate::Host::load_native
    pub const unsafe fn new() -> Self {
        Self(())
    }
}

/// A library that stays loaded as long as its functions can be called.
pub(crate) struct NativePlugin {
    apply: NativeApply,
    lookup_tables: Option<NativeLookupTables>,
    warp: Option<NativeWarp>,
    field: Option<NativeField>,
    _library: Library,
    /// Dropped after the library.
    _copy: PrivateCopy,
}

impl NativePlugin {
    /// # Safety
    ///
    /// As for [`Host::load_native`](crate::Host::load_native).
    pub(crate) unsafe fn open(
        library: &[u8],
    ) -> Result<(Self, Vec<OpSpec>, AbiVersion), PluginError> {
        let mut copy = PrivateCopy::new(library).map_err(PluginErrorKind::Read)?;
        // SAFETY: the caller vouches for what the library does as it is loaded.
        let library = unsafe { Library::new(copy.path()) }
            .map_err(|error| PluginErrorKind::NotNative(error.to_string()))?;
        copy.keep();
        // SAFETY: the caller vouches for the symbol's type. Until the version is known, only the
        // header is read, with which every version of the table begins.
        let table = unsafe { library.get::<*const NativeHeader>(abi::NATIVE_SYMBOL) };
        let table = table.ok().filter(|table| !table.is_null());
        let table = *table.ok_or(PluginErrorKind::MissingExport(abi::NATIVE_SYMBOL))?;
        // SAFETY: as above.
        let NativeHeader { version, size } = unsafe { table.read() };
        if !version.is_supported() {
            return Err(PluginErrorKind::WrongVersion(version).into());
        }
        if (size as usize) < abi::NATIVE_SIZE_1_0 {
            let found = format!("a table of {size} bytes");
            return Err(wrong_table("a table of at least the size of version 1.0", found).into());
        }
        // SAFETY: a table of this major version begins with the fields of ours, as far as it goes.
        let table = unsafe { read_table(table.cast(), size as usize) };
        let (Some(spec), Some(apply)) = (table.spec, table.apply) else {
            let expected = "a table in which `spec` and `apply` are functions";
            return Err(wrong_table(expected, "a null pointer".to_owned()).into());
        };
        let mut length = 0;
        // SAFETY: the caller vouches for the library's functions, and `length` can be written to.
        let text = unsafe { spec(&raw mut length) };
        if text.is_null() {
            let (phase, cause) = ("spec", CallErrorKind::Failed.into());
            return Err(PluginErrorKind::Call { phase, cause }.into());
        }
        check_length(length)?;
        // SAFETY: by the ABI, `length` bytes can be read there as long as the library is loaded.
        let text = unsafe { slice::from_raw_parts(text, length) };
        let specs = parse_spec(text)?;
        let plugin = Self {
            apply,
            lookup_tables: table.lookup_tables,
            warp: table.warp,
            field: table.field,
            _library: library,
            _copy: copy,
        };
        Ok((plugin, specs, version))
    }

    pub(crate) fn apply(
        &self,
        op: u32,
        image: &mut ImageMut<'_>,
        value: f64,
        seed: u64,
    ) -> Result<(), CallError> {
        let dimension = |pixels: usize| {
            u32::try_from(pixels).map_err(|_| CallErrorKind::NoBuffer(image.samples().len()))
        };
        let (width, height) = (dimension(image.width())?, dimension(image.height())?);
        let channels = image.channels().count() as u32;
        let mut message = [0; abi::MAX_MESSAGE_BYTES];
        let mut written = 0;
        // SAFETY: whoever had the library loaded vouches for its functions. The pixels have this
        // shape, and the message has this capacity.
        let status = unsafe {
            (self.apply)(
                op,
                image.samples_mut().as_mut_ptr(),
                width,
                height,
                channels,
                value,
                seed,
                message.as_mut_ptr(),
                message.len(),
                &raw mut written,
            )
        };
        CallError::check_status(status, image, || plugin_message(message.get(..written)?))
    }

    pub(crate) fn lookup_tables(
        &self,
        op: u32,
        value: f64,
        channels: Channels,
    ) -> Option<LookupTables> {
        let lookup_tables = self.lookup_tables?;
        let mut tables = [[0_u8; 256]; 3];
        let bytes = tables.as_flattened_mut().as_mut_ptr();
        // SAFETY: whoever had the library loaded vouches for its functions, and three tables can be
        // written to.
        let has_tables = unsafe { lookup_tables(op, channels.count() as u32, value, bytes) };
        (has_tables == 1).then(|| LookupTables::per_channel(tables))
    }

    pub(crate) fn warp(
        &self,
        op: u32,
        value: f64,
        (width, height): (u32, u32),
        seed: u64,
    ) -> Result<Warp, CallError> {
        let Some(warp) = self.warp else {
            return Ok(Warp::Unknown);
        };
        let mut numbers = abi::WarpNumbers::default();
        // SAFETY: whoever had the library loaded vouches for its functions, and the numbers can be written to.
        let known = unsafe { warp(op, width, height, value, seed, numbers.as_mut_ptr()) };
        match known {
            0 => Ok(Warp::Unknown),
            1 => {
                let (width, height) = (width as usize, height as usize);
                let warp = abi::warp_of(numbers, Size { width, height });
                warp.ok_or_else(|| CallErrorKind::Warp.into())
            }
            status => Err(CallErrorKind::Status(status).into()),
        }
    }

    pub(crate) fn field(
        &self,
        op: u32,
        value: f64,
        (width, height): (u32, u32),
        seed: u64,
        sources: &mut [[i32; 2]],
    ) -> Result<(), CallError> {
        let pixels = u64::from(width) * u64::from(height);
        let fits = pixels == sources.len() as u64;
        let Some(field) = self.field.filter(|_| fits) else {
            let expected = size_of_val(sources);
            return Err(CallErrorKind::Field { found: 0, expected }.into());
        };
        // SAFETY: whoever had the library loaded vouches for its functions, and there is a position per pixel.
        let status = unsafe { field(op, width, height, value, seed, sources.as_mut_ptr()) };
        match status {
            1 => Ok(()),
            0 => Err(CallErrorKind::Failed.into()),
            status => Err(CallErrorKind::Status(status).into()),
        }
    }
}

/// A table of which this many bytes are there. Fields that it does not have, or not as a whole, are null.
///
/// # Safety
///
/// That many bytes can be read, and are the first ones of a table.
unsafe fn read_table(table: *const u8, size: usize) -> NativeTable {
    let mut known = MaybeUninit::<NativeTable>::zeroed();
    let pointer = size_of::<usize>();
    let whole = size.min(size_of::<NativeTable>()) / pointer * pointer;
    // SAFETY: the caller vouches for the bytes, of which no more are copied than a table has; zeros are a header
    // and null pointers.
    unsafe {
        known
            .as_mut_ptr()
            .cast::<u8>()
            .copy_from_nonoverlapping(table, whole);
        known.assume_init()
    }
}

fn wrong_table(expected: &'static str, found: String) -> PluginErrorKind {
    let name = abi::NATIVE_SYMBOL;
    PluginErrorKind::WrongExport {
        name,
        expected,
        found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a table that another table follows in memory, nothing of that is taken for a field.
    #[test]
    fn tables_of_older_versions_lack_the_newer_fields() {
        unsafe extern "C" fn spec(_: *mut usize) -> *const u8 {
            std::ptr::null()
        }
        unsafe extern "C" fn warp(_: u32, _: u32, _: u32, _: f64, _: u64, _: *mut f64) -> i32 {
            0
        }
        let table = NativeTable {
            header: NativeHeader {
                version: abi::VERSION,
                size: 0,
            },
            spec: Some(spec),
            apply: None,
            lookup_tables: None,
            warp: Some(warp),
            field: None,
        };
        let pointer = size_of::<usize>();
        let fields = |size: usize| {
            // SAFETY: a table is there, and no more than a whole one is read.
            let read = unsafe { read_table((&raw const table).cast(), size) };
            [read.spec.is_some(), read.warp.is_some()]
        };
        for size in [abi::NATIVE_SIZE_1_0, abi::NATIVE_SIZE_1_0 + pointer - 1] {
            assert_eq!(fields(size), [true, false], "{size}");
        }
        for size in [abi::NATIVE_SIZE_1_0 + pointer, usize::MAX] {
            assert_eq!(fields(size), [true, true], "{size}");
        }
    }
}
