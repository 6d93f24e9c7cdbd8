//! Lines and progress on standard error: a bar on a terminal, otherwise plain lines.

use std::time::{Duration, Instant};

use faa_op::text::clean_lines;
use faa_system::log_line;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The minimum time between two lines of progress in plain output.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

/// A bar, with lines above it.
pub(crate) struct Display {
    bar: ProgressBar,
    last_line: Instant,
}

impl Display {
    /// A bar whose length is not known yet.
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        bar.set_style(
            ProgressStyle::with_template("{bar:24} {percent:>3} %  {wide_msg}")
                .expect("the template is valid"),
        );
        Self {
            bar,
            last_line: Instant::now(),
        }
    }

    pub(crate) fn length(&self) -> u64 {
        self.bar.length().unwrap_or(0)
    }

    pub(crate) fn set_length(&self, length: u64) {
        self.bar.set_length(length);
    }

    pub(crate) fn set_position(&self, position: u64) {
        self.bar.set_position(position);
    }

    /// Shows the current state beside the bar, or from time to time as a line.
    pub(crate) fn status(&mut self, text: &str) {
        if !self.bar.is_hidden() {
            self.bar.set_message(clean_lines(text));
        } else if self.last_line.elapsed() >= PLAIN_INTERVAL {
            self.line(text);
        }
    }

    pub(crate) fn line(&mut self, text: &str) {
        self.last_line = Instant::now();
        match self.bar.is_hidden() {
            true => log_line!("{text}"),
            false => self.bar.suspend(|| log_line!("{text}")),
        }
    }

    /// Removes the bar.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
