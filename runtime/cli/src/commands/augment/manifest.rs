//! The manifest: a line for every file that was written, in the order of the images.
//!
//! The order makes it a journal: whatever the number of threads, its lines are those of the first images, so
//! an interrupted command continues behind them. A file is written before its line, so a kill can leave files
//! without a line, of which any part may be there. They are written again, and must then begin with that part.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use faa_data::ImageFile;
use faa_system::{
    Lock, in_use, lock, log_line, open_regular, sync_name, with_checksum, without_locks, write_new,
};
use serde_json::{Map, Value};

use super::archive::{self, Confirmed, restore_manifest};
use super::check::{self, Check, Finding, Findings, Input};
use super::destination::Destination;
use super::labelling::Counted;
use super::lines::{Line, Lines, MAX_LINE, Partner};
use super::outputs::{MANIFEST, Outputs, cannot_write};
use super::stopping::check_stop;

/// The form of the manifest.
const FORMAT: u64 = 1;

/// The options that decide which files are written, by their names in messages, and with what.
pub(super) struct Header(Map<String, Value>);

/// A manifest that is open for more lines. No other process writes to it.
pub(super) struct Manifest {
    pub(super) file: File,
    pub(super) path: PathBuf,
}

/// What an interrupted command has done.
#[derive(Default)]
pub(super) struct Done {
    /// How many of the wanted image files have all of their lines.
    pub(super) images: usize,
    /// How many files were to be written for them.
    pub(super) handled: u64,
    /// How many of these were written.
    pub(super) written: u64,
    /// How many of these are missing now.
    pub(super) missing: u64,
    /// The positions of their images, each with the first of its files that is missing.
    pub(super) again: Vec<(usize, String)>,
    /// The inputs that were skipped, and why.
    pub(super) skipped: Vec<(String, String)>,
    /// How many objects were kept and dropped.
    pub(super) survivors: Counted,
    /// The length and CRC-32 of the image files that were read, by their positions.
    pub(super) read: BTreeMap<usize, (u64, u32)>,
    /// Of an archive, the offset behind its files that have lines.
    pub(super) end: u64,
}

impl Done {
    /// Checks that a line of an image that is written again has no error that it did not have.
    pub(super) fn check_restored(&self, position: usize, line: &Line) -> Result<()> {
        let Some(error) = &line.error else {
            return Ok(());
        };
        if self.skipped.contains(&(line.input.clone(), error.clone())) {
            return Ok(());
        }
        let missing = self.again.iter().find(|(at, _)| *at == position);
        let output = missing.map_or("", |(_, output)| output);
        bail!(
            "{output} is missing and cannot be written again from {}: {error}: repair it, or choose a \
             different --out",
            line.input
        )
    }
}

impl Header {
    /// A header of these entries.
    pub(super) fn new(entries: impl IntoIterator<Item = (&'static str, Value)>) -> Self {
        let program = faa_system::build(env!("CARGO_PKG_VERSION"));
        let mut header = Map::new();
        header.insert("format".to_owned(), "faa-augment".into());
        header.insert("version".to_owned(), FORMAT.into());
        header.insert("program".to_owned(), program.into());
        let entries = entries.into_iter();
        header.extend(entries.map(|(name, value)| (name.to_owned(), value)));
        Self(header)
    }

    /// Checks that a command continues with the options that it has begun with.
    fn check_same(&self, recorded: &Self, out: &Destination) -> Result<()> {
        let differs = |name: &&String| self.get(name) != recorded.get(name);
        if recorded.get("version") != FORMAT {
            bail!(
                "{out} was written by a different version of this program: choose a different --out"
            );
        }
        // The data set may have moved: its files are compared with what the lines say.
        let free = ["program", "data", "checksum"];
        let names = self.0.keys().filter(|name| !free.contains(&name.as_str()));
        let differing: Vec<String> = names
            .filter(differs)
            .map(|name| {
                let (was, now) = (recorded.get(name).to_string(), self.get(name).to_string());
                let is_short = was.len() + now.len() < 80 && name != "listing";
                match is_short {
                    true => format!("{name} was {was} and is {now}"),
                    false => format!("{name} differs"),
                }
            })
            .collect();
        if !differing.is_empty() {
            bail!(
                "{out} was begun with other options ({}): repeat the command as it was, or choose a different \
                 --out",
                differing.join(", ")
            );
        }
        Ok(())
    }

    /// Says that a different build of this program continues.
    fn warn_of_build(&self, recorded: &Self, out: &Destination) {
        let [was, now] = [recorded, self].map(|it| it.get("program"));
        if was != now {
            let [was, now] = [&was, &now].map(|it| it.as_str().unwrap_or_default());
            log_line!(
                "warning: {out} was begun with build {was} and continues with build {now}; files may differ \
                 from those of one build"
            );
        }
    }

    fn get(&self, name: &str) -> Value {
        self.0.get(name).cloned().unwrap_or_default()
    }
}

impl Manifest {
    /// Begins a manifest, or opens the one of an interrupted command.
    pub(super) fn open(out: &Destination, header: &Header) -> Result<Self> {
        let path = out.manifest();
        if path.is_symlink() {
            bail!(
                "{} is a link, which may lead elsewhere: choose a different --out",
                path.display()
            );
        }
        if let Destination::Archive(archive) = out {
            restore_manifest(archive, &path, |line| {
                let recorded = serde_json::from_slice(line).map(Header);
                header.check_same(&recorded.unwrap_or_else(|_| Header(Map::new())), out)
            })?;
        }
        let line = with_checksum(&serde_json::to_string(&header.0)?);
        match write_new(&path, line.as_bytes()) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            written => written.map_err(|error| cannot_write(&path, error))?,
        }
        let file = open_regular(&path, File::options().read(true).append(true));
        let (file, _) = file.with_context(|| format!("cannot open {}", path.display()))?;
        match lock(&file).with_context(|| format!("cannot lock {}", path.display()))? {
            Lock::InUse => bail!(in_use(out.path())),
            Lock::NoLocks => log_line!("{}", without_locks(out.path())),
            Lock::Locked => {}
        }
        let new = Self { file, path };
        // After a power cut, too, it is known whose folder this is.
        new.sync()?;
        sync_name(&new.path);
        Ok(new)
    }

