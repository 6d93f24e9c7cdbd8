//! A program without an executor, whose size `tests/budget.rs` subtracts.

fn main() {}
