//! The network, its training step and the learning rate against PyTorch 2.11.
//!
//! `golden/wrn_golden.py` wrote the golden values and says how weights and images are made. The
//! tolerances are a few times what PyTorch itself varies by between instruction sets, thread
//! counts and with oneDNN off; a missing weight decay on the linear bias, the smallest of the
//! mistakes that were tried, is ten times as large.

use faa_search::config::{Preset, Recipe, SearchConfig};
use faa_torch::network::{Folded, Mode, Role, Shape, TensorSpec, WideResNet};
use faa_torch::schedule::Schedule;
use faa_torch::sgd::Sgd;
use serde::Deserialize;
use tch::{Device, Kind, Reduction, Tensor, no_grad};

const EVALUATED_LOGITS: f64 = 3e-5;
/// After two steps. PyTorch itself, with channels innermost in memory as here, is 3.4e-5 away from
/// its other layout, of which the golden values are.
const TRAINED_LOGITS: f64 = 1e-4;
/// Folding rounds every weight once more, in every layer.
const FOLDED_LOGITS: f64 = 1e-4;
/// Of the largest logit: bf16 rounds to eight bits, by up to 0.4 %, in every layer.
const BF16_LOGITS: f64 = 0.02;
const TRAINING: f64 = 3e-6;
const ELEMENT: f64 = 5e-7;
const NORM: f64 = 1e-6;
/// Relative to the norm: the sum of many small numbers of both signs.
const SUM: f64 = 5e-6;

