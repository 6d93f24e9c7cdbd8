use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use faa_op::abi::AbiVersion;
use faa_op::{
    Call, Channels, DuplicateOp, ImageMut, ImageRef, LookupTables, Op, OpError, OpErrorKind,
    OpResult, OpSet, OpSpec, Size, Warp,
};

use crate::config::OnFailure;
use crate::digest::{Sha256Digest, hex};
use crate::error::{CallError, CallErrorKind};
use crate::message::clean_message;
use crate::native::NativePlugin;
use crate::wasm::WasmPlugin;

/// A plugin that was loaded.
#[derive(Debug)]
pub struct Plugin {
    path: Option<PathBuf>,
    digest: Sha256Digest,
    abi: AbiVersion,
    ops: Vec<Arc<PluginOp>>,
}

pub(crate) enum Code {
    Wasm(Box<WasmPlugin>),
    Native(NativePlugin),
}

/// An op of a plugin.
///
/// Like any [`Op`], it can be applied from any number of threads. A thread's first call creates an
/// instance of the module, which later calls of the same thread reuse. An instance in which a call
/// failed is dropped.
pub struct PluginOp {
    /// The op and its plugin's file, as errors name them.
    shown: Arc<str>,
    spec: OpSpec,
    number: u32,
    code: Arc<Code>,
    on_failure: OnFailure,
    failures: AtomicU64,
}

impl Plugin {
    pub(crate) fn new(
        (code, specs, abi): (Code, Vec<OpSpec>, AbiVersion),
        path: Option<&Path>,
        digest: Sha256Digest,
        on_failure: OnFailure,
    ) -> Self {
        let code = Arc::new(code);
        let op = |(number, spec): (u32, OpSpec)| {
            let name = spec.name();
            let shown = path.map_or_else(
                || format!("`{name}`"),
                |path| format!("`{name}` of {}", path.display()),
            );
            Arc::new(PluginOp {
                shown: clean_message(&shown).into(),
                spec,
                number,
                code: code.clone(),
                on_failure,
                failures: AtomicU64::new(0),
            })
        };
        Self {
            path: path.map(Path::to_owned),
            digest,
            abi,
            ops: (0..).zip(specs).map(op).collect(),
        }
    }

    /// The file that it was loaded from; `None` if it was loaded from bytes.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The SHA-256 of the module or library, as 64 hexadecimal digits.
    pub fn sha256(&self) -> String {
        hex(&self.digest)
    }

    /// The version of the ABI that it was made for.
    pub fn abi(&self) -> AbiVersion {
        self.abi
    }

    /// Whether it is a native library rather than a WebAssembly module.
    pub fn is_native(&self) -> bool {
        self.module().is_none()
    }

    /// Its ops, at least one.
    pub fn ops(&self) -> &[Arc<PluginOp>] {
        &self.ops
    }

    /// Whether it has an op of this name.
    pub fn has_op(&self, name: &str) -> bool {
        self.ops.iter().any(|op| op.spec.name() == name)
    }

    /// The names of all exports of a WebAssembly module, including those that the ABI does not
    /// define; empty for a native library.
    pub fn exports(&self) -> Vec<String> {
        self.module().map_or_else(Vec::new, WasmPlugin::exports)
    }

    /// The memory of an instance before its first call, in bytes; `None` for a native library.
    pub fn memory(&self) -> Option<usize> {
        self.module().map(WasmPlugin::first_memory)
    }

    /// Whether a WebAssembly module was compiled with optimisation, as those are whose estimated effort is
    /// at most [`CompileLimits::optimised_effort`](crate::CompileLimits::optimised_effort); `None` for a
    /// native library.
    pub fn is_optimised(&self) -> Option<bool> {
        self.module().map(WasmPlugin::is_optimised)
    }

    /// Drops this thread's instance; the thread's next call creates a new one.
    pub fn drop_instance(&self) {
        if let Some(module) = self.module() {
            module.drop_instance();
        }
    }

    fn module(&self) -> Option<&WasmPlugin> {
        match &*self.ops[0].code {
            Code::Wasm(plugin) => Some(plugin),
            Code::Native(_) => None,
        }
    }

    /// Adds all of its ops to a set, or none of them.
    ///
    /// # Errors
    ///
    /// [`DuplicateOp`] if the set already has an op of one of the names.
    pub fn add_to(&self, set: &mut OpSet) -> Result<(), DuplicateOp> {
        set.insert_all(self.ops.iter().map(|op| op.clone() as _))
    }
}

impl PluginOp {
    /// The number of calls that have failed, in all threads together.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// [`Op::apply`] with a more detailed error, regardless of [`OnFailure`].
    ///
    /// An op without a value gets 0.
    ///
    /// # Errors
    ///
    /// [`CallError`]. A WebAssembly module leaves the image unchanged; a native library may have
    /// changed it.
    ///
    /// # Panics
    ///
    /// If the op has a value, and `value` is not finite.
    pub fn try_apply(
        &self,
        image: &mut ImageMut<'_>,
        value: f64,
        seed: u64,
    ) -> Result<(), CallError> {
        self.run(None, image, value, seed)
    }

    /// [`Op::lookup_tables`] with the reason if the plugin fails. After one failure the plugin is not asked
    /// again, and the op has no tables.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    ///
    /// # Panics
    ///
    /// If the op has a value, and `value` is not finite.
    pub fn try_lookup_tables(
        &self,
        value: f64,
        channels: Channels,
    ) -> Result<Option<LookupTables>, CallError> {
        let value = self.passed_value(value);
        self.count_failure(match &*self.code {
            Code::Wasm(plugin) => plugin.lookup_tables(self.number, value, channels),
            Code::Native(plugin) => Ok(plugin.lookup_tables(self.number, value, channels)),
        })
    }

