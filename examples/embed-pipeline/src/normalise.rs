/// `(level / 255 − mean) / deviation`, one table per channel.
pub(crate) struct Normaliser {
    tables: [[f32; 256]; 3],
}

impl Normaliser {
    pub(crate) fn new(mean: [f32; 3], deviation: [f32; 3]) -> Self {
        let table = |channel: usize| {
            let value = |level| (level as f32 / 255.0 - mean[channel]) / deviation[channel];
            std::array::from_fn(value)
        };
        Self {
            tables: std::array::from_fn(table),
        }
    }

    /// Appends interleaved RGB pixels as three planes.
    pub(crate) fn append(&self, pixels: &[u8], images: &mut Vec<f32>) {
        for (channel, table) in self.tables.iter().enumerate() {
            let of_pixel = |pixel: &[u8]| table[usize::from(pixel[channel])];
            images.extend(pixels.chunks_exact(3).map(of_pixel));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_become_planes_of_normalised_floats() {
        let normaliser = Normaliser::new([0.5, 0.0, 0.2], [0.5, 2.0, 0.25]);
        let mut images = vec![7.0];
        normaliser.append(&[0, 255, 51, 255, 0, 102], &mut images);
        let expected = [7.0, -1.0, 1.0, 0.5, 0.0, 0.0, 0.8];
        for (found, expected) in images.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{images:?}");
        }
        assert_eq!(images.len(), expected.len());
    }
}
