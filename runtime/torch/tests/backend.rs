//! The backend on a data set that is learned in seconds: three classes of coloured noise.

use std::fs;
use std::sync::Arc;

use faa_data::{Dataset, Split};
use faa_op::Stream;
use faa_ops_builtin::builtin_ops;
use faa_policy::{Policy, Step, Strength};
use faa_search::backend::{BackendError, Images, ScoringTask, StopFlag, TrainTask};
use faa_search::config::{Precision, Preset, RunConfig, TrainingConfig};
use faa_search::results::Epoch;
use faa_search::{Backend, NetworkFiles};
use faa_torch::{BackendConfig, TorchBackend, TorchNetwork};
use tch::Device;

const SIDE: usize = 12;

fn dataset() -> Dataset {
    let split = |images: usize, seed| {
        let mut stream = Stream::for_op(seed);
        let labels: Vec<u32> = (0..images as u32).map(|image| image % 3).collect();
        let mut pixels = Vec::new();
        for label in &labels {
            for place in 0..SIDE * SIDE * 3 {
                let bright = place % 3 == *label as usize;
                pixels.push((stream.below(120) + if bright { 80 } else { 40 }) as u8);
            }
        }
        Split { pixels, labels }
    };
    Dataset {
        classes: ["red", "green", "blue"].map(str::to_owned).to_vec(),
        width: SIDE,
        height: SIDE,
        train: split(90, 1),
        test: split(30, 2),
    }
}

fn backend() -> TorchBackend {
    backend_with(1, Precision::Float32)
}

fn backend_with(threads: usize, precision: Precision) -> TorchBackend {
    let config = BackendConfig {
        device: Device::Cpu,
        threads,
        precision,
    };
    TorchBackend::new(Arc::new(dataset()), builtin_ops(), config)
}

fn training() -> TrainingConfig {
    TrainingConfig {
        epochs: 4.try_into().unwrap(),
        batch: 16.try_into().unwrap(),
        learning_rate: 0.05,
        warmup_epochs: 1,
        cutout: 4,
        ..RunConfig::for_search(Preset::Demo, "").common.training
    }
}

fn train(training: &TrainingConfig, seed: u64) -> (Result<TorchNetwork, BackendError>, Vec<Epoch>) {
    train_with(&mut backend(), training, seed)
}

fn train_with(
    backend: &mut TorchBackend,
    training: &TrainingConfig,
    seed: u64,
) -> (Result<TorchNetwork, BackendError>, Vec<Epoch>) {
    let images: Vec<usize> = (0..90).collect();
    let task = TrainTask {
        images: &images,
        training,
        policy: None,
        seed,
    };
    let (mut network, mut epochs) = (backend.begin(&task).unwrap(), Vec::new());
    for number in 0..training.epochs.get() {
        match backend.epoch(&mut network, &task, number, &StopFlag::new()) {
            Ok(epoch) => epochs.push(epoch),
            Err(error) => return (Err(error), epochs),
        }
    }
    (Ok(network), epochs)
}

/// All numbers of a network.
fn weights(network: &TorchNetwork) -> Vec<f32> {
    let values = |tensor: &tch::Tensor| Vec::<f32>::try_from(tensor.detach().reshape([-1]));
    network
        .network()
        .store()
        .iter()
        .flat_map(|(_, tensor)| values(tensor).unwrap())
        .collect()
}

#[test]
fn a_network_learns_and_says_how() {
    let (network, epochs) = train(&training(), 1);
    let network = network.unwrap();
    assert!(epochs[3].loss < epochs[0].loss / 2.0, "{epochs:?}");
    assert_eq!(
        epochs.iter().map(|epoch| epoch.images).sum::<usize>(),
        4 * 90
    );
    // Six steps an epoch; the last of all 24 has the last rate of the cosine.
    let rate = 0.05 * 0.5 * (1.0 + (std::f64::consts::PI * 17.0 / 18.0).cos());
    assert!((epochs[3].learning_rate - rate).abs() < 1e-15);
    let test = backend()
        .evaluate(&network, Images::Test, &StopFlag::new())
        .unwrap();
    assert!(test.error < 0.1, "{test:?}");
}

