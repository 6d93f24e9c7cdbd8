//! Applies a shipped policy to one image with a key: samples on standard input, interleaved and without a header,
//! become those on standard output. The tests of the Python package compare this with what C, Python and the
//! command line make of the same image.
//!
//! ```sh
//! cargo run --release -p faa-policy --example keyed -- NAME WIDTH HEIGHT CHANNELS SEED EPOCH INDEX
//! ```

use std::env;
use std::error::Error;
use std::io::{self, Read, Write};

use faa_op::{Channels, DrawKey, ImageMut};
use faa_policy::{Executor, Workspace, shipped};

fn main() -> Result<(), Box<dyn Error>> {
    let usage = "give NAME WIDTH HEIGHT CHANNELS SEED EPOCH INDEX";
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [name, width, height, channels, seed, epoch, index] = &arguments[..] else {
        return Err(usage.into());
    };
    let channels = Channels::from_count(channels.parse()?).ok_or(usage)?;
    let mut named = shipped().iter().filter(|policy| policy.name == name);
    let policy = named.next().ok_or("no shipped policy has this name")?;
    let executor = Executor::builtin(&policy.policy()?)?;
    let mut samples = Vec::new();
    io::stdin().read_to_end(&mut samples)?;
    let mut image = ImageMut::new(&mut samples, width.parse()?, height.parse()?, channels)?;
    let key = DrawKey::new(seed.parse()?, epoch.parse()?, index.parse()?);
    executor.apply(&mut image, key, &mut Workspace::new())?;
    Ok(io::stdout().write_all(&samples)?)
}
