//! The program, spoken to as `faa-runtime` does.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

use faa_data::{Dataset, LoadOptions};
use faa_ops_builtin::builtin_ops;
use faa_plugin::PluginOptions;
use faa_search::backend::TrainTask;
use faa_search::config::{Precision, Preset, RunConfig};
use faa_search::device::DeviceName;
use faa_search::environment::Resources;
use faa_search::protocol::{End, Hello, Message, Request, RunRequest, write_line};
use faa_search::{Backend, NetworkFiles};
use faa_torch::{BackendConfig, TorchBackend};
use tch::Device;

/// What the program answers last to a request, on one thread of the CPU. Its standard input ends at once,
/// which asks it to stop.
fn ending_of(request: impl FnOnce(Resources) -> Request<PluginOptions>) -> End {
    let request = request(Resources::new(vec![DeviceName::Cpu], 1));
    let mut program = Command::new(env!("CARGO_BIN_EXE_faa-runtime-torch"));
    program.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = program.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    write_line(&mut input, &Hello::current()).unwrap();
    write_line(&mut input, &request).unwrap();
    input.flush().unwrap();
    drop(input);
    let output = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    match serde_json::from_str(output.lines().last().unwrap()) {
        Ok(Message::Ended { ended }) => ended,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_configuration_is_checked_before_images_are_loaded() {
    let mut config = RunConfig::for_search(Preset::Demo, "folder:/no/such/folder");
    config.common.training.learning_rate = -1.0;
    let ending = ending_of(|resources| {
        let out = "/no/such/folder/run".into();
        Request::Run(Box::new(RunRequest::new(config, out, resources)))
    });
    let End::Failed(causes) = ending else {
        panic!("{ending:?}");
    };
    assert!(causes[0].contains("--learning-rate"), "{causes:?}");
}

/// There are more networks than would be evaluated in a day.
#[test]
fn an_evaluation_that_is_stopped_has_not_failed() {
    let data = Dataset::load(&"glyphs".parse().unwrap(), &LoadOptions::default()).unwrap();
    let config = BackendConfig::new(Device::Cpu, 1, Precision::Float32);
    let mut backend = TorchBackend::new(Arc::new(data), builtin_ops(), config);
    let training = RunConfig::for_search(Preset::Demo, "").common.training;
    let task = TrainTask::new(&[0], &training, 1);
    let network = backend.begin(&task).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("network.safetensors");
    backend.save(&network, &file).unwrap();
    let ending = ending_of(|resources| Request::Evaluate {
        networks: vec![file; 1_000_000],
        data: "glyphs".to_owned(),
        image_size: None,
        resources,
    });
    assert_eq!(ending, End::Stopped);
}
