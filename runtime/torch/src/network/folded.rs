//! The network for inference, with batch norm folded into convolutions where possible.

use tch::{Device, Kind, TchError, Tensor};

use super::cpu_norm;
use super::layers::{BatchNorm, Block};
use super::wide_resnet::WideResNet;
use crate::cpu;
use crate::cuda::Kernels;
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

/// `relu(scale · x + shift)`, for each channel.
#[derive(Debug)]
struct Affine {
    /// Both are `[channels]`, in the network's own format.
    scale: Tensor,
    shift: Tensor,
    /// On CUDA.
    kernels: Option<&'static Kernels>,
}

#[derive(Debug)]
struct FoldedBlock {
    first: Affine,
    conv1: (Tensor, Tensor),
    conv2: Tensor,
    shortcut: Option<Tensor>,
    stride: i64,
}

/// The library that computes a convolution together with its bias, ReLU or a sum.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fusion {
    OneDnn,
    CuDnn,
    None,
}

impl Folded {
    /// Folds the network's current weights, to compute in `kind`: [`Kind::Float`] or
    /// [`Kind::BFloat16`]. The linear layer always computes in 32-bit floats.
    ///
    /// # Errors
    ///
    /// Those of libtorch; on CUDA, also if the kernels cannot be compiled.
    pub fn new(network: &WideResNet, kind: Kind) -> Result<Self, TchError> {
        let kernels = Kernels::of(network.device(), kind)?;
        let block = |block: &Block| FoldedBlock::new(block, kind, kernels);
        let (weight, bias) = &network.linear;
        Ok(Self {
            kind,
            device: network.device(),
            stem: weights(&network.stem, kind)?,
            blocks: network.blocks.iter().map(block).collect::<Result<_, _>>()?,
            last: Affine::new(&network.bn, kernels)?,
            linear: (weight.copy(), bias.copy()),
        })
    }

    /// Logits `[images, classes]`, as 32-bit floats, of normalised images
    /// `[images, 3, height, width]` that are channels last in memory.
    ///
    /// # Errors
    ///
    /// Those of libtorch.
    pub fn forward(&self, images: &Tensor) -> Result<Tensor, TchError> {
        let fusion = match self.device {
            Device::Cpu if tch::utils::has_mkldnn() => Fusion::OneDnn,
            Device::Cuda(_) if self.kind == Kind::BFloat16 => Fusion::CuDnn,
            _ => Fusion::None,
        };
        let images = images.f_to_kind(self.kind)?;
        let mut x = conv(&images, &self.stem, None, [1, 1], fusion)?;
        // What is still to be added to `x`.
        let mut added = None;
        for block in &self.blocks {
            (x, added) = block.forward(x, added.as_ref(), fusion)?;
        }
        let last = self.last.add_relu(&mut x, added.as_ref())?;
        let features =
            (last.f_to_kind(Kind::Float)?).f_mean_dim([2_i64, 3].as_slice(), false, None)?;
        features.f_linear(&self.linear.0, Some(&self.linear.1))
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
    fn new(block: &Block, kind: Kind, kernels: Option<&'static Kernels>) -> Result<Self, TchError> {
        let (scale, shift) = block.bn2.scale_and_shift()?;
        let conv1 = block.conv1.f_mul(&scale.f_view([-1, 1, 1, 1])?)?;
        let shortcut = block.shortcut.as_ref();
        Ok(Self {
            first: Affine::new(&block.bn1, kernels)?,
            conv1: (weights(&conv1, kind)?, shift.f_to_kind(kind)?),
            conv2: weights(&block.conv2, kind)?,
            shortcut: shortcut
                .map(|shortcut| weights(shortcut, kind))
                .transpose()?,
            stride: block.stride,
        })
    }

    /// The input of the next block, as a tensor and what is still to be added to it. The input of this block is
    /// `x`, plus `added`.
    fn forward(
        &self,
        mut x: Tensor,
        added: Option<&Tensor>,
        fusion: Fusion,
    ) -> Result<(Tensor, Option<Tensor>), TchError> {
        let activated = self.first.add_relu(&mut x, added)?;
        let (weight, bias) = &self.conv1;
        let inner = conv(&activated, weight, Some(bias), [self.stride, 1], fusion)?;
        let mut sum = match &self.shortcut {
            None => x,
            Some(shortcut) => conv(&activated, shortcut, None, [self.stride, 0], fusion)?,
        };
        if fusion == Fusion::OneDnn {
            shim::convolution_add(&mut sum, &inner, &self.conv2, 1)?;
            return Ok((sum, None));
        }
        Ok((sum, Some(conv(&inner, &self.conv2, None, [1, 1], fusion)?)))
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
    fn new(bn: &BatchNorm, kernels: Option<&'static Kernels>) -> Result<Self, TchError> {
        let (scale, shift) = bn.scale_and_shift()?;
        Ok(Self {
            scale,
            shift,
            kernels,
        })
    }

    /// Adds `added` to `x` in place, and returns `relu(scale · x + shift)`.
    fn add_relu(&self, x: &mut Tensor, added: Option<&Tensor>) -> Result<Tensor, TchError> {
        if let Some(kernels) = self.kernels {
            return kernels.add_affine_relu(x, added, [&self.scale, &self.shift]);
        }
        if let Some(added) = added {
            *x = x.f_add_(added)?;
        }
        let affine = [cpu::read(&self.scale)?, cpu::read(&self.shift)?];
        cpu_norm::affine_relu(x, &affine)
    }

    fn shallow_clone(&self) -> Self {
        Self {
            scale: self.scale.shallow_clone(),
            shift: self.shift.shallow_clone(),
            kernels: self.kernels,
        }
    }
}

/// The weights of a convolution, channels last in memory.
fn weights(weights: &Tensor, kind: Kind) -> Result<Tensor, TchError> {
    let channels_last = weights.f_to_kind(kind)?.f_permute([0, 2, 3, 1])?;
    channels_last.f_contiguous()?.f_permute([0, 3, 1, 2])
}

/// A convolution, followed by ReLU if it has a bias.
fn conv(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    [stride, padding]: [i64; 2],
    fusion: Fusion,
) -> Result<Tensor, TchError> {
    let (strides, paddings, ones) = ([stride; 2], [padding; 2], [1_i64; 2]);
    match (fusion, bias) {
        (Fusion::OneDnn, _) => {
            shim::convolution(x, weight, bias, [stride, padding], bias.is_some())
        }
        (Fusion::CuDnn, Some(bias)) => {
            x.f_cudnn_convolution_relu(weight, Some(bias), strides, paddings, ones, 1)
        }
        _ => {
            let mut y = x.f_conv2d(weight, bias, strides, paddings, ones, 1)?;
            match bias {
                Some(_) => y.f_relu_(),
                None => Ok(y),
            }
        }
    }
}
