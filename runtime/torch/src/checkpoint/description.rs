//! What a network's file says of it, beside its tensors.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use faa_search::FileError;
use faa_search::data::Dataset;
use serde::{Deserialize, Serialize};

use super::{CheckpointError, read_metadata};
use crate::judge::Statistics;
use crate::network::Shape;

/// The key under which the description stands, as JSON.
const KEY: &str = "faa-network";

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

    pub(super) fn to_metadata(&self) -> HashMap<String, String> {
        let json = serde_json::to_string(self).expect("it has a JSON form");
        HashMap::from([(KEY.to_owned(), json)])
    }
}

/// Reads what a network's file says of it. The network may be of any shape that exists.
pub(crate) fn describe(path: &Path) -> Result<Description, CheckpointError> {
    let file = fs::read(path).map_err(FileError::io("read", path))?;
    let (_, metadata) = read_metadata(&file, path)?;
    let described: Option<Description> = metadata
        .get(KEY)
        .and_then(|json| serde_json::from_str(json).ok());
    let possible = |described: &Description| {
        let Shape {
            depth,
            width,
            classes,
        } = described.shape();
        // A network that does not fit into memory is in no file either.
        let numbers = described.mean.iter().chain(&described.deviation);
        numbers
            .into_iter()
            .all(|number| (0.0..=1.0).contains(number))
            && width <= 1_000
            && depth <= 10_000
            && Shape::new(depth, width, classes).is_ok()
    };
    described
        .filter(possible)
        .ok_or_else(|| CheckpointError::Metadata {
            path: path.to_owned(),
            what: "depth, width, classes, size and statistics",
        })
}
