use faa_search::model::Model;
use tch::{Device, Kind, TchError, Tensor};

use super::layers::{BatchNorm, Block, BlockShape, Mode, conv3x3};
use super::store::{Role, Store, TensorSpec};

/// The shape of a WideResNet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Depth and width.
    pub model: Model,
    /// Classes that are told apart.
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
/// Channels at width 1, and stride, of the three groups.
const GROUPS: [(usize, i64); 3] = [(16, 1), (32, 2), (64, 2)];

impl Shape {
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

    /// How many numbers training changes.
    pub fn parameter_count(&self) -> usize {
        let learnt = |tensor: &TensorSpec| tensor.role != Role::Statistic;
        self.tensors()
            .iter()
            .filter(|tensor| learnt(tensor))
            .map(TensorSpec::len)
            .sum()
    }

    fn blocks(&self) -> impl Iterator<Item = BlockShape> {
        let blocks = (self.model.depth() - 4) / 6;
        let mut before = STEM_CHANNELS;
        let width = self.model.width();
        GROUPS
            .into_iter()
            .enumerate()
            .flat_map(move |(group, (channels, stride))| {
                let channels = channels * width;
                let first = BlockShape {
                    name: String::new(),
                    before,
                    channels,
                    stride,
                };
                before = channels;
                (0..blocks).map(move |block| BlockShape {
                    name: format!("group{}.block{block}", group + 1),
                    before: if block == 0 { first.before } else { channels },
                    stride: if block == 0 { stride } else { 1 },
                    ..first.clone()
                })
            })
    }
}

impl WideResNet {
    /// A network of 32-bit floats whose tensors hold what `fill` gives for each of them, row by row.
    ///
    /// # Errors
    ///
    /// What libtorch reports, for instance where the device has too little memory.
    ///
    /// # Panics
    ///
    /// Where `fill` returns a different number of values than the tensor has.
    pub fn new(
        shape: Shape,
        device: Device,
        fill: impl FnMut(&TensorSpec) -> Vec<f32>,
    ) -> Result<Self, TchError> {
        Self::of_kind(shape, Kind::Float, device, fill)
    }

    /// As [`new`](Self::new), with floats of a different kind. With [`Kind::Double`], training and
    /// evaluation can be compared with another program's without regard to the processor's kernels.
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

    /// Where the network is.
    pub fn device(&self) -> Device {
        self.stem.device()
    }

    /// Whether every number of the network is one.
    pub(crate) fn is_finite(&self) -> Result<bool, TchError> {
        let statistics = self
            .store
            .iter()
            .filter(|(spec, _)| spec.role == Role::Statistic);
        let tensors = statistics
            .map(|(_, tensor)| tensor)
            .chain([self.store.flat()]);
        // NaN and infinity propagate through a sum.
        let sums = tensors.map(|tensor| tensor.f_detach()?.f_sum(Kind::Double)?.f_view(1));
        let sums = sums.collect::<Result<Vec<_>, TchError>>()?;
        Ok(Tensor::f_cat(&sums, 0)?
            .f_sum(Kind::Double)?
            .f_double_value(&[])?
            .is_finite())
    }

    /// All tensors of the network.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Logits, `[images, classes]`, of normalised images, `[images, 3, height, width]`.
    ///
    /// Images whose channels lie innermost in memory are the fastest.
    ///
    /// # Errors
    ///
    /// What libtorch reports.
    pub fn forward(&self, images: &Tensor, mode: Mode) -> Result<Tensor, TchError> {
        let mut x = conv3x3(images, &self.stem, 1)?;
        for block in &self.blocks {
            x = block.forward(&x, mode)?;
        }
        let features = self
            .bn
            .relu(&x, mode)?
            .f_mean_dim([2_i64, 3].as_slice(), false, None)?;
        features.f_linear(&self.linear.0, Some(&self.linear.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The counts are those of the paper's networks in PyTorch.
    #[test]
    fn parameter_counts_are_the_papers() {
        let count = |depth, width| {
            let model = Model::new(depth, width).unwrap();
            Shape { model, classes: 10 }.parameter_count()
        };
        assert_eq!(count(10, 1), 77_850);
        assert_eq!(count(16, 2), 691_674);
        assert_eq!(count(40, 2), 2_243_546);
        assert_eq!(count(28, 10), 36_479_194);
    }
}
