//! `faa-runtime-torch`: the sibling of `faa-runtime` that works with libtorch.
//!
//! It is started by `faa-runtime`, which finds libtorch and sets the library path, and speaks the
//! protocol of [`faa_search::protocol`]; people do not call it.

use std::io::{self, BufRead, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use faa_op::{Op, OpSet};
use faa_plugin::{Host, HostConfig, Native, Plugin};
use faa_search::data::{Dataset, LoadOptions};
use faa_search::judge::StopFlag;
use faa_search::protocol::{End, Message, Plugins, Request, TorchReport};
use faa_search::{RunDirectory, Search, SearchConfig, SearchError};
use faa_torch::TorchJudge;
use faa_torch::device::{self, CudaSupport};
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
            device,
            threads,
            plugins,
        } => {
            let threads = threads.max(1);
            tch::set_num_threads(i32::try_from(threads).unwrap_or(i32::MAX));
            rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build_global()?;
            // Loading CUDA takes seconds, which a search on the CPU need not wait for.
            let device = match device.as_str() {
                "cpu" => Device::Cpu,
                word => CudaSupport::load().choose(word)?,
            };
            search(&config, &out, device, plugins.as_ref(), stop)
        }
        _ => anyhow::bail!("this request is newer than this program"),
    }
}

fn search(
    config: &SearchConfig,
    out: &Path,
    device: Device,
    plugins: Option<&Plugins>,
    stop: &StopFlag,
) -> Result<()> {
    let options = LoadOptions {
        image_size: config.image_size,
    };
    let dataset = Dataset::load(&config.data.parse()?, &options)?;
    let ops = known_ops(config, plugins)?;
    let (labels, digest) = (dataset.train.labels.clone(), dataset.digest());
    let mut judge = TorchJudge::new(dataset, ops.clone(), device)?;
    // The directory is bound to its first configuration, so what can be seen to be wrong with one
    // is told before.
    judge.check(&config.training)?;
    faa_search::check(config, &labels, &ops)?;
    let run = RunDirectory::open(out, config, digest)?;
    let search = Search {
        config,
        labels: &labels,
        ops: &ops,
        judge: &mut judge,
        run: &run,
        stop,
        observe: &mut |event| tell(&Message::Event(event), stop),
    };
    search.run(&device::name(device))?;
    Ok(())
}

/// The built-in ops and those of plugins, which must be the ones that the configuration names.
fn known_ops(config: &SearchConfig, plugins: Option<&Plugins>) -> Result<OpSet> {
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
    for named in &config.plugins {
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
