//! What the command says: lines and a bar, or events.

use std::time::{Duration, Instant};

use anyhow::Result;
use faa_system::log_line;
use indicatif::{HumanCount, HumanDuration};
use serde_json::{Value, json};

use super::labelling::Counted;
use super::lines::Line;
use super::manifest::Done;
use crate::commands::print;
use crate::display::Display;

/// The minimum time between two events of progress.
const INTERVAL: Duration = Duration::from_secs(1);

/// How many inputs that were skipped are named at the end.
const MAX_NAMED: usize = 10;

/// Progress, counted in files that are written.
pub(super) struct Report {
    json: bool,
    display: Display,
    total: u64,
    /// The files that were done before this command and that are done now, with those of images that are
    /// skipped.
    done: [u64; 2],
    /// The files that are there from an earlier command.
    already_there: u64,
    written: u64,
    skipped: Vec<(String, String)>,
    survivors: Counted,
    started: Instant,
    last_event: Instant,
}

impl Report {
    /// Of a command that writes `total` files, of which an earlier one has done a part.
    pub(super) fn new(
        json: bool,
        (images, total): (usize, u64),
        before: &Done,
        threads: usize,
    ) -> Result<Self> {
        let done = before.handled - before.missing;
        let mut new = Self {
            json,
            display: Display::new(),
            total,
            done: [done; 2],
            already_there: before.written - before.missing,
            written: 0,
            skipped: before.skipped.clone(),
            survivors: before.survivors,
            started: Instant::now(),
            last_event: Instant::now(),
        };
        new.display.set_length(total);
        new.display.set_position(done);
        new.display.line(&format!(
            "{}, {} to write{}, on {}",
            counted(images as u64, "image"),
            counted(total, "file"),
            new.already(),
            counted(threads as u64, "thread")
        ));
        new.event(
            &json!({"event": "started", "images": images, "total": total, "done": done,
            "threads": threads}),
        )?;
        Ok(new)
    }

    /// Counts files that were missing and were written again.
    pub(super) fn restored(&mut self, files: u64) {
        self.written += files;
        self.done[1] += files;
        self.display.set_position(self.done[1]);
    }

    /// Whether nothing is left to do.
    pub(super) fn is_complete(&self) -> bool {
        self.done[1] == self.total
    }

    /// Counts what was done: lines of the manifest, each with how many files it stands for.
    pub(super) fn advance<'l>(
        &mut self,
        lines: impl IntoIterator<Item = (&'l Line, u64)>,
    ) -> Result<()> {
        for (line, files) in lines {
            self.done[1] += files;
            self.survivors.add(line.boxes.as_ref());
            let Some(error) = &line.error else {
                self.written += 1;
                continue;
            };
            self.display.line(&format!("skipped: {error}"));
            self.event(&json!({"event": "skipped", "input": line.input, "error": error}))?;
            self.skipped.push((line.input.clone(), error.clone()));
        }
        let [before, done] = self.done;
        self.display.set_position(done);
        let rate = (done - before) as f64 / self.started.elapsed().as_secs_f64().max(1e-9);
        let left = Duration::try_from_secs_f64((self.total - done) as f64 / rate);
        let left = left.unwrap_or(Duration::MAX);
        self.display.status(&format!(
            "{} left; {} of {} files, {} files/s",
            HumanDuration(left),
            HumanCount(done),
            HumanCount(self.total),
            HumanCount(rate.round() as u64),
        ));
        if self.last_event.elapsed() >= INTERVAL {
            self.last_event = Instant::now();
            self.event(
                &json!({"event": "progress", "done": done, "total": self.total,
                "files_per_second": rate, "seconds_left": left.as_secs_f64()}),
            )?;
        }
        Ok(())
    }

    /// Removes the bar.
    pub(super) fn end(&self) {
        self.display.end();
    }

    /// Says how it went; `out` is the output folder.
    pub(super) fn finish(mut self, out: &str, without_alpha: u64) -> Result<()> {
        self.end();
        let seconds = self.started.elapsed().as_secs_f64();
        let rate = self.written as f64 / seconds.max(1e-9);
        let already = self.already();
        match self.written {
            0 => log_line!("wrote no files to {out}{already}"),
            _ => log_line!(
                "wrote {} to {out}{already} in {seconds:.1} s ({} files/s)",
                counted(self.written, "file"),
                HumanCount(rate.round() as u64)
            ),
        }
        let Counted { kept, dropped } = self.survivors;
        if kept + dropped > 0 {
            let all = counted(kept + dropped, "object");
            log_line!("kept {} of {all} in the augmented images", HumanCount(kept));
        }
        if without_alpha > 0 {
            let images = counted(without_alpha, "image");
            log_line!("note: JPEG has no alpha; that of {images} was dropped");
        }
        if !self.skipped.is_empty() {
            let count = HumanCount(self.skipped.len() as u64);
            log_line!("skipped, because they cannot be read ({count}):");
            for (_, error) in self.skipped.iter().take(MAX_NAMED) {
                log_line!("  {error}");
            }
            if self.skipped.len() > MAX_NAMED {
                let more = HumanCount((self.skipped.len() - MAX_NAMED) as u64);
                log_line!("  … and {more} more, each with a line in the manifest");
            }
        }
        let rows = std::mem::take(&mut self.skipped).into_iter();
        let skipped: Value = rows
            .map(|(input, error)| json!({"input": input, "error": error}))
            .collect();
        self.event(
            &json!({"event": "finished", "out": out, "written": self.written,
            "already_there": self.already_there, "skipped": skipped, "seconds": seconds,
            "files_per_second": rate, "objects_kept": kept, "objects_dropped": dropped}),
        )
    }

    /// How many files are there from an earlier command, in words.
    fn already(&self) -> String {
        match self.already_there {
            0 => String::new(),
            files => format!(" ({} already there)", HumanCount(files)),
        }
    }

    fn event(&self, event: &Value) -> Result<()> {
        match self.json {
            true => print(&format!("{event}\n")),
            false => Ok(()),
        }
    }
}

/// A number of things, in words.
fn counted(number: u64, noun: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{} {noun}{s}", HumanCount(number))
}
