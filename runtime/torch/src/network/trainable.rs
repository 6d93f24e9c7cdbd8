//! The network in training: its forward pass, and its gradient.

use tch::{Kind, TchError, Tensor};

use super::layers::{BATCH_NORM_EPSILON, BatchNorm, conv, conv3x3};
use super::store::{Role, Store};
use super::wide_resnet::WideResNet;
use crate::cuda::Kernels;
use crate::shim;

/// A network as it is trained: batch norm uses the statistics of the batch, and updates the running ones.
///
/// The backward pass is written out rather than left to libtorch's autograd. So the weights are converted to
/// the format of the computation as one tensor, the gradient is one tensor, and on CUDA, batch norm, ReLU and
/// the sum before them are fused, forward and backward. With the same shape of batch, a pass does the same work on
/// the same memory, and waits for nothing, so that it can be recorded as a CUDA graph.
#[derive(Debug)]
pub struct Trainable {
    kind: Kind,
    /// The tensors with weight decay, which are the start of the network's flat tensor.
    decayed: Tensor,
    /// The same, in the format of the computation; shares its memory with `decayed` if that is the same.
    cast: Tensor,
    /// The gradient of all parameters, laid out like the network's flat tensor.
    gradient: Tensor,
    /// Two sums per channel for all batch norms, in the forward pass and in the backward pass.
    sums: Tensor,
    stem: Tensor,
    blocks: Vec<Block>,
    last: NormRelu,
    /// The weight, `[classes, channels]`, and the bias, in the network's own format.
    linear: (Tensor, Tensor),
}

/// What a forward pass leaves for the backward pass.
#[derive(Debug)]
pub struct Pass {
    images: Tensor,
    blocks: Vec<BlockPass>,
    last: Activation,
    features: Tensor,
}

impl Trainable {
    /// The network, with which it shares its tensors, for computation in `kind`: [`Kind::BFloat16`], or the
    /// format of the network.
    ///
    /// # Errors
    ///
    /// Those of libtorch; on CUDA, also if the kernels cannot be compiled.
    pub fn new(network: &WideResNet, kind: Kind) -> Result<Self, TchError> {
        let store = network.store();
        let flat = store.flat();
        let decayed = flat.f_narrow(0, 0, store.decayed_len())?;
        let cast = decayed.f_to_kind(kind)?;
        let gradient = flat.f_zeros_like()?;
        let channels = network.batch_norms().map(|norm| norm.weight.numel() as i64);
        let options = (flat.kind(), flat.device());
        let sums = Tensor::f_zeros([2, 2 * channels.sum::<i64>()], options)?;

        let mut weights = store.views_of(&cast, Role::Weight)?;
        let mut gradients = store.views_of(&gradient, Role::BatchNorm)?;
        let kernels = Kernels::of(network.device(), kind)?;
        let mut first_sum = 0;
        let mut norm_relu = |name: &str, norm: &BatchNorm| -> Result<NormRelu, TchError> {
            let mut gradient_of = |part: &str| {
                let gradient = gradients.remove(format!("{name}.{part}").as_str());
                gradient.expect("every parameter has a gradient")
            };
            let channels = norm.weight.numel() as i64;
            let sums_of = |pass: i64| {
                let sums = sums
                    .f_select(0, pass)?
                    .f_narrow(0, first_sum, 2 * channels)?;
                sums.f_view([2, channels])
            };
            let norm_relu = NormRelu {
                norm: norm.shallow_clone(),
                gradients: [gradient_of("weight"), gradient_of("bias")],
                sums: [sums_of(0)?, sums_of(1)?],
                kernels,
            };
            first_sum += 2 * channels;
            Ok(norm_relu)
        };
        let mut weight = |name: &str| {
            let weight = weights.remove(format!("{name}.weight").as_str());
            weight.expect("every layer has a weight")
        };
        let stem = weight("stem");
        let mut blocks = Vec::new();
        for block in &network.blocks {
            let name = &block.name;
            blocks.push(Block {
                first: norm_relu(&format!("{name}.bn1"), &block.bn1)?,
                conv1: weight(&format!("{name}.conv1")),
                second: norm_relu(&format!("{name}.bn2"), &block.bn2)?,
                conv2: weight(&format!("{name}.conv2")),
                shortcut: (block.shortcut.as_ref()).map(|_| weight(&format!("{name}.shortcut"))),
                stride: block.stride,
            });
        }
        let last = norm_relu("bn", &network.bn)?;
        let linear = (
            network.linear.0.shallow_clone(),
            network.linear.1.shallow_clone(),
        );
        Ok(Self {
            kind,
            stem,
            blocks,
            last,
            linear,
            decayed,
            cast,
            gradient,
            sums,
        })
    }

