use std::ffi::CStr;

use crate::{Policy, PolicyError};

/// A policy that is part of the crate.
#[derive(Clone, Copy, Debug)]
pub struct Shipped {
    /// The policy's name.
    pub name: &'static str,
    c_name: &'static CStr,
    json: &'static str,
}

impl Shipped {
    /// The name as C has it, with a zero byte at its end.
    pub fn c_name(&self) -> &'static CStr {
        self.c_name
    }

    /// The policy.
    ///
    /// # Errors
    ///
    /// None in a release: the tests parse every shipped file.
    pub fn policy(&self) -> Result<Policy, PolicyError> {
        Policy::parse(self.json.as_bytes())
    }
}

/// The policies that come with the crate.
pub fn shipped() -> &'static [Shipped] {
    SHIPPED
}

/// Declares the list by names, each of which names its file. The folder is a link to the
/// repository's, because a package can hold only what its own folder has.
macro_rules! shipped {
    ($($name:literal),+ $(,)?) => {
        &[$(Shipped {
            name: $name,
            c_name: match CStr::from_bytes_with_nul(concat!($name, "\0").as_bytes()) {
                Ok(name) => name,
                Err(_) => panic!("a name has a zero byte"),
            },
            json: include_str!(concat!("../policies/", $name, ".json")),
        }),+]
    };
}

const SHIPPED: &[Shipped] = shipped![
    "autoaugment-cifar10",
    "autoaugment-svhn",
    "autoaugment-imagenet",
    "randaugment",
    "trivialaugment-wide",
    "trivialaugment-detection",
    "glyphs-wrn-10-1",
    "cifar10-jpeg-wrn-40-2",
];
