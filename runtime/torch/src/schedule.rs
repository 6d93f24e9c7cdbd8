//! The learning rate over a training.

use std::f64::consts::PI;

/// Linear warm-up to the peak and a cosine from there to 0 (Goyal et al., *Accurate, large
/// minibatch SGD*, 2017, section 2.2; Loshchilov and Hutter, *SGDR*, ICLR 2017, equation 5).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The highest rate.
    pub peak: f64,
    /// Steps of warm-up, W.
    pub warmup: usize,
    /// Steps in all, T.
    pub steps: usize,
}

impl Schedule {
    /// The rate of a step, counted from 0: `peak × (t + 1) / W` in the warm-up, and then
    /// `peak × ½ (1 + cos(π (t − W) / (T − W)))`.
    pub fn rate(&self, step: usize) -> f64 {
        if step < self.warmup {
            return self.peak * (step + 1) as f64 / self.warmup as f64;
        }
        let done =
            (step - self.warmup) as f64 / self.steps.saturating_sub(self.warmup).max(1) as f64;
        self.peak * 0.5 * (1.0 + (PI * done.min(1.0)).cos())
    }
}
