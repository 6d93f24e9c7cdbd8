#![expect(unsafe_code, reason = "the pointers are C's")]

use std::ffi::{CStr, CString, c_char};
use std::path::PathBuf;
use std::ptr;

use faa_op::text::{chain, clean};
use faa_op::{Op, OpSet};
use faa_ops_builtin::builtin_ops;
use faa_plugin::Found;

use crate::error::{
    Error, FAA_PLUGIN_FAILED, Status, creating, free, guarded, items, object, text,
};
use crate::policy::Policy;

/// The characters beyond which the line about a file that was not loaded is cut off.
const MAX_CHARS: usize = 4000;

/// `faa_plugin_options`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct PluginOptions {
    /// See `faa.h`.
    pub memory_mib: u32,
    /// See `faa.h`.
    pub total_memory_mib: u32,
    /// See `faa.h`.
    pub call_seconds: f64,
    /// See `faa.h`.
    pub allow_native: u32,
}

/// `faa_plugins`.
#[derive(Debug)]
pub struct Plugins {
    ops: OpSet,
    names: Vec<CString>,
    broken: Vec<CString>,
}

impl Plugins {
    /// # Safety
    ///
    /// If native libraries are allowed, as for `faa_plugins_load`.
    unsafe fn load(folders: Vec<PathBuf>, wanted: PluginOptions) -> Result<Self, Error> {
        let mut options = faa_plugin::PluginOptions::new(folders);
        options.allow_native = wanted.allow_native != 0;
        if wanted.memory_mib != 0 {
            options.memory_mib = wanted.memory_mib;
        }
        if wanted.total_memory_mib != 0 {
            options.total_memory_mib = wanted.total_memory_mib;
        }
        if wanted.call_seconds != 0.0 {
            options.call_seconds = wanted.call_seconds;
        }
        let checked = options.check();
        checked.map_err(|error| Error::argument("options", &chain(&error)))?;
        let mut ops = builtin_ops();
        // SAFETY: the caller vouches for the libraries.
        let native = unsafe { options.native_permission() };
        let found = options.load_into(native, &mut ops);
        let found = found.map_err(|error| Error::new(FAA_PLUGIN_FAILED, "", &chain(&error)))?;
        Ok(Self {
            ops,
            names: names(&found),
            broken: broken(&found),
        })
    }
}

fn names(found: &Found) -> Vec<CString> {
    let ops = found.loaded.iter().flat_map(faa_plugin::Plugin::ops);
    // No name of an op has a zero byte.
    ops.map(|op| CString::new(op.spec().name()).unwrap_or_default())
        .collect()
}

fn broken(found: &Found) -> Vec<CString> {
    let line = |broken: &faa_plugin::Broken| {
        let line = format!("{}: {}", broken.path.display(), chain(&broken.error));
        CString::new(clean(&line, MAX_CHARS)).unwrap_or_default()
    };
    found.broken.iter().map(line).collect()
}

/// See `faa.h`.
///
/// # Safety
///
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn faa_plugins_load(
    folders: *const *const c_char,
    count: usize,
    options: *const PluginOptions,
    plugins: *mut *mut Plugins,
    error: *mut *mut Error,
) -> Status {
    // SAFETY: the caller vouches for the pointers, and with `allow_native` for the libraries.
    unsafe {
        creating(plugins, "plugins", error, || {
            let folders = items(folders, count, "folders")?.iter().enumerate();
            let folders = folders.map(|(index, folder)| {
                let name = format!("folders[{index}]");
                path(text(*folder, &name)?, &name)
            });
            let folders = folders.collect::<Result<_, _>>()?;
            Plugins::load(folders, options.as_ref().copied().unwrap_or_default())
        })
    }
}

/// A path, of any bytes where the system allows it.
#[cfg(unix)]
fn path(text: &CStr, _: &str) -> Result<PathBuf, Error> {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    Ok(OsStr::from_bytes(text.to_bytes()).into())
}

#[cfg(not(unix))]
fn path(text: &CStr, name: &str) -> Result<PathBuf, Error> {
    let text = text.to_str();
    Ok(text
        .map_err(|_| Error::argument(name, "is not UTF-8"))?
        .into())
}

/// See `faa.h`.
///
/// # Safety
///
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn faa_plugins_free(plugins: *mut Plugins) {
    // SAFETY: the caller's pointer is null or one that `faa_plugins_load` made.
    unsafe { free(plugins) }
}

/// See `faa.h`.
///
/// # Safety
///
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn faa_plugins_op_count(plugins: *const Plugins) -> usize {
    // SAFETY: the caller's pointer is valid or null.
    let plugins = unsafe { plugins.as_ref() };
    guarded(0, || plugins.map_or(0, |plugins| plugins.names.len()))
}

/// See `faa.h`.
///
/// # Safety
///
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn faa_plugins_op(plugins: *const Plugins, index: usize) -> *const c_char {
    // SAFETY: the caller's pointer is valid or null.
    let plugins = unsafe { plugins.as_ref() };
    item(plugins.map(|plugins| &*plugins.names), index)
}

/// See `faa.h`.
///
/// # Safety
///
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn faa_plugins_broken_count(plugins: *const Plugins) -> usize {
    // SAFETY: the caller's pointer is valid or null.
    let plugins = unsafe { plugins.as_ref() };
    guarded(0, || plugins.map_or(0, |plugins| plugins.broken.len()))
}

/// See `faa.h`.
///
/// # Safety
///
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn faa_plugins_broken(
    plugins: *const Plugins,
    index: usize,
) -> *const c_char {
    // SAFETY: the caller's pointer is valid or null.
    let plugins = unsafe { plugins.as_ref() };
    item(plugins.map(|plugins| &*plugins.broken), index)
}

fn item(texts: Option<&[CString]>, index: usize) -> *const c_char {
    guarded(ptr::null(), || {
        let text = texts.and_then(|texts| texts.get(index));
        text.map_or(ptr::null(), |text| text.as_ptr())
    })
}

/// See `faa.h`.
///
/// # Safety
///
/// As there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn faa_plugins_policy_parse(
    plugins: *const Plugins,
    json: *const c_char,
    length: usize,
    policy: *mut *mut Policy,
    error: *mut *mut Error,
) -> Status {
    // SAFETY: the caller vouches for the pointers.
    unsafe {
        creating(policy, "policy", error, || {
            let ops = object(plugins, "plugins")?.ops.clone();
            Policy::parse(items(json.cast(), length, "json")?, ops)
        })
    }
}
