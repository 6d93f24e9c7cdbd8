//! WideResNet-d-k (Zagoruyko and Komodakis, *Wide Residual Networks*, BMVC 2016), pre-activation.

mod cpu_norm;
mod folded;
mod layers;
mod norm_relu;
mod store;
mod team;
mod trainable;
mod wide_resnet;

pub use self::folded::Folded;
pub(crate) use self::store::ALIGNMENT;
pub use self::store::{Role, Store, TensorSpec};
pub use self::trainable::{Pass, Trainable};
pub use self::wide_resnet::{Shape, WideResNet};
