//! SHA-256.

use sha2::digest::generic_array::GenericArray;
use sha2::{Digest, Sha256};

pub(crate) type Sha256Digest = [u8; 32];

pub(crate) fn sha256(bytes: &[u8]) -> Sha256Digest {
    Sha256::digest(bytes).into()
}

/// A digest as 64 hexadecimal digits.
pub(crate) fn hex(digest: &Sha256Digest) -> String {
    format!("{:x}", GenericArray::from(*digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first example of FIPS 180-2, appendix B.
    #[test]
    fn digests_are_those_of_the_standard() {
        assert_eq!(
            hex(&sha256(b"abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
