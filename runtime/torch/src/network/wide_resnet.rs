use faa_search::model::Model;
use tch::{Device, Kind, TchError, Tensor};

use super::layers::{BatchNorm, Block, BlockShape, conv3x3};
use super::store::{Role, Store, TensorSpec};

/// The shape of a WideResNet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shape {
    /// Depth and width.
    pub model: Model,
    /// The number of classes.
    pub classes: usize,
}

/// A WideResNet with its weights.
#[derive(Debug)]
pub struct WideResNet {
    shape: Shape,
    store: Store,
    pub(super) stem: Tensor,
    pub(super) blocks: Vec<Block>,
    pub(super) bn: BatchNorm,
    pub(super) linear: (Tensor, Tensor),
}

const STEM_CHANNELS: usize = 16;
/// The three groups: channels at width 1, and stride.
const GROUPS: [(usize, i64); 3] = [(16, 1), (32, 2), (64, 2)];

impl Shape {
    /// The shape of a network for this number of classes.
    pub fn new(model: Model, classes: usize) -> Self {
        Self { model, classes }
    }

    /// The tensors of the network, in the order of the forward pass.
    pub fn tensors(&self) -> Vec<TensorSpec> {
        let mut tensors = vec![TensorSpec::conv("stem", STEM_CHANNELS, 3, 3)];
        for block in self.blocks() {
            block.tensors(&mut tensors);
        }
        let channels = GROUPS[2].0 * self.model.width();
        TensorSpec::batch_norm("bn", channels, &mut tensors);
        TensorSpec::linear("linear", self.classes, channels, &mut tensors);
        tensors
    }

    /// The number of trainable parameters.
    pub fn parameter_count(&self) -> usize {
        let tensors = self.tensors().into_iter();
        let parameters = tensors.filter(|tensor| tensor.role != Role::Buffer);
        parameters.map(|tensor| tensor.len()).sum()
    }

    fn blocks(&self) -> impl Iterator<Item = BlockShape> {
        let blocks = (self.model.depth() - 4) / 6;
        let width = self.model.width();
        let mut in_channels = STEM_CHANNELS;
        let groups = (1..).zip(GROUPS);
        groups.flat_map(move |(group, (channels, group_stride))| {
            let (first_inputs, out_channels) = (in_channels, channels * width);
            in_channels = out_channels;
            (0..blocks).map(move |block| {
                let (in_channels, stride) = match block {
                    0 => (first_inputs, group_stride),
                    _ => (out_channels, 1),
                };
                BlockShape {
                    name: format!("group{group}.block{block}"),
                    in_channels,
                    out_channels,
                    stride,
                }
            })
        })
    }
}

impl WideResNet {
    /// A network of 32-bit floats, whose tensors are filled with the values that `fill` returns, in
    /// row-major order.
    ///
    /// # Errors
    ///
    /// Those of libtorch, for instance if the device has too little memory.
    ///
    /// # Panics
    ///
    /// If `fill` returns a different number of values than the tensor has.
    pub fn new(
        shape: Shape,
        device: Device,
        fill: impl FnMut(&TensorSpec) -> Vec<f32>,
    ) -> Result<Self, TchError> {
        Self::of_kind(shape, Kind::Float, device, fill)
    }

    /// As [`new`](Self::new), with floats of the given kind. In [`Kind::Double`], results can be compared
    /// with those of PyTorch whatever kernels the processor has.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn of_kind(
        shape: Shape,
        kind: Kind,
        device: Device,
        fill: impl FnMut(&TensorSpec) -> Vec<f32>,
    ) -> Result<Self, TchError> {
        let store = Store::new(shape.tensors(), (kind, device), fill)?;
        Ok(Self {
            shape,
            stem: store.get("stem.weight"),
            blocks: shape
                .blocks()
                .map(|block| Block::new(&block, &store))
                .collect(),
            bn: BatchNorm::new("bn", &store),
            linear: (store.get("linear.weight"), store.get("linear.bias")),
            store,
        })
    }

    /// The network's shape.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The device that holds the network.
    pub fn device(&self) -> Device {
        self.stem.device()
    }

    /// Whether no element of the network is infinite or NaN.
    pub(crate) fn is_finite(&self) -> Result<bool, TchError> {
        let all = self.store.iter();
        let buffers = all.filter(|(spec, _)| spec.role == Role::Buffer);
        let tensors = buffers.map(|(_, tensor)| tensor).chain([self.store.flat()]);
        // NaN and infinity propagate through a sum.
        let sums = tensors.map(|tensor| tensor.f_sum(Kind::Double)?.f_view(1));
        let sums = sums.collect::<Result<Vec<_>, TchError>>()?;
        Ok(Tensor::f_cat(&sums, 0)?
            .f_sum(Kind::Double)?
            .f_double_value(&[])?
            .is_finite())
    }

    /// The layers of batch norm, in the order of the forward pass.
    pub(super) fn batch_norms(&self) -> impl Iterator<Item = &BatchNorm> {
        let blocks = self.blocks.iter();
        blocks
            .flat_map(|block| [&block.bn1, &block.bn2])
            .chain([&self.bn])
    }

    /// All tensors of the network.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Logits, `[images, classes]`, of normalised images, `[images, 3, height, width]`, with the running
    /// statistics of batch norm, as after PyTorch's `eval()`. [`Folded`](super::Folded) is faster, and
    /// [`Trainable`](super::Trainable) is for training.
    ///
    /// # Errors
    ///
    /// Those of libtorch.
    pub fn forward(&self, images: &Tensor) -> Result<Tensor, TchError> {
        let mut x = conv3x3(images, &self.stem, 1)?;
        for block in &self.blocks {
            x = block.forward(&x)?;
        }
        let features = self.bn.relu(&x)?;
        let features = features.f_mean_dim([2_i64, 3].as_slice(), false, None)?;
        features.f_linear(&self.linear.0, Some(&self.linear.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counted by PyTorch, in networks of the same architecture.
    #[test]
    fn parameter_counts_are_the_papers() {
        let count = |depth, width| {
            let model = Model::new(depth, width).unwrap();
            Shape::new(model, 10).parameter_count()
        };
        assert_eq!(count(10, 1), 77_850);
        assert_eq!(count(16, 2), 691_674);
        assert_eq!(count(40, 2), 2_243_546);
        assert_eq!(count(28, 10), 36_479_194);
    }
}
