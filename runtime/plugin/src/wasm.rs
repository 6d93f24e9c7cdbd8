//! WebAssembly modules and their instances.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use faa_op::abi::{self, pack_span, unpack_span};
use faa_op::{Channels, ImageMut, ImageRef, LookupTables, OpSpec, Size, Warp};
use thread_local::ThreadLocal;
use wasmtime::{
    Instance as WasmInstance, Memory, Module, Store, Trap, TypedFunc, WasmParams, WasmResults,
};

use crate::clock::{Clock, ticks};
use crate::config::Limits;
use crate::engine::is_optimising;
use crate::error::{CallError, CallErrorKind, PluginError, PluginErrorKind};
use crate::exports::check_exports;
use crate::message::{clean_name, plugin_message};
use crate::quota::{HostMemory, HostMemoryExceeded, Quota};
use crate::spec::parse_spec;

/// How long a plugin may take to return the message of a failure, in addition to the call.
const MESSAGE_TIME: Duration = Duration::from_millis(250);

/// A module, with an instance for each thread that has called it.
pub(crate) struct WasmPlugin {
    module: Module,
    context: Context,
    /// The memory of an instance that was just created, in bytes.
    first_memory: usize,
    instances: ThreadLocal<RefCell<Option<Instance>>>,
    /// Set once a call for lookup tables has failed: there are no further ones.
    without_tables: AtomicBool,
}

/// What the plugins of a host share.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) limits: Limits,
    pub(crate) clock: Arc<Clock>,
    pub(crate) memory: Arc<HostMemory>,
}

impl WasmPlugin {
    /// Reads a module's specification. The instance that returns it is dropped, so that plugins that
    /// are only listed take no memory.
    pub(crate) fn new(
        module: Module,
        context: Context,
    ) -> Result<(Self, Vec<OpSpec>), PluginError> {
        check_exports(&module)?;
        let failed = |phase| move |cause| PluginErrorKind::Call { phase, cause };
        let running = context.clock.begin();
        let time = context.limits.start_time;
        let mut instance = Instance::start(&module, &context, time).map_err(failed("start"))?;
        let text = instance.spec().map_err(failed(abi::SPEC))?;
        let specs = parse_spec(text)?;
        let first_memory = instance.memory.data_size(&instance.store);
        drop((instance, running));
        let plugin = Self {
            module,
            context,
            first_memory,
            instances: ThreadLocal::new(),
            without_tables: AtomicBool::new(false),
        };
        Ok((plugin, specs))
    }

    /// Applies an op to the source, or to the image itself if there is none, and writes the result
    /// into the image. On failure, the image is unchanged.
    pub(crate) fn apply(
        &self,
        op: u32,
        source: Option<ImageRef<'_>>,
        image: &mut ImageMut<'_>,
        value: f64,
        seed: u64,
    ) -> Result<(), CallError> {
        self.with_instance(|instance| {
            let length = image.samples().len();
            let offset = instance.reserve(length)?;
            let memory = instance.memory.data_mut(&mut instance.store);
            copy_in(&mut memory[offset..][..length], source, image);
            instance.apply(op, offset, image, value, seed)?;
            let memory = instance.memory.data(&instance.store);
            let result = &memory[offset..][..length];
            image.samples_mut().copy_from_slice(result);
            Ok(())
        })
    }

    /// An op's lookup tables; `None` if it has none. After one failure, there are none.
    pub(crate) fn lookup_tables(
        &self,
        op: u32,
        value: f64,
        channels: Channels,
    ) -> Result<Option<LookupTables>, CallError> {
        let has_none = self.without_tables.load(Ordering::Relaxed);
        if has_none || self.module.get_export(abi::LOOKUP_TABLES).is_none() {
            return Ok(None);
        }
        let result = self.with_instance(|instance| instance.lookup_tables(op, value, channels));
        if result.is_err() {
            self.without_tables.store(true, Ordering::Relaxed);
        }
        result
    }

