//! What the command says: lines and a bar, or events.

use std::time::{Duration, Instant};

use anyhow::Result;
use faa_system::log_line;
use indicatif::{HumanCount, HumanDuration};
use serde_json::{Value, json};

use super::manifest::Line;
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
    /// What was done before this command, and what is done now.
    done: [u64; 2],
    written: u64,
    skipped: Vec<(String, String)>,
    started: Instant,
    last_event: Instant,
}

impl Report {
    /// Of a command that has `done` of `total` files; `skipped` are the inputs that it has skipped, with the
    /// reason.
    pub(super) fn new(
        json: bool,
        (images, total): (usize, u64),
        done: u64,
        skipped: Vec<(String, String)>,
        threads: usize,
    ) -> Result<Self> {
        let mut new = Self {
            json,
            display: Display::new(),
            total,
            done: [done; 2],
            written: 0,
            skipped,
            started: Instant::now(),
            last_event: Instant::now(),
        };
        new.display.set_length(total);
        new.display.set_position(done);
        let [images_text, total_text, done_text] = [images as u64, total, done].map(HumanCount);
        let already = match done {
            0 => String::new(),
            _ => format!(" ({done_text} already there)"),
        };
        let s = if threads == 1 { "" } else { "s" };
        new.display.line(&format!(
            "{images_text} images, {total_text} files to write{already}, on {threads} thread{s}"
        ));
        new.event(
            &json!({"event": "started", "images": images, "total": total, "done": done,
            "threads": threads}),
        )?;
        Ok(new)
    }

    /// Counts what was done for an image: the lines of the manifest, and how many files were to be written.
    pub(super) fn advance(&mut self, lines: &[Line], versions: u64) -> Result<()> {
        for line in lines {
            let Some(error) = &line.error else {
                self.written += 1;
                continue;
            };
            self.display.line(&format!("skipped: {error}"));
            self.event(&json!({"event": "skipped", "input": line.input, "error": error}))?;
            self.skipped.push((line.input.clone(), error.clone()));
        }
        self.done[1] += versions;
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
        let [written, already] = [self.written, self.done[0]].map(HumanCount);
        let already = match self.done[0] {
            0 => String::new(),
            _ => format!(" ({already} already there)"),
        };
        match self.written {
            0 => log_line!("wrote no files to {out}{already}"),
            _ => log_line!(
                "wrote {written} files to {out}{already} in {seconds:.1} s ({} files/s)",
                HumanCount(rate.round() as u64)
            ),
        }
        if without_alpha > 0 {
            let images = HumanCount(without_alpha);
            log_line!("note: JPEG has no alpha; that of {images} images was dropped");
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
            "already_there": self.done[0], "skipped": skipped, "seconds": seconds,
            "files_per_second": rate}),
        )
    }

    fn event(&self, event: &Value) -> Result<()> {
        match self.json {
            true => print(&format!("{event}\n")),
            false => Ok(()),
        }
    }
}
