//! Plugins for tests: those of `examples/plugins`, and the one in the ABI's own text.

use std::fs;

use crate::root;

/// The module that stands in `plugin-sdk/ABI.md`.
///
/// # Panics
///
/// Where it is not there, or is not valid.
pub fn abi_example() -> Vec<u8> {
    let page = fs::read_to_string(root().join("plugin-sdk/ABI.md")).expect("the page can be read");
    let (_, rest) = page.split_once("```wat\n").expect("the page has an example");
    let (text, _) = rest.split_once("```").expect("the example ends");
    wat::parse_str(text).expect("the example is valid")
}
