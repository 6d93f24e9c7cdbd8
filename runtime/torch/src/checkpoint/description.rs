//! The description of a trained network in its file.

use std::path::Path;

use faa_data::Dataset;
use faa_search::model::Model;
use serde::{Deserialize, Serialize};

use super::error::CheckpointError;
use crate::network::Shape;
use crate::statistics::Statistics;

/// The network's shape, and the classes, size and statistics of the images it was trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Description {
    model: Model,
    classes: Vec<String>,
    size: [usize; 2],
    mean: [f64; 3],
    deviation: [f64; 3],
}

impl Description {
    pub(crate) fn new(shape: Shape, data: &Dataset, statistics: Statistics) -> Self {
        Self {
            model: shape.model,
            classes: data.classes.clone(),
            size: [data.width, data.height],
            mean: statistics.mean,
            deviation: statistics.std,
        }
    }

    pub(crate) fn shape(&self) -> Shape {
        Shape {
            model: self.model,
            classes: self.classes.len(),
        }
    }

    pub(crate) fn statistics(&self) -> Statistics {
        Statistics {
            mean: self.mean,
            std: self.deviation,
        }
    }

    /// Checks that a data set has the network's classes, in the same order, and images of the size that
    /// it was trained on.
    pub(crate) fn check(&self, data: &Dataset, path: &Path) -> Result<(), CheckpointError> {
        let path = path.to_owned();
        if self.classes != data.classes {
            return Err(CheckpointError::Classes {
                path,
                network: self.classes.clone(),
                data: data.classes.clone(),
            });
        }
        let (network, data) = (self.size, [data.width, data.height]);
        if network != data {
            return Err(CheckpointError::Size {
                path,
                network,
                data,
            });
        }
        Ok(())
    }

    /// Whether the statistics are in the range of images.
    pub(super) fn is_valid(&self) -> bool {
        let unit = |value: &f64| (0.0..=1.0).contains(value);
        self.mean.iter().chain(&self.deviation).all(unit)
    }
}
