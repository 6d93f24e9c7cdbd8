#![doc = include_str!("../README.md")]

pub mod page;
pub mod tensorboard;
