use tch::{TchError, Tensor};

use super::store::{Store, TensorSpec};

/// The weight of a batch in the running statistics, as in PyTorch.
pub(super) const BATCH_NORM_MOMENTUM: f64 = 0.1;
pub(super) const BATCH_NORM_EPSILON: f64 = 1e-5;

/// The dimensions of a residual block.
#[derive(Clone, Debug)]
pub(super) struct BlockShape {
    pub(super) name: String,
    pub(super) in_channels: usize,
    pub(super) out_channels: usize,
    pub(super) stride: i64,
}

impl BlockShape {
    /// Whether the shortcut is a convolution, because resolution or channels change.
    fn has_shortcut(&self) -> bool {
        self.stride != 1 || self.in_channels != self.out_channels
    }

    pub(super) fn tensors(&self, tensors: &mut Vec<TensorSpec>) {
        let (inputs, outputs) = (self.in_channels, self.out_channels);
        let layer = |layer: &str| format!("{}.{layer}", self.name);
        TensorSpec::batch_norm(&layer("bn1"), inputs, tensors);
        tensors.push(TensorSpec::conv(&layer("conv1"), outputs, inputs, 3));
        TensorSpec::batch_norm(&layer("bn2"), outputs, tensors);
        tensors.push(TensorSpec::conv(&layer("conv2"), outputs, outputs, 3));
        if self.has_shortcut() {
            tensors.push(TensorSpec::conv(&layer("shortcut"), outputs, inputs, 1));
        }
    }
}

/// A pre-activation block: batch norm and ReLU before each of two 3×3 convolutions, of which the
/// first has the stride.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) name: String,
    pub(super) bn1: BatchNorm,
    pub(super) conv1: Tensor,
    pub(super) bn2: BatchNorm,
    pub(super) conv2: Tensor,
    pub(super) shortcut: Option<Tensor>,
    pub(super) stride: i64,
}

impl Block {
    pub(super) fn new(shape: &BlockShape, store: &Store) -> Self {
        let name = &shape.name;
        let conv = |layer: &str| store.get(&format!("{name}.{layer}.weight"));
        Self {
            name: name.clone(),
            bn1: BatchNorm::new(&format!("{name}.bn1"), store),
            conv1: conv("conv1"),
            bn2: BatchNorm::new(&format!("{name}.bn2"), store),
            conv2: conv("conv2"),
            shortcut: shape.has_shortcut().then(|| conv("shortcut")),
            stride: shape.stride,
        }
    }

    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let activated = self.bn1.relu(x)?;
        let inner = conv3x3(&activated, &self.conv1, self.stride)?;
        let residual = conv3x3(&self.bn2.relu(&inner)?, &self.conv2, 1)?;
        match &self.shortcut {
            None => residual.f_add(x),
            Some(weight) => residual.f_add(&conv(&activated, weight, self.stride, 0)?),
        }
    }
}

#[derive(Debug)]
pub(super) struct BatchNorm {
    pub(super) weight: Tensor,
    pub(super) bias: Tensor,
    pub(super) running_mean: Tensor,
    pub(super) running_var: Tensor,
}

impl BatchNorm {
    pub(super) fn new(name: &str, store: &Store) -> Self {
        let get = |part: &str| store.get(&format!("{name}.{part}"));
        Self {
            weight: get("weight"),
            bias: get("bias"),
            running_mean: get("running_mean"),
            running_var: get("running_var"),
        }
    }

    /// New handles to the same tensors.
    pub(super) fn shallow_clone(&self) -> Self {
        Self {
            weight: self.weight.shallow_clone(),
            bias: self.bias.shallow_clone(),
            running_mean: self.running_mean.shallow_clone(),
            running_var: self.running_var.shallow_clone(),
        }
    }

    /// Batch norm with the running statistics as `scale · x + shift`; both are `[channels]`.
    pub(super) fn scale_and_shift(&self) -> Result<(Tensor, Tensor), TchError> {
        let std = self
            .running_var
            .f_add_scalar(BATCH_NORM_EPSILON)?
            .f_sqrt()?;
        let scale = self.weight.f_div(&std)?;
        let shift = self.bias.f_sub(&self.running_mean.f_mul(&scale)?)?;
        Ok((scale, shift))
    }

    /// Batch norm with the running statistics, and then ReLU.
    pub(super) fn relu(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let (mut normalised, _, _) = x.f_native_batch_norm(
            Some(&self.weight),
            Some(&self.bias),
            Some(&self.running_mean),
            Some(&self.running_var),
            false,
            BATCH_NORM_MOMENTUM,
            BATCH_NORM_EPSILON,
        )?;
        // Nothing else uses the output of batch norm, so ReLU may work in place.
        normalised.f_relu_()
    }
}

pub(super) fn conv3x3(x: &Tensor, weight: &Tensor, stride: i64) -> Result<Tensor, TchError> {
    conv(x, weight, stride, 1)
}

pub(super) fn conv(
    x: &Tensor,
    weight: &Tensor,
    stride: i64,
    padding: i64,
) -> Result<Tensor, TchError> {
    x.f_conv2d(
        weight,
        None::<&Tensor>,
        [stride; 2],
        [padding; 2],
        [1_i64; 2],
        1,
    )
}
