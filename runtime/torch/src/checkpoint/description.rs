//! What a network's file says of it, beside its tensors.

use std::path::Path;

use faa_search::data::Dataset;
use serde::{Deserialize, Serialize};

use super::CheckpointError;
use crate::backend::Statistics;
use crate::network::Shape;

/// What a network is, and what it was trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Description {
    depth: usize,
    width: usize,
    classes: Vec<String>,
    size: [usize; 2],
    mean: [f64; 3],
    deviation: [f64; 3],
}

impl Description {
    pub(crate) fn new(shape: Shape, data: &Dataset, statistics: Statistics) -> Self {
        Self {
            depth: shape.depth,
            width: shape.width,
            classes: data.classes.clone(),
            size: [data.width, data.height],
            mean: statistics.mean,
            deviation: statistics.deviation,
        }
    }

    pub(crate) fn shape(&self) -> Shape {
        Shape {
            depth: self.depth,
            width: self.width,
            classes: self.classes.len(),
        }
    }

    pub(crate) fn statistics(&self) -> Statistics {
        Statistics {
            mean: self.mean,
            deviation: self.deviation,
        }
    }

    /// Whether the data set has the classes that the network tells apart, in the same order, and
    /// images of the size that it learnt from.
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

    /// Whether there can be such a network: one that does not fit into memory is in no file either.
    pub(super) fn is_possible(&self) -> bool {
        let Shape {
            depth,
            width,
            classes,
        } = self.shape();
        let unit = |number: &f64| (0.0..=1.0).contains(number);
        self.mean.iter().chain(&self.deviation).all(unit)
            && width <= 1_000
            && depth <= 10_000
            && Shape::new(depth, width, classes).is_ok()
    }
}
