//! The backend on a data set that a network learns in seconds: three classes of coloured noise.

use std::fs;
use std::sync::Arc;

use faa_data::{Dataset, Split};
use faa_op::Stream;
use faa_ops_builtin::builtin_ops;
use faa_policy::{Policy, Step, Strength};
use faa_search::backend::{
    BackendError, BackendErrorKind, Images, ScoringTask, StopFlag, TrainTask,
};
use faa_search::config::{Precision, Preset, RunConfig, TrainingConfig};
use faa_search::results::{Epoch, Evaluation, Score};
use faa_search::{Backend, NetworkFiles};
use faa_torch::device::cpu_has_bf16;
use faa_torch::{BackendConfig, TorchBackend, TorchNetwork};
use tch::Device;

const SIDE: usize = 12;

fn dataset() -> Dataset {
    let split = |images: usize, seed| {
        let mut stream = Stream::for_op(seed);
        let labels: Vec<u32> = (0..images as u32).map(|image| image % 3).collect();
        let mut pixels = Vec::new();
        for label in &labels {
            for index in 0..SIDE * SIDE * 3 {
                let bright = index % 3 == *label as usize;
                pixels.push((stream.below(120) + if bright { 80 } else { 40 }) as u8);
            }
        }
        Split::new(pixels, labels)
    };
    let classes = ["red", "green", "blue"].map(str::to_owned).to_vec();
    Dataset::new(classes, (SIDE, SIDE), split(90, 1), split(30, 2))
}

fn backend() -> TorchBackend {
    backend_with(1, Precision::Float32)
}

fn backend_with(threads: usize, precision: Precision) -> TorchBackend {
    backend_on(dataset(), threads, precision)
}

fn backend_on(dataset: Dataset, threads: usize, precision: Precision) -> TorchBackend {
    let config = BackendConfig::new(Device::Cpu, threads, precision);
    TorchBackend::new(Arc::new(dataset), builtin_ops(), config)
}

fn training() -> TrainingConfig {
    let mut it = RunConfig::for_search(Preset::Demo, "").common.training;
    it.epochs = 4.try_into().unwrap();
    it.batch = 16.try_into().unwrap();
    it.learning_rate = 0.05;
    it.warmup_epochs = 1;
    it.crop_padding = 4;
    it.cutout = 4;
    it
}

/// All training images.
fn images() -> Vec<usize> {
    (0..90).collect()
}

fn task<'a>(images: &'a [usize], training: &'a TrainingConfig, seed: u64) -> TrainTask<'a> {
    TrainTask::new(images, training, seed)
}

/// A network after all epochs of [`training`], and what they reported.
fn train(seed: u64) -> (TorchNetwork, Vec<Epoch>) {
    train_with(&mut backend(), &training(), seed).unwrap()
}

fn train_with(
    backend: &mut TorchBackend,
    training: &TrainingConfig,
    seed: u64,
) -> Result<(TorchNetwork, Vec<Epoch>), BackendError> {
    let images = images();
    let task = task(&images, training, seed);
    let mut network = backend.begin(&task)?;
    let mut epoch = |number| backend.epoch(&mut network, &task, number, &StopFlag::new());
    let epochs = (0..training.epochs.get()).map(&mut epoch);
    let epochs = epochs.collect::<Result<_, _>>()?;
    Ok((network, epochs))
}

/// The score on all training images.
fn score(
    backend: &mut TorchBackend,
    network: &TorchNetwork,
    training: &TrainingConfig,
    candidate: &Policy,
) -> Score {
    let images = images();
    let mut task = ScoringTask::new(&images, training, candidate, 5);
    task.seed = 3;
    backend.score(network, &task, &StopFlag::new()).unwrap()
}

fn evaluate(backend: &mut TorchBackend, network: &TorchNetwork) -> Evaluation {
    let evaluation = backend.evaluate(network, Images::Test, &StopFlag::new());
    evaluation.unwrap()
}

/// All elements of a network's tensors.
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
fn training_reduces_the_loss_and_reports_it() {
    let (network, epochs) = train(1);
    assert!(epochs[3].loss < epochs[0].loss / 2.0, "{epochs:?}");
    // Five steps of 16 images per epoch; the other ten images are left out.
    assert!(epochs.iter().all(|epoch| epoch.images == 80), "{epochs:?}");
    // The last of all 20 steps has the last learning rate of the cosine.
    let rate = 0.05 * 0.5 * (1.0 + (std::f64::consts::PI * 14.0 / 15.0).cos());
    assert!((epochs[3].learning_rate - rate).abs() < 1e-15);
    let test = evaluate(&mut backend(), &network);
    assert!(test.error < 0.1, "{test:?}");
}

