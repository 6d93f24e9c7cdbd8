//! A plugin of several ops, [`Fog`], [`Rain`] and [`Snow`], each in a file of its own.
//!
//! It shows that ops of one plugin share code like those of any crate, and an op whose value is
//! signed and [mirrored](faa_plugin_sdk::OpSpec::mirrored) when a policy draws it.

mod blend;
mod fog;
mod rain;
mod snow;

pub use fog::Fog;
pub use rain::Rain;
pub use snow::Snow;

faa_plugin_sdk::export_ops!(Fog::default(), Rain::default(), Snow::default());
