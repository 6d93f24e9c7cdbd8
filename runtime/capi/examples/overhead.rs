//! What a call of `faa_apply` costs beyond the same call in Rust. Both apply the same draw to the same image, one
//! after the other, and take turns in being first; the differences of such pairs have a median that what else
//! runs on the machine hardly moves.
//!
//!     cargo run --release -p faa-capi --example overhead
#![expect(unsafe_code, reason = "as C calls")]

use std::hint::black_box;
use std::ptr::null_mut;
use std::time::Instant;

use faa::{FAA_CHW, FAA_HWC, FAA_OK, Image, Key, faa_apply, faa_policy_shipped, faa_workspace_new};
use faa_op::{Channels, DrawKey, ImageMut, ImageRef};
use faa_policy::{Executor, Workspace, shipped};

const POLICY: &std::ffi::CStr = c"autoaugment-cifar10";
const IMAGES: u64 = 64;
const PAIRS: u64 = 40_000;

fn main() {
    println!("| size | layout | Rust, ns | C, ns | difference, ns |\n|---|---|---|---|---|");
    for side in [32, 224] {
        for (name, layout) in [("HWC", FAA_HWC), ("CHW", FAA_CHW)] {
            let [rust, c, difference] = medians(side, layout);
            println!("| {side}×{side} | {name} | {rust:.0} | {c:.0} | {difference:.0} |");
        }
    }
}

/// Nanoseconds per image, from a source to a result: in Rust (with interleaved channels), through C, and their
/// difference.
fn medians(side: usize, layout: u32) -> [f64; 3] {
    let bytes = side * side * 3;
    let mut sources: Vec<Vec<u8>> = (0..IMAGES as usize)
        .map(|image| {
            (0..bytes)
                .map(|at| (96 + at / 3 % side / 4 + image) as u8)
                .collect()
        })
        .collect();
    let mut result = vec![0; bytes];

    let policy = shipped().iter().find(|shipped| shipped.c_name() == POLICY);
    let policy = policy
        .expect("it is shipped")
        .policy()
        .expect("it is valid");
    let (executor, own) = (
        Executor::builtin(&policy).expect("built in"),
        &mut Workspace::new(),
    );
    let mut c_policy = null_mut();
    // SAFETY: all pointers are valid.
    let status = unsafe { faa_policy_shipped(POLICY.as_ptr(), &mut c_policy, null_mut()) };
    assert_eq!(status, FAA_OK);
    let workspace = faa_workspace_new();

    let mut times = [0, 1, 2].map(|_| Vec::new());
    for index in 0..PAIRS {
        let source = &mut sources[(index % IMAGES) as usize];
        let mut pair = [0.0; 2];
        for turn in 0..2 {
            let way = (index + turn) as usize % 2;
            let start = Instant::now();
            if way == 0 {
                let image = ImageRef::new(source, side, side, Channels::Rgb).expect("as long");
                let result = &mut ImageMut::new(&mut result, side, side, Channels::Rgb);
                let result = result.as_mut().expect("as long");
                let done = executor.apply_to(image, result, DrawKey::new(1, 0, index), own);
                done.expect("the policy needs no partners");
            } else {
                let image = |samples: &mut Vec<u8>| Image {
                    samples: samples.as_mut_ptr(),
                    length: bytes,
                    width: side,
                    height: side,
                    channels: 3,
                    row_stride: 0,
                    layout,
                };
                let (source, mut result) = (image(source), image(&mut result));
                let key = Key {
                    seed: 1,
                    epoch: 0,
                    index,
                };
                // SAFETY: all pointers are valid, and the images are as long as they say.
                let status = unsafe {
                    faa_apply(c_policy, key, &source, &mut result, workspace, null_mut())
                };
                assert_eq!(status, FAA_OK);
            }
            black_box(&mut result);
            pair[way] = start.elapsed().as_secs_f64() * 1e9;
        }
        let [rust, c] = pair;
        for (times, time) in times.iter_mut().zip([rust, c, c - rust]) {
            times.push(time);
        }
    }
    times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    })
}
