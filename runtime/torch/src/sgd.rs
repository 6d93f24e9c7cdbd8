//! Stochastic gradient descent with Nesterov momentum.

use tch::{Kind, TchError, Tensor, no_grad};

use crate::network::{Store, WideResNet};

const MOMENTUM: f64 = 0.9;

/// The optimizer of one network.
///
/// A step is that of PyTorch's `clip_grad_norm_` and then its `SGD` with `nesterov=True`: the
/// gradient of all parameters together is scaled down to a largest norm; weight decay is added to
/// that of weights, not of batch norm; `v ← μ v + g`; `w ← w − η (g + μ v)`. Nothing is read back
/// from the device.
#[derive(Debug)]
pub struct Sgd {
    weight_decay: f64,
    clip_norm: f64,
    velocity: Tensor,
}

impl Sgd {
    /// An optimizer at rest.
    ///
    /// # Errors
    ///
    /// What libtorch reports.
    pub fn new(network: &WideResNet, weight_decay: f64, clip_norm: f64) -> Result<Self, TchError> {
        let velocity = network.store().flat().f_zeros_like()?;
        Ok(Self {
            weight_decay,
            clip_norm,
            velocity,
        })
    }

    /// One step against the gradient of `loss`. Returns the gradient's norm before it was clipped,
    /// as a tensor on the device.
    ///
    /// # Errors
    ///
    /// What libtorch reports.
    pub fn step(
        &mut self,
        network: &WideResNet,
        loss: &Tensor,
        learning_rate: f64,
    ) -> Result<Tensor, TchError> {
        let store = network.store();
        let gradients = Tensor::f_run_backward(&[loss], &store.learnt(), false, false)?;
        no_grad(|| {
            let mut gradient = Store::flatten(&gradients)?;
            // In one run over millions of 32-bit squares the small ones would be lost.
            let norm = gradient.f_norm_scalaropt_dtype(2, Kind::Double)?;
            let scale = (norm.f_add_scalar(1e-6)?.f_reciprocal()?)
                .f_mul_scalar(self.clip_norm)?
                .f_clamp_max(1.0)?
                .f_to_kind(Kind::Float)?;
            drop(gradient.f_mul_(&scale)?);
            self.descend(store, &mut gradient, learning_rate)?;
            Ok(norm)
        })
    }

    fn descend(
        &mut self,
        store: &Store,
        gradient: &mut Tensor,
        learning_rate: f64,
    ) -> Result<(), TchError> {
        // What in-place operations return is another handle to the tensor that they changed.
        let mut flat = store.flat().shallow_clone();
        let weights = flat.f_narrow(0, 0, store.decayed())?;
        let mut decayed = gradient.f_narrow(0, 0, store.decayed())?;
        drop(decayed.f_add_(&weights.f_mul_scalar(self.weight_decay)?)?);
        drop(self.velocity.f_mul_scalar_(MOMENTUM)?.f_add_(gradient)?);
        drop(gradient.f_add_(&self.velocity.f_mul_scalar(MOMENTUM)?)?);
        drop(flat.f_sub_(&gradient.f_mul_scalar(learning_rate)?)?);
        Ok(())
    }
}
