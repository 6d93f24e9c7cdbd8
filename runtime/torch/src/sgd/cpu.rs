//! A step of gradient descent on a CPU, as two passes over the parameters. Libtorch's functions would make a copy of
//! the gradient in double precision, and one that is clipped.

use tch::{TchError, Tensor};

use crate::cpu::{Element, Number, each_kind, elements, elements_mut, vectorised};

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
        let factors = [clip, weight_decay, momentum, learning_rate].map(<<T as Element>::Number as Number>::of_f64);
        let buffer = elements_mut::<T>(momentum_buffer)?;
        descend(elements_mut::<T>(weights)?, gradient, buffer, &factors);
    });
    Ok(())
}

/// The number of partial sums, which fill vectors.
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
        factors: &[T::Number; 4],
    ) {
        let [clip, weight_decay, momentum, learning_rate] = *factors;
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

#[cfg(test)]
mod tests {
    use super::*;

    use tch::Kind;

    fn numbers(count: i64, kind: Kind) -> Tensor {
        let numbers = Tensor::arange(count, (Kind::Double, tch::Device::Cpu));
        (numbers * 0.25 - 1.0).to_kind(kind)
    }

    #[test]
    fn squares_of_any_number_of_elements_are_added() {
        for count in [0, 1, 15, 16, 17, 35] {
            let expected: f64 = (0..count).map(|it| (it as f64 * 0.25 - 1.0).powi(2)).sum();
            for kind in [Kind::Float, Kind::Double, Kind::BFloat16] {
                let sum = squares(&numbers(count, kind)).unwrap();
                assert_eq!(sum, expected, "{count} of {kind:?}");
            }
        }
    }

    #[test]
    fn float32_is_updated_as_float64_is() {
        let factors = Factors {
            clip: 0.5,
            weight_decay: 0.1,
            momentum: 0.9,
            learning_rate: 0.3,
        };
        let updated = [Kind::Float, Kind::Double].map(|kind| {
            let (mut weights, mut buffer) = (numbers(35, kind), numbers(35, kind) * 2.0);
            update(
                &mut weights,
                &(numbers(35, kind) + 3.0),
                &mut buffer,
                factors,
            )
            .unwrap();
            [weights, buffer].map(|it| it.to_kind(Kind::Double))
        });
        for (float, double) in updated[0].iter().zip(&updated[1]) {
            assert!((float - double).abs().max().double_value(&[]) < 1e-5);
        }
        // That of the last element, whose gradient is 10.5: v = 0.9 · 15 + g with g = 0.5 · 10.5 + 0.1 · 7.5.
        let (velocity, gradient) = (19.5, 6.0);
        let expected = 7.5 - 0.3 * (gradient + 0.9 * velocity);
        assert!((updated[1][1].double_value(&[34]) - velocity).abs() < 1e-12);
        assert!((updated[1][0].double_value(&[34]) - expected).abs() < 1e-12);
    }
}
