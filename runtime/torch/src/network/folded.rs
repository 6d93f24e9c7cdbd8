//! The network as it classifies: batch norm is folded away where it can be.

use tch::{Device, Kind, TchError, Tensor, no_grad};

use super::layers::{BatchNorm, Block};
use super::wide_resnet::WideResNet;
use crate::shim;

/// A network that classifies, and cannot learn.
///
/// With the learnt statistics, batch norm is `scale · x + shift` for every channel. Behind a
/// convolution, `scale` goes into its weights and `shift` becomes its bias, and ReLU is part of the
/// same pass. Before a block it cannot, since the identity needs `x` itself; there it is one
/// multiplication and addition.
#[derive(Debug)]
pub struct Folded {
    kind: Kind,
    device: Device,
    stem: Tensor,
    blocks: Vec<FoldedBlock>,
    last: Affine,
    linear: (Tensor, Tensor),
}

/// `scale · x + shift`, `[1, channels, 1, 1]` each.
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
    /// Folds a network as it is now, to calculate in `kind`: [`Kind::Float`] or [`Kind::BFloat16`].
    /// The linear layer is of 32-bit floats always.
    ///
    /// # Errors
    ///
    /// What libtorch reports.
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
    /// `[images, 3, height, width]` whose channels lie innermost.
    ///
    /// # Errors
    ///
    /// What libtorch reports.
    pub fn forward(&self, images: &Tensor) -> Result<Tensor, TchError> {
        no_grad(|| {
            let on_cpu = self.device == Device::Cpu && tch::utils::has_mkldnn();
            let images = images.f_to_kind(self.kind)?;
            let mut x = conv(&images, &self.stem, None, [1, 1], false, on_cpu)?;
            for block in &self.blocks {
                x = block.forward(x, on_cpu)?;
            }
            let features = (self.last.relu(&x)?.f_to_kind(Kind::Float)?).f_mean_dim(
                [2_i64, 3].as_slice(),
                false,
                None,
            )?;
            features.f_linear(&self.linear.0, Some(&self.linear.1))
        })
    }

    /// Other handles to the same tensors, for another thread.
    pub(crate) fn share(&self) -> Self {
        Self {
            kind: self.kind,
            device: self.device,
            stem: self.stem.shallow_clone(),
            blocks: self.blocks.iter().map(FoldedBlock::share).collect(),
            last: self.last.share(),
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

    fn forward(&self, x: Tensor, on_cpu: bool) -> Result<Tensor, TchError> {
        let activated = self.first.relu(&x)?;
        let (weight, bias) = &self.conv1;
        let inner = conv(
            &activated,
            weight,
            Some(bias),
            [self.stride, 1],
            true,
            on_cpu,
        )?;
        let mut sum = match &self.shortcut {
            None => x,
            Some(shortcut) => conv(&activated, shortcut, None, [self.stride, 0], false, on_cpu)?,
        };
        if on_cpu {
            shim::convolution_add(&mut sum, &inner, &self.conv2, 1)?;
            return Ok(sum);
        }
        sum.f_add_(&conv(&inner, &self.conv2, None, [1, 1], false, on_cpu)?)
    }

    fn share(&self) -> Self {
        Self {
            first: self.first.share(),
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

    fn share(&self) -> Self {
        Self {
            scale: self.scale.shallow_clone(),
            shift: self.shift.shallow_clone(),
        }
    }
}

/// Weights of a convolution with their input channels innermost.
fn weights(weights: &Tensor, kind: Kind) -> Result<Tensor, TchError> {
    let innermost = weights
        .f_detach()?
        .f_to_kind(kind)?
        .f_permute([0, 2, 3, 1])?;
    innermost.f_contiguous()?.f_permute([0, 3, 1, 2])
}

fn conv(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    [stride, padding]: [i64; 2],
    relu: bool,
    on_cpu: bool,
) -> Result<Tensor, TchError> {
    if on_cpu {
        return shim::convolution(x, weight, bias, [stride, padding], relu);
    }
    let mut y = x.f_conv2d(weight, bias, [stride; 2], [padding; 2], [1_i64; 2], 1)?;
    if relu { y.f_relu_() } else { Ok(y) }
}
