//! Stochastic gradient descent with Nesterov momentum.

mod cpu;

use std::ops::Range;

use faa_search::config::TrainingConfig;
use tch::{Device, Kind, TchError, Tensor};

use self::cpu::Factors;
use crate::network::{Store, WideResNet};
use crate::shim;

/// What PyTorch adds to the norm of a gradient before it divides by it.
const CLIP_EPSILON: f64 = 1e-6;

/// The optimizer of one network.
///
/// A step is PyTorch's `clip_grad_norm_` followed by its `SGD` with `nesterov=True`: the gradient of all
/// parameters together is scaled down to a maximum norm; weight decay applies to weights, not to batch
/// norm; `v ← μ v + g`; `w ← w − η (g + μ v)`. Nothing is read back from the device.
#[derive(Debug)]
pub struct Sgd {
    momentum: f64,
    weight_decay: f64,
    clip_norm: f64,
    momentum_buffer: Tensor,
}

impl Sgd {
    /// An optimizer whose momentum buffer is zero.
    ///
    /// # Errors
    ///
    /// Those of libtorch.
    pub fn new(network: &WideResNet, training: &TrainingConfig) -> Result<Self, TchError> {
        let momentum_buffer = network.store().flat().f_zeros_like()?;
        Ok(Self {
            momentum: training.momentum,
            weight_decay: training.weight_decay,
            clip_norm: training.clip_norm,
            momentum_buffer,
        })
    }

    /// The momentum of all parameters, laid out like [`Store::flat`].
    pub(crate) fn momentum_buffer(&self) -> &Tensor {
        &self.momentum_buffer
    }

    /// One step against the gradient, which is laid out like the flat tensor of [`Store`];
    /// `learning_rate` is a scalar on the device. Returns the gradient's norm before it was clipped, as a
    /// tensor on the device.
    ///
    /// # Errors
    ///
    /// Those of libtorch.
    pub fn step(
        &mut self,
        network: &WideResNet,
        gradient: &Tensor,
        learning_rate: &Tensor,
    ) -> Result<Tensor, TchError> {
        if network.device() == Device::Cpu {
            return self.step_on_cpu(network.store(), gradient, learning_rate);
        }
        // In double precision: a float32 sum over millions of squares would lose the small ones.
        let norm = gradient.f_norm_scalaropt_dtype(2, Kind::Double)?;
        let scale = (norm.f_add_scalar(CLIP_EPSILON)?.f_reciprocal()?)
            .f_mul_scalar(self.clip_norm)?
            .f_clamp_max(1.0)?
            .f_to_kind(gradient.kind())?;
        let clipped = gradient.f_mul(&scale)?;
        for (part, weight_decay) in self.parts(network.store()) {
            let part = |tensor: &Tensor| tensor.f_narrow(0, part.start, part.end - part.start);
            shim::fused_sgd(
                &mut part(network.store().flat())?,
                &part(&clipped)?,
                &mut part(&self.momentum_buffer)?,
                self.momentum,
                weight_decay,
                learning_rate,
            )?;
        }
        Ok(norm)
    }

    fn step_on_cpu(
        &mut self,
        store: &Store,
        gradient: &Tensor,
        learning_rate: &Tensor,
    ) -> Result<Tensor, TchError> {
        let norm = cpu::squares(gradient)?.sqrt();
        let clip = self.clip_norm / (norm + CLIP_EPSILON);
        let learning_rate = learning_rate.f_double_value(&[])?;
        for (part, weight_decay) in self.parts(store) {
            let part = |tensor: &Tensor| tensor.f_narrow(0, part.start, part.end - part.start);
            let factors = Factors {
                // NaN stays NaN.
                clip: if clip > 1.0 { 1.0 } else { clip },
                weight_decay,
                momentum: self.momentum,
                learning_rate,
            };
            cpu::update(
                &mut part(store.flat())?,
                &part(gradient)?,
                &mut part(&self.momentum_buffer)?,
                factors,
            )?;
        }
        Ok(Tensor::from(norm))
    }