/// Ten images are one batch, although a batch has 16.
#[test]
fn images_that_do_not_fill_a_batch_are_one() {
    let (training, mut backend) = (training(), backend());
    let images = images();
    let task = TrainTask::new(&images[..10], &training, 1);
    let mut network = backend.begin(&task).unwrap();
    let epoch = backend.epoch(&mut network, &task, 0, &StopFlag::new());
    let epoch = epoch.unwrap();
    assert_eq!(epoch.images, 10);
    assert!(epoch.loss.is_finite());
    let none = TrainTask::new(&[], &training, 1);
    let error = backend.epoch(&mut network, &none, 0, &StopFlag::new());
    let error = error.unwrap_err().to_string();
    assert!(error.contains("no images to train on"), "{error}");
}

#[test]
fn the_same_seed_gives_the_same_network_and_a_different_seed_a_different_one() {
    let network = |seed| weights(&train(seed).0);
    assert_eq!(network(1), network(1));
    assert_ne!(network(1), network(2));
}

#[test]
fn a_saved_network_comes_back_and_a_damaged_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("network.safetensors");
    let (training, mut backend) = (training(), backend());
    let network = train(1).0;
    backend.save(&network, &file).unwrap();
    let loaded = backend.load(&training, &file).unwrap();
    assert_eq!(weights(&loaded), weights(&network));
    assert_eq!(
        evaluate(&mut backend, &loaded),
        evaluate(&mut backend, &network)
    );

    let mut wider = training.clone();
    wider.model = "wrn-10-2".parse().unwrap();
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
fn an_identity_candidate_is_scored_like_the_images_themselves() {
    let mut plain = training();
    plain.crop_padding = 0;
    plain.flip = false;
    plain.cutout = 0;
    let mut one_epoch = training();
    one_epoch.epochs = 1.try_into().unwrap();
    let mut backend = backend();
    let (network, _) = train_with(&mut backend, &one_epoch, 1).unwrap();
    let [never, always, sometimes] = [0.0, 1.0, 0.5]
        .map(|probability| score(&mut backend, &network, &plain, &darken(probability)));
    let evaluation = backend.evaluate(&network, Images::Train(&images()), &StopFlag::new());
    let evaluation = evaluation.unwrap();
    assert_eq!(never.any, never.mean);
    assert_eq!(evaluation.error, 1.0 - never.mean);
    assert!((never.loss - evaluation.loss).abs() < 1e-6);
    // Black images are all classified as one of the three classes.
    assert_eq!((always.any, always.mean), (1.0 / 3.0, 1.0 / 3.0));
    // The five draws of an image differ, and one that leaves it unchanged is enough for `any`.
    assert!(
        sometimes.any > sometimes.mean && sometimes.mean < never.mean,
        "{sometimes:?}"
    );
}

/// The paper's sixteenth op mixes in other images of D_A.
#[test]
fn candidates_may_mix_images() {
    let (network, _) = train(1);
    let loss = |magnitude| {
        let step = Step::new("SamplePairing", 1.0, Strength::Magnitude(magnitude));
        let candidate = Policy::of_sub_policies("mixing", vec![vec![step.clone(), step]]);
        score(&mut backend(), &network, &training(), &candidate).loss
    };
    // Images that are mixed with other classes are harder to classify.
    assert!(loss(1.0) > loss(0.0));
}

/// A candidate that makes images black with about this probability.
fn darken(probability: f64) -> Policy {
    let dark = |probability| Step::new("Brightness", probability, Strength::Magnitude(0.0));
    Policy::of_sub_policies("dark", vec![vec![dark(probability); 4]])
}