#[test]
fn the_same_seed_gives_the_same_network_and_another_another() {
    let network = |seed| weights(&train(&training(), seed).0.unwrap());
    assert_eq!(network(1), network(1));
    assert_ne!(network(1), network(2));
}

#[test]
fn a_saved_network_comes_back_and_a_damaged_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("network.safetensors");
    let (training, mut backend) = (training(), backend());
    let network = train(&training, 1).0.unwrap();
    backend.save(&network, &file).unwrap();
    let loaded = backend.load(&training, &file).unwrap();
    assert_eq!(weights(&loaded), weights(&network));
    let evaluate = |backend: &mut TorchBackend, network| {
        backend
            .evaluate(network, Images::Test, &StopFlag::new())
            .unwrap()
    };
    assert_eq!(
        evaluate(&mut backend, &loaded),
        evaluate(&mut backend, &network)
    );

    let wider = TrainingConfig {
        model: "wrn-10-2".parse().unwrap(),
        ..training.clone()
    };
    let error = backend.load(&wider, &file).unwrap_err().to_string();
    assert!(
        error.contains("holds a different network: `group1.block0.conv1.weight`"),
        "{error}"
    );
    let bytes = fs::read(&file).unwrap();
    for length in [0, 7, 100, bytes.len() - 1] {
        fs::write(&file, &bytes[..length]).unwrap();
        let error = backend.load(&training, &file).unwrap_err().to_string();
        assert!(error.contains("network.safetensors is damaged"), "{error}");
    }
}

#[test]
fn a_candidate_that_does_nothing_is_scored_like_the_images_themselves() {
    let plain = TrainingConfig {
        crop_padding: 0,
        flip: false,
        cutout: 0,
        ..training()
    };
    let (mut backend, images) = (backend(), (0..90).collect::<Vec<_>>());
    let network = train(
        &TrainingConfig {
            epochs: 1.try_into().unwrap(),
            ..training()
        },
        1,
    )
    .0
    .unwrap();
    let mut score = |probability| {
        let candidate = darken(probability);
        let task = ScoringTask {
            images: &images,
            training: &plain,
            candidate: &candidate,
            draws: 5,
            seed: 3,
        };
        backend.score(&network, &task, &StopFlag::new()).unwrap()
    };
    let (never, always, sometimes) = (score(0.0), score(1.0), score(0.5));
    let evaluation = self::backend()
        .evaluate(&network, Images::Train(&images), &StopFlag::new())
        .unwrap();
    assert_eq!(never.any, never.mean);
    assert_eq!(evaluation.error, 1.0 - never.mean);
    assert!((never.loss - evaluation.loss).abs() < 1e-6);
    // Black images are all taken for one class of the three.
    assert_eq!((always.any, always.mean), (1.0 / 3.0, 1.0 / 3.0));
    // Five draws a picture differ, and one that leaves the image alone is enough for `any`.
    assert!(
        sometimes.any > sometimes.mean && sometimes.mean < never.mean,
        "{sometimes:?}"
    );
}

/// Whatever a file of a network holds, it is read or refused.
#[test]
fn damaged_files_of_networks_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("network.safetensors");
    let (network, mut backend) = (train(&training(), 1).0.unwrap(), backend());
    backend.save(&network, &file).unwrap();
    let whole = fs::read(&file).unwrap();
    let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap());
    let mut stream = Stream::for_op(9);
    let mut refused = 0;
    for _ in 0..300 {
        let mut bytes = whole.clone();
        for _ in 0..=stream.below(3) {
            bytes[stream.below(header) as usize] = stream.next_u32() as u8;
        }
        fs::write(&file, &bytes).unwrap();
        let (plain, any) = (backend.load(&training(), &file), backend.load_any(&file));
        refused += usize::from(plain.is_err() || any.is_err());
        if let Ok(network) = any {
            let _ = backend.evaluate(&network, Images::Test, &StopFlag::new());
        }
    }
    assert!(refused > 100, "{refused}");
}

