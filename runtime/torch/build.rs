//! Lets programs and tests of this crate find libtorch where cargo linked them against it.
//!
//! `faa-runtime` does not rely on it: it starts `faa-runtime-torch` with the library path set,
//! which comes before the path that is written here.

fn main() {
    println!("cargo::rerun-if-env-changed=LIBTORCH");
    if let Ok(libtorch) = std::env::var("LIBTORCH") {
        println!("cargo::rustc-link-arg=-Wl,--enable-new-dtags,-rpath,{libtorch}/lib");
    }
}