    /// Where an op moves pixels; unknown if the module does not say.
    pub(crate) fn warp(
        &self,
        op: u32,
        value: f64,
        size: (u32, u32),
        seed: u64,
    ) -> Result<Warp, CallError> {
        if self.module.get_export(abi::WARP).is_none() {
            return Ok(Warp::Unknown);
        }
        self.with_instance(|instance| instance.warp(op, value, size, seed))
    }

    /// Overwrites the field of an op, which has as many positions as an image of this size has pixels.
    pub(crate) fn field(
        &self,
        op: u32,
        value: f64,
        size: (u32, u32),
        seed: u64,
        sources: &mut [[i32; 2]],
    ) -> Result<(), CallError> {
        self.with_instance(|instance| instance.field(op, value, size, seed, sources))
    }

    pub(crate) fn exports(&self) -> Vec<String> {
        let exports = self.module.exports();
        exports.map(|export| clean_name(export.name())).collect()
    }

    pub(crate) fn first_memory(&self) -> usize {
        self.first_memory
    }

    pub(crate) fn is_optimised(&self) -> bool {
        is_optimising(self.module.engine())
    }

    pub(crate) fn drop_instance(&self) {
        *self.slot().borrow_mut() = None;
    }

    /// Calls `work` with this thread's instance, creating it if there is none. All that happens in it
    /// has one deadline. An instance that fails is dropped.
    fn with_instance<T>(
        &self,
        work: impl FnOnce(&mut Instance) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        let Limits {
            call_time,
            start_time,
            ..
        } = self.context.limits;
        let _running = self.context.clock.begin();
        // It is not borrowed already, because `work` never calls back into this function.
        let mut slot = self.slot().borrow_mut();
        let instance = match &mut *slot {
            Some(instance) => {
                instance.set_deadline(call_time);
                instance
            }
            empty => {
                let begun = Instant::now();
                let time = start_time.min(call_time);
                let started = Instance::start(&self.module, &self.context, time)?;
                let instance = empty.insert(started);
                instance.set_deadline(call_time.saturating_sub(begun.elapsed()));
                instance
            }
        };
        let result = work(instance);
        if result.is_err() {
            *slot = None;
        }
        result
    }

    fn slot(&self) -> &RefCell<Option<Instance>> {
        self.instances.get_or_default()
    }
}

fn copy_in(buffer: &mut [u8], source: Option<ImageRef<'_>>, image: &ImageMut<'_>) {
    let source = source.unwrap_or(image.as_ref());
    ImageMut::new(buffer, image.width(), image.height(), image.channels())
        .and_then(|mut buffer| buffer.copy_from(source))
        .expect("buffer, source and image have one shape");
}

type Apply = TypedFunc<(u32, u32, u32, u32, u32, f64, u64), i32>;

/// An export that is given an op, a size, a value and a seed, and returns a span.
type OfSize = TypedFunc<(u32, u32, u32, f64, u64), u64>;

struct Instance {
    store: Store<Quota>,
    limits: Limits,
    memory: Memory,
    spec: TypedFunc<(), u64>,
    reserve: TypedFunc<u32, u32>,
    apply: Apply,
    error: Option<TypedFunc<(), u64>>,
    lookup_tables: Option<TypedFunc<(u32, u32, f64), u64>>,
    warp: Option<OfSize>,
    field: Option<OfSize>,
    buffer: Buffer,
}

/// A reserved buffer, which was checked to lie within the plugin's memory.
#[derive(Clone, Copy, Default)]
struct Buffer {
    offset: usize,
    length: usize,
}

impl Instance {
    /// Creates an instance, and runs its start function.
    fn start(module: &Module, context: &Context, time: Duration) -> Result<Self, CallError> {
        let limits = &context.limits;
        let quota = Quota::new(context.memory.clone(), limits);
        let mut store = Store::new(module.engine(), quota);
        store.limiter(|quota| quota);
        store.set_epoch_deadline(ticks(time));
        let instance = WasmInstance::new(&mut store, module, &[])
            .map_err(|error| call_error(&error, time, None))?;
        Self::with_exports(store, &instance, limits)
            .map_err(|error| CallErrorKind::Instance(error.to_string()).into())
    }

