//! The lines of a manifest.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use faa_data::ImageFile;
use faa_policy::Plan;
use faa_system::has_checksum;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::labelling::Survivors;
use super::outputs::{Outputs, Version};

/// The longest line that is read, in bytes. The header has the policy, and a plan has at most as many steps as
/// a policy.
pub(super) const MAX_LINE: usize = 8 << 20;

/// A file that was written, or an image that was skipped.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Line {
    /// The image file, in its data set.
    pub(super) input: String,
    /// The file that was written, in the output folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) output: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) class: Option<String>,
    /// The key of the draw, and what was applied; omitted for a copy of the image file itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) seed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) copy: Option<u32>,
    pub(super) index: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) draw: Option<Plan>,
    /// The image files that the draw has mixed in, in the order of its steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) partners: Vec<Partner>,
    /// The length in bytes and the CRC-32 of the image file; omitted if it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) input_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) input_crc32: Option<u32>,
    /// The same of the output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) output_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) crc32: Option<u32>,
    /// Of a data set with annotations, the size of the image in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) size: Option<(u32, u32)>,
    /// The file of annotations of the image: its length in bytes and its CRC-32; omitted if it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) input_label: Option<(u64, u32)>,
    /// The file of annotations that was written with the output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) label: Option<LabelFile>,
    /// Which objects are left of the image's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) boxes: Option<Survivors>,
    /// The annotations of the output, with the ids that they had in the data set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) annotations: Option<Vec<Map<String, Value>>>,
    /// Why nothing was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

/// A file of annotations that was written.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct LabelFile {
    pub(super) output: String,
    pub(super) bytes: u64,
    pub(super) crc32: u32,
}

/// An image file that was mixed into another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Partner {
    pub(super) input: String,
    pub(super) bytes: u64,
    pub(super) crc32: u32,
}

impl Line {
    /// The files that were written: their names, lengths and CRC-32.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, u64, u32)> {
        let image = self
            .output
            .as_deref()
            .zip(self.output_bytes)
            .zip(self.crc32);
        let image = image.map(|((output, bytes), crc32)| (output, bytes, crc32));
        let label = self.label.as_ref();
        image
            .into_iter()
            .chain(label.map(|it| (it.output.as_str(), it.bytes, it.crc32)))
    }

    /// Whether its image cannot be read. Then it is the only line of it.
    pub(super) fn is_unreadable(&self) -> bool {
        self.error.is_some() && self.copy.is_none()
    }
}

/// The next line, or its beginning if it is too long or was torn.
pub(super) fn read_line(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    reader.take(MAX_LINE as u64).read_until(b'\n', &mut line)?;
    Ok(line)
}

/// Reads the lines that are complete.
pub(super) struct Lines<'a> {
    reader: BufReader<&'a File>,
    path: &'a Path,
    pub(super) number: usize,
    /// The offset of the next line.
    pub(super) end: u64,
}

impl<'a> Lines<'a> {
    /// Those of a file from its beginning, wherever it was read or written last.
    pub(super) fn of(file: &'a File, path: &'a Path) -> Self {
        Self {
            reader: BufReader::new(file),
            path,
            number: 0,
            end: 0,
        }
    }

    /// The next line, unless a kill has torn it or it is not there.
    pub(super) fn next<T: for<'de> Deserialize<'de>>(&mut self) -> Result<Option<T>> {
        if self.number == 0 {
            self.reader.seek(SeekFrom::Start(0))?;
        }
        let line = read_line(&mut self.reader);
        let line = line.with_context(|| format!("cannot read {}", self.path.display()))?;
        self.number += 1;
        if line.last() != Some(&b'\n') {
            return match line.len() < MAX_LINE {
                true => Ok(None),
                false => Err(self.damaged("is longer than 8 MiB")),
            };
        }
        self.end += line.len() as u64;
        let value = serde_json::from_slice(&line).ok();
        match value.filter(|_| has_checksum(&line)) {
            Some(value) => Ok(Some(value)),
            None => Err(self.damaged("is damaged")),
        }
    }

    /// The lines of an image; `None` if they are not all there.
    pub(super) fn of_image(
        &mut self,
        file: &ImageFile,
        outputs: &Outputs<'_>,
    ) -> Result<Option<Vec<Line>>> {
        let (input, mut lines) = (file.inner_path(), Vec::new());
        for version in outputs.versions(file) {
            let Some(line) = self.next::<Line>()? else {
                return Ok(None);
            };
            let copy = match version {
                Version::Original => None,
                Version::Copy(copy) => Some(copy),
            };
            let expected = Some(outputs.path(file, version));
            let label = line.label.as_ref().map(|it| it.output.clone());
            let is_label = label.is_none() || label == outputs.label_path(file, version);
            let is_written = line.copy == copy && line.output == expected && is_label;
            let is_skipped = line.error.is_some() && line.output.is_none();
            if line.input != input || line.index != file.index || !(is_written || is_skipped) {
                return Err(self.damaged("is of a different file"));
            }
            let is_unreadable = line.is_unreadable();
            lines.push(line);
            if is_unreadable {
                break;
            }
        }
        Ok(Some(lines))
    }

    pub(super) fn damaged(&self, how: &str) -> anyhow::Error {
        let advice = match self.number {
            // It has the options.
            1 => "choose a different --out",
            _ => "remove it and the lines after it, and the command continues from there",
        };
        let path = self.path.display();
        anyhow!("{path}, line {}, {how}: {advice}", self.number)
    }
}
