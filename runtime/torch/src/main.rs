//! `faa-runtime-torch`: the sibling of `faa-runtime` that works with libtorch.
//!
//! It is started by `faa-runtime`, which finds libtorch and sets the library path, and speaks the
//! protocol of [`faa_search::protocol`]; people do not call it.

use std::io::{self, BufRead, Read, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use faa_op::{Op, OpSet};
use faa_plugin::{Host, HostConfig, Native, Plugin};
use faa_search::backend::{Images, StopFlag};
use faa_search::config::{PluginOp, Precision};
use faa_search::data::{Dataset, LoadOptions};
use faa_search::protocol::{End, Message, Plugins, Request, Resources, TorchReport};
use faa_search::run::Environment;
use faa_search::{Backend, Event, RunDirectory, Search, SearchError, Task, Train};
use faa_torch::device::{self, CudaSupport};
use faa_torch::{BackendConfig, TorchBackend};
use tch::Device;

fn main() -> ExitCode {
    let stop = StopFlag::new();
    let Err(error) = read_request(&stop).and_then(|request| answer(request, &stop)) else {
        return ExitCode::SUCCESS;
    };
    let stopped = matches!(error.downcast_ref(), Some(SearchError::Stopped));
    let ended = if stopped {
        End::Stopped
    } else {
        End::Failed(error.chain().map(ToString::to_string).collect())
    };
    tell(&Message::Ended { ended }, &stop);
    ExitCode::FAILURE
}

/// Reads the request, and leaves a thread behind that waits for the end of standard input.
fn read_request(stop: &StopFlag) -> Result<Request> {
    let mut line = String::new();
    io::stdin()
        .lock()
        .read_line(&mut line)
        .context("cannot read the request")?;
    let request = serde_json::from_str(&line).context(
        "cannot understand the request; this program is started by `faa-runtime`, not by people",
    )?;
    let stop = stop.clone();
    thread::spawn(move || {
        // An error means as much as the end: the caller is gone.
        let _ = io::copy(&mut io::stdin().lock().by_ref(), &mut io::sink());
        stop.set();
    });
    Ok(request)
}

fn answer(request: Request, stop: &StopFlag) -> Result<()> {
    match request {
        Request::Doctor => {
            let cuda = CudaSupport::load();
            let doctor = TorchReport {
                onednn: tch::utils::has_mkldnn(),
                cuda_devices: cuda.devices(),
                cuda: cuda.to_string(),
            };
            tell(&Message::Doctor { doctor }, stop);
            Ok(())
        }
        Request::Search {
            config,
            out,
            resources,
            plugins,
        } => {
            let task = Task::Search(&config);
            let Session {
                data,
                ops,
                mut backends,
                device,
            } = Session::set_up(
                (&config.data, config.image_size),
                (plugins.as_ref(), &config.plugins),
                config.precision,
                &resources,
            )?;
            // The directory is bound to its first configuration, so what can be seen to be wrong
            // with one is told before.
            backends[0].check(&config.training)?;
            faa_search::check(&config, &data.train.labels, &ops)?;
            let run = RunDirectory::open(&out, task, data.digest())?;
            record_environment(&run, &backends, &device, &resources, stop)?;
            let search = Search {
                config: &config,
                labels: &data.train.labels,
                ops: &ops,
                backends: &mut backends,
                run: &run,
                stop,
                observe: &mut |event| tell(&Message::Event(event), stop),
            };
            search.run(&device)?;
            Ok(())
        }
        Request::Train {
            config,
            out,
            resources,
            plugins,
        } => {
            let task = Task::Train(&config);
            let Session {
                data,
                ops,
                mut backends,
                device,
            } = Session::set_up(
                (&config.data, config.image_size),
                (plugins.as_ref(), &config.plugins),
                config.precision,
                &resources,
            )?;
            backends[0].check(&config.training)?;
            config.check(&ops)?;
            let run = RunDirectory::open(&out, task, data.digest())?;
            record_environment(&run, &backends, &device, &resources, stop)?;
            let train = Train {
                config: &config,
                images: data.train.len(),
                ops: &ops,
                backends: &mut backends,
                run: &run,
                stop,
                observe: &mut |event| tell(&Message::Event(event), stop),
            };
            train.run(&device)?;
            Ok(())
        }
        Request::Evaluate {
            networks,
            data,
            image_size,
            resources,
        } => {
            // One after the other, on one device.
            let resources = Resources {
                devices: resources.devices.into_iter().take(1).collect(),
                jobs: Some(1),
                ..resources
            };
            let Session { mut backends, .. } = Session::set_up(
                (&data, image_size),
                (None, &[]),
                Precision::Float32,
                &resources,
            )?;
            for file in networks {
                let network = backends[0].load_any(&file)?;
                let evaluation = backends[0].evaluate(&network, Images::Test, stop)?;
                if !evaluation.loss.is_finite() {
                    bail!(
                        "{} gives no numbers: its training has diverged",
                        file.display()
                    );
                }
                tell(&Message::Event(Event::Evaluated { file, evaluation }), stop);
            }
            Ok(())
        }
        _ => bail!("this request is newer than this program"),
    }
}

/// Writes down what the run is worked on with, and tells where it was something else before.
fn record_environment(
    run: &RunDirectory,
    backends: &[TorchBackend],
    device: &str,
    resources: &Resources,
    stop: &StopFlag,
) -> Result<()> {
    let [scoring, training] = backends[0].numbers().map(str::to_owned);
    let now = Environment {
        device: device.to_owned(),
        threads: resources.threads,
        jobs: backends.len(),
        scoring,
        training,
        processor: device::processor(),
    };
    if let Some(before) = run.record_environment(&now)? {
        tell(
            &Message::Event(Event::EnvironmentChanged { before, now }),
            stop,
        );
    }
    Ok(())
}

/// What every run needs.
struct Session {
    data: Arc<Dataset>,
    ops: OpSet,
    backends: Vec<TorchBackend>,
    /// The devices, in words.
    device: String,
}

impl Session {
    /// Loads the images, and the ops of plugins, among which must be the named ones.
    fn set_up(
        (data, image_size): (&str, Option<u32>),
        (plugins, named): (Option<&Plugins>, &[PluginOp]),
        precision: Precision,
        resources: &Resources,
    ) -> Result<Self> {
        // For decoding and augmentation, before anything uses rayon's pool.
        let pool = rayon::ThreadPoolBuilder::new().num_threads(resources.threads.max(1));
        pool.build_global()?;
        let data = Arc::new(Dataset::load(&data.parse()?, &LoadOptions { image_size })?);
        let ops = known_ops(named, plugins)?;
        let (backends, device) = backends(&data, &ops, precision, resources)?;
        Ok(Self {
            data,
            ops,
            backends,
            device,
        })
    }
}

/// A judge for every job, over the devices in turn, and the devices in words.
fn backends(
    data: &Arc<Dataset>,
    ops: &OpSet,
    precision: Precision,
    resources: &Resources,
) -> Result<(Vec<TorchBackend>, String)> {
    let threads = resources.threads.max(1);
    let on_cpu = resources.devices.iter().all(|word| word == "cpu");
    // Loading CUDA takes seconds, which work on the CPU need not wait for.
    let cuda = (!on_cpu).then(CudaSupport::load);
    let choose = |word: &String| match &cuda {
        Some(cuda) => cuda.choose(word),
        None => Ok(Device::Cpu),
    };
    let devices: Vec<Device> = resources
        .devices
        .iter()
        .map(choose)
        .collect::<Result<_, _>>()?;
    if devices.is_empty() {
        bail!("the request names no device");
    }
    let jobs = resources.jobs.unwrap_or(devices.len()).max(1);
    let backends = devices.iter().copied().cycle().take(jobs).map(|device| {
        let resources = BackendConfig {
            device,
            threads: (threads / jobs).max(1),
            precision,
        };
        TorchBackend::new(Arc::clone(data), ops.clone(), resources)
    });
    let backends = backends.collect::<Result<Vec<_>, _>>()?;
    let names: Vec<String> = devices.into_iter().map(device::name).collect();
    Ok((backends, names.join(", ")))
}

/// The built-in ops and those of plugins, among which must be the `named` ones.
fn known_ops(named: &[PluginOp], plugins: Option<&Plugins>) -> Result<OpSet> {
    let mut ops = faa_ops_builtin::builtin_ops();
    let Some(plugins) = plugins else {
        return Ok(ops);
    };
    let memory = (plugins.memory_mib as usize).saturating_mul(1 << 20);
    let call_time = Duration::from_secs_f64(plugins.call_seconds);
    let host = Host::new(HostConfig::bounded(memory, call_time))?;
    let native = if plugins.allow_native {
        Native::Trusted
    } else {
        Native::Refused
    };
    let found = host.load_folders(&plugins.folders, native, &mut ops)?;
    for named in named {
        let is_it = |plugin: &Plugin| {
            let has_op = plugin.ops().iter().any(|op| op.spec().name() == named.op);
            has_op && plugin.sha256() == named.sha256
        };
        if !found.loaded.iter().any(is_it) {
            let broken = found.broken.into_iter().next();
            let error = broken.map_or_else(|| anyhow!("its file is another one"), Into::into);
            let op = &named.op;
            return Err(error.context(format!(
                "the plugin with the op `{op}` has changed just now"
            )));
        }
    }
    Ok(ops)
}

/// Writes a message. A reader that is gone ends the work like any other stop.
fn tell(message: &Message, stop: &StopFlag) {
    let mut line = serde_json::to_vec(message).expect("messages have a JSON form");
    line.push(b'\n');
    let mut out = io::stdout().lock();
    if out.write_all(&line).and_then(|()| out.flush()).is_err() {
        stop.set();
    }
}
