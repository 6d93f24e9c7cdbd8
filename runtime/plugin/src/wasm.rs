//! WebAssembly modules and their instances.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use faa_op::{Channels, ImageMut, ImageRef, LookupTables, OpSpec};
use thread_local::ThreadLocal;
use wasmtime::{
    Extern, Instance as WasmInstance, Memory, Module, Store, StoreLimits, StoreLimitsBuilder, Trap,
    TypedFunc, WasmParams, WasmResults,
};

use crate::exports::check_exports;
use crate::host::{Inner, TICK};
use crate::message::{MESSAGE, readable};
use crate::spec::parse_spec;
use crate::{CallError, Limits, PluginError};

/// A module, with an instance for each thread that has called it.
pub(crate) struct WasmPlugin {
    host: Arc<Inner>,
    module: Module,
    instances: ThreadLocal<RefCell<Option<Instance>>>,
    /// Set once asking for tables has failed: it is not asked for again.
    without_tables: AtomicBool,
}

impl WasmPlugin {
    /// Makes a first instance of a module, and asks it for its specification.
    pub(crate) fn new(
        host: Arc<Inner>,
        module: Module,
    ) -> Result<(Self, Vec<OpSpec>), PluginError> {
        check_exports(&module)?;
        let plugin = Self {
            host,
            module,
            instances: ThreadLocal::new(),
            without_tables: AtomicBool::new(false),
        };
        let limits = &plugin.host.config.limits;
        let mut instance = plugin.start().map_err(|cause| PluginError::Call {
            phase: "start",
            cause,
        })?;
        let text = instance.spec(limits)?;
        let specs = parse_spec(&text, limits)?;
        *plugin.slot().borrow_mut() = Some(instance);
        Ok((plugin, specs))
    }

    /// Applies an op to the image, or to the source where there is one, and writes the result into
    /// the image. Where it fails, the image is as it was.
    pub(crate) fn apply(
        &self,
        op: u32,
        source: Option<ImageRef<'_>>,
        image: &mut ImageMut<'_>,
        value: f64,
        seed: u64,
    ) -> Result<(), CallError> {
        let limits = &self.host.config.limits;
        self.with_instance(|instance| {
            let length = image.samples().len();
            let place = instance.reserve(length, limits)?;
            let memory = instance.memory.data_mut(&mut instance.store);
            copy_in(&mut memory[place..][..length], source, image);
            instance.apply(op, place, image, value, seed, limits)?;
            let memory = instance.memory.data(&instance.store);
            image
                .samples_mut()
                .copy_from_slice(&memory[place..][..length]);
            Ok(())
        })
    }

    /// An op's tables; `None` where it has none. Once asking has failed, there are none.
    pub(crate) fn point(
        &self,
        op: u32,
        value: f64,
        channels: Channels,
    ) -> Result<Option<LookupTables>, CallError> {
        let has_none = self.without_tables.load(Ordering::Relaxed);
        if has_none || self.module.get_export("faa_point").is_none() {
            return Ok(None);
        }
        let limits = &self.host.config.limits;
        let result = self.with_instance(|instance| instance.point(op, value, channels, limits));
        if result.is_err() {
            self.without_tables.store(true, Ordering::Relaxed);
        }
        result
    }

    pub(crate) fn exports(&self) -> Vec<String> {
        let names = self.module.exports();
        names
            .map(|export| crate::message::short(export.name()))
            .collect()
    }

    /// The size of this thread's instance.
    pub(crate) fn memory(&self) -> Option<usize> {
        let slot = self.slot().borrow();
        let instance = slot.as_ref()?;
        Some(instance.memory.data_size(&instance.store))
    }

    /// Throws this thread's instance away.
    pub(crate) fn forget(&self) {
        *self.slot().borrow_mut() = None;
    }

