//! A program whose size `tests/budget.rs` measures: it reads a policy, and applies it with all built-in ops.

use std::error::Error;
use std::io::{self, Read, Write};

use faa_op::{Channels, DrawKey, ImageMut};
use faa_policy::{Executor, Policy, Workspace};

fn main() -> Result<(), Box<dyn Error>> {
    // Read at run time, so that the compiler knows neither the policy nor the pixels.
    let mut json = Vec::new();
    io::stdin().read_to_end(&mut json)?;
    let executor = Executor::builtin(&Policy::parse(&json)?)?;
    let mut pixels = vec![json[0]; 32 * 32 * 3];
    let mut image = ImageMut::new(&mut pixels, 32, 32, Channels::Rgb)?;
    let key = DrawKey {
        seed: 1,
        epoch: 0,
        index: 0,
    };
    executor.apply(&mut image, key, &mut Workspace::new())?;
    Ok(io::stdout().write_all(&pixels)?)
}
