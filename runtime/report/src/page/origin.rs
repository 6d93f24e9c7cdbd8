//! Whose run it is. A run directory may come from elsewhere, and name any folder of this machine as its
//! data set; a page with pictures from there would show them to whoever gets the page.

use std::fs;
use std::io;
use std::path::Path;

use faa_data::DataSpec;
use faa_search::layout::Layout;
use faa_system::{cache_folder, user_key, write_whole};
use sha2::{Digest, Sha256};

/// The file's length: a SHA-256 in hexadecimal digits.
const TAG_LENGTH: usize = 64;

/// Records in a run directory that its user named this data set, as after `--data`, so that
/// [`write`](super::write) shows images of it without being asked to.
///
/// The record is a digest of the absolute paths of both, and of the data set's kind, keyed with the user's key
/// ([`user_key`](faa_system::user_key)). So nobody else can make it, and it holds for no other data set, nor
/// at another path.
///
/// # Errors
///
/// Those of the operating system, also if there is no cache folder or no such data set.
pub fn name_data(run: &Path, data: &DataSpec) -> io::Result<()> {
    let tag = tag(&key()?, run, data)?;
    write_whole(&Layout::new(run).origin_file(), tag.as_bytes())
}

/// Whether the user of this program has named this data set for this run, or the program draws it.
pub(super) fn is_named(run: &Path, data: &DataSpec) -> bool {
    if matches!(data, DataSpec::Glyphs { .. }) {
        return true;
    }
    let file = Layout::new(run).origin_file();
    // What is not a file of this size, such as a link or a pipe, is not opened.
    let is_tag =
        fs::symlink_metadata(&file).is_ok_and(|it| it.is_file() && it.len() == TAG_LENGTH as u64);
    let recorded = || fs::read_to_string(&file);
    let expected = || tag(&key()?, run, data);
    is_tag
        && matches!((recorded(), expected()), (Ok(recorded), Ok(expected)) if recorded == expected)
}

fn key() -> io::Result<[u8; 32]> {
    user_key(&cache_folder().map_err(io::Error::other)?)
}

fn tag(key: &[u8; 32], run: &Path, data: &DataSpec) -> io::Result<String> {
    let (kind, path) = match data {
        DataSpec::Folder(path) => ("folder", path),
        DataSpec::Tar(path) => ("tar", path),
        DataSpec::Cifar10(path) => ("cifar10", path),
        DataSpec::Cifar100(path) => ("cifar100", path),
        _ => return Err(io::Error::other("the data set is not in a file")),
    };
    let [run, path] = [fs::canonicalize(run)?, fs::canonicalize(path)?];
    let [run, path] = [&run, &path].map(|it| it.as_os_str().as_encoded_bytes());
    let named = [kind.as_bytes(), run, path].join(&0);
    // A digest of a digest, because a keyed digest of the text itself could be continued to that of a longer one.
    let tag = Sha256::digest([key.as_slice(), &Sha256::digest(named)].concat());
    Ok(tag.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_holds_for_one_user_run_and_data_set_however_it_is_spelt() {
        let folder = tempfile::tempdir().unwrap();
        let [pets, other] = ["pets", "other"].map(|name| folder.path().join(name));
        fs::create_dir(&pets).unwrap();
        fs::create_dir(&other).unwrap();
        let tag_of = |key, spec: DataSpec| tag(&[key; 32], folder.path(), &spec).unwrap();
        let expected = tag_of(1, DataSpec::Folder(pets.clone()));
        assert_eq!(expected.len(), TAG_LENGTH);
        assert_eq!(
            tag_of(1, DataSpec::Folder(other.join("../pets/"))),
            expected
        );
        assert_ne!(tag_of(2, DataSpec::Folder(pets.clone())), expected);
        assert_ne!(tag_of(1, DataSpec::Tar(pets)), expected);
        assert_ne!(tag_of(1, DataSpec::Folder(other.clone())), expected);
        let pets = DataSpec::Folder(folder.path().join("pets"));
        assert_ne!(tag(&[1; 32], &other, &pets).unwrap(), expected);
        let nowhere = DataSpec::Folder("/no/such/folder".into());
        assert!(tag(&[1; 32], &other, &nowhere).is_err());
    }
}
