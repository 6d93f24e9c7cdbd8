//! Where files are written to: a folder or an archive.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use faa_data::DataSpec;
use faa_system::{PARTIAL_PREFIX, create_folder, is_litter};

use super::outputs::{MANIFEST, Outputs};
use crate::commands::Usage;

/// What `--out` says.
#[derive(Clone, Debug)]
pub(crate) enum Destination {
    Folder(PathBuf),
    Archive(PathBuf),
}

impl Destination {
    /// `DIR` or `tar:FILE`.
    pub(super) fn parse(out: OsString) -> Self {
        match out.to_str().and_then(|out| out.strip_prefix("tar:")) {
            Some(file) => Self::Archive(file.into()),
            None => Self::Folder(out.into()),
        }
    }

    /// The folder, or that of the archive.
    pub(super) fn folder(&self) -> &Path {
        match self {
            Self::Folder(folder) => folder,
            Self::Archive(file) => match file.parent() {
                Some(folder) if !folder.as_os_str().is_empty() => folder,
                _ => Path::new("."),
            },
        }
    }

    pub(super) fn path(&self) -> &Path {
        let (Self::Folder(path) | Self::Archive(path)) = self;
        path
    }

    /// The manifest. That of an archive is beside it, until the archive is complete and has it.
    pub(super) fn manifest(&self) -> PathBuf {
        match self {
            Self::Folder(folder) => folder.join(MANIFEST),
            Self::Archive(file) => {
                let mut name = file.clone().into_os_string();
                name.push(format!(".{MANIFEST}"));
                name.into()
            }
        }
    }

    /// Checks that it is not in the data set, and that there is nothing that was not begun by this command. An
    /// archive that has no manifest beside it is not checked.
    pub(super) fn check(&self, data: &DataSpec) -> Result<()> {
        if let Self::Archive(file) = self {
            check_name(file)?;
        }
        let path = self.path();
        let is_in_data = match data {
            DataSpec::Folder(data)
            | DataSpec::Yolo(data)
            | DataSpec::Masks(data)
            | DataSpec::Coco { images: data, .. } => resolved(path)?.starts_with(resolved(data)?),
            DataSpec::Tar(data) => resolved(path)? == resolved(data)?,
            _ => false,
        };
        if is_in_data {
            bail!(Usage(format!(
                "--out {self} is in the data set, whose images it would add to: choose a different one"
            )));
        }
        match self {
            Self::Folder(folder) => check_folder(folder),
            Self::Archive(file) => check_file(file),
        }
    }

    /// Creates the folders of all outputs, and removes files that a kill has left incomplete.
    pub(super) fn prepare_folders(&self, outputs: &Outputs<'_>) -> Result<()> {
        let Self::Folder(out) = self else {
            return Ok(());
        };
        let wanted = outputs.wanted();
        let files = wanted.iter().map(|&it| &outputs.files.files()[it]);
        let folders: BTreeSet<String> = files.flat_map(Outputs::folders).collect();
        // Each after those that it is in.
        let mut all = BTreeSet::from([out.clone()]);
        for folder in folders {
            let folder = out.join(folder);
            let above = folder.ancestors();
            all.extend(above.take_while(|it| *it != out).map(Path::to_owned));
        }
        for folder in all {
            if folder != *out && folder.is_symlink() {
                bail!(
                    "{} is a link, which may lead elsewhere: remove it",
                    folder.display()
                );
            }
            prepare(&folder).with_context(|| format!("cannot prepare {}", folder.display()))?;
        }
        Ok(())
    }
}

/// As on the command line.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "{}", folder.display()),
            Self::Archive(file) => write!(f, "tar:{}", file.display()),
        }
    }
}

fn check_folder(folder: &Path) -> Result<()> {
    let out = folder.display();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read the folder {out}"));
        }
    };
    // A file that is being written begins with a dot, too.
    let names: Result<Vec<_>, _> = entries.map(|it| it.map(|it| it.file_name())).collect();
    let names = names.with_context(|| format!("cannot read the folder {out}"))?;
    let is_begun = names.iter().any(|name| name == MANIFEST);
    match is_begun || names.iter().all(|name| is_litter(name)) {
        true => Ok(()),
        false => {
            bail!("{out} is not empty, and was not begun by this command: choose a different --out")
        }
    }
}

fn check_name(file: &Path) -> Result<()> {
    let out = file.display();
    if file.file_name().is_none() {
        bail!(Usage(format!(
            "--out tar:{out} names no file: give a name such as tar:more-pets.tar"
        )));
    }
    let name = file.to_string_lossy().to_lowercase();
    let packed = [".gz", ".tgz", ".zst", ".tzst", ".xz", ".bz2"];
    if packed.iter().any(|end| name.ends_with(end)) {
        bail!(Usage(format!(
            "--out tar:{out}: archives are not compressed, as images are already: end its name with .tar"
        )));
    }
    Ok(())
}

fn check_file(file: &Path) -> Result<()> {
    let out = file.display();
    match file.symlink_metadata() {
        Ok(found) if !found.is_file() => {
            bail!("{out} is not a file, but a folder or a link: choose a different --out")
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot read {out}")),
    }
}

/// Creates a folder, and removes the incomplete files in it.
fn prepare(folder: &Path) -> io::Result<()> {
    create_folder(folder)?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_partial = name
            .as_encoded_bytes()
            .starts_with(PARTIAL_PREFIX.as_bytes());
        if is_partial && entry.file_type()?.is_file() {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// The path without links; of what does not exist, below the folder above it that does.
fn resolved(path: &Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(path)?;
    let resolve = |above: &Path| {
        let rest = absolute.strip_prefix(above).ok()?;
        Some(above.canonicalize().ok()?.join(rest))
    };
    let resolved = absolute.ancestors().find_map(resolve);
    Ok(resolved.unwrap_or(absolute))
}
