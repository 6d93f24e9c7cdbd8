use faa_data::Dataset;

/// Of the training images: what the network's input is normalised with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Statistics {
    pub(crate) mean: [f64; 3],
    pub(crate) deviation: [f64; 3],
}

impl Statistics {
    pub(crate) fn of(dataset: &Dataset) -> Self {
        let statistics = dataset.channel_statistics();
        Self {
            mean: statistics.mean,
            deviation: statistics.std,
        }
    }
}
