//! What the examples that measure rates have in common.

use std::time::Instant;

use anyhow::{Context, Result};
use faa_search::config::Precision;

/// How often everything is measured; the median counts.
const REPEATS: usize = 5;

pub(crate) fn precision_of(word: &str) -> Result<Precision> {
    serde_json::from_value(word.into()).context("a precision is auto, float32 or bf16")
}

/// The median of images per second, after a first run that does not count.
pub(crate) fn measure(mut work: impl FnMut() -> Result<usize>) -> Result<f64> {
    work()?;
    let mut rates = Vec::new();
    for _ in 0..REPEATS {
        let started = Instant::now();
        let images = work()?;
        rates.push(images as f64 / started.elapsed().as_secs_f64());
    }
    rates.sort_by(f64::total_cmp);
    Ok(rates[REPEATS / 2])
}
