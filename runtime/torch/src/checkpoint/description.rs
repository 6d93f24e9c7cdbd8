//! The description of a trained network in its file.

use faa_data::{ChannelStatistics, Dataset};
use faa_search::model::Model;
use serde::{Deserialize, Serialize};

use super::error::CheckpointErrorKind;
use crate::network::Shape;

/// The network's shape, and the classes, size and statistics of the images it was trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Description {
    model: Model,
    classes: Vec<String>,
    size: [usize; 2],
    mean: [f64; 3],
    std: [f64; 3],
}

impl Description {
    pub(crate) fn new(shape: Shape, data: &Dataset, statistics: ChannelStatistics) -> Self {
        Self {
            model: shape.model,
            classes: data.classes.clone(),
            size: [data.width, data.height],
            mean: statistics.mean,
            std: statistics.std,
        }
    }

    pub(super) fn shape(&self) -> Shape {
        Shape::new(self.model, self.classes.len())
    }

    pub(super) fn statistics(&self) -> ChannelStatistics {
        ChannelStatistics::new(self.mean, self.std)
    }

    /// Checks that a data set has the network's classes, in the same order, and images of the size that
    /// it was trained on.
    pub(super) fn check(&self, data: &Dataset) -> Result<(), CheckpointErrorKind> {
        if self.classes != data.classes {
            return Err(CheckpointErrorKind::Classes {
                network: self.classes.clone(),
                data: data.classes.clone(),
            });
        }
        let (network, data) = (self.size, [data.width, data.height]);
        if network != data {
            return Err(CheckpointErrorKind::Size { network, data });
        }
        Ok(())
    }

    /// Whether the statistics are in the range of images.
    pub(super) fn is_valid(&self) -> bool {
        let unit = |value: &f64| (0.0..=1.0).contains(value);
        self.mean.iter().chain(&self.std).all(unit)
    }
}
