//! The network in training: its forward pass, and its gradient.

use tch::{Device, Kind, TchError, Tensor};

use super::layers::{BatchNorm, conv, conv3x3};
use super::norm_relu::{Activation, Cuda, NormRelu, Part};
use super::store::{Role, Store};
use super::team::Team;
use super::wide_resnet::WideResNet;
use crate::cpu::{Element, each_kind, elements, elements_mut, vectorised};
use crate::cuda::Kernels;
use crate::shim;

/// A network as it is trained: batch norm uses the statistics of the batch, and updates the running ones.
///
/// The backward pass is written out rather than left to libtorch's autograd. So the weights are converted to
/// the format of the computation as one tensor, the gradient is one tensor, and batch norm, ReLU and the sum before
/// them are fused, forward and backward.
///
/// On a CPU, each thread takes a part of the batch through the whole network, and meets the others at each batch
/// norm, whose statistics are those of the whole batch. Results depend on the number of threads, by rounding; with
/// the same number they are the same.
///
/// On CUDA, with the same shape of batch, a pass does the same work on the same memory, and waits for nothing, so
/// that it can be recorded as a CUDA graph.
#[derive(Debug)]
pub struct Trainable {
    kind: Kind,
    /// The tensors with weight decay, which are the start of the network's flat tensor.
    decayed: Tensor,
    /// The same, in the format of the computation; shares its memory with `decayed` if that is the same.
    cast: Tensor,
    /// On CUDA, two sums per channel for all batch norms, in the forward pass and in the backward pass.
    sums: Option<Tensor>,
    team: Team,
    /// One for each thread of the team.
    members: Vec<Member>,
}

/// What a forward pass leaves for the backward pass.
#[derive(Debug)]
pub struct Pass {
    images: i64,
    members: Vec<MemberPass>,
}

impl Trainable {
    /// The network, with which it shares its tensors, for computation in `kind`: [`Kind::BFloat16`], or the
    /// format of the network. `threads` are for a network on a CPU.
    ///
    /// # Errors
    ///
    /// Those of libtorch; if the threads cannot be started; on CUDA, also if the kernels cannot be compiled.
    pub fn new(network: &WideResNet, kind: Kind, threads: usize) -> Result<Self, TchError> {
        let store = network.store();
        let decayed = store.flat().f_narrow(0, 0, store.decayed_len())?;
        let cast = decayed.f_to_kind(kind)?;
        let kernels = Kernels::of(network.device(), kind)?;
        let sums = |_| {
            let channels = network.batch_norms().map(|norm| norm.weight.numel() as i64);
            let options = (store.flat().kind(), network.device());
            Tensor::f_zeros([2, 2 * channels.sum::<i64>()], options)
        };
        let sums = kernels.map(sums).transpose()?;
        let cuda = kernels.zip(sums.as_ref());
        let team = Team::new(if kernels.is_some() { 1 } else { threads })?;
        let members = (0..team.threads()).map(|_| Member::new(network, &cast, cuda));
        Ok(Self {
            kind,
            members: members.collect::<Result<_, _>>()?,
            decayed,
            cast,
            sums,
            team,
        })
    }

