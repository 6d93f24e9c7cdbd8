//! COCO's file of annotations, which is made of the lines of a complete manifest.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Cursor, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use faa_data::{Coco, ImageFiles, Labelling};
use faa_system::{open_regular, write_new};
use serde_json::{Map, Value};

use super::archive::Archive;
use super::destination::Destination;
use super::lines::{Line, Lines};
use super::manifest::Manifest;
use super::outputs::{ANNOTATIONS, cannot_write};
use crate::labels::parsed;

/// Writes what belongs to the data set as a whole: COCO's annotations, and files that are copied.
pub(super) fn finish(
    files: &ImageFiles,
    manifest: &Manifest,
    out: &Destination,
    archive: &mut Option<Archive>,
) -> Result<()> {
    for (name, content) in files.beside() {
        // It may have been changed, as the warning about `path` advises.
        let is_there = |path: PathBuf| path.symlink_metadata().is_ok_and(|it| it.len() > 0);
        if archive.is_none() && is_there(out.path().join(name)) {
            continue;
        }
        write(
            out,
            archive,
            name,
            &mut Cursor::new(content),
            content.len() as u64,
        )?;
    }
    if let Some(Labelling::Coco(coco)) = files.labelling() {
        let folder = out.folder();
        let made =
            tempfile::tempfile_in(folder).and_then(|file| assemble(file, coco, files, manifest));
        let mut made = made.map_err(|error| cannot_write(&folder.join(ANNOTATIONS), error))?;
        let length = made.stream_position()?;
        made.seek(SeekFrom::Start(0))?;
        write(out, archive, ANNOTATIONS, &mut BufReader::new(made), length)?;
    }
    Ok(())
}

fn write(
    out: &Destination,
    archive: &mut Option<Archive>,
    name: &str,
    content: &mut (impl Read + Seek),
    length: u64,
) -> Result<()> {
    if let Some(archive) = archive {
        return archive.append(name, length, content);
    }
    let path = out.path().join(name);
    match write_new(&path, &mut *content) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        written => return written.map_err(|error| cannot_write(&path, error)),
    }
    content.seek(SeekFrom::Start(0))?;
    let cannot = || format!("cannot read {}", path.display());
    let (file, found) = open_regular(&path, File::options().read(true)).with_context(cannot)?;
    match found == length && is_same(file, content).with_context(cannot)? {
        true => Ok(()),
        false => bail!(
            "{} exists and is different: remove it, and the same command writes it again",
            path.display()
        ),
    }
}

fn is_same(file: File, other: &mut impl Read) -> io::Result<bool> {
    let (mut file, mut other) = (BufReader::new(file), BufReader::new(other));
    let [mut a, mut b] = [[0; 1 << 13]; 2];
    loop {
        let length = file.read(&mut a)?;
        if length == 0 {
            return Ok(true);
        }
        other.read_exact(&mut b[..length])?;
        if a[..length] != b[..length] {
            return Ok(false);
        }
    }
}

/// Writes the images and annotations of all lines, which get new ids from 1 on, in their order.
fn assemble(file: File, coco: &Coco, files: &ImageFiles, manifest: &Manifest) -> io::Result<File> {
    let mut file = BufWriter::new(file);
    file.write_all(b"{")?;
    for (key, value) in parsed(&coco.other_keys()) {
        writeln!(file, "{}: {value},", Value::from(key))?;
    }
    let positions = files
        .files()
        .iter()
        .enumerate()
        .map(|(at, it)| (it.inner_path(), at));
    let positions: HashMap<String, usize> = positions.collect();
    write!(file, "\"images\": [")?;
    let mut next = 1_u64..;
    let mut begin = "\n";
    each(manifest, |line| {
        let entry = positions
            .get(&line.input)
            .and_then(|at| files.coco_image(*at));
        let (Some(output), Some(image), Some(size)) = (&line.output, entry, line.size) else {
            return Err(io::Error::other(format!(
                "{} is not a line of this data set",
                line.input
            )));
        };
        let name = output.strip_prefix("images/").unwrap_or(output);
        let entry = image.entry(next.next().unwrap_or(0), name, size);
        write!(file, "{begin}{entry}")?;
        begin = ",\n";
        Ok(())
    })?;
    write!(file, "\n],\n\"annotations\": [")?;
    let (mut images, mut next, mut begin) = (1_u64.., 1_u64.., "\n");
    each(manifest, |line| {
        let image = images.next().unwrap_or(0);
        for mut annotation in line.annotations.unwrap_or_default() {
            annotation.insert("id".to_owned(), next.next().into());
            annotation.insert("image_id".to_owned(), image.into());
            write!(file, "{begin}{}", Value::Object(annotation))?;
            begin = ",\n";
        }
        Ok(())
    })?;
    writeln!(file, "\n]}}")?;
    file.into_inner().map_err(io::IntoInnerError::into_error)
}

/// Passes on the lines of files that were written.
fn each(manifest: &Manifest, mut take: impl FnMut(Line) -> io::Result<()>) -> io::Result<()> {
    let mut lines = Lines::of(&manifest.file, &manifest.path);
    let read = |error: anyhow::Error| io::Error::other(format!("{error:#}"));
    // The options.
    lines.next::<Map<String, Value>>().map_err(read)?;
    while let Some(line) = lines.next::<Line>().map_err(read)? {
        if line.output.is_some() {
            take(line)?;
        }
    }
    Ok(())
}