    /// The types of the exports were checked with the module.
    fn with_exports(
        mut store: Store<Quota>,
        instance: &WasmInstance,
        limits: &Limits,
    ) -> wasmtime::Result<Self> {
        let memory = instance.get_memory(&mut store, abi::MEMORY);
        Ok(Self {
            memory: memory.ok_or_else(|| wasmtime::Error::msg("it exports no memory"))?,
            limits: limits.clone(),
            spec: instance.get_typed_func(&mut store, abi::SPEC)?,
            reserve: instance.get_typed_func(&mut store, abi::RESERVE)?,
            apply: instance.get_typed_func(&mut store, abi::APPLY)?,
            error: instance.get_typed_func(&mut store, abi::ERROR).ok(),
            lookup_tables: instance.get_typed_func(&mut store, abi::LOOKUP_TABLES).ok(),
            warp: instance.get_typed_func(&mut store, abi::WARP).ok(),
            field: instance.get_typed_func(&mut store, abi::FIELD).ok(),
            buffer: Buffer::default(),
            store,
        })
    }

    fn set_deadline(&mut self, time: Duration) {
        self.store.set_epoch_deadline(ticks(time));
    }

    /// The text of the specification.
    fn spec(&mut self) -> Result<&[u8], CallError> {
        let (spec, time) = (self.spec.clone(), self.limits.start_time);
        self.set_deadline(time);
        let span = self.call(&spec, (), time)?;
        self.bytes_at(abi::SPEC, span)
    }

    /// The offset of a buffer for `length` bytes. A buffer that is large enough is reused.
    fn reserve(&mut self, length: usize) -> Result<usize, CallError> {
        if self.buffer.length >= length {
            return Ok(self.buffer.offset);
        }
        let size = u32::try_from(length)
            .ok()
            .filter(|_| length <= self.limits.memory)
            .ok_or(CallErrorKind::NoBuffer(length))?;
        let reserve = self.reserve.clone();
        let offset = match self.call(&reserve, size, self.limits.call_time)? {
            0 => return Err(CallErrorKind::NoBuffer(length).into()),
            offset => offset,
        };
        self.bytes_at(abi::RESERVE, pack_span(offset, size))?;
        let offset = offset as usize;
        self.buffer = Buffer { offset, length };
        Ok(offset)
    }

    /// Applies an op to the image at an offset of memory.
    fn apply(
        &mut self,
        op: u32,
        offset: usize,
        image: &ImageMut<'_>,
        value: f64,
        seed: u64,
    ) -> Result<(), CallError> {
        // An image that a buffer was reserved for has less than 2³² bytes.
        let arguments = (
            op,
            offset as u32,
            image.width() as u32,
            image.height() as u32,
            image.channels().count() as u32,
            value,
            seed,
        );
        let apply = self.apply.clone();
        let status = self.call(&apply, arguments, self.limits.call_time)?;
        CallError::check_status(status, image, || self.last_message())
    }

    fn lookup_tables(
        &mut self,
        op: u32,
        value: f64,
        channels: Channels,
    ) -> Result<Option<LookupTables>, CallError> {
        let Some(lookup_tables) = self.lookup_tables.clone() else {
            return Ok(None);
        };
        let arguments = (op, channels.count() as u32, value);
        let span = self.call(&lookup_tables, arguments, self.limits.call_time)?;
        if span == 0 {
            return Ok(None);
        }
        let bytes = self.bytes_at(abi::LOOKUP_TABLES, span)?;
        match bytes.as_chunks::<256>() {
            (&[red, green, blue], []) => Ok(Some(LookupTables::per_channel([red, green, blue]))),
            _ => Err(CallErrorKind::LookupTables(bytes.len()).into()),
        }
    }