    /// Logits, `[images, classes]`, of normalised images, `[images, 3, height, width]`, which are channels
    /// last in memory. Logits are in the format of the network, not of the computation.
    ///
    /// # Errors
    ///
    /// Those of libtorch.
    pub fn forward(&mut self, images: &Tensor) -> Result<(Tensor, Pass), TchError> {
        if self.kind != self.decayed.kind() {
            self.cast.f_copy_(&self.decayed)?;
        }
        drop(self.sums.f_zero_()?);
        let images = images.f_to_kind(self.kind)?;
        let mut x = conv3x3(&images, &self.stem, 1)?;
        // What is still to be added to `x`.
        let mut added = None;
        let mut blocks = Vec::with_capacity(self.blocks.len());
        for block in &self.blocks {
            let pass;
            (x, added, pass) = block.forward(x, added.as_ref())?;
            blocks.push(pass);
        }
        let last = self.last.forward(x, added.as_ref())?;
        let sides = [2_i64, 3].as_slice();
        let features = (last.out).f_mean_dim(sides, false, Some(self.decayed.kind()))?;
        let logits = features.f_linear(&self.linear.0, Some(&self.linear.1))?;
        let pass = Pass {
            images,
            blocks,
            last,
            features,
        };
        Ok((logits, pass))
    }

    /// The gradient of the mean cross-entropy with respect to all parameters, laid out like the network's
    /// flat tensor. It is overwritten by the next call. `labels` are class indices, `[images]`. `pass` is that of
    /// the last forward pass.
    ///
    /// # Errors
    ///
    /// Those of libtorch.
    pub fn backward(
        &mut self,
        pass: Pass,
        logits: &Tensor,
        labels: &Tensor,
    ) -> Result<&Tensor, TchError> {
        let (linear, of_features) = self.backward_of_linear(&pass.features, logits, labels)?;
        // The mean's gradient is the same for all pixels.
        let size = pass.last.out.size();
        let [images, channels, height, width] = [0, 1, 2, 3].map(|dimension| size[dimension]);
        let of_pixels = of_features
            .f_div_scalar((height * width) as f64)?
            .f_to_kind(self.kind)?
            .f_view([images, 1, 1, channels])?
            .f_expand([images, height, width, channels], false)?
            .f_contiguous()?
            .f_permute([0, 3, 1, 2])?;

        let mut gradient = self.last.backward(&pass.last, &of_pixels, None)?;
        // In the order of the backward pass.
        let mut weights = Vec::new();
        for (block, pass) in self.blocks.iter().zip(pass.blocks).rev() {
            gradient = block.backward(&pass, &gradient, &mut weights)?;
        }
        let shape = [1, 1];
        let of_stem =
            shim::convolution_gradient_of_weight(&gradient, &pass.images, &self.stem, shape)?;
        weights.push(of_stem);
        weights.reverse();
        let convolutions = Store::flatten(&weights)?;
        let mut start = self.gradient.f_narrow(0, 0, convolutions.numel() as i64)?;
        start.f_copy_(&convolutions)?;
        let linear = Store::flatten(&linear)?;
        let (start, length) = (convolutions.numel() as i64, linear.numel() as i64);
        self.gradient.f_narrow(0, start, length)?.f_copy_(&linear)?;
        Ok(&self.gradient)
    }

    /// The gradients of the linear layer's weight and bias, and of its input.
    fn backward_of_linear(
        &self,
        features: &Tensor,
        logits: &Tensor,
        labels: &Tensor,
    ) -> Result<([Tensor; 2], Tensor), TchError> {
        // Of the mean cross-entropy with respect to logits: (softmax − one-hot label) / images.
        let labels = labels.f_unsqueeze(1)?;
        let options = (logits.kind(), logits.device());
        let minus_one = Tensor::f_full(labels.size(), -1.0, options)?;
        let gradient = logits
            .f_softmax(1, logits.kind())?
            .f_scatter_add_(1, &labels, &minus_one)?
            .f_div_scalar_(logits.size()[0] as f64)?;
        let weight = gradient.f_tr()?.f_matmul(features)?;
        let bias = gradient.f_sum_dim_intlist([0_i64].as_slice(), false, None)?;
        Ok(([weight, bias], gradient.f_matmul(&self.linear.0)?))
    }
}

/// A pre-activation block.
#[derive(Debug)]
struct Block {
    first: NormRelu,
    conv1: Tensor,
    second: NormRelu,
    conv2: Tensor,
    shortcut: Option<Tensor>,
    stride: i64,
}

#[derive(Debug)]
struct BlockPass {
    first: Activation,
    second: Activation,
}