#[derive(Deserialize)]
struct Golden {
    parameter_counts: std::collections::BTreeMap<String, usize>,
    images: Images,
    optimizer: Optimizer,
    schedule: GoldenSchedule,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Images {
    first_bytes: Vec<u8>,
    labels: Vec<i64>,
}

#[derive(Deserialize)]
struct Optimizer {
    rate: f64,
    weight_decay: f64,
}

#[derive(Deserialize)]
struct GoldenSchedule {
    peak: f64,
    warmup_steps: usize,
    total_steps: usize,
    points: Vec<(usize, f64)>,
}

#[derive(Deserialize)]
struct Case {
    depth: usize,
    width: usize,
    clip_norm: f64,
    eval_logits_before: Vec<Vec<f64>>,
    #[serde(default)]
    tensors_before: Vec<GoldenTensor>,
    steps: Vec<Step>,
    eval_logits_after: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct Step {
    logits: Vec<Vec<f64>>,
    loss: f64,
    gradient_norm: f64,
    #[serde(default)]
    tensors: Vec<GoldenTensor>,
}

#[derive(Deserialize)]
struct GoldenTensor {
    name: String,
    norm: f64,
    sum: f64,
    first: Vec<f64>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/wrn_golden.json")).unwrap()
}

#[test]
fn forward_and_training_steps_are_pytorchs() {
    let golden = golden();
    let (images, labels) = batch(&golden.images);
    for case in &golden.cases {
        let shape = Shape::new(case.depth, case.width, 10).unwrap();
        let network = hashed_network(shape);
        for tensor in &case.tensors_before {
            assert_tensor(&network, tensor, 0.0);
        }
        let evaluate = || no_grad(|| network.forward(&images, Mode::Evaluate)).unwrap();
        assert_logits(&evaluate(), &case.eval_logits_before, EVALUATED_LOGITS);

        assert_folded(&network, &images, &case.eval_logits_before);

        let recipe = Recipe {
            weight_decay: golden.optimizer.weight_decay,
            clip_norm: case.clip_norm,
            ..SearchConfig::preset(Preset::Cifar10, "").training
        };
        let mut sgd = Sgd::new(&network, &recipe).unwrap();
        for step in &case.steps {
            let logits = network.forward(&images, Mode::Train).unwrap();
            assert_logits(&logits, &step.logits, TRAINING);
            let loss =
                logits.cross_entropy_loss::<Tensor>(&labels, None, Reduction::Mean, -100, 0.0);
            assert_near("loss", loss.double_value(&[]), step.loss, TRAINING);
            let norm = sgd.step(&network, &loss, golden.optimizer.rate).unwrap();
            assert_near(
                "gradient norm",
                norm.double_value(&[]),
                step.gradient_norm,
                TRAINING,
            );
            for tensor in &step.tensors {
                assert_tensor(&network, tensor, ELEMENT);
            }
        }
        assert_logits(&evaluate(), &case.eval_logits_after, TRAINED_LOGITS);
        assert_folded(&network, &images, &case.eval_logits_after);
    }
}

/// With batch norm folded away, logits are the same up to rounding.
fn assert_folded(network: &WideResNet, images: &Tensor, golden: &[Vec<f64>]) {
    let logits = |kind| Folded::new(network, kind).unwrap().forward(images).unwrap();
    assert_logits(&logits(Kind::Float), golden, FOLDED_LOGITS);
    let largest = golden
        .iter()
        .flatten()
        .fold(0.0_f64, |largest, logit| largest.max(logit.abs()));
    assert_logits(&logits(Kind::BFloat16), golden, BF16_LOGITS * largest);
    let off = logits(Kind::BFloat16) - logits(Kind::Float);
    assert!(
        off.abs().max().double_value(&[]) > FOLDED_LOGITS,
        "bf16 is not used"
    );
}

#[test]
fn parameter_counts_are_pytorchs() {
    for (name, count) in golden().parameter_counts {
        let numbers: Vec<usize> = name
            .split('-')
            .skip(1)
            .map(|n| n.parse().unwrap())
            .collect();
        let shape = Shape::new(numbers[0], numbers[1], 10).unwrap();
        assert_eq!(shape.parameter_count(), count, "{name}");
    }
}

#[test]
fn learning_rates_are_pytorchs() {
    let GoldenSchedule {
        peak,
        warmup_steps,
        total_steps,
        points,
    } = golden().schedule;
    let schedule = Schedule {
        peak,
        warmup: warmup_steps,
        steps: total_steps,
    };
    for (step, rate) in points {
        assert_near(
            &format!("rate of step {step}"),
            schedule.rate(step),
            rate,
            1e-14,
        );
    }
}

#[test]
fn what_is_decayed_is_every_weight_and_nothing_of_batch_norm() {
    for spec in Shape::new(16, 2, 10).unwrap().tensors() {
        let of_batch_norm = spec.name.contains("bn");
        let expected = match spec.name.rsplit('.').next() {
            Some("running_mean" | "running_var") => Role::Statistic,
            _ if of_batch_norm => Role::BatchNorm,
            _ => Role::Weight,
        };
        assert_eq!(spec.role, expected, "{}", spec.name);
    }
}

/// The network whose weights come from the hash.
fn hashed_network(shape: Shape) -> WideResNet {
    let mut number = 0;
    WideResNet::new(shape, Device::Cpu, |spec| {
        let values = hashed_values(spec, number);
        number += 1;
        values
    })
    .unwrap()
}

fn hashed_values(spec: &TensorSpec, number: u64) -> Vec<f32> {
    let scale = |fan_in: f64| (2.0 * 3_f64.sqrt()) * (2.0 / fan_in).sqrt();
    let part = spec.name.rsplit('.').next().unwrap();
    let value = |u: f64| match (part, spec.size.as_slice()) {
        ("weight", [_, fan_in @ ..]) if !fan_in.is_empty() => {
            (u - 0.5) * scale(fan_in.iter().product::<i64>() as f64)
        }
        ("weight" | "running_var", _) => 0.5 + u,
        _ => (u - 0.5) * 0.2,
    };
    let unit = |element: u64| (hash(number, element) >> 40) as f64 / f64::from(1 << 24);
    (0..spec.len() as u64)
        .map(|element| value(unit(element)) as f32)
        .collect()
}

/// Normalised images and their labels.
fn batch(golden: &Images) -> (Tensor, Tensor) {
    const MEAN: [f32; 3] = [0.4914, 0.4822, 0.4465];
    const STD: [f32; 3] = [0.2023, 0.1994, 0.2010];
    let count = golden.labels.len();
    let bytes: Vec<u8> = (0..count as u64 * 32 * 32 * 3)
        .map(|j| (hash(1 << 20, j) >> 56) as u8)
        .collect();
    assert_eq!(bytes[..golden.first_bytes.len()], golden.first_bytes);
    let normal =
        |(place, byte): (usize, &u8)| (f32::from(*byte) / 255.0 - MEAN[place % 3]) / STD[place % 3];
    let pixels: Vec<f32> = bytes.iter().enumerate().map(normal).collect();
    let images = Tensor::from_slice(&pixels)
        .view((count as i64, 32, 32, 3))
        .permute([0, 3, 1, 2]);
    (images, Tensor::from_slice(&golden.labels))
}

fn hash(tensor: u64, element: u64) -> u64 {
    let mut z = ((tensor << 32) + element).wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn assert_logits(logits: &Tensor, golden: &[Vec<f64>], tolerance: f64) {
    for (row, golden) in golden.iter().enumerate() {
        for (class, golden) in golden.iter().enumerate() {
            let found = logits.double_value(&[row as i64, class as i64]);
            assert_near(
                &format!("logit {class} of image {row}"),
                found,
                *golden,
                tolerance,
            );
        }
    }
}

/// Norm, sum and first elements of a tensor; the first elements within `tolerance`, which is
/// relative where they are larger than 1.
fn assert_tensor(network: &WideResNet, golden: &GoldenTensor, tolerance: f64) {
    let name = &golden.name;
    let tensors = network.store();
    let (_, tensor) = tensors
        .iter()
        .find(|(spec, _)| spec.name == *name)
        .expect(name);
    let tensor = tensor.detach().to_kind(Kind::Double).reshape([-1]);
    let norm = tensor.norm().double_value(&[]);
    assert_near(
        &format!("norm of {name}"),
        norm,
        golden.norm,
        NORM * golden.norm,
    );
    let sum = tensor.sum(Kind::Double).double_value(&[]);
    assert_near(
        &format!("sum of {name}"),
        sum,
        golden.sum,
        SUM * golden.norm,
    );
    for (place, golden) in golden.first.iter().enumerate() {
        let found = tensor.double_value(&[place as i64]);
        // Nine digits name a 32-bit float, so a tolerance of 0 asks for the very same one.
        let golden = if tolerance == 0.0 {
            f64::from(*golden as f32)
        } else {
            *golden
        };
        let tolerance = tolerance * golden.abs().max(1.0);
        assert_near(
            &format!("element {place} of {name}"),
            found,
            golden,
            tolerance,
        );
    }
}

fn assert_near(what: &str, found: f64, golden: f64, tolerance: f64) {
    let distance = (found - golden).abs();
    assert!(
        distance <= tolerance,
        "{what}: {found}, not {golden} (off by {distance:e})"
    );
}
