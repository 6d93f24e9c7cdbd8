//! Augments PNM images from standard input onto standard output, on one core: no thread is started,
//! no image library is linked, and of the built-in ops only those that are named here.
//!
//! ```sh
//! single-core 7 < pictures.ppm > augmented.ppm
//! ```
//!
//! The argument is the seed; without one it is 0. Images may follow each other, as PNM files allow,
//! and the first has the index 0.

mod pnm;
mod vignette;

use std::env;
use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use faa_op::{DrawKey, OpSet};
use faa_ops_builtin::{Brightness, FlipX, Rotate};
use faa_policy::{Executor, Policy, Workspace};

use vignette::Vignette;

/// Compiled in, as a device without files would do; `Policy::parse` takes a file's bytes as well.
const POLICY: &[u8] = br#"{
    "format": "faa-policy", "version": 1, "name": "single-core",
    "sub_policies": [
        [{"op": "FlipX", "probability": 0.5},
         {"op": "Rotate", "probability": 1, "value": 10}],
        [{"op": "Brightness", "probability": 0.8, "value": 1.3},
         {"op": "Vignette", "probability": 1, "magnitude": 0.5}]
    ]
}"#;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody may be there to read it.
            let _ = writeln!(io::stderr(), "single-core: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let seed = env::args_os().nth(1);
    let seed = seed.map_or(Ok(0), |seed| seed.to_string_lossy().parse())?;
    let executor = Executor::new(&Policy::parse(POLICY)?, &ops()?)?;
    let mut workspace = Workspace::new();
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());

    // One picture and one workspace: nothing is allocated from the second image on, unless it is
    // larger.
    let mut picture = pnm::Picture::default();
    for index in 0.. {
        if !picture.read(&mut input)? {
            break;
        }
        let key = DrawKey::new(seed, 0, index);
        executor.apply(&mut picture.view()?, key, &mut workspace)?;
        picture.write(&mut output)?;
    }
    Ok(output.flush()?)
}

/// The ops that the policy may name: three of the built-in ones, and a custom one.
fn ops() -> Result<OpSet, faa_op::DuplicateOp> {
    let mut ops = OpSet::new();
    ops.insert(Arc::new(FlipX::default()))?;
    ops.insert(Arc::new(Rotate::default()))?;
    ops.insert(Arc::new(Brightness::default()))?;
    ops.insert(Arc::new(Vignette::default()))?;
    Ok(ops)
}
