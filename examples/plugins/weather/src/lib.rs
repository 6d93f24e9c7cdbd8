//! A plugin with several ops: [`Fog`], [`Rain`] and [`Snow`].
//!
//! It shows ops with shared code, and an op whose value is
//! [mirrored](faa_plugin_sdk::OpSpec::mirrored) when a policy draws it.

mod blend;
mod fog;
mod rain;
mod snow;

pub use fog::Fog;
pub use rain::Rain;
pub use snow::Snow;

#[cfg(test)]
mod testing {
    use faa_plugin_sdk::{Call, Channels, ImageMut, Op, Scratch};

    /// Applies an op to an image in place.
    pub(crate) fn apply(
        op: &impl Op,
        value: f64,
        seed: u64,
        (width, height, channels): (usize, usize, Channels),
        samples: &mut [u8],
    ) {
        let mut image = ImageMut::new(samples, width, height, channels).unwrap();
        let mut scratch = Scratch::new();
        let call = &mut Call::new(seed, &mut scratch);
        op.apply(&mut image, value, call).unwrap();
    }
}

faa_plugin_sdk::export_ops!(Fog::default(), Rain::default(), Snow::default());
