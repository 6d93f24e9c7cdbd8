//! Compiles the shim against libtorch's headers, and sets an rpath by which this crate's programs and
//! tests find the libtorch that cargo linked them against.
//!
//! `faa-runtime` does not rely on the rpath: it starts `faa-runtime-torch` with `LD_LIBRARY_PATH` set,
//! which takes precedence.

use std::env;
use std::path::Path;

fn main() {
    println!("cargo::rerun-if-env-changed=LIBTORCH");
    println!("cargo::rerun-if-changed=src/shim.cpp");
    let Ok(libtorch) = env::var("LIBTORCH") else {
        println!(
            "cargo::error=LIBTORCH is not set: run `cargo xtask libtorch`, or set it yourself"
        );
        return;
    };
    println!("cargo::rustc-link-arg=-Wl,--enable-new-dtags,-rpath,{libtorch}/lib");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .warnings(false)
        .include(Path::new(&libtorch).join("include"))
        .file("src/shim.cpp")
        .compile("faa_shim");
}
