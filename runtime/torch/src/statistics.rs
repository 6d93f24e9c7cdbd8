use faa_data::Dataset;

/// Per-channel mean and standard deviation of the training images, scaled to [0, 1].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Statistics {
    pub(crate) mean: [f64; 3],
    pub(crate) std: [f64; 3],
}

impl Statistics {
    pub(crate) fn of(dataset: &Dataset) -> Self {
        let statistics = dataset.channel_statistics();
        Self {
            mean: statistics.mean,
            std: statistics.std,
        }
    }
}
