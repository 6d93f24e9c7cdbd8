//! A step of gradient descent on a CPU, as two passes over the parameters. Libtorch's functions would make a copy of
//! the gradient in double precision, and one that is clipped.
#![allow(
    unsafe_code,
    reason = "functions for the features of x86-64 are called; on other processors there are none"
)]

use tch::{TchError, Tensor};

use crate::cpu::{Element, each_kind, elements, elements_mut, numbers, vectorised};

/// The sum of the squares of all elements.
pub(super) fn squares(gradient: &Tensor) -> Result<f64, TchError> {
    let mut sum = 0.0;
    each_kind!(gradient.kind(), T => {
        add_squares(elements::<T>(gradient, gradient)?, &mut sum);
    });
    Ok(sum)
}

/// The numbers by which a step changes some of the parameters.
#[derive(Clone, Copy)]
pub(super) struct Factors {
    /// By which the gradient is multiplied.
    pub(super) clip: f64,
    pub(super) weight_decay: f64,
    pub(super) momentum: f64,
    pub(super) learning_rate: f64,
}

/// `g ← clip · gradient + weight_decay · weights`, `v ← momentum · v + g`,
/// `weights ← weights − learning_rate · (g + momentum · v)`, with `v` the momentum buffer.
pub(super) fn update(
    weights: &mut Tensor,
    gradient: &Tensor,
    momentum_buffer: &mut Tensor,
    factors: Factors,
) -> Result<(), TchError> {
    let Factors {
        clip,
        weight_decay,
        momentum,
        learning_rate,
    } = factors;
    each_kind!(weights.kind(), T => {
        let gradient = elements::<T>(gradient, weights)?;
        let factors = numbers::<T>(&[clip, weight_decay, momentum, learning_rate]);
        let buffer = elements_mut::<T>(momentum_buffer)?;
        descend(elements_mut::<T>(weights)?, gradient, buffer, &factors);
    });
    Ok(())
}

/// Sums that are computed side by side.
const LANES: usize = 16;

vectorised! {
    fn add_squares<T>(elements: &[T], sum: &mut f64) {
        let mut sums = [0.0; LANES];
        let (rows, rest) = elements.as_chunks::<LANES>();
        for row in rows {
            for (sum, element) in sums.iter_mut().zip(row) {
                *sum += element.to_f64() * element.to_f64();
            }
        }
        let rest = rest.iter().map(|it| it.to_f64() * it.to_f64());
        *sum += sums.iter().sum::<f64>() + rest.sum::<f64>();
    }
}

vectorised! {
    fn descend<T>(
        weights: &mut [T],
        gradient: &[T],
        momentum_buffer: &mut [T],
        factors: &[T::Number],
    ) {
        let [clip, weight_decay, momentum, learning_rate] = *factors else {
            return;
        };
        let elements = weights.iter_mut().zip(gradient).zip(momentum_buffer);
        for ((weight, gradient), buffer) in elements {
            let gradient = clip * gradient.get() + weight_decay * weight.get();
            let velocity = momentum * buffer.get() + gradient;
            *buffer = T::of(velocity);
            let step = learning_rate * (gradient + momentum * velocity);
            *weight = T::of(weight.get() - step);
        }
    }
}