    /// The parameters with weight decay and those without, as ranges of the flat tensor, each with its weight decay.
    fn parts(&self, store: &Store) -> [(Range<i64>, f64); 2] {
        let (decayed, all) = (store.decayed_len(), store.flat().numel() as i64);
        [(0..decayed, self.weight_decay), (decayed..all, 0.0)]
    }

    /// A scalar for the learning rate on the device of a network. The kernel on CUDA reads a
    /// 32-bit float; on a CPU, the rate is read as one of 64 bits.
    ///
    /// # Errors
    ///
    /// Those of libtorch.
    pub fn learning_rate(network: &WideResNet, rate: f64) -> Result<Tensor, TchError> {
        let device = network.device();
        let kind = if device.is_cuda() {
            Kind::Float
        } else {
            Kind::Double
        };
        Tensor::f_scalar_tensor(rate, (kind, device))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use faa_search::config::{Preset, RunConfig};
    use faa_search::model::Model;

    use crate::network::{ALIGNMENT, Role, Shape};

    /// Data pointers, momentum and gradients, for numbers of classes of which only one is a multiple of 16.
    #[test]
    fn every_parameter_is_at_a_multiple_of_64_bytes() {
        for classes in [2, 7, 10, 43, 1_000, 16] {
            let model = Model::new(10, 1).unwrap();
            let shape = Shape { model, classes };
            let network =
                WideResNet::new(shape, Device::Cpu, |spec| vec![1.0; spec.len()]).unwrap();
            let store = network.store();
            for (spec, tensor) in store.iter() {
                let address = tensor.data_ptr() as usize;
                assert_eq!(address % 64, 0, "{} with {classes} classes", spec.name);
            }
            assert_eq!(store.decayed_len() % ALIGNMENT as i64, 0);

            // A gradient is where its parameter is, and momentum is as long.
            for (number, parameter) in (1_i64..).zip(store.parameters()) {
                drop(parameter.shallow_clone().fill_(number));
            }
            let decayed = store.iter().filter(|(spec, _)| spec.role == Role::Weight);
            let gradients: Vec<Tensor> = decayed.map(|(_, tensor)| tensor.copy()).collect();
            let start = store.flat().narrow(0, 0, store.decayed_len());
            let flat = store.flat().zeros_like();
            drop(Store::flatten(&gradients, &flat).unwrap());
            assert_eq!(flat.narrow(0, 0, store.decayed_len()), start);
            for role in [Role::Weight, Role::BatchNorm] {
                let views = store.views_of(store.flat(), role).unwrap();
                let of_role = store.iter().filter(|(spec, _)| spec.role == role);
                for (spec, tensor) in of_role {
                    assert_eq!(views[spec.name.as_str()].data_ptr(), tensor.data_ptr());
                }
            }
            let training = RunConfig::for_search(Preset::Demo, "").common.training;
            let sgd = Sgd::new(&network, &training).unwrap();
            assert_eq!(sgd.momentum_buffer().size(), store.flat().size());
        }
    }

    #[test]
    fn a_gradient_that_is_not_a_number_reaches_every_weight() {
        let shape = Shape::new(Model::new(10, 1).unwrap(), 10);
        let network = WideResNet::new(shape, Device::Cpu, |spec| vec![1.0; spec.len()]).unwrap();
        let training = RunConfig::for_search(Preset::Demo, "").common.training;
        let mut sgd = Sgd::new(&network, &training).unwrap();
        let gradient = network.store().flat().zeros_like();
        drop(gradient.get(7).fill_(f64::NAN));
        let rate = Sgd::learning_rate(&network, 0.1).unwrap();
        let norm = sgd.step(&network, &gradient, &rate).unwrap();
        assert!(norm.double_value(&[]).is_nan());
        let flat = network.store().flat();
        assert_eq!(
            flat.isnan().sum(Kind::Int64).int64_value(&[]),
            flat.numel() as i64
        );
    }
}
