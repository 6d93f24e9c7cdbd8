//! The judge on a data set that is learnt in seconds: three classes of coloured noise.

use std::fs;

use faa_op::Stream;
use faa_ops_builtin::builtin_ops;
use faa_policy::{Policy, Step, Strength};
use faa_search::Judge;
use faa_search::config::{Preset, Recipe, SearchConfig};
use faa_search::data::{Dataset, Split};
use faa_search::judge::{Epoch, Images, JudgeError, JudgeTask, StopFlag, TrainTask};
use faa_torch::TorchJudge;
use faa_torch::network::WideResNet;
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

fn judge() -> TorchJudge {
    tch::set_num_threads(1);
    TorchJudge::new(dataset(), builtin_ops(), Device::Cpu).unwrap()
}

fn recipe() -> Recipe {
    Recipe {
        epochs: 4.try_into().unwrap(),
        batch: 16.try_into().unwrap(),
        learning_rate: 0.05,
        warmup_epochs: 1,
        cutout: 4,
        ..SearchConfig::preset(Preset::Demo, "").training
    }
}

fn train(recipe: &Recipe, seed: u64) -> (Result<WideResNet, JudgeError>, Vec<Epoch>) {
    let images: Vec<usize> = (0..90).collect();
    let task = TrainTask {
        images: &images,
        recipe,
        policy: None,
        seed,
    };
    let mut epochs = Vec::new();
    let network = judge().train(&task, &mut |epoch| epochs.push(*epoch), &StopFlag::new());
    (network, epochs)
}

/// All numbers of a network.
fn weights(network: &WideResNet) -> Vec<f32> {
    let values = |tensor: &tch::Tensor| Vec::<f32>::try_from(tensor.detach().reshape([-1]));
    network
        .store()
        .iter()
        .flat_map(|(_, tensor)| values(tensor).unwrap())
        .collect()
}

#[test]
fn a_network_learns_and_says_how() {
    let (network, epochs) = train(&recipe(), 1);
    let network = network.unwrap();
    assert!(epochs[3].loss < epochs[0].loss / 2.0, "{epochs:?}");
    assert_eq!(
        epochs.iter().map(|epoch| epoch.images).sum::<usize>(),
        4 * 90
    );
    // Six steps an epoch; the last of all 24 has the last rate of the cosine.
    let rate = 0.05 * 0.5 * (1.0 + (std::f64::consts::PI * 17.0 / 18.0).cos());
    assert!((epochs[3].learning_rate - rate).abs() < 1e-15);
    let test = judge()
        .evaluate(&network, Images::Test, &StopFlag::new())
        .unwrap();
    assert!(test.error < 0.1, "{test:?}");
}

#[test]
fn the_same_seed_gives_the_same_network_and_another_another() {
    let network = |seed| weights(&train(&recipe(), seed).0.unwrap());
    assert_eq!(network(1), network(1));
    assert_ne!(network(1), network(2));
}

#[test]
fn a_saved_network_comes_back_and_a_damaged_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("network.safetensors");
    let (recipe, mut judge) = (recipe(), judge());
    let network = train(&recipe, 1).0.unwrap();
    judge.save(&network, &file).unwrap();
    let loaded = judge.load(&recipe, &file).unwrap();
    assert_eq!(weights(&loaded), weights(&network));
    let evaluate = |judge: &mut TorchJudge, network| {
        judge
            .evaluate(network, Images::Test, &StopFlag::new())
            .unwrap()
    };
    assert_eq!(
        evaluate(&mut judge, &loaded),
        evaluate(&mut judge, &network)
    );

    let wider = Recipe {
        width: 2,
        ..recipe.clone()
    };
    let error = judge.load(&wider, &file).unwrap_err().to_string();
    assert!(
        error.contains("holds another network: `group1.block0.conv1.weight`"),
        "{error}"
    );
    let bytes = fs::read(&file).unwrap();
    for length in [0, 7, 100, bytes.len() - 1] {
        fs::write(&file, &bytes[..length]).unwrap();
        let error = judge.load(&recipe, &file).unwrap_err().to_string();
        assert!(error.contains("network.safetensors is damaged"), "{error}");
    }
}

#[test]
fn a_candidate_that_does_nothing_is_judged_like_the_images_themselves() {
    let plain = Recipe {
        crop_padding: 0,
        flip: false,
        cutout: 0,
        ..recipe()
    };
    let (mut judge, images) = (judge(), (0..90).collect::<Vec<_>>());
    let network = train(
        &Recipe {
            epochs: 1.try_into().unwrap(),
            ..recipe()
        },
        1,
    )
    .0
    .unwrap();
    let mut verdict = |probability| {
        let candidate = darken(probability);
        let task = JudgeTask {
            images: &images,
            recipe: &plain,
            candidate: &candidate,
            draws: 5,
            seed: 3,
        };
        judge.judge(&network, &task, &StopFlag::new()).unwrap()
    };
    let (never, always, sometimes) = (verdict(0.0), verdict(1.0), verdict(0.5));
    let evaluation = self::judge()
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
    let (network, _) = train(
        &Recipe {
            learning_rate: 1e30,
            ..recipe()
        },
        1,
    );
    let error = network.unwrap_err();
    assert!(
        matches!(error, JudgeError::Diverged { epoch: 0 | 1, .. }),
        "{error}"
    );
}

#[test]
fn a_set_flag_stops_a_training() {
    let stop = StopFlag::new();
    let (recipe, images) = (recipe(), (0..90).collect::<Vec<_>>());
    let task = TrainTask {
        images: &images,
        recipe: &recipe,
        policy: None,
        seed: 1,
    };
    let mut epochs = 0;
    let network = judge().train(
        &task,
        &mut |_| {
            epochs += 1;
            stop.set();
        },
        &stop,
    );
    assert!(matches!(network, Err(JudgeError::Stopped)));
    assert_eq!(epochs, 1);
}