/// The paper's sixteenth op mixes in other images of D_A.
#[test]
fn candidates_may_mix_images() {
    let (mut backend, images) = (backend(), (0..90).collect::<Vec<_>>());
    let (training, network) = (training(), train(&training(), 1).0.unwrap());
    let mut mean = |magnitude| {
        let step = Step {
            op: "SamplePairing".into(),
            probability: 1.0,
            strength: Strength::Magnitude(magnitude),
        };
        let candidate = Policy::of_sub_policies("mixing", vec![vec![step.clone(), step]]);
        let task = ScoringTask {
            images: &images,
            training: &training,
            candidate: &candidate,
            draws: 2,
            seed: 3,
        };
        backend
            .score(&network, &task, &StopFlag::new())
            .unwrap()
            .loss
    };
    // Mixed with images of other classes, they are harder to tell.
    assert!(mean(1.0) > mean(0.0));
}

/// Brightness so low that nothing is left, with some probability.
fn darken(probability: f64) -> Policy {
    let dark = |probability| Step {
        op: "Brightness".into(),
        probability,
        strength: Strength::Magnitude(0.0),
    };
    Policy::of_sub_policies("dark", vec![vec![dark(probability); 4]])
}

#[test]
fn a_loss_that_is_no_number_is_an_error_with_its_epoch_and_rate() {
    let training = TrainingConfig {
        learning_rate: 1e30,
        ..training()
    };
    let BackendError::Diverged(divergence) = train(&training, 1).0.unwrap_err() else {
        panic!("another error");
    };
    assert!(
        divergence.epoch < 2 && divergence.learning_rate > 1e29,
        "{divergence:?}"
    );
}

#[test]
fn a_set_flag_stops_a_training() {
    let stop = StopFlag::new();
    stop.set();
    let (training, images, mut backend) = (training(), (0..90).collect::<Vec<_>>(), backend());
    let task = TrainTask {
        images: &images,
        training: &training,
        policy: None,
        seed: 1,
    };
    let mut network = backend.begin(&task).unwrap();
    let before = weights(&network);
    let epoch = backend.epoch(&mut network, &task, 0, &stop);
    assert!(matches!(epoch, Err(BackendError::Stopped)));
    assert_eq!(weights(&network), before);
}

/// Momentum and running statistics are in the checkpoint: without either, the numbers differ.
#[test]
fn a_training_goes_on_from_a_checkpoint_to_the_very_same_network() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("checkpoint.safetensors");
    let (training, images) = (training(), (0..90).collect::<Vec<_>>());
    let task = TrainTask {
        images: &images,
        training: &training,
        policy: None,
        seed: 1,
    };
    let stop = StopFlag::new();
    let mut first = backend();
    let mut network = first.begin(&task).unwrap();
    for number in 0..2 {
        first.epoch(&mut network, &task, number, &stop).unwrap();
    }
    first.save_checkpoint(&network, 2, &file).unwrap();
    let mut second = backend();
    let (mut network, epochs) = second.load_checkpoint(&task, &file).unwrap();
    assert_eq!(epochs, 2);
    for number in epochs..4 {
        second.epoch(&mut network, &task, number, &stop).unwrap();
    }
    assert_eq!(weights(&network), weights(&train(&training, 1).0.unwrap()));

    let bytes = fs::read(&file).unwrap();
    for length in [0, 9, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&file, &bytes[..length]).unwrap();
        let error = second
            .load_checkpoint(&task, &file)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("checkpoint.safetensors is damaged"),
            "{error}"
        );
    }
    // One bit of one weight.
    let mut flipped = bytes.clone();
    let place = flipped.len() - 1000;
    flipped[place] ^= 1;
    fs::write(&file, &flipped).unwrap();
    let error = second
        .load_checkpoint(&task, &file)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("checkpoint.safetensors is damaged"),
        "{error}"
    );
    // A trained network is not a checkpoint.
    second.save(&network, &file).unwrap();
    let error = second
        .load_checkpoint(&task, &file)
        .unwrap_err()
        .to_string();
    assert!(error.contains("`momentum`"), "{error}");
    let loaded = second.load(&training, &file).unwrap();
    assert!(second.save_checkpoint(&loaded, 1, &file).is_err());
}