    /// Reads what an interrupted command has done, and compares it with the files that are there. Lines are removed
    /// from the first image of which not all are there, or whose files are not in the archive; and from the first
    /// image that was skipped if one of these has changed. Ends early if `stop` is set.
    pub(super) fn resume(
        &mut self,
        header: &Header,
        outputs: &Outputs<'_>,
        out: &Destination,
        threads: usize,
        stop: &AtomicBool,
    ) -> Result<Done> {
        let mut lines = Lines::of(&self.file, &self.path);
        let recorded: Map<String, Value> = lines.next()?.with_context(|| {
            let path = self.path.display();
            format!("{path} is empty, or ends within its first line: choose a different --out")
        })?;
        let recorded = Header(recorded);
        header.check_same(&recorded, out)?;
        header.warn_of_build(&recorded, out);
        let (mut done, mut findings) = (Done::default(), Findings::new(out.folder(), threads));
        let mut archive = match out {
            Destination::Folder(_) => None,
            Destination::Archive(path) => Some(archive::read(path)?),
        };
        let mut confirmed = archive.as_mut().map(Confirmed::new).transpose()?;
        let (mut end, mut inputs, mut first_skipped) = (lines.end, BTreeMap::new(), None);
        let mut partners = Vec::new();
        for position in outputs.wanted() {
            let file = &outputs.files.files()[position];
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let Some(read) = lines.of_image(file, outputs)? else {
                break;
            };
            if confirmed.as_mut().is_some_and(|it| !it.has(&read)) {
                break;
            }
            if let Some(line) = read.first() {
                let input = Input {
                    position,
                    content: line.input_bytes.zip(line.input_crc32),
                    label: line.input_label,
                    reads_label: line.input_bytes.is_some(),
                    is_skipped: line.is_unreadable(),
                };
                inputs.insert(position, input);
            }
            for mut line in read {
                partners.append(&mut line.partners);
                let files = line.files().enumerate().filter(|_| confirmed.is_none());
                for (index, (output, length, crc32)) in files {
                    findings.check(Check {
                        position,
                        output: output.to_owned(),
                        is_label: index > 0,
                        length,
                        crc32,
                    });
                }
                done.survivors.add(line.boxes.as_ref());
                done.written += u64::from(line.output.is_some());
                if let Some(error) = line.error {
                    first_skipped = first_skipped.or(Some(end));
                    done.skipped.push((line.input, error));
                }
            }
            (done.images, end) = (done.images + 1, lines.end);
            done.handled += outputs.versions(file).count() as u64;
        }
        if done.images == outputs.wanted().len() && lines.next::<Line>()?.is_some() {
            bail!(
                "{} has more lines than there are files to write: choose a different --out",
                self.path.display()
            );
        }
        if let Some(mut confirmed) = confirmed {
            confirmed.look_behind();
            done.end = confirmed.end;
            // What is behind is cut off, so it must be what this command has written.
            if let Some(other) = confirmed.other
                && other != MANIFEST
                && !outputs.contains(&other)
            {
                bail!(
                    "{out} has {other}, which this command has not written: choose a different --out, or remove \
                     {} to begin again under a name that is free",
                    self.path.display()
                );
            }
        }
        let mixed = add_partners(&partners, outputs, &mut inputs);
        let known = inputs.iter();
        done.read = known
            .filter_map(|(&at, it)| Some((at, it.content?)))
            .collect();
        let inputs: Vec<Input> = inputs.into_values().collect();
        let changed = check::changed(outputs.files, &inputs, threads, stop)?;
        // What was compared until then is of no use.
        check_stop(stop)?;
        let (skipped, changed): (Vec<_>, Vec<_>) =
            changed.into_iter().partition(|input| input.is_skipped);
        let changed: BTreeSet<usize> = changed.iter().map(|it| it.position).chain(mixed).collect();
        let mut different: Vec<String> = changed
            .into_iter()
            .map(|position| has_changed(&outputs.files.files()[position]))
            .collect();
        for finding in findings.finish() {
            match finding {
                Finding::Missing(position, output, is_label) => {
                    done.missing += u64::from(!is_label);
                    done.again.push((position, output));
                }
                Finding::Different(message) => different.push(message),
            }
        }
        done.again.dedup_by_key(|(position, _)| *position);
        if !different.is_empty() {
            let more = different.len().saturating_sub(MAX_NAMED);
            different.truncate(MAX_NAMED);
            let more = if more > 0 {
                format!("\n  … and {more} more")
            } else {
                String::new()
            };
            bail!(
                "{out} cannot be continued:\n  {}{more}",
                different.join("\n  ")
            );
        }
        let path = &self.path;
        let cut = |end| {
            (self.file.set_len(end)).with_context(|| format!("cannot repair {}", path.display()))
        };
        if let (Some(input), Some(end)) = (skipped.first(), first_skipped) {
            log_line!(
                "note: {} was skipped and has changed, so images from the first that was skipped are augmented \
                 again",
                outputs.files.files()[input.position].path().display()
            );
            cut(end)?;
            return self.resume(header, outputs, out, threads, stop);
        }
        cut(end)?;
        Ok(done)
    }