    /// Lends this thread's instance, a new one where there is none. One that fails is thrown away.
    fn with_instance<T>(
        &self,
        work: impl FnOnce(&mut Instance) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        // Nobody else can have it: work on it never leads back here.
        let mut slot = self.slot().borrow_mut();
        let instance = match &mut *slot {
            Some(instance) => instance,
            empty => empty.insert(self.start()?),
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

    fn start(&self) -> Result<Instance, CallError> {
        Instance::start(&self.module, &self.host.config.limits)
    }
}

fn copy_in(buffer: &mut [u8], source: Option<ImageRef<'_>>, image: &ImageMut<'_>) {
    let source = source.unwrap_or(image.as_ref());
    match source.contiguous() {
        Some(samples) => buffer.copy_from_slice(samples),
        None => {
            let row = source.width() * source.channels().count();
            for (to, from) in buffer.chunks_exact_mut(row).zip(source.rows()) {
                to.copy_from_slice(from);
            }
        }
    }
}

type Apply = TypedFunc<(u32, u32, u32, u32, u32, f64, u64), i32>;

struct Instance {
    store: Store<StoreLimits>,
    memory: Memory,
    spec: TypedFunc<(), u64>,
    reserve: TypedFunc<u32, u32>,
    apply: Apply,
    error: Option<TypedFunc<(), u64>>,
    point: Option<TypedFunc<(u32, u32, f64), u64>>,
    buffer: Buffer,
}

/// What a plugin has reserved: an offset that lies within its memory with all of the length.
#[derive(Clone, Copy, Default)]
struct Buffer {
    offset: usize,
    length: usize,
}

impl Instance {
    /// Makes an instance, and runs its start function.
    fn start(module: &Module, limits: &Limits) -> Result<Self, CallError> {
        let bounds = StoreLimitsBuilder::new()
            .memory_size(limits.memory)
            .table_elements(limits.table_elements)
            .instances(1)
            .memories(1)
            .build();
        let mut store = Store::new(module.engine(), bounds);
        store.limiter(|bounds| bounds);
        store.set_epoch_deadline(ticks(limits.start_time));
        let instance = WasmInstance::new(&mut store, module, &[])
            .map_err(|error| call_error(&error, limits.start_time, None))?;
        Self::with_exports(store, &instance).map_err(|error| CallError::Instance(error.to_string()))
    }

    /// The types of exports were checked with the module.
    fn with_exports(
        mut store: Store<StoreLimits>,
        instance: &WasmInstance,
    ) -> wasmtime::Result<Self> {
        let Some(Extern::Memory(memory)) = instance.get_export(&mut store, "memory") else {
            return Err(wasmtime::Error::msg("there is no memory"));
        };
        Ok(Self {
            memory,
            spec: instance.get_typed_func(&mut store, "faa_spec")?,
            reserve: instance.get_typed_func(&mut store, "faa_reserve")?,
            apply: instance.get_typed_func(&mut store, "faa_apply")?,
            error: instance.get_typed_func(&mut store, "faa_error").ok(),
            point: instance.get_typed_func(&mut store, "faa_point").ok(),
            buffer: Buffer::default(),
            store,
        })
    }

    fn spec(&mut self, limits: &Limits) -> Result<Vec<u8>, PluginError> {
        let failed = |cause| PluginError::Call {
            phase: "faa_spec",
            cause,
        };
        let spec = self.spec.clone();
        let place = self.call(&spec, (), limits.start_time).map_err(failed)?;
        let text = self.bytes_at("faa_spec", place).map_err(failed)?;
        if text.len() > limits.spec {
            let (found, limit) = (text.len(), limits.spec);
            return Err(crate::SpecError::TooLong { found, limit }.into());
        }
        Ok(text.to_vec())
    }

    /// Where an image of that length goes. A buffer that is large enough is used again.
    fn reserve(&mut self, length: usize, limits: &Limits) -> Result<usize, CallError> {
        if self.buffer.length >= length {
            return Ok(self.buffer.offset);
        }
        let size = u32::try_from(length)
            .ok()
            .filter(|_| length <= limits.memory)
            .ok_or(CallError::NoBuffer(length))?;
        let reserve = self.reserve.clone();
        let offset = match self.call(&reserve, size, limits.call_time)? {
            0 => return Err(CallError::NoBuffer(length)),
            offset => offset,
        };
        let place = u64::from(offset) << 32 | u64::from(size);
        self.bytes_at("faa_reserve", place)?;
        let offset = offset as usize;
        self.buffer = Buffer { offset, length };
        Ok(offset)
    }

    /// Applies an op to the image at a place of memory.
    fn apply(
        &mut self,
        op: u32,
        place: usize,
        image: &ImageMut<'_>,
        value: f64,
        seed: u64,
        limits: &Limits,
    ) -> Result<(), CallError> {
        let (width, height, channels) = (image.width(), image.height(), image.channels());
        // An image that was reserved for has fewer pixels than 2³².
        let arguments = (
            op,
            place as u32,
            width as u32,
            height as u32,
            channels.count() as u32,
            value,
            seed,
        );
        let apply = self.apply.clone();
        match self.call(&apply, arguments, limits.call_time) {
            Ok(0) => Ok(()),
            Ok(1) => Err(CallError::Shape {
                width,
                height,
                channels,
            }),
            Ok(2) => Err(CallError::Failed(self.last_message(limits.call_time))),
            Ok(status) => Err(CallError::Status(status)),
            Err(error) => Err(error),
        }
    }

    fn point(
        &mut self,
        op: u32,
        value: f64,
        channels: Channels,
        limits: &Limits,
    ) -> Result<Option<LookupTables>, CallError> {
        let Some(point) = self.point.clone() else {
            return Ok(None);
        };
        let arguments = (op, channels.count() as u32, value);
        let place = self.call(&point, arguments, limits.call_time)?;
        if place == 0 {
            return Ok(None);
        }
        let bytes = self.bytes_at("faa_point", place)?;
        match bytes.as_chunks::<256>() {
            (&[red, green, blue], []) => Ok(Some(LookupTables::per_channel([red, green, blue]))),
            _ => Err(CallError::Tables(bytes.len())),
        }
    }

    /// What the plugin says of a failure, where it says anything; the instance is not used after.
    fn last_message(&mut self, time: Duration) -> Option<String> {
        let error = self.error.as_ref()?;
        self.store.set_epoch_deadline(ticks(time));
        let place = error.call(&mut self.store, ()).ok()?;
        let message = self.bytes_at("faa_error", place).ok()?;
        (message.len() <= MESSAGE).then(|| readable(message))?
    }

    fn call<P: WasmParams, R: WasmResults>(
        &mut self,
        function: &TypedFunc<P, R>,
        arguments: P,
        time: Duration,
    ) -> Result<R, CallError> {
        self.store.set_epoch_deadline(ticks(time));
        match function.call(&mut self.store, arguments) {
            Ok(result) => Ok(result),
            Err(error) => {
                let message = self.last_message(time);
                Err(call_error(&error, time, message))
            }
        }
    }

    /// The bytes at a place, if there are such.
    fn bytes_at(&self, export: &'static str, place: u64) -> Result<&[u8], CallError> {
        let (offset, length) = ((place >> 32) as usize, (place & 0xffff_ffff) as usize);
        let memory = self.memory.data(&self.store);
        // The sum may be beyond what a host of 32 bits can address.
        offset
            .checked_add(length)
            .and_then(|end| memory.get(offset..end))
            .ok_or_else(|| self.outside(export, place))
    }

    fn outside(&self, export: &'static str, place: u64) -> CallError {
        let offset = place >> 32;
        CallError::Outside {
            export,
            offset,
            end: offset + (place & 0xffff_ffff),
            memory: self.memory.data_size(&self.store) as u64,
        }
    }
}

/// The ticks of a time, rounded up, and one for the tick that is under way.
fn ticks(time: Duration) -> u64 {
    let ticks = time.as_nanos().div_ceil(TICK.as_nanos());
    u64::try_from(ticks)
        .unwrap_or(u64::MAX / 2)
        .min(u64::MAX / 2)
        + 1
}

fn call_error(error: &wasmtime::Error, limit: Duration, message: Option<String>) -> CallError {
    match error.downcast_ref() {
        Some(Trap::Interrupt) => CallError::Time { limit, message },
        Some(Trap::StackOverflow) => CallError::Stack { message },
        Some(trap) => CallError::Trap {
            trap: trap.to_string(),
            message,
        },
        None => CallError::Instance(format!("{error:#}")),
    }
}
