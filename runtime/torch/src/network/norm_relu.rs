//! A sum, batch norm and ReLU in training, forward and backward.

use std::collections::HashMap;

use tch::{TchError, Tensor};

use super::cpu_norm::{self, Pair};
use super::layers::{BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM, BatchNorm};
use super::team::Seat;
use crate::cpu;
use crate::cuda::Kernels;
use crate::layout::channels_last;

#[derive(Debug)]
pub(super) struct NormRelu {
    norm: BatchNorm,
    /// Of the weight and of the bias.
    gradients: [Tensor; 2],
    cuda: Option<Cuda>,
}

/// What the kernels on CUDA need.
#[derive(Debug)]
pub(super) struct Cuda {
    pub(super) kernels: &'static Kernels,
    /// `[2, channels]` of the forward pass and of the backward pass, which are zero before it.
    pub(super) sums: [Tensor; 2],
}

/// A member's part of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    pub(super) seat: &'a Seat<'a>,
    /// The number of images of the whole batch.
    pub(super) images: i64,
}

/// The input of batch norm, and the output of ReLU.
#[derive(Debug)]
pub(super) struct Activation {
    pub(super) x: Tensor,
    pub(super) out: Tensor,
    /// On a CPU.
    statistics: Option<Statistics>,
}

/// Of the whole batch, for each channel.
#[derive(Debug)]
struct Statistics {
    mean: Vec<f64>,
    inverse_std: Vec<f64>,
    /// Batch norm as `scale · x + shift`.
    affine: Pair,
}

impl NormRelu {
    /// That of a name, whose parameters' gradients it takes from those by name.
    pub(super) fn new(
        name: &str,
        norm: &BatchNorm,
        gradients: &mut HashMap<&str, Tensor>,
        cuda: Option<Cuda>,
    ) -> Self {
        let mut gradient_of = |part: &str| {
            let gradient = gradients.remove(format!("{name}.{part}").as_str());
            gradient.expect("every parameter has a gradient")
        };
        Self {
            gradients: [gradient_of("weight"), gradient_of("bias")],
            norm: norm.shallow_clone(),
            cuda,
        }
    }

    /// Of `x`, plus `added`.
    pub(super) fn forward(
        &self,
        mut x: Tensor,
        added: Option<&Tensor>,
        part: Part<'_>,
    ) -> Result<Activation, TchError> {
        if let Some(Cuda { kernels, sums }) = &self.cuda {
            let norm = &self.norm;
            let running = [&norm.running_mean, &norm.running_var];
            let parameters = [&norm.weight, &norm.bias];
            let (x, out) = kernels.forward(&x, added, &sums[0], parameters, running)?;
            let statistics = None;
            return Ok(Activation { x, out, statistics });
        }
        let sums = cpu_norm::add_and_sum(&mut x, added)?;
        let statistics = self.statistics(part.sum(sums)?, part.pixels(&x), part.seat)?;
        let out = cpu_norm::affine_relu(&x, &statistics.affine)?;
        let statistics = Some(statistics);
        Ok(Activation { x, out, statistics })
    }

    /// From the sums over all pixels of the batch, and those of the squares. Updates the running ones.
    fn statistics(
        &self,
        [sums, squares]: Pair,
        pixels: f64,
        seat: &Seat<'_>,
    ) -> Result<Statistics, TchError> {
        let mean: Vec<f64> = sums.iter().map(|sum| sum / pixels).collect();
        let variance = squares.iter().zip(&mean).map(|(square, mean)| {
            let variance = square / pixels - mean * mean;
            // Rounding can make it negative. It stays NaN.
            if variance < 0.0 { 0.0 } else { variance }
        });
        let variance: Vec<f64> = variance.collect();
        if seat.is_first() {
            let unbiased = variance.iter().map(|it| it * (pixels / (pixels - 1.0)));
            update(&self.norm.running_mean, mean.iter().copied())?;
            update(&self.norm.running_var, unbiased)?;
        }
        let inverse_std = variance
            .iter()
            .map(|it| 1.0 / (it + BATCH_NORM_EPSILON).sqrt());
        let inverse_std: Vec<f64> = inverse_std.collect();
        let scale = product(&cpu::read(&self.norm.weight)?, &inverse_std);
        let bias = cpu::read(&self.norm.bias)?;
        let shift = bias.iter().zip(product(&mean, &scale));
        let shift = shift.map(|(bias, shift)| bias - shift).collect();
        Ok(Statistics {
            mean,
            inverse_std,
            affine: [scale, shift],
        })
    }

    /// The gradient with respect to the input, plus `skip`, from that with respect to the output, which is
    /// overwritten.
    pub(super) fn backward(
        &self,
        pass: &Activation,
        mut gradient: Tensor,
        skip: Option<&Tensor>,
        part: Part<'_>,
    ) -> Result<Tensor, TchError> {
        let (norm, [of_weight, of_bias]) = (&self.norm, &self.gradients);
        if let Some(Cuda { kernels, sums }) = &self.cuda {
            let sums = [&sums[0], &sums[1]];
            let parameters = [&norm.weight, &norm.bias];
            let gradients = [of_weight, of_bias];
            return kernels.backward(&pass.x, &gradient, skip, sums, parameters, gradients);
        }
        let statistics = pass.statistics.as_ref().expect("the batch's, on a CPU");
        let Statistics {
            mean,
            inverse_std,
            affine,
        } = statistics;
        gradient = channels_last(&gradient)?;
        let sums = cpu_norm::sum_gradient(&gradient, &pass.x, affine, mean)?;
        let [of_shift, centred] = part.sum(sums)?;
        let of_scale = product(&centred, inverse_std);
        if part.seat.is_first() {
            cpu::write(of_weight, &of_scale)?;
            cpu::write(of_bias, &of_shift)?;
        }
        // scale · (g − mean of g − x̂ · mean of g · x̂), with x̂ = (x − mean) · inverse_std.
        let pixels = part.pixels(&pass.x);
        let scale = &affine[0];
        let of_x = product(&product(scale, inverse_std), &of_scale);
        let of_x: Vec<f64> = of_x.iter().map(|it| -it / pixels).collect();
        let constant = product(scale, &of_shift)
            .into_iter()
            .zip(product(&of_x, mean));
        let constant = constant
            .map(|(of_mean, of_x)| -of_mean / pixels - of_x)
            .collect();
        let factors = [scale.clone(), of_x, constant];
        cpu_norm::gradient_of_x(&mut gradient, skip, &pass.x, affine, &factors)?;
        Ok(gradient)
    }
}

impl Part<'_> {
    /// The sums of all members.
    fn sum(&self, [first, second]: Pair) -> Result<Pair, TchError> {
        let channels = first.len();
        let mut sums = [first, second].concat();
        self.seat.sum(&mut sums)?;
        let second = sums.split_off(channels);
        Ok([sums, second])
    }

    /// The number of pixels of the whole batch in images of this size.
    fn pixels(&self, like: &Tensor) -> f64 {
        let size = like.size();
        (self.images * size[2] * size[3]) as f64
    }
}

/// Moves running statistics towards those of the batch.
fn update(running: &Tensor, batch: impl Iterator<Item = f64>) -> Result<(), TchError> {
    let recorded = cpu::read(running)?;
    let updated = recorded.iter().zip(batch);
    let updated = updated.map(|(old, new)| old + BATCH_NORM_MOMENTUM * (new - old));
    cpu::write(running, &updated.collect::<Vec<_>>())
}

/// Element by element.
fn product(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a * b).collect()
}
