//! The learning-rate schedule.

use std::f64::consts::PI;

/// Linear warm-up to the peak, then a cosine decay to 0 (Goyal et al., *Accurate, large
/// minibatch SGD*, 2017, section 2.2; Loshchilov and Hutter, *SGDR*, ICLR 2017, equation 5).
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Schedule {
    /// The peak learning rate.
    pub peak: f64,
    /// W, the number of warm-up steps.
    pub warmup: usize,
    /// T, the number of all steps.
    pub steps: usize,
}

impl Schedule {
    /// A schedule with this peak, number of warm-up steps and number of all steps.
    pub fn new(peak: f64, warmup: usize, steps: usize) -> Self {
        Self {
            peak,
            warmup,
            steps,
        }
    }

    /// The learning rate of step t, from 0: `peak × (t + 1) / W` during the warm-up, and then
    /// `peak × ½ (1 + cos(π (t − W) / (T − W)))`.
    pub fn rate(&self, step: usize) -> f64 {
        if step < self.warmup {
            return self.peak * (step + 1) as f64 / self.warmup as f64;
        }
        let progress =
            (step - self.warmup) as f64 / self.steps.saturating_sub(self.warmup).max(1) as f64;
        self.peak * 0.5 * (1.0 + (PI * progress.min(1.0)).cos())
    }
}
