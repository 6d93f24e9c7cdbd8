//! The network, its training step and the learning rate against PyTorch 2.11.
//!
//! `golden/wrn_golden.py` wrote the golden values and defines the weights and images.
//!
//! Semantics are compared in float64 on both sides, where the processor's kernels do not matter. Of the
//! mistakes that were tried, the smallest, a missing weight decay on the linear bias, exceeds [`DOUBLE`]
//! 10,000 times. In float32, which networks use, only quantities that rounding changes little are
//! compared, with tolerances from the spread of PyTorch's own results over kernels.

use std::collections::BTreeMap;

use faa_search::config::{Preset, RunConfig};
use faa_search::model::Model;
use faa_torch::device::cpu_has_bf16;
use faa_torch::network::{Folded, Role, Shape, TensorSpec, Trainable, WideResNet};
use faa_torch::schedule::Schedule;
use faa_torch::sgd::Sgd;
use serde::Deserialize;
use tch::{Device, Kind, Reduction, Tensor};

/// Relative to the larger of 1 and the golden value, which has 13 digits.
const DOUBLE: f64 = 1e-10;
/// The tolerance in float32 and bf16, as a multiple of the largest distance that PyTorch's own results
/// have from float64, over all networks and kernels. Measured on an AMD EPYC (family 25) with AVX-512:
/// logits 9.3e-6, the same with batch norm folded; 0.57 % of the largest logit in bf16. Whether rounding
/// moves the input of some ReLU across zero is chance, and so differs between networks.
const SPREAD: f64 = 3.0;

#[derive(Deserialize)]
struct Golden {
    parameter_counts: BTreeMap<String, usize>,
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
    /// The distance of PyTorch's float32 from these values, by the kernels used.
    float32_distance: BTreeMap<String, Distance>,
}

/// By quantity.
type Distance = BTreeMap<String, f64>;

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
    let images = images.to_kind(Kind::Double);
    for (case, threads) in on_threads(&golden.cases) {
        let network = hashed_network(case, Kind::Double);
        for tensor in &case.tensors_before {
            assert_tensor(&network, tensor);
        }
        let evaluate = || network.forward(&images).unwrap();
        assert_logits(&evaluate(), &case.eval_logits_before, DOUBLE);
        let mut sgd = case.sgd(&network, &golden.optimizer);
        for golden_step in &case.steps {
            let rate = golden.optimizer.rate;
            let step = step(&network, &mut sgd, (&images, &labels), rate, threads);
            assert_logits(&step.logits, &golden_step.logits, DOUBLE);
            assert_near("loss", step.loss, golden_step.loss, DOUBLE);
            let norm = golden_step.gradient_norm;
            assert_near("gradient norm", step.gradient_norm, norm, DOUBLE);
            for tensor in &golden_step.tensors {
                assert_tensor(&network, tensor);
            }
        }
        assert_logits(&evaluate(), &case.eval_logits_after, DOUBLE);
    }
}

/// The first step only: the gradient jumps if rounding moves the input of a ReLU across zero, and the
/// next step then starts from different weights.
#[test]
fn float32_is_as_near_as_pytorchs() {
    let golden = golden();
    let (images, labels) = batch(&golden.images);
    let spread = |quantity: &str| {
        let cases = golden.cases.iter();
        let distances = cases.flat_map(|case| case.float32_distance.values());
        SPREAD * distances.map(|of| of[quantity]).fold(0.0, f64::max)
    };
    let [folded, bf16] = ["folded_logits", "folded_bf16_logits"].map(spread);
    for (case, threads) in on_threads(&golden.cases) {
        let network = hashed_network(case, Kind::Float);
        let logits = network.forward(&images).unwrap();
        let expected = &case.eval_logits_before;
        assert_logits(&logits, expected, spread("eval_logits_before"));
        assert_folded(&network, &images, expected, [folded, bf16]);

        let mut sgd = case.sgd(&network, &golden.optimizer);
        let rate = golden.optimizer.rate;
        let step = step(&network, &mut sgd, (&images, &labels), rate, threads);
        let golden = &case.steps[0];
        assert_logits(&step.logits, &golden.logits, spread("logits"));
        assert_near("loss", step.loss, golden.loss, spread("loss"));
        let (norm, expected) = (step.gradient_norm, golden.gradient_norm);
        assert_near("gradient norm", norm, expected, spread("gradient_norm"));
    }
}

/// Every case on one thread, and on threads of which each has two images, one or two, one or none of the four.
fn on_threads(cases: &[Case]) -> impl Iterator<Item = (&Case, usize)> {
    cases
        .iter()
        .flat_map(|case| [1, 2, 3, 4, 7].map(|threads| (case, threads)))
}

impl Case {
    fn sgd(&self, network: &WideResNet, optimizer: &Optimizer) -> Sgd {
        let mut training = RunConfig::for_search(Preset::Cifar10, "").common.training;
        training.weight_decay = optimizer.weight_decay;
        training.clip_norm = self.clip_norm;
        Sgd::new(network, &training).unwrap()
    }
}