    fn warp(
        &mut self,
        op: u32,
        value: f64,
        (width, height): (u32, u32),
        seed: u64,
    ) -> Result<Warp, CallError> {
        let Some(warp) = self.warp.clone() else {
            return Ok(Warp::Unknown);
        };
        let arguments = (op, width, height, value, seed);
        let span = self.call(&warp, arguments, self.limits.call_time)?;
        if span == 0 {
            return Ok(Warp::Unknown);
        }
        let (numbers, rest) = self.bytes_at(abi::WARP, span)?.as_chunks::<8>();
        let numbers = <[[u8; 8]; 7]>::try_from(numbers).ok();
        let numbers = numbers.filter(|_| rest.is_empty());
        let (width, height) = (width as usize, height as usize);
        let size = Size { width, height };
        let warp = numbers.and_then(|numbers| abi::warp_of(numbers.map(f64::from_le_bytes), size));
        warp.ok_or_else(|| CallErrorKind::Warp.into())
    }

    fn field(
        &mut self,
        op: u32,
        value: f64,
        (width, height): (u32, u32),
        seed: u64,
        sources: &mut [[i32; 2]],
    ) -> Result<(), CallError> {
        let expected = size_of_val(sources);
        let Some(field) = self.field.clone() else {
            return Err(CallErrorKind::Field { found: 0, expected }.into());
        };
        let arguments = (op, width, height, value, seed);
        let span = self.call(&field, arguments, self.limits.call_time)?;
        if span == 0 {
            return Err(CallError::new(CallErrorKind::Failed, self.last_message()));
        }
        let bytes = self.bytes_at(abi::FIELD, span)?;
        let found = bytes.len();
        if found != expected {
            return Err(CallErrorKind::Field { found, expected }.into());
        }
        let numbers = bytes.as_chunks::<4>().0.iter();
        let numbers = numbers.map(|bytes| i32::from_le_bytes(*bytes));
        for (number, found) in sources.as_flattened_mut().iter_mut().zip(numbers) {
            *number = found;
        }
        Ok(())
    }

    /// The plugin's message about a failure, if it has one. The instance must not be used afterwards.
    fn last_message(&mut self) -> Option<String> {
        self.set_deadline(MESSAGE_TIME);
        let error = self.error.as_ref()?;
        let span = error.call(&mut self.store, ()).ok()?;
        let message = self.bytes_at(abi::ERROR, span).ok()?;
        (message.len() <= abi::MAX_MESSAGE_BYTES).then(|| plugin_message(message))?
    }

    /// Calls an export before the deadline that was set, which is `limit` after its beginning.
    fn call<P: WasmParams, R: WasmResults>(
        &mut self,
        function: &TypedFunc<P, R>,
        arguments: P,
        limit: Duration,
    ) -> Result<R, CallError> {
        let result = function.call(&mut self.store, arguments);
        result.map_err(|error| call_error(&error, limit, self.last_message()))
    }

    /// The bytes in a span that an export returned.
    fn bytes_at(&self, export: &'static str, span: u64) -> Result<&[u8], CallError> {
        let (offset, length) = unpack_span(span);
        let memory = self.memory.data(&self.store);
        // The sum may exceed what a 32-bit host can address.
        let end = (offset as usize).checked_add(length as usize);
        let bytes = end.and_then(|end| memory.get(offset as usize..end));
        let outside = || CallErrorKind::Outside {
            export,
            offset: u64::from(offset),
            end: u64::from(offset) + u64::from(length),
            memory: memory.len() as u64,
        };
        bytes.ok_or_else(|| outside().into())
    }
}

fn call_error(error: &wasmtime::Error, limit: Duration, message: Option<String>) -> CallError {
    if let Some(HostMemoryExceeded(limit)) = error.downcast_ref() {
        return CallErrorKind::HostMemory(*limit).into();
    }
    let kind = match error.downcast_ref() {
        Some(Trap::Interrupt) => CallErrorKind::Time(limit),
        Some(Trap::StackOverflow) => CallErrorKind::Stack,
        Some(trap) => CallErrorKind::Trap(trap.to_string()),
        None => CallErrorKind::Instance(format!("{error:#}")),
    };
    CallError::new(kind, message)
}
