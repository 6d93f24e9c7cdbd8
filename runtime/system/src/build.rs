use std::env;
use std::fs::File;
use std::hash::Hasher;
use std::io::{self, Read};
use std::path::Path;

use twox_hash::XxHash3_64;

/// The build of this program: its version, and a digest of its file, which distinguishes builds of one
/// version, also those from a package, which has no commit. Without the digest if the file cannot be read.
pub fn build(version: &str) -> String {
    match env::current_exe().and_then(|program| digest(&program)) {
        Ok(digest) => format!("{version}+{digest:016x}"),
        Err(_) => version.to_owned(),
    }
}

/// XXH3 of a file. A program has more than 100 MB with its debug information, so FNV would take a quarter of a
/// second.
fn digest(path: &Path) -> io::Result<u64> {
    let (mut file, mut hasher) = (File::open(path)?, XxHash3_64::new());
    let mut bytes = vec![0; 256 << 10];
    loop {
        match file.read(&mut bytes) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(length) => hasher.write(&bytes[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
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
        // Of all of the program.
        let program = std::fs::read(env::current_exe().unwrap()).unwrap();
        let whole = XxHash3_64::oneshot(&program);
        assert_eq!(digest, format!("{whole:016x}"));
    }
}
