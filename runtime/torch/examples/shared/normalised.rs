//! Shared by the examples that compare networks.

use anyhow::Result;
use faa_data::Dataset;
use tch::Tensor;

/// Pixels as the network sees them, `[images, height, width, 3]` in 32-bit floats on the CPU: `images` of
/// `width` × `height`, each channel normalised by the data set's statistics.
pub(crate) fn normalised(dataset: &Dataset, pixels: &[u8]) -> Result<Tensor> {
    let statistics = dataset.channel_statistics();
    let normalise = |(index, byte): (usize, &u8)| {
        let (mean, std) = (statistics.mean[index % 3], statistics.std[index % 3]);
        ((f64::from(*byte) / 255.0 - mean) / std) as f32
    };
    let values: Vec<f32> = pixels.iter().enumerate().map(normalise).collect();
    let size = [-1, dataset.height as i64, dataset.width as i64, 3];
    Ok(Tensor::f_from_slice(&values)?.f_view(size)?)
}
