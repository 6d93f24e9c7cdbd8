//! Shared by the examples that measure rates.

use std::time::Instant;

use anyhow::{Context, Result};
use faa_search::config::Precision;

/// The number of measurements, of which the median is taken.
const REPEATS: usize = 5;

pub(crate) fn precision_of(word: &str) -> Result<Precision> {
    serde_json::from_value(word.into()).context("a precision is auto, float32 or bf16")
}

/// The median rate of `work` in images per second, after a warm-up call. `work` returns how many images
/// it processed.
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