impl Block {
    /// The input of the next block as two terms, and what the backward pass needs. The input of this block
    /// is `x`, plus `added`.
    fn forward(
        &self,
        x: Tensor,
        added: Option<&Tensor>,
    ) -> Result<(Tensor, Option<Tensor>, BlockPass), TchError> {
        let first = self.first.forward(x, added)?;
        let inner = conv3x3(&first.out, &self.conv1, self.stride)?;
        let second = self.second.forward(inner, None)?;
        let residual = conv3x3(&second.out, &self.conv2, 1)?;
        let shortcut = match &self.shortcut {
            None => first.x.shallow_clone(),
            Some(weight) => conv(&first.out, weight, self.stride, 0)?,
        };
        Ok((residual, Some(shortcut), BlockPass { first, second }))
    }

    /// The gradient with respect to the block's input, from that of its output. Those of the weights are
    /// pushed, the last layer's first.
    fn backward(
        &self,
        pass: &BlockPass,
        gradient: &Tensor,
        weights: &mut Vec<Tensor>,
    ) -> Result<Tensor, TchError> {
        let (first, second) = (&pass.first, &pass.second);
        let mut back = |gradient: &Tensor, x: &Tensor, weight: &Tensor, shape: [i64; 2]| {
            weights.push(shim::convolution_gradient_of_weight(
                gradient, x, weight, shape,
            )?);
            shim::convolution_gradient_of_x(gradient, x, weight, shape)
        };
        let stride = self.stride;
        let of_shortcut = match &self.shortcut {
            None => None,
            Some(weight) => Some(back(gradient, &first.out, weight, [stride, 0])?),
        };
        let of_second = back(gradient, &second.out, &self.conv2, [1, 1])?;
        let of_inner = self.second.backward(second, &of_second, None)?;
        let mut of_first = back(&of_inner, &first.out, &self.conv1, [stride, 1])?;
        match of_shortcut {
            None => self.first.backward(first, &of_first, Some(gradient)),
            Some(of_shortcut) => {
                let of_first = of_first.f_add_(&of_shortcut)?;
                self.first.backward(first, &of_first, None)
            }
        }
    }
}

/// A sum, batch norm and ReLU.
#[derive(Debug)]
struct NormRelu {
    norm: BatchNorm,
    /// Of the weight and of the bias.
    gradients: [Tensor; 2],
    /// `[2, channels]` of the forward pass and of the backward pass.
    sums: [Tensor; 2],
    /// On CUDA.
    kernels: Option<&'static Kernels>,
}

/// The input of batch norm, and the output of ReLU.
#[derive(Debug)]
struct Activation {
    x: Tensor,
    out: Tensor,
    /// On a CPU: mean and inverse standard deviation of the batch.
    statistics: Option<[Tensor; 2]>,
}

impl NormRelu {
    fn forward(&self, mut x: Tensor, added: Option<&Tensor>) -> Result<Activation, TchError> {
        let norm = &self.norm;
        if let Some(kernels) = self.kernels {
            let running = [&norm.running_mean, &norm.running_var];
            let parameters = [&norm.weight, &norm.bias];
            let (x, out) = kernels.forward(&x, added, &self.sums[0], parameters, running)?;
            let statistics = None;
            return Ok(Activation { x, out, statistics });
        }
        if let Some(added) = added {
            x = x.f_add_(added)?;
        }
        let (mut out, mean, inverse_std) = norm.apply(&x, true)?;
        let (out, statistics) = (out.f_relu_()?, Some([mean, inverse_std]));
        Ok(Activation { x, out, statistics })
    }

    /// The gradient with respect to the input, plus `skip`.
    fn backward(
        &self,
        pass: &Activation,
        gradient: &Tensor,
        skip: Option<&Tensor>,
    ) -> Result<Tensor, TchError> {
        let (norm, [weight, bias]) = (&self.norm, &self.gradients);
        if let Some(kernels) = self.kernels {
            let sums = [&self.sums[0], &self.sums[1]];
            let parameters = [&norm.weight, &norm.bias];
            return kernels.backward(&pass.x, gradient, skip, sums, parameters, [weight, bias]);
        }
        let [mean, inverse_std] = pass.statistics.as_ref().expect("the batch's, on a CPU");
        let gradient = pass.out.f_threshold_backward(gradient, 0)?;
        let statistics = [mean, inverse_std];
        let [mut of_x, of_weight, of_bias] = shim::batch_norm_backward(
            &gradient,
            &pass.x,
            &norm.weight,
            statistics,
            BATCH_NORM_EPSILON,
        )?;
        weight.shallow_clone().f_copy_(&of_weight)?;
        bias.shallow_clone().f_copy_(&of_bias)?;
        match skip {
            None => Ok(of_x),
            Some(skip) => of_x.f_add_(skip),
        }
    }
}
