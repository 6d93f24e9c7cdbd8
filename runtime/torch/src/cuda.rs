//! What libtorch lacks on CUDA: kernels that fuse batch norm with ReLU, and graphs of a whole training
//! step.

mod driver;
mod graph;
mod kernels;

pub(crate) use self::graph::Graph;
pub(crate) use self::kernels::Kernels;
