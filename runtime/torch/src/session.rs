//! The resources of a request: images, ops, devices, and one backend per job.

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
use faa_search::environment::{Environment, Resources};
use faa_system::log_line;
use faa_torch::device::{self, CudaSupport};
use faa_torch::{BackendConfig, TorchBackend};
use rayon::prelude::*;
use tch::Device;

/// The number of streams that libtorch has per GPU. More jobs would share some, and a job's recorded training step would
/// have the work of another in it.
const JOBS_PER_GPU: usize = 32;

/// The resources of a request.
pub(crate) struct Session {
    pub(crate) data: Arc<Dataset>,
    pub(crate) ops: OpSet,
    devices: Vec<Device>,
    precision: Precision,
    threads: usize,
}

/// How many folds or trainings run in parallel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Jobs {
    /// This many.
    Fixed(usize),
    /// The fastest number up to this one, which the run finds out.
    UpTo(usize),
}

impl Session {
    /// Finds the devices, and loads the images for as long as `stop` is not set. Cheap checks come first.
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
        let max = JOBS_PER_GPU * devices.len();
        if let Some(jobs) = resources.jobs.filter(|jobs| *jobs > max)
            && devices.iter().any(|device| device.is_cuda())
        {
            bail!(
                "--jobs is {jobs}, but {JOBS_PER_GPU} can share a GPU: at most {max} are possible"
            );
        }
        let source = data.parse()?;
        let data = unless_stopped(stop, move || Dataset::load(&source, &options))??;
        for warning in &data.warnings {
            log_line!("warning: {warning}");
        }
        Ok(Self {
            data: Arc::new(data),
            ops,
            devices,
            precision,
            threads: resources.threads,
        })
    }

    /// The names of the devices, for people.
    pub(crate) fn device(&self) -> String {
        let names: Vec<String> = self.devices.iter().copied().map(device::name).collect();
        names.join(", ")
    }

    /// The number of jobs of a run with as many folds or trainings as `items`, which was last worked on in
    /// the `recorded` environment.
    pub(crate) fn jobs(
        &self,
        requested: Option<usize>,
        items: usize,
        recorded: Option<&Environment>,
    ) -> Jobs {
        let devices = self.devices.len();
        match (requested, recorded) {
            (Some(jobs), _) => Jobs::Fixed(jobs),
            // Each job has its part of the threads, and they are busy with any number of jobs.
            (None, _) if !self.devices.iter().any(|it| it.is_cuda()) => Jobs::Fixed(devices),
            // A run keeps the number that it has begun with: measuring again would take time, and could
            // choose a different one, about which the user would be warned.
            (None, Some(it))
                if it.device == self.device() && (1..=Resources::MAX_JOBS).contains(&it.jobs) =>
            {
                Jobs::Fixed(it.jobs)
            }
            // A job keeps a CPU thread busy with launching its work on the GPU.
            (None, _) => {
                let useful = items.min(self.threads).max(devices);
                Jobs::UpTo(useful.min(Resources::MAX_JOBS).min(JOBS_PER_GPU * devices))
            }
        }
    }

    /// This many backends, with the devices by turns.
    pub(crate) fn backends(&self, count: usize) -> Vec<TorchBackend> {
        // In parallel, because each computes the mean and standard deviation of all images.
        let backends = (0..count).into_par_iter().map(|job| {
            let device = self.devices[job % self.devices.len()];
            // With a single thread, a backend would not augment on the threads that all of them share. With
            // a GPU they do nothing else, and maybe not all of these backends will work.
            let min = if device.is_cuda() { 2 } else { 1 };
            let threads = (self.threads / count).max(min).min(self.threads);
            let config = BackendConfig::new(device, threads, self.precision);
            TorchBackend::new(Arc::clone(&self.data), self.ops.clone(), config)
        });
        backends.collect()
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

    use faa_data::Split;
    use faa_search::backend::{BackendError, BackendErrorKind};

    fn session(devices: &[Device], threads: usize) -> Session {
        let split = || Split::new(vec![0; 2 * 12], vec![0, 1]);
        let classes = ["a", "b"].map(str::to_owned).to_vec();
        Session {
            data: Arc::new(Dataset::new(classes, (2, 2), split(), split())),
            ops: OpSet::new(),
            devices: devices.to_vec(),
            precision: Precision::Auto,
            threads,
        }
    }

    #[test]
    fn the_number_of_jobs_is_the_requested_or_recorded_one_or_chosen_on_gpus() {
        let environment = |device: &str, jobs| {
            let mut environment = Environment::of_this_build().with_jobs(jobs);
            environment.device = device.to_owned();
            environment
        };
        let (cpu, gpu, gpus) = (
            session(&[Device::Cpu], 16),
            session(&[Device::Cuda(0)], 16),
            session(&[Device::Cuda(0), Device::Cuda(1)], 16),
        );
        let (on_cpu, on_gpu) = (environment("cpu", 3), environment("cuda:0", 4));
        for (session, requested, items, recorded, expected) in [
            (&cpu, None, 5, None, Jobs::Fixed(1)),
            (&cpu, None, 5, Some(&on_cpu), Jobs::Fixed(1)),
            (&cpu, Some(2), 5, None, Jobs::Fixed(2)),
            (&gpu, Some(7), 5, Some(&on_gpu), Jobs::Fixed(7)),
            (&gpu, None, 5, None, Jobs::UpTo(5)),
            (&gpu, None, 25, None, Jobs::UpTo(16)),
            (&gpu, None, 5, Some(&on_gpu), Jobs::Fixed(4)),
            (&gpu, None, 5, Some(&on_cpu), Jobs::UpTo(5)),
            (
                &gpu,
                None,
                5,
                Some(&environment("cuda:0", 0)),
                Jobs::UpTo(5),
            ),
            (&gpus, None, 1, None, Jobs::UpTo(2)),
            (
                &session(&[Device::Cuda(0); 300], 16),
                None,
                1,
                None,
                Jobs::UpTo(256),
            ),
            (&gpus, None, 5, Some(&on_gpu), Jobs::UpTo(5)),
        ] {
            assert_eq!(session.jobs(requested, items, recorded), expected);
        }
    }

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
