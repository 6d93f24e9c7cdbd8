//! A run for people: [one HTML page](page), and [event files for TensorBoard](tensorboard).

pub mod page;
pub mod tensorboard;
