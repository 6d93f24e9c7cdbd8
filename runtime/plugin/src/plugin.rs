use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use faa_op::{
    Call, Channels, DuplicateOp, ImageMut, ImageRef, LookupTables, Op, OpError, OpSet, OpSpec,
};

use crate::digest::{Sha256Digest, hex};
use crate::native::NativePlugin;
use crate::wasm::WasmPlugin;
use crate::{CallError, OnFailure, PluginError};

/// The version of the plugin ABI that a plugin was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbiVersion {
    /// Another one is not supported.
    pub major: u16,
    /// A higher one adds what this host does not see.
    pub minor: u16,
}

/// The one major version that this host speaks.
const MAJOR: u16 = 1;

impl AbiVersion {
    pub(crate) fn check(self) -> Result<(), PluginError> {
        let Self { major, minor } = self;
        if major != MAJOR {
            return Err(PluginError::WrongVersion { major, minor });
        }
        Ok(())
    }
}

/// A plugin that was loaded.
#[derive(Debug)]
pub struct Plugin {
    facts: Arc<Facts>,
    ops: Vec<Arc<PluginOp>>,
}

/// What is known of a plugin.
#[derive(Debug)]
struct Facts {
    path: Option<PathBuf>,
    digest: Sha256Digest,
    abi: AbiVersion,
}

pub(crate) enum Code {
    Wasm(Box<WasmPlugin>),
    Native(NativePlugin),
}

/// An op of a plugin.
///
/// As any [`Op`], it can be applied from any number of threads. A thread's first call makes an
/// instance of the module, which later calls of the same thread use again; an instance in which a
/// call failed is thrown away.
pub struct PluginOp {
    spec: OpSpec,
    number: u32,
    code: Arc<Code>,
    on_failure: OnFailure,
    failures: AtomicU64,
}

impl Plugin {
    pub(crate) fn new(
        code: Code,
        specs: Vec<OpSpec>,
        abi: AbiVersion,
        digest: Sha256Digest,
        on_failure: OnFailure,
    ) -> Self {
        let code = Arc::new(code);
        let op = |(number, spec)| {
            Arc::new(PluginOp {
                spec,
                number,
                code: code.clone(),
                on_failure,
                failures: AtomicU64::new(0),
            })
        };
        let path = None;
        Self {
            facts: Arc::new(Facts { path, digest, abi }),
            ops: (0..).zip(specs).map(op).collect(),
        }
    }

    pub(crate) fn at(self, path: &Path) -> Self {
        let facts = Facts {
            path: Some(path.to_owned()),
            ..*self.facts
        };
        Self {
            facts: Arc::new(facts),
            ..self
        }
    }

    /// The file that it came from, where it came from one.
    pub fn path(&self) -> Option<&Path> {
        self.facts.path.as_deref()
    }

    /// The SHA-256 of the module or library, as 64 digits of base 16.
    pub fn sha256(&self) -> String {
        hex(&self.facts.digest)
    }

    /// The version of the ABI that it was made for.
    pub fn abi(&self) -> AbiVersion {
        self.facts.abi
    }

    /// Whether it is a native library, and not a WebAssembly module.
    pub fn is_native(&self) -> bool {
        matches!(*self.ops[0].code, Code::Native(_))
    }

    /// Its ops, of which there is at least one.
    pub fn ops(&self) -> &[Arc<PluginOp>] {
        &self.ops
    }

    /// The names of all exports of a WebAssembly module, the ABI's and others; none of a native
    /// library.
    pub fn exports(&self) -> Vec<String> {
        match &*self.ops[0].code {
            Code::Wasm(plugin) => plugin.exports(),
            Code::Native(_) => Vec::new(),
        }
    }

    /// Bytes of memory of the instance that this thread used last; `None` for a native library, and
    /// where there is no instance.
    pub fn memory(&self) -> Option<usize> {
        match &*self.ops[0].code {
            Code::Wasm(plugin) => plugin.memory(),
            Code::Native(_) => None,
        }
    }

    /// Throws this thread's instance away; its next call makes another one.
    pub fn forget_instance(&self) {
        if let Code::Wasm(plugin) = &*self.ops[0].code {
            plugin.forget();
        }
    }

    /// Adds all of its ops to a set, or none of them.
    ///
    /// # Errors
    ///
    /// [`DuplicateOp`] where the set has an op of one of the names.
    pub fn add_to(&self, set: &mut OpSet) -> Result<(), DuplicateOp> {
        let name = |op: &Arc<PluginOp>| op.spec.name().to_owned();
        if let Some(op) = self.ops.iter().find(|op| set.get(op.spec.name()).is_some()) {
            return Err(DuplicateOp(name(op)));
        }
        for op in &self.ops {
            set.insert(op.clone())?;
        }
        Ok(())
    }
}