/// The results of one training step.
struct StepResult {
    logits: Tensor,
    loss: f64,
    gradient_norm: f64,
}

fn step(
    network: &WideResNet,
    sgd: &mut Sgd,
    (images, labels): (&Tensor, &Tensor),
    rate: f64,
    threads: usize,
) -> StepResult {
    let kind = network.store().parameters()[0].kind();
    let mut trainable = Trainable::new(network, kind, threads).unwrap();
    let (logits, pass) = trainable.forward(images).unwrap();
    let loss = logits.cross_entropy_loss::<Tensor>(labels, None, Reduction::Mean, -100, 0.0);
    let gradient = trainable.backward(pass, &logits, labels).unwrap();
    let rate = Sgd::learning_rate(network, rate).unwrap();
    let norm = sgd.step(network, gradient, &rate).unwrap();
    StepResult {
        logits,
        loss: loss.double_value(&[]),
        gradient_norm: norm.double_value(&[]),
    }
}

/// Folding batch norm changes logits by rounding only.
fn assert_folded(
    network: &WideResNet,
    images: &Tensor,
    golden: &[Vec<f64>],
    [folded, bf16]: [f64; 2],
) {
    let logits = |kind| Folded::new(network, kind).unwrap().forward(images).unwrap();
    assert_logits(&logits(Kind::Float), golden, folded);
    if !cpu_has_bf16() {
        eprintln!("skipped in bf16, which this CPU cannot compute in");
        return;
    }
    let largest = golden.iter().flatten().copied().map(f64::abs);
    let largest = largest.fold(0.0, f64::max);
    assert_logits(&logits(Kind::BFloat16), golden, bf16 * largest);
    let difference = logits(Kind::BFloat16) - logits(Kind::Float);
    let difference = difference.abs().max().double_value(&[]);
    assert!(difference > folded * largest, "bf16 is not used");
}

#[test]
fn parameter_counts_are_pytorchs() {
    for (name, count) in golden().parameter_counts {
        let model = name.to_lowercase().parse().unwrap();
        let shape = Shape::new(model, 10);
        assert_eq!(shape.parameter_count(), count, "{name}");
    }
}

#[test]
fn learning_rates_are_pytorchs() {
    let golden = golden().schedule;
    let schedule = Schedule::new(golden.peak, golden.warmup_steps, golden.total_steps);
    for (step, rate) in golden.points {
        let what = format!("rate of step {step}");
        assert_near(&what, schedule.rate(step), rate, 1e-14);
    }
}

#[test]
fn weight_decay_applies_to_all_parameters_but_those_of_batch_norm() {
    for spec in shape(16, 2).tensors() {
        let of_batch_norm = spec.name.contains("bn");
        let expected = match spec.name.rsplit('.').next() {
            Some("running_mean" | "running_var") => Role::Buffer,
            _ if of_batch_norm => Role::BatchNorm,
            _ => Role::Weight,
        };
        assert_eq!(spec.role, expected, "{}", spec.name);
    }
}

fn shape(depth: usize, width: usize) -> Shape {
    let model = Model::new(depth, width).unwrap();
    Shape::new(model, 10)
}

/// The network whose weights are computed from the hash.
fn hashed_network(case: &Case, kind: Kind) -> WideResNet {
    let shape = shape(case.depth, case.width);
    let mut number = 0;
    WideResNet::of_kind(shape, kind, Device::Cpu, |spec| {
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
        |(index, byte): (usize, &u8)| (f32::from(*byte) / 255.0 - MEAN[index % 3]) / STD[index % 3];
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
            let what = format!("logit {class} of image {row}");
            assert_near(&what, found, *golden, tolerance);
        }
    }
}

/// Norm, sum and first elements of a tensor. The sum may cancel, so it is compared on the scale of
/// the norm.
fn assert_tensor(network: &WideResNet, golden: &GoldenTensor) {
    let name = &golden.name;
    let tensors = network.store();
    let (_, tensor) = tensors
        .iter()
        .find(|(spec, _)| spec.name == *name)
        .expect(name);
    let tensor = tensor.detach().reshape([-1]);
    let norm = tensor.norm().double_value(&[]);
    assert_near(&format!("norm of {name}"), norm, golden.norm, DOUBLE);
    let sum = tensor.sum(Kind::Double).double_value(&[]);
    let tolerance = DOUBLE * golden.norm.max(1.0);
    assert_near(&format!("sum of {name}"), sum, golden.sum, tolerance);
    for (index, golden) in golden.first.iter().enumerate() {
        let found = tensor.double_value(&[index as i64]);
        assert_near(
            &format!("element {index} of {name}"),
            found,
            *golden,
            DOUBLE,
        );
    }
}

fn assert_near(what: &str, found: f64, golden: f64, tolerance: f64) {
    let distance = (found - golden).abs();
    assert!(
        distance <= tolerance * golden.abs().max(1.0),
        "{what}: {found}, not {golden} (off by {distance:e})"
    );
}
