//! The program that `tests/budget.rs` takes as the size of a program without an executor.

fn main() {}