#[test]
fn a_loss_that_is_not_finite_is_an_error_with_its_epoch_and_learning_rate() {
    let mut training = training();
    training.learning_rate = 1e30;
    let error = train_with(&mut backend(), &training, 1).unwrap_err();
    let BackendErrorKind::Diverged(divergence) = error.kind() else {
        panic!("a different error");
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
    let (training, images, mut backend) = (training(), images(), backend());
    let task = task(&images, &training, 1);
    let mut network = backend.begin(&task).unwrap();
    let before = weights(&network);
    let epoch = backend.epoch(&mut network, &task, 0, &stop);
    assert_eq!(epoch.unwrap_err().kind(), BackendErrorKind::Stopped);
    assert_eq!(weights(&network), before);
}

/// The checkpoint holds momentum and running statistics: without either, the weights would differ.
#[test]
fn a_training_continues_from_a_checkpoint_to_the_same_network() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("checkpoint.safetensors");
    let (training, images) = (training(), images());
    let task = task(&images, &training, 1);
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
    assert_eq!(weights(&network), weights(&train(1).0));

    let bytes = fs::read(&file).unwrap();
    let assert_rejected = |backend: &mut TorchBackend, reason: &str| {
        let error = backend.load_checkpoint(&task, &file).unwrap_err();
        let error = error.to_string();
        assert!(error.contains(reason), "{error}");
    };
    let damaged = "checkpoint.safetensors is damaged";
    for length in [0, 9, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&file, &bytes[..length]).unwrap();
        assert_rejected(&mut second, damaged);
    }
    // One bit of one weight.
    let mut flipped = bytes.clone();
    let offset = flipped.len() - 1000;
    flipped[offset] ^= 1;
    fs::write(&file, &flipped).unwrap();
    assert_rejected(&mut second, damaged);
    // A trained network is not a checkpoint.
    second.save(&network, &file).unwrap();
    assert_rejected(&mut second, "`momentum`");
    let loaded = second.load(&training, &file).unwrap();
    assert!(second.save_checkpoint(&loaded, 1, &file).is_err());
}

/// Every batch is classified by a single thread, and sums are added in the order of the batches.
#[test]
fn a_score_does_not_depend_on_the_number_of_threads() {
    let (network, _) = train(1);
    let score = |threads, precision| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("network.safetensors");
        let mut backend = backend_with(threads, precision);
        backend.save(&network, &file).unwrap();
        let network = backend.load(&training(), &file).unwrap();
        score(&mut backend, &network, &training(), &darken(0.3))
    };
    let one = score(1, Precision::Float32);
    assert_eq!(one, score(3, Precision::Float32));
    if !cpu_has_bf16() {
        eprintln!("skipped in bf16, which this CPU cannot compute in");
        return;
    }
    let bf16 = score(1, Precision::Bf16);
    assert_eq!(bf16, score(2, Precision::Bf16));
    assert!(one.loss != bf16.loss && (one.loss / bf16.loss - 1.0).abs() < 0.02);
}

#[test]
fn training_in_bf16_reduces_the_loss_too() {
    let mut backend = backend_with(1, Precision::Bf16);
    let (_, epochs) = train_with(&mut backend, &training(), 1).unwrap();
    let (_, float) = train(1);
    assert!(epochs[3].loss < epochs[0].loss / 2.0, "{epochs:?}");
    let ratio = epochs[0].loss / float[0].loss;
    assert!(ratio != 1.0 && (ratio - 1.0).abs() < 0.05, "{ratio}");
}

/// The file describes the network, so that it can be used on a different data set with its classes.
#[test]
fn a_network_is_evaluated_from_its_file_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("network.safetensors");
    let (network, mut first) = (train(1).0, backend());
    first.save(&network, &file).unwrap();
    let expected = evaluate(&mut first, &network);

    let mut other = dataset();
    // These training images have different statistics, which must not matter.
    other.train.pixels.fill(7);
    let mut backend = backend_on(other, 1, Precision::Auto);
    let loaded = backend.load_any(&file).unwrap();
    assert_eq!(evaluate(&mut backend, &loaded), expected);

    let half = |mut other: Dataset| {
        // Every image becomes two of half the height.
        other.height /= 2;
        for split in [&mut other.train, &mut other.test] {
            split.labels = split.labels.iter().flat_map(|label| [*label; 2]).collect();
        }
        other
    };
    let teal = |mut other: Dataset| {
        other.classes[1] = "teal".into();
        other
    };
    for (other, network, data) in [
        (half(dataset()), "12×12", "12×6"),
        (teal(dataset()), "red, green, blue", "red, teal"),
    ] {
        let mut backend = backend_on(other, 1, Precision::Auto);
        let error = backend.load_any(&file).unwrap_err().to_string();
        assert!(error.contains(network) && error.contains(data), "{error}");
    }
}

/// The images are so few that the number of requested ones doubles more often than an integer has bits.
#[test]
fn rates_are_measured_on_a_few_small_images() {
    let split = || {
        Split::new(
            vec![100; 12 * 4 * 4 * 3],
            (0..12).map(|image| image % 3).collect(),
        )
    };
    let classes = ["red", "green", "blue"].map(str::to_owned).to_vec();
    let dataset = Dataset::new(classes, (4, 4), split(), split());
    let mut backend = backend_on(dataset, 1, Precision::Float32);
    let rates = backend
        .rates(&training(), &StopFlag::new(), &|| {})
        .unwrap();
    assert!(rates.train > 0.0 && rates.classify > 0.0, "{rates:?}");
}
