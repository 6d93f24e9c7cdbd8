//! A plugin with one op, [`Elastic`], which distorts images.
//!
//! It shows how an op gets random numbers and working memory from its call, so that the same seed
//! gives the same bytes, and nothing is allocated after the first image.

mod elastic;

pub use elastic::Elastic;

faa_plugin_sdk::export_ops!(Elastic::default());