impl PluginOp {
    /// How many calls have failed, in all threads together.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// [`Op::apply`] with a failure that says more, and whatever is to become of the image then.
    ///
    /// An op without a value is given 0.
    ///
    /// # Errors
    ///
    /// [`CallError`]. The image is as it was where the plugin is a WebAssembly module; a native
    /// library may have changed it.
    ///
    /// # Panics
    ///
    /// Where the op has a value, and `value` is not finite.
    pub fn try_apply(
        &self,
        image: &mut ImageMut<'_>,
        value: f64,
        seed: u64,
    ) -> Result<(), CallError> {
        let value = self.sound(value);
        let result = match &*self.code {
            Code::Wasm(plugin) => plugin.apply(self.number, None, image, value, seed),
            Code::Native(plugin) => plugin.apply(self.number, image, value, seed),
        };
        self.counted(result)
    }

    /// [`Op::lookup_tables`] with the reason where the plugin fails to give its tables. It is asked for tables
    /// until that has happened once.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    ///
    /// # Panics
    ///
    /// Where the op has a value, and `value` is not finite.
    pub fn try_point(
        &self,
        value: f64,
        channels: Channels,
    ) -> Result<Option<LookupTables>, CallError> {
        let value = self.sound(value);
        let result = match &*self.code {
            Code::Wasm(plugin) => plugin.point(self.number, value, channels),
            Code::Native(plugin) => Ok(plugin.point(self.number, value, channels)),
        };
        self.counted(result)
    }

    /// The value as the plugin is given it: finite, and 0 where it means nothing.
    fn sound(&self, value: f64) -> f64 {
        if self.spec.value_range().is_none() {
            return 0.0;
        }
        assert!(
            value.is_finite(),
            "the value {value} is not a finite number"
        );
        value
    }

    fn counted<T>(&self, result: Result<T, CallError>) -> Result<T, CallError> {
        if result.is_err() {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        result
    }

    fn check(&self, value: f64) -> Result<(), OpError> {
        if self.spec.value_range().is_some() && !value.is_finite() {
            return Err(OpError::NotFinite { value });
        }
        Ok(())
    }
}

impl Op for PluginOp {
    fn spec(&self) -> &OpSpec {
        &self.spec
    }

    fn apply(
        &self,
        image: &mut ImageMut<'_>,
        value: f64,
        call: &mut Call<'_>,
    ) -> Result<(), OpError> {
        self.check(value)?;
        let skips = self.on_failure == OnFailure::Skip;
        // A module changes a copy of the image, and a library the image itself.
        let before = (skips && matches!(*self.code, Code::Native(_)))
            .then(|| call.scratch.copy_of(image.samples()));
        match self.try_apply(image, value, call.seed) {
            Err(_) if skips => {
                if let Some(before) = before {
                    image.samples_mut().copy_from_slice(before);
                }
                Ok(())
            }
            result => result.map_err(as_op_error),
        }
    }

    fn apply_from(
        &self,
        source: ImageRef<'_>,
        image: &mut ImageMut<'_>,
        value: f64,
        call: &mut Call<'_>,
    ) -> Result<(), OpError> {
        let Code::Wasm(plugin) = &*self.code else {
            image.copy_from(source).map_err(|_| OpError::SourceShape)?;
            return self.apply(image, value, call);
        };
        self.check(value)?;
        if !image.has_shape_of(source) {
            return Err(OpError::SourceShape);
        }
        let value = self.sound(value);
        let result = plugin.apply(self.number, Some(source), image, value, call.seed);
        match self.counted(result) {
            Err(_) if self.on_failure == OnFailure::Skip => {
                image.copy_from(source).map_err(|_| OpError::SourceShape)
            }
            result => result.map_err(as_op_error),
        }
    }

    /// `None` as well where the plugin has no tables to give, or fails to.
    fn lookup_tables(&self, value: f64, channels: Channels) -> Option<LookupTables> {
        self.check(value).ok()?;
        self.try_point(value, channels).ok()?
    }
}

fn as_op_error(error: CallError) -> OpError {
    match error {
        CallError::Shape {
            width,
            height,
            channels,
        } => OpError::UnsupportedShape {
            width,
            height,
            channels,
        },
        error => OpError::Failed(error.to_string()),
    }
}

impl std::fmt::Debug for PluginOp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PluginOp")
            .field("spec", &self.spec)
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}
