//! A plugin of one op, [`Elastic`], which moves pixels about.
//!
//! It shows how an op takes randomness and working memory from its call, so that the same seed
//! gives the same bytes and nothing is allocated from the second image on.

mod elastic;

pub use elastic::Elastic;

faa_plugin_sdk::export_ops!(Elastic::default());