    /// Logits, `[images, classes]`, of normalised images, `[images, 3, height, width]`, which are channels
    /// last in memory. Logits are in the format of the network, not of the computation.
    ///
    /// # Errors
    ///
    /// Those of libtorch; no images.
    pub fn forward(&mut self, images: &Tensor) -> Result<(Tensor, Pass), TchError> {
        let count = images.size()[0];
        if count == 0 {
            return Err(TchError::Torch("a batch needs an image".to_owned()));
        }
        if self.kind != self.decayed.kind() {
            self.cast.f_copy_(&self.decayed)?;
        }
        if let Some(sums) = &mut self.sums {
            drop(sums.f_zero_()?);
        }
        let parts = parts(images, self.members.len())?;
        let inputs = self.members.iter_mut().zip(parts).collect();
        let done = self.team.run(inputs, |seat, (member, images)| {
            member.forward(
                &images.f_to_kind(self.kind)?,
                Part {
                    seat,
                    images: count,
                },
            )
        })?;
        let (mut logits, members): (Vec<Tensor>, _) = done.into_iter().unzip();
        let logits = match logits.len() {
            1 => logits.remove(0),
            _ => Tensor::f_cat(&logits, 0)?,
        };
        let pass = Pass {
            images: count,
            members,
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
        let count = pass.members.len();
        let (logits, labels) = (parts(logits, count)?, parts(labels, count)?);
        let of_batch = pass.members.into_iter().zip(logits).zip(labels);
        let inputs = self.members.iter_mut().zip(of_batch).collect();
        self.team
            .run(inputs, |seat, (member, ((own, logits), labels))| {
                member.backward(
                    own,
                    [&logits, &labels],
                    Part {
                        seat,
                        images: pass.images,
                    },
                )
            })?;
        self.sum_gradients(count)?;
        Ok(&self.members[0].gradient)
    }

    /// Adds up the gradients of weights over the first `members` members, into that of the first one. Each thread adds a
    /// part. The gradients of batch norm are not added: the first member already has those of the whole batch.
    fn sum_gradients(&mut self, members: usize) -> Result<(), TchError> {
        if members == 1 {
            return Ok(());
        }
        let of_weights = |member: &Member| {
            let decayed = self.decayed.numel() as i64;
            member.gradient.f_narrow(0, 0, decayed)
        };
        let mut sum = of_weights(&self.members[0])?;
        let others = self.members[1..members].iter().map(of_weights);
        let others = others.collect::<Result<Vec<_>, _>>()?;
        each_kind!(sum.kind(), T => {
            let sum = elements_mut::<T>(&mut sum)?;
            let others = others.iter().map(|it| elements::<T>(it, it));
            let others = others.collect::<Result<Vec<_>, _>>()?;
            let length = sum.len().div_ceil(members);
            let parts = sum.chunks_mut(length).enumerate().collect();
            self.team.run(parts, |_, (part, sum)| {
                for other in &others {
                    let other = &other[part * length..][..sum.len()];
                    add(sum, other);
                }
                Ok(())
            })?;
        });
        Ok(())
    }
}

/// A tensor in as many parts along its first dimension, or fewer, so that each has a row.
fn parts(tensor: &Tensor, count: usize) -> Result<Vec<Tensor>, TchError> {
    let rows = tensor.size()[0];
    let count = (count as i64).min(rows).max(1);
    let first = |part: i64| part * rows / count;
    let part = |part| tensor.f_narrow(0, first(part), first(part + 1) - first(part));
    (0..count).map(part).collect()
}

/// The network of one thread, which shares its tensors with the others, except for the gradient.
#[derive(Debug)]
struct Member {
    stem: Tensor,
    blocks: Vec<Block>,
    last: NormRelu,
    /// The weight, `[classes, channels]`, and the bias, in the network's own format.
    linear: (Tensor, Tensor),
    /// Laid out like the network's flat tensor: of this member's images; for batch norm of all images, only for
    /// the first member.
    gradient: Tensor,
}

#[derive(Debug)]
struct MemberPass {
    images: Tensor,
    blocks: Vec<BlockPass>,
    last: Activation,
    features: Tensor,
}

impl Member {
    /// With weights that are views of `cast`.
    fn new(
        network: &WideResNet,
        cast: &Tensor,
        cuda: Option<(&'static Kernels, &Tensor)>,
    ) -> Result<Self, TchError> {
        let store = network.store();
        let gradient = store.flat().f_zeros_like()?;
        let mut weights = store.views_of(cast, Role::Weight)?;
        let mut gradients = store.views_of(&gradient, Role::BatchNorm)?;
        let mut first_sum = 0;
        let mut norm_relu = |name: &str, norm: &BatchNorm| -> Result<NormRelu, TchError> {
            let channels = norm.weight.numel() as i64;
            let cuda = cuda.map(|(kernels, sums)| {
                let sums_of = |pass: i64| {
                    let sums = sums
                        .f_select(0, pass)?
                        .f_narrow(0, first_sum, 2 * channels)?;
                    sums.f_view([2, channels])
                };
                let sums = [sums_of(0)?, sums_of(1)?];
                Ok::<_, TchError>(Cuda { kernels, sums })
            });
            first_sum += 2 * channels;
            Ok(NormRelu::new(name, norm, &mut gradients, cuda.transpose()?))
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
        let (weight, bias) = &network.linear;
        Ok(Self {
            stem,
            blocks,
            last: norm_relu("bn", &network.bn)?,
            linear: (weight.shallow_clone(), bias.shallow_clone()),
            gradient,
        })
    }

    fn forward(&self, images: &Tensor, part: Part<'_>) -> Result<(Tensor, MemberPass), TchError> {
        let mut x = conv3x3(images, &self.stem, 1)?;
        // What is still to be added to `x`.
        let mut added = None;
        let mut blocks = Vec::with_capacity(self.blocks.len());
        for block in &self.blocks {
            let pass;
            (x, added, pass) = block.forward(x, added.as_ref(), part)?;
            blocks.push(pass);
        }
        let last = self.last.forward(x, added.as_ref(), part)?;
        let sides = [2_i64, 3].as_slice();
        let features = (last.out).f_mean_dim(sides, false, Some(self.gradient.kind()))?;
        let logits = features.f_linear(&self.linear.0, Some(&self.linear.1))?;
        let pass = MemberPass {
            images: images.shallow_clone(),
            blocks,
            last,
            features,
        };
        Ok((logits, pass))
    }

    /// Writes the gradient.
    fn backward(
        &mut self,
        pass: MemberPass,
        [logits, labels]: [&Tensor; 2],
        part: Part<'_>,
    ) -> Result<(), TchError> {
        let of_logits = gradient_of_logits(logits, labels, part.images)?;
        let (linear, of_features) = self.backward_of_linear(&pass.features, &of_logits)?;
        // The mean's gradient is the same for all pixels.
        let size = pass.last.out.size();
        let [images, channels, height, width] = [0, 1, 2, 3].map(|dimension| size[dimension]);
        let of_pixels = of_features
            .f_div_scalar((height * width) as f64)?
            .f_to_kind(pass.images.kind())?
            .f_view([images, 1, 1, channels])?
            .f_expand([images, height, width, channels], false)?
            .f_contiguous()?
            .f_permute([0, 3, 1, 2])?;

        let mut gradient = (self.last).backward(&pass.last, of_pixels, None, part)?;
        // In the order of the backward pass.
        let mut weights = Vec::new();
        for (block, pass) in self.blocks.iter().zip(pass.blocks).rev() {
            gradient = block.backward(&pass, &gradient, &mut weights, part)?;
        }
        let shape = [1, 1];
        let of_stem =
            shim::convolution_gradient_of_weight(&gradient, &pass.images, &self.stem, shape)?;
        weights.push(of_stem);
        weights.reverse();
        let rest = Store::flatten(&weights, &self.gradient)?;
        drop(Store::flatten(&linear, &rest)?);
        Ok(())
    }

    /// The gradients of the linear layer's weight and bias, and of its input.
    fn backward_of_linear(
        &self,
        features: &Tensor,
        gradient: &Tensor,
    ) -> Result<([Tensor; 2], Tensor), TchError> {
        let weight = gradient.f_tr()?.f_matmul(features)?;
        let bias = gradient.f_sum_dim_intlist([0_i64].as_slice(), false, None)?;
        Ok(([weight, bias], gradient.f_matmul(&self.linear.0)?))
    }
}

/// The gradient of the mean cross-entropy of a batch of `images` with respect to some of its logits:
/// (softmax − one-hot label) / images.
fn gradient_of_logits(logits: &Tensor, labels: &Tensor, images: i64) -> Result<Tensor, TchError> {
    let labels = labels.f_unsqueeze(1)?;
    let options = (logits.kind(), logits.device());
    let minus_one = Tensor::f_full(labels.size(), -1.0, options)?;
    logits
        .f_softmax(1, logits.kind())?
        .f_scatter_add_(1, &labels, &minus_one)?
        .f_div_scalar_(images as f64)
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
        part: Part<'_>,
    ) -> Result<(Tensor, Option<Tensor>, BlockPass), TchError> {
        let first = self.first.forward(x, added, part)?;
        let inner = conv3x3(&first.out, &self.conv1, self.stride)?;
        let second = self.second.forward(inner, None, part)?;
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
        part: Part<'_>,
    ) -> Result<Tensor, TchError> {
        let (first, second) = (&pass.first, &pass.second);
        let stride = self.stride;
        if let Some(weight) = &self.shortcut {
            let shape = [stride, 0];
            weights.push(shim::convolution_gradient_of_weight(
                gradient, &first.out, weight, shape,
            )?);
        }
        let mut back = |gradient: &Tensor, x: &Tensor, weight: &Tensor, shape: [i64; 2]| {
            weights.push(shim::convolution_gradient_of_weight(
                gradient, x, weight, shape,
            )?);
            shim::convolution_gradient_of_x(gradient, x, weight, shape)
        };
        let of_second = back(gradient, &second.out, &self.conv2, [1, 1])?;
        let of_inner = self.second.backward(second, of_second, None, part)?;
        let mut of_first = back(&of_inner, &first.out, &self.conv1, [stride, 1])?;
        let skip = match &self.shortcut {
            None => Some(gradient),
            Some(weight) => {
                add_gradient_of_shortcut(&mut of_first, gradient, &first.out, weight, stride)?;
                None
            }
        };
        self.first.backward(first, of_first, skip, part)
    }
}

/// Adds to `sum` the gradient of a 1×1 convolution with respect to its input `x`, from `gradient`, that with respect to
/// its output.
fn add_gradient_of_shortcut(
    sum: &mut Tensor,
    gradient: &Tensor,
    x: &Tensor,
    weight: &Tensor,
    stride: i64,
) -> Result<(), TchError> {
    if x.device() != Device::Cpu {
        let of_x = shim::convolution_gradient_of_x(gradient, x, weight, [stride, 0])?;
        drop(sum.f_add_(&of_x)?);
        return Ok(());
    }
    // As a product of matrices, over only those pixels that the convolution reads: one of four with a stride of 2. The
    // gradient of oneDNN also writes zeros for the rest, and takes twice as long as its forward pass.
    let rows = gradient.f_permute([0, 2, 3, 1])?;
    let of_pixels = rows.f_matmul(&weight.f_flatten(1, -1)?)?;
    let every = |images: Tensor, side| images.f_slice(side, 0, None, stride);
    let mut pixels_read = every(every(sum.shallow_clone(), 2)?, 3)?;
    drop(pixels_read.f_add_(&of_pixels.f_permute([0, 3, 1, 2])?)?);
    Ok(())
}

vectorised! {
    fn add<T>(sum: &mut [T], terms: &[T]) {
        for (sum, term) in sum.iter_mut().zip(terms) {
            *sum = T::of(sum.get() + term.get());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::layout::channels_last;

    #[test]
    fn the_gradient_of_a_shortcut_is_that_of_its_convolution() {
        let random = |size: [i64; 4]| {
            let tensor = Tensor::randn(size, (Kind::Double, Device::Cpu));
            channels_last(&tensor).unwrap()
        };
        for (side, stride) in [1, 2, 7, 32, 33]
            .into_iter()
            .flat_map(|it| [(it, 1), (it, 2)])
        {
            let (x, weight) = (random([2, 16, side, side]), random([32, 16, 1, 1]));
            let gradient = random(
                conv(&x, &weight, stride, 0)
                    .unwrap()
                    .size()
                    .try_into()
                    .unwrap(),
            );
            let of_x = shim::convolution_gradient_of_x(&gradient, &x, &weight, [stride, 0]);
            let sum = random([2, 16, side, side]);
            let expected = &sum + of_x.unwrap();
            let mut found = sum.copy();
            add_gradient_of_shortcut(&mut found, &gradient, &x, &weight, stride).unwrap();
            let difference = (found - expected).abs().max().double_value(&[]);
            assert!(difference < 1e-12, "{difference} with {side} and {stride}");
        }
    }
}
