//! Compiles the shim against libtorch's headers, and lets programs and tests of this crate find
//! libtorch where cargo linked them against it.
//!
//! `faa-runtime` does not rely on the latter: it starts `faa-runtime-torch` with the library path
//! set, which comes before the path that is written here.

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
