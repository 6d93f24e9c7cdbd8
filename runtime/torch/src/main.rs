//! `faa-runtime-torch`: the program that uses libtorch.
//!
//! `faa-runtime` finds libtorch, sets the library path and starts this program, which speaks the
//! protocol of [`faa_search::protocol`]. People do not start it.

mod session;

use std::env;
use std::io::{self, Read};
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use faa_data::LoadOptions;
use faa_op::text;
use faa_plugin::PluginOptions;
use faa_search::backend::{
    Backend, BackendError, BackendErrorKind, Images, NetworkFiles, StopFlag,
};
use faa_search::config::{Precision, RungPhase, SearchConfig};
use faa_search::environment::{Environment, Resources};
use faa_search::folds::Labels;
use faa_search::layout::TrainingId;
use faa_search::protocol::{
    End, Hello, Message, Request, RunRequest, TorchReport, read_line, write_line,
};
use faa_search::{Event, Run, RunDirectory, RunError, RunErrorKind};
use faa_torch::device::{self, CudaSupport};

use crate::session::{Jobs, Session, load_ops, set_threads};

/// How long the work may take to stop after the caller was killed: enough for a batch and a checkpoint.
const GRACE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    faa_torch::keep_memory();
    let code = serve();
    // Warnings that could not be written yet.
    faa_system::flush_log();
    code
}

/// Reads one request and answers it.
fn serve() -> ExitCode {
    let stop = StopFlag::new();
    // Before anything is read, so that a caller of a different version gets it.
    send(&Hello::current(), &stop);
    let Err(error) = read_request(&stop).and_then(|request| answer(request, &stop)) else {
        return ExitCode::SUCCESS;
    };
    let run = error.downcast_ref().map(RunError::kind);
    let backend = error.downcast_ref().map(BackendError::kind);
    let stopped = run == Some(RunErrorKind::Stopped) || backend == Some(BackendErrorKind::Stopped);
    let ended = match run {
        _ if stopped => End::Stopped,
        Some(RunErrorKind::InUse) => End::InUse(error.to_string()),
        _ => End::Failed(error.chain().map(ToString::to_string).collect()),
    };
    send(&Message::Ended { ended }, &stop);
    ExitCode::FAILURE
}

/// Reads the caller's version and its request, and starts threads that stop the work at the end of standard
/// input and on signals. A terminal sends them to both programs.
fn read_request(stop: &StopFlag) -> Result<Request<PluginOptions>> {
    let mut input = io::stdin().lock();
    let mut line = || -> Result<String> {
        let line = read_line(&mut input).context("cannot read the request")?;
        line.context("there is no request: this program is started by `faa-runtime`, not by people")
    };
    let caller = env::var_os("FAA_RUNTIME").unwrap_or_else(|| "faa-runtime".into());
    Hello::check(&line()?, Path::new(&caller))?;
    let request = serde_json::from_str(&line()?).context("the request is invalid")?;
    let (at_end, on_signal) = (stop.clone(), stop.clone());
    let caller_id = faa_system::parent_id();
    thread::spawn(move || {
        // An error also means that the caller is gone.
        let _ = io::copy(&mut io::stdin().lock().by_ref(), &mut io::sink());
        at_end.set();
        end_without(caller_id);
    });
    faa_system::on_stop(move || on_signal.set()).context("cannot listen for signals")?;
    Ok(request)
}

/// Ends this process a moment after its caller was killed, if it has not stopped by then: a GPU is not kept for
/// work that nobody waits for. A caller that has only asked to stop waits for the end, or kills this process.
fn end_without(caller: u32) {
    while faa_system::parent_id() == caller {
        thread::sleep(Duration::from_secs(1));
    }
    thread::sleep(GRACE);
    faa_system::kill_this_process();
}