/// Batches are a thread's own, and sums are added in the order of the batches.
#[test]
fn a_verdict_does_not_depend_on_the_count_of_threads() {
    let (images, network) = (
        (0..90).collect::<Vec<_>>(),
        train(&training(), 1).0.unwrap(),
    );
    let score = |threads, precision| {
        let (training, candidate) = (training(), darken(0.3));
        let task = ScoringTask {
            images: &images,
            training: &training,
            candidate: &candidate,
            draws: 5,
            seed: 3,
        };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("network.safetensors");
        let mut backend = backend_with(threads, precision);
        backend.save(&network, &file).unwrap();
        let network = backend.load(&training, &file).unwrap();
        backend.score(&network, &task, &StopFlag::new()).unwrap()
    };
    let one = score(1, Precision::Float32);
    assert_eq!(one, score(3, Precision::Float32));
    let bf16 = score(1, Precision::Bf16);
    assert_eq!(bf16, score(2, Precision::Bf16));
    assert!(one.loss != bf16.loss && (one.loss / bf16.loss - 1.0).abs() < 0.02);
}

#[test]
fn a_network_learns_in_bf16_as_well() {
    let mut backend = backend_with(1, Precision::Bf16);
    let epochs = train_with(&mut backend, &training(), 1).1;
    let float = train(&training(), 1).1;
    assert!(epochs[3].loss < epochs[0].loss / 2.0, "{epochs:?}");
    let ratio = epochs[0].loss / float[0].loss;
    assert!(ratio != 1.0 && (ratio - 1.0).abs() < 0.05, "{ratio}");
}

/// The file says what the network is, so that it can be used on another data set of its classes.
#[test]
fn a_network_is_evaluated_from_its_file_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("network.safetensors");
    let (network, mut first) = (train(&training(), 1).0.unwrap(), backend());
    first.save(&network, &file).unwrap();
    let expected = first
        .evaluate(&network, Images::Test, &StopFlag::new())
        .unwrap();

    let mut other = dataset();
    // Other training images have other statistics, which must not matter.
    other.train.pixels.fill(7);
    let config = BackendConfig {
        device: Device::Cpu,
        threads: 1,
        precision: Precision::Auto,
    };
    let mut backend = TorchBackend::new(Arc::new(other), builtin_ops(), config);
    let loaded = backend.load_any(&file).unwrap();
    assert_eq!(
        backend
            .evaluate(&loaded, Images::Test, &StopFlag::new())
            .unwrap(),
        expected
    );

    let mut other = dataset();
    // Every image as two of half the height.
    other.height /= 2;
    for split in [&mut other.train, &mut other.test] {
        split.labels = split.labels.iter().flat_map(|label| [*label; 2]).collect();
    }
    let mut backend = TorchBackend::new(Arc::new(other), builtin_ops(), config);
    let error = backend.load_any(&file).unwrap_err().to_string();
    assert!(error.contains("12×12") && error.contains("12×6"), "{error}");

    let mut other = dataset();
    other.classes[1] = "teal".into();
    let mut backend = TorchBackend::new(Arc::new(other), builtin_ops(), config);
    let error = backend.load_any(&file).unwrap_err().to_string();
    assert!(
        error.contains("red, green, blue") && error.contains("red, teal"),
        "{error}"
    );
}
