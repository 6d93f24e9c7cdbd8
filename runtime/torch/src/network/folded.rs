//! The network for inference, with batch norm folded into convolutions where possible.

use tch::{Device, Kind, TchError, Tensor, no_grad};

use super::layers::{BatchNorm, Block};
use super::wide_resnet::WideResNet;
use crate::shim;

/// A network for inference only.
///
/// With the running statistics, batch norm is `scale · x + shift` for every channel. After a
/// convolution, `scale` is folded into its weights and `shift` becomes its bias, and ReLU is fused with
/// it. The batch norm at the start of a block cannot be folded, since the shortcut needs `x` itself; it
/// is one fused multiplication and addition.
#[derive(Debug)]
pub struct Folded {
    kind: Kind,
    device: Device,
    stem: Tensor,
    blocks: Vec<FoldedBlock>,
    last: Affine,
    linear: (Tensor, Tensor),
}

/// `scale · x + shift`; both are `[1, channels, 1, 1]`.
#[derive(Debug)]
struct Affine {
    scale: Tensor,
    shift: Tensor,
}

#[derive(Debug)]
struct FoldedBlock {
    first: Affine,
    conv1: (Tensor, Tensor),
    conv2: Tensor,
    shortcut: Option<Tensor>,
    stride: i64,
}

impl Folded {
    /// Folds the network's current weights, to compute in `kind`: [`Kind::Float`] or
    /// [`Kind::BFloat16`]. The linear layer always computes in 32-bit floats.
    ///
    /// # Errors
    ///
    /// Those of libtorch.
    pub fn new(network: &WideResNet, kind: Kind) -> Result<Self, TchError> {
        let block = |block: &Block| FoldedBlock::new(block, kind);
        no_grad(|| {
            Ok(Self {
                kind,
                device: network.device(),
                stem: weights(&network.stem, kind)?,
                blocks: network.blocks.iter().map(block).collect::<Result<_, _>>()?,
                last: Affine::new(&network.bn, kind)?,
                linear: (network.linear.0.f_detach()?, network.linear.1.f_detach()?),
            })
        })
    }

    /// Logits `[images, classes]`, as 32-bit floats, of normalised images
    /// `[images, 3, height, width]` that are channels last in memory.
    ///
    /// # Errors
    ///
    /// Those of libtorch.
    pub fn forward(&self, images: &Tensor) -> Result<Tensor, TchError> {
        no_grad(|| {
            let onednn = self.device == Device::Cpu && tch::utils::has_mkldnn();
            let images = images.f_to_kind(self.kind)?;
            let mut x = conv(&images, &self.stem, None, [1, 1], false, onednn)?;
            for block in &self.blocks {
                x = block.forward(x, onednn)?;
            }
            let features = (self.last.relu(&x)?.f_to_kind(Kind::Float)?).f_mean_dim(
                [2_i64, 3].as_slice(),
                false,
                None,
            )?;
            features.f_linear(&self.linear.0, Some(&self.linear.1))
        })
    }

    /// New handles to the same tensors, for another thread.
    pub(crate) fn shallow_clone(&self) -> Self {
        Self {
            kind: self.kind,
            device: self.device,
            stem: self.stem.shallow_clone(),
            blocks: self.blocks.iter().map(FoldedBlock::shallow_clone).collect(),
            last: self.last.shallow_clone(),
            linear: (self.linear.0.shallow_clone(), self.linear.1.shallow_clone()),
        }
    }
}

impl FoldedBlock {
    fn new(block: &Block, kind: Kind) -> Result<Self, TchError> {
        let (scale, shift) = block.bn2.scale_and_shift()?;
        let conv1 = block.conv1.f_mul(&scale.f_view([-1, 1, 1, 1])?)?;
        let shortcut = block.shortcut.as_ref();
        Ok(Self {
            first: Affine::new(&block.bn1, kind)?,
            conv1: (weights(&conv1, kind)?, shift.f_to_kind(kind)?),
            conv2: weights(&block.conv2, kind)?,
            shortcut: shortcut
                .map(|shortcut| weights(shortcut, kind))
                .transpose()?,
            stride: block.stride,
        })
    }

    fn forward(&self, x: Tensor, onednn: bool) -> Result<Tensor, TchError> {
        let activated = self.first.relu(&x)?;
        let (weight, bias) = &self.conv1;
        let inner = conv(
            &activated,
            weight,
            Some(bias),
            [self.stride, 1],
            true,
            onednn,
        )?;
        let mut sum = match &self.shortcut {
            None => x,
            Some(shortcut) => conv(&activated, shortcut, None, [self.stride, 0], false, onednn)?,
        };
        if onednn {
            shim::convolution_add(&mut sum, &inner, &self.conv2, 1)?;
            return Ok(sum);
        }
        sum.f_add_(&conv(&inner, &self.conv2, None, [1, 1], false, onednn)?)
    }

    fn shallow_clone(&self) -> Self {
        Self {
            first: self.first.shallow_clone(),
            conv1: (self.conv1.0.shallow_clone(), self.conv1.1.shallow_clone()),
            conv2: self.conv2.shallow_clone(),
            shortcut: self.shortcut.as_ref().map(Tensor::shallow_clone),
            stride: self.stride,
        }
    }
}

impl Affine {
    fn new(bn: &BatchNorm, kind: Kind) -> Result<Self, TchError> {
        let (scale, shift) = bn.scale_and_shift()?;
        let of_channels = |values: Tensor| values.f_view([1, -1, 1, 1])?.f_to_kind(kind);
        Ok(Self {
            scale: of_channels(scale)?,
            shift: of_channels(shift)?,
        })
    }

    fn relu(&self, x: &Tensor) -> Result<Tensor, TchError> {
        self.shift.f_addcmul(x, &self.scale)?.f_relu_()
    }

    fn shallow_clone(&self) -> Self {
        Self {
            scale: self.scale.shallow_clone(),
            shift: self.shift.shallow_clone(),
        }
    }
}

/// The weights of a convolution, channels last in memory.
fn weights(weights: &Tensor, kind: Kind) -> Result<Tensor, TchError> {
    let channels_last = weights
        .f_detach()?
        .f_to_kind(kind)?
        .f_permute([0, 2, 3, 1])?;
    channels_last.f_contiguous()?.f_permute([0, 3, 1, 2])
}

fn conv(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    [stride, padding]: [i64; 2],
    relu: bool,
    onednn: bool,
) -> Result<Tensor, TchError> {
    if onednn {
        return shim::convolution(x, weight, bias, [stride, padding], relu);
    }
    let mut y = x.f_conv2d(weight, bias, [stride; 2], [padding; 2], [1_i64; 2], 1)?;
    if relu { y.f_relu_() } else { Ok(y) }
}