fn answer(request: Request<PluginOptions>, stop: &StopFlag) -> Result<()> {
    match request {
        Request::Doctor => {
            doctor(stop);
            Ok(())
        }
        Request::Run(request) => run(&request, stop),
        Request::Evaluate {
            networks,
            data,
            image_size,
            resources,
        } => {
            // Networks are evaluated one after the other, on one device.
            let devices = resources.devices.into_iter().take(1).collect();
            let resources = Resources::new(devices, resources.threads);
            set_threads(&resources)?;
            let ops = load_ops(None, &[])?;
            let data = (data.as_str(), LoadOptions::sized(image_size));
            let session = Session::open(data, Precision::Float32, &resources, ops, stop)?;
            let backend = &mut session.backends(1)[0];
            for file in networks {
                stop.check()?;
                let network = backend.load_any(&file)?;
                let evaluation = backend.evaluate(&network, Images::Test, stop)?;
                if !evaluation.loss.is_finite() {
                    let file = text::clean(&file.to_string_lossy(), 4_096);
                    bail!("{file} has a loss that is infinite or NaN: its training diverged");
                }
                send(&Message::Event(Event::Evaluated { file, evaluation }), stop);
            }
            Ok(())
        }
        _ => bail!("this program does not know the request"),
    }
}

fn doctor(stop: &StopFlag) {
    let cuda = CudaSupport::load();
    let onednn = tch::utils::has_mkldnn();
    let doctor = TorchReport::new(onednn, cuda.devices(), cuda.to_string());
    send(&Message::Doctor { doctor }, stop);
}

fn run(request: &RunRequest<PluginOptions>, stop: &StopFlag) -> Result<()> {
    let RunRequest {
        config,
        out,
        resources,
        plugins,
        job,
        ..
    } = request;
    let common = &config.common;
    set_threads(resources)?;
    let ops = load_ops(plugins.as_ref(), &common.plugins)?;
    // Before images are loaded, which may take minutes.
    config.check(&ops)?;
    let options = LoadOptions::sized(common.image_size).grouped_by(common.group_by.clone());
    let data = (common.data.as_str(), options);
    let session = Session::open(data, common.precision, resources, ops, stop)?;
    let (train, digest) = (&session.data.train, session.data.digest());
    let labels = Labels::new(&train.labels, &train.groups);
    // Before the directory exists: it is bound to its first configuration, which must be possible.
    let folds = config.folds(labels)?.len();
    config.audit_fold(labels)?;
    config.halving_fold(labels)?;
    let directory = match job {
        Some(_) => RunDirectory::open_for_job(out, config, digest)?,
        None => RunDirectory::open(out, config, digest)?,
    };
    let batch = config.search.as_ref().map_or(1, SearchConfig::batch_size);
    let jobs = match job {
        Some(TrainingId::Fold(_)) if batch > 1 => session.jobs(resources.jobs, batch, None),
        Some(_) => Jobs::Fixed(1),
        None => {
            let recorded = directory.environment().read()?.pop();
            let rungs = config.rung_phases();
            let short_trainings = rungs.iter().map(RungPhase::trainings).max();
            let trainings = config.final_trainings.max_count();
            let scorings = folds.saturating_mul(batch);
            let items = scorings.max(trainings).max(short_trainings.unwrap_or(0));
            session.jobs(resources.jobs, items, recorded.as_ref())
        }
    };
    let (Jobs::Fixed(count) | Jobs::UpTo(count)) = jobs;
    let mut backends = session.backends(count);
    let [scoring, training] = backends[0].precisions().map(str::to_owned);
    let mut current = Environment::of_this_build();
    (current.device, current.processor) = (session.device(), device::processor());
    current.threads = resources.threads;
    (current.scoring, current.training) = (scoring, training);
    let run = Run::new(config, labels, &session.ops, &mut backends, &directory);
    let run = run.in_environment(current);
    let run = match jobs {
        Jobs::Fixed(_) => run,
        Jobs::UpTo(_) => run.choosing_jobs(),
    };
    let mut observe = |event| send(&Message::Event(event), stop);
    match *job {
        Some(job) => run.run_job(job, stop, &mut observe)?,
        None => drop(run.run(stop, &mut observe)?),
    }
    Ok(())
}

/// Writes a line of the protocol. If the reader is gone, sets `stop`.
fn send(line: &impl serde::Serialize, stop: &StopFlag) {
    if write_line(&mut io::stdout().lock(), line).is_err() {
        stop.set();
    }
}
