//! The resources of a request: images, ops, and one backend per job.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use faa_data::{Dataset, LoadOptions};
use faa_op::OpSet;
use faa_plugin::{Plugin, PluginOptions};
use faa_search::backend::StopFlag;
use faa_search::config::{PluginOp, Precision};
use faa_search::device::DeviceName;
use faa_search::environment::Resources;
use faa_system::log_line;
use faa_torch::device::{self, CudaSupport};
use faa_torch::{BackendConfig, TorchBackend};
use tch::Device;

/// The resources of a request.
pub(crate) struct Session {
    pub(crate) data: Arc<Dataset>,
    pub(crate) ops: OpSet,
    pub(crate) backends: Vec<TorchBackend>,
    /// The names of the devices, for people.
    pub(crate) device: String,
}

impl Session {
    /// Loads the images, for as long as `stop` is not set, and creates the backends. Cheap checks come
    /// first.
    pub(crate) fn open(
        (data, options): (&str, LoadOptions),
        precision: Precision,
        resources: &Resources,
        ops: OpSet,
        stop: &StopFlag,
    ) -> Result<Self> {
        let devices = devices(&resources.devices)?;
        if precision == Precision::Bf16 && devices.contains(&Device::Cpu) && !device::cpu_has_bf16()
        {
            bail!(
                "this CPU cannot compute in bf16, which needs AVX-512: use --precision float32 or auto"
            );
        }
        let source = data.parse()?;
        let data = unless_stopped(stop, move || Dataset::load(&source, &options))??;
        for warning in &data.warnings {
            log_line!("warning: {warning}");
        }
        let data = Arc::new(data);
        let jobs = resources.jobs.unwrap_or(devices.len());
        let threads = (resources.threads / jobs).max(1);
        let backends = devices.iter().cycle().take(jobs).map(|device| {
            let config = BackendConfig::new(*device, threads, precision);
            TorchBackend::new(Arc::clone(&data), ops.clone(), config)
        });
        let backends = backends.collect();
        let names: Vec<String> = devices.into_iter().map(device::name).collect();
        Ok(Self {
            data,
            ops,
            backends,
            device: names.join(", "),
        })
    }
}

/// Sets the number of threads for decoding and augmentation. To be called before anything else, because
/// rayon's first use fixes it.
pub(crate) fn set_threads(resources: &Resources) -> Result<()> {
    resources.check()?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(resources.threads);
    Ok(pool.build_global()?)
}

/// The built-in ops, and those of plugins, which must include the `named` ones.
pub(crate) fn load_ops(plugins: Option<&PluginOptions>, named: &[PluginOp]) -> Result<OpSet> {
    let mut ops = faa_ops_builtin::builtin_ops();
    let Some(options) = plugins else {
        return Ok(ops);
    };
    #[expect(unsafe_code, reason = "only the user can vouch for a native library")]
    // SAFETY: `allow_native` is set only by --allow-native, with which the user vouches for the libraries.
    let permission = unsafe { options.native_permission() };
    let found = options.load_into(permission, &mut ops)?;
    for named in named {
        let is_it = |plugin: &Plugin| plugin.has_op(&named.op) && plugin.sha256() == named.sha256;
        if !found.loaded.iter().any(is_it) {
            let broken = found.broken.into_iter().next();
            let error = broken.map_or_else(|| anyhow!("its file is a different one"), Into::into);
            let op = &named.op;
            return Err(error).context(format!("the plugin with the op `{op}` has just changed"));
        }
    }
    Ok(ops)
}

fn devices(names: &[DeviceName]) -> Result<Vec<Device>> {
    if names.is_empty() {
        bail!("the request names no device");
    }
    if names.iter().all(|name| *name == DeviceName::Cpu) {
        // Loading CUDA takes seconds, and is not needed on the CPU.
        return Ok(vec![Device::Cpu; names.len()]);
    }
    let cuda = CudaSupport::load();
    let devices = names.iter().map(|name| cuda.choose(*name));
    let devices = devices.collect::<Result<Vec<_>, _>>()?;
    if devices.iter().any(|device| device.is_cuda()) {
        device::prepare_cuda()?;
    }
    Ok(devices)
}

/// The result of `work`, which runs on a thread of its own, or an error as soon as `stop` is set. The
/// thread is then left behind: the program is about to end.
fn unless_stopped<T: Send + 'static>(
    stop: &StopFlag,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    const INTERVAL: Duration = Duration::from_millis(50);
    let (sender, receiver) = channel();
    let worker = thread::spawn(move || {
        // Nobody receives it after a stop.
        let _ = sender.send(work());
    });
    loop {
        stop.check()?;
        match receiver.recv_timeout(INTERVAL) {
            Ok(result) => return Ok(result),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => match worker.join() {
                Err(panic) => std::panic::resume_unwind(panic),
                Ok(()) => unreachable!("a thread that does not panic sends its result"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use faa_search::backend::{BackendError, BackendErrorKind};

    #[test]
    fn work_without_end_is_left_when_the_flag_is_set() {
        let stop = StopFlag::new();
        let (started, has_started) = channel();
        let (_end, never_ends) = channel::<()>();
        let work = move || {
            started.send(()).unwrap();
            never_ends.recv()
        };
        let flag = stop.clone();
        let setter = thread::spawn(move || {
            has_started.recv().unwrap();
            flag.set();
        });
        let error = unless_stopped(&stop, work).unwrap_err();
        assert!(error.downcast_ref().map(BackendError::kind) == Some(BackendErrorKind::Stopped));
        setter.join().unwrap();
        assert_eq!(unless_stopped(&StopFlag::new(), || 7).unwrap(), 7);
    }
}
