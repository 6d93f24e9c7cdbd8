use std::{env, fs};

use crate::digest::fnv1a;

/// The build of this program: its version, and a digest of its file, which distinguishes builds of one
/// version, also those from a package, which has no commit. Without the digest if the file cannot be read.
pub fn build(version: &str) -> String {
    match env::current_exe().and_then(fs::read) {
        Ok(program) => format!("{version}+{:016x}", fnv1a(program)),
        Err(_) => version.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_a_version_and_a_digest_of_the_program() {
        let this = build("1.2");
        let (version, digest) = this.split_once('+').unwrap();
        assert_eq!(version, "1.2");
        assert!(digest.len() == 16 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_eq!(build("1.2"), this);
    }
}
