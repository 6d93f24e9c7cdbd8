//! The record of the run that a directory belongs to.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::VERSION;
use crate::config::RunConfig;
use crate::files::{FileError, FileErrorKind, parse, read};
use crate::layout::Layout;

/// The format of run directories. A directory of a different format is refused.
///
/// It is raised whenever a run could not be continued from the files of the format before.
pub const FORMAT: u64 = 2;

/// `run.json`: the run that a directory belongs to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunRecord {
    format: u64,
    /// The version of the program that began the run.
    pub version: String,
    /// The configuration.
    pub config: RunConfig,
    /// A digest of the images, as 16 hexadecimal digits.
    pub data_digest: String,
}

impl RunRecord {
    pub(super) fn new(config: &RunConfig, data_digest: String) -> Self {
        Self {
            format: FORMAT,
            version: VERSION.to_owned(),
            config: config.clone(),
            data_digest,
        }
    }

    /// The digest of the images.
    pub(crate) fn digest(&self) -> Result<u64, FileError> {
        u64::from_str_radix(&self.data_digest, 16).map_err(|_| {
            let message = format!("`{}` is not a digest of images", self.data_digest);
            FileError::new(FileErrorKind::Damaged, message)
        })
    }

    /// Reads the record of a run; `None` if the directory holds no run.
    ///
    /// # Errors
    ///
    /// [`FileError`] if it cannot be read, is damaged, or was written by a version with a different
    /// format.
    pub fn read(layout: &Layout) -> Result<Option<Self>, FileError> {
        let path = layout.run_file();
        let Some(content) = read(&path)? else {
            return Ok(None);
        };
        let advice = "restore it, or choose a different --out";
        let any = serde_json::from_slice::<Value>(&content).unwrap_or_default();
        // The record of a different format may have a different form.
        match (any["format"].as_u64(), any["version"].as_str()) {
            (format, Some(version)) if format != Some(FORMAT) => {
                let message = format!(
                    "{} was written by version {version}, in format {}; this is version {VERSION}, \
                     for format {FORMAT}: choose a different --out, or use that version",
                    path.display(),
                    format.unwrap_or(1)
                );
                Err(FileError::new(FileErrorKind::DifferentVersion, message))
            }
            _ => parse(&content, &path, None, advice).map(Some),
        }
    }
}