    pub(super) fn append<'l>(&mut self, lines: impl IntoIterator<Item = &'l Line>) -> Result<()> {
        let mut text = String::new();
        for line in lines {
            let json = serde_json::to_string(line)?;
            // It could not be read again.
            if json.len() > MAX_LINE - 100 {
                bail!(
                    "the annotations of {} have more than 8 MiB, the longest line of a manifest",
                    line.input
                );
            }
            text += &with_checksum(&json);
        }
        let path = &self.path;
        self.file
            .write_all(text.as_bytes())
            .map_err(|error| cannot_write(path, error))
    }

    /// Waits until all lines are on the disk.
    pub(super) fn sync(&self) -> Result<()> {
        let path = &self.path;
        (self.file.sync_data()).map_err(|error| cannot_write(path, error))
    }
}

/// Adds the image files that were mixed in to those that were read, and returns the positions of those that were
/// read with different contents.
fn add_partners(
    partners: &[Partner],
    outputs: &Outputs<'_>,
    inputs: &mut BTreeMap<usize, Input>,
) -> Vec<usize> {
    if partners.is_empty() {
        return Vec::new();
    }
    let files = outputs.files.files().iter().enumerate();
    let positions: HashMap<String, usize> = files.map(|(at, it)| (it.inner_path(), at)).collect();
    let mut changed = Vec::new();
    for partner in partners {
        // The listing of the data set is the same.
        let Some(&position) = positions.get(&partner.input) else {
            continue;
        };
        let content = Some((partner.bytes, partner.crc32));
        let known = inputs.entry(position).or_insert(Input {
            position,
            content,
            label: None,
            reads_label: false,
            is_skipped: false,
        });
        if known.content != content {
            changed.push(position);
        }
    }
    changed
}

/// The message that an image file is not what it was when it was read before.
pub(super) fn has_changed(file: &ImageFile) -> String {
    let path = file.path().display();
    format!("{path} has changed since it was augmented: choose a different --out")
}

/// How many files a message names.
const MAX_NAMED: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_again_is_an_error() {
        let line = |input: &str, error: Option<&str>| Line {
            input: input.to_owned(),
            error: error.map(str::to_owned),
            ..Line::default()
        };
        let done = Done {
            again: vec![(3, "a/x-1.png".to_owned())],
            skipped: vec![("a/x.png".to_owned(), "a partner".to_owned())],
            ..Done::default()
        };
        for known in [None, Some("a partner")] {
            done.check_restored(3, &line("a/x.png", known)).unwrap();
        }
        let error = done.check_restored(3, &line("a/x.png", Some("no image")));
        let message = error.unwrap_err().to_string();
        assert!(
            message.starts_with(
                "a/x-1.png is missing and cannot be written again from a/x.png: no image"
            ),
            "{message}"
        );
    }
}
