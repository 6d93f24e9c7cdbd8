//! What more GPUs give: a model of a run's time, fitted to what was measured on one GPU.
//!
//! ```text
//! cargo run --release -p faa-search --example scaling -- docs/scaling.svg
//! ```
//!
//! Prints the tables of `docs/scaling.md` and writes its plot.

mod model;
mod plot;
mod workloads;

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args().nth(1).ok_or("usage: scaling SVG")?;
    let model = model::Model::fitted();
    print!("{}", workloads::tables(&model));
    std::fs::write(file, plot::svg(&model))?;
    Ok(())
}