    /// [`Op::warp`] with the reason if the plugin fails.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    ///
    /// # Panics
    ///
    /// If the op has a value, and `value` is not finite.
    pub fn try_warp(&self, value: f64, size: Size, seed: u64) -> Result<Warp, CallError> {
        let value = self.passed_value(value);
        let Some(size) = dimensions(size) else {
            return Ok(Warp::Unknown);
        };
        self.count_failure(match &*self.code {
            Code::Wasm(plugin) => plugin.warp(self.number, value, size, seed),
            Code::Native(plugin) => plugin.warp(self.number, value, size, seed),
        })
    }

    /// [`Op::field`] with a more detailed error.
    ///
    /// # Errors
    ///
    /// [`CallError`]; [`CallErrorKind::Field`](crate::CallErrorKind::Field) if `sources` does not have a position
    /// per pixel, or the plugin has no fields.
    ///
    /// # Panics
    ///
    /// If the op has a value, and `value` is not finite.
    pub fn try_field(
        &self,
        value: f64,
        size: Size,
        seed: u64,
        sources: &mut [[i32; 2]],
    ) -> Result<(), CallError> {
        let value = self.passed_value(value);
        let Some(size) = dimensions(size) else {
            return Err(CallErrorKind::NoBuffer(size_of_val(sources)).into());
        };
        self.count_failure(match &*self.code {
            Code::Wasm(plugin) => plugin.field(self.number, value, size, seed, sources),
            Code::Native(plugin) => plugin.field(self.number, value, size, seed, sources),
        })
    }

    /// Applies the op to the source, which has the image's shape, or to the image itself if there is
    /// none.
    fn run(
        &self,
        source: Option<ImageRef<'_>>,
        image: &mut ImageMut<'_>,
        value: f64,
        seed: u64,
    ) -> Result<(), CallError> {
        let value = self.passed_value(value);
        self.count_failure(match &*self.code {
            Code::Wasm(plugin) => plugin.apply(self.number, source, image, value, seed),
            Code::Native(plugin) => {
                source.map(|source| image.copy_from(source));
                plugin.apply(self.number, image, value, seed)
            }
        })
    }

    /// As [`run`](Self::run), with a checked value. If failures are skipped, the result of one is the
    /// source.
    fn apply_or_skip(
        &self,
        source: Option<ImageRef<'_>>,
        image: &mut ImageMut<'_>,
        value: f64,
        call: &mut Call<'_>,
    ) -> OpResult {
        self.spec.check_value(value)?;
        let skips = self.on_failure == OnFailure::Skip;
        // A module changes a copy of the image, but a library the image itself.
        let before = (skips && source.is_none() && matches!(*self.code, Code::Native(_)))
            .then(|| call.scratch.copy_of(image.samples()));
        match self.run(source, image, value, call.seed) {
            Err(_) if skips => {
                if let Some(before) = before {
                    image.samples_mut().copy_from_slice(before);
                }
                let restored = source.map_or(Ok(()), |source| image.copy_from(source));
                restored.map_err(|_| OpErrorKind::SourceShape.into())
            }
            result => result.map_err(OpError::from),
        }
    }

    /// The value that is passed to the plugin: 0 if the op has none.
    fn passed_value(&self, value: f64) -> f64 {
        if self.spec.value_range().is_none() {
            return 0.0;
        }
        assert!(value.is_finite(), "the value {value} is not finite");
        value
    }

    fn count_failure<T>(&self, result: Result<T, CallError>) -> Result<T, CallError> {
        result.map_err(|error| {
            self.failures.fetch_add(1, Ordering::Relaxed);
            error.of(&self.shown)
        })
    }
}

impl Op for PluginOp {
    fn spec(&self) -> &OpSpec {
        &self.spec
    }

    fn apply(&self, image: &mut ImageMut<'_>, value: f64, call: &mut Call<'_>) -> OpResult {
        self.apply_or_skip(None, image, value, call)
    }

    fn apply_from(
        &self,
        source: ImageRef<'_>,
        image: &mut ImageMut<'_>,
        value: f64,
        call: &mut Call<'_>,
    ) -> OpResult {
        if !image.has_shape_of(source) {
            return Err(OpErrorKind::SourceShape.into());
        }
        self.apply_or_skip(Some(source), image, value, call)
    }

    /// `None` also if the plugin fails.
    fn lookup_tables(&self, value: f64, channels: Channels) -> Option<LookupTables> {
        self.spec.check_value(value).ok()?;
        self.try_lookup_tables(value, channels).ok()?
    }

    /// Unknown also if the plugin fails, and if failures are skipped: the image then stays as it is, and what moves
    /// along with it must too.
    fn warp(&self, value: f64, size: Size, seed: u64) -> Warp {
        if self.spec.check_value(value).is_err() || self.on_failure == OnFailure::Skip {
            return Warp::Unknown;
        }
        self.try_warp(value, size, seed).unwrap_or(Warp::Unknown)
    }

    fn field(&self, value: f64, size: Size, seed: u64, sources: &mut [[i32; 2]]) -> OpResult {
        self.spec.check_value(value)?;
        Ok(self.try_field(value, size, seed, sources)?)
    }
}

/// Width and height as a plugin is given them, if it can be.
fn dimensions(size: Size) -> Option<(u32, u32)> {
    let (width, height) = (u32::try_from(size.width), u32::try_from(size.height));
    width.ok().zip(height.ok())
}

impl fmt::Debug for PluginOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PluginOp")
            .field("spec", &self.spec)
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}
