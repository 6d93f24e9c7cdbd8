use serde::{Deserialize, Serialize};

use crate::statistics::{CONFIDENCE, normal_quantile};

/// An estimate, and the ends of its confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Interval {
    /// The estimate itself.
    pub estimate: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// Paired differences: of every image, its outcome without an op minus that with it, from −1 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Differences {
    /// The number of images.
    pub(super) images: f64,
    /// The sum over groups of (number of images)²; without groups, each image is one.
    pub(super) sizes: f64,
    /// The sum of the images' differences.
    pub(super) sum: f64,
    /// The sum over groups of (the sum of their images' differences)².
    pub(super) squares: f64,
}

impl Differences {
    /// The mean difference, with its interval. `comparisons` intervals include their true values at once
    /// with a probability of [`CONFIDENCE`] (Bonferroni).
    ///
    /// With b images that an op breaks and c that it repairs, of n, this is the interval of Agresti and
    /// Min (*Simple improved confidence intervals for comparing matched proportions*, Statistics in
    /// Medicine 24, 2005): half an observation is added to each of the four cells of the paired table,
    /// and then the interval of Wald is computed. So
    /// b + c = Σd² becomes Σd² + 1, n becomes n + 2, and b − c = Σd is as before; in this form it is
    /// also defined for the mean of several draws. It is meant for few images, and has a width if no image
    /// changes.
    ///
    /// Images of a group, such as the frames of a video, break together, so groups are the observations: n
    /// is Kish's effective number of them (*Survey Sampling*, 1965), and sums are divided by the size that
    /// they then have.
    pub(super) fn interval(&self, comparisons: usize) -> Interval {
        let tail = (1.0 - CONFIDENCE) / 2.0 / comparisons.max(1) as f64;
        let size = self.sizes / self.images.max(1.0);
        let size = size.max(1.0);
        let (n, squares) = (self.images / size + 2.0, self.squares / (size * size) + 1.0);
        let centre = self.sum / size / n;
        // Σ(d − centre)², which is positive because |Σd| ≤ √(n Σd²).
        let deviation = (squares - n * centre * centre).max(0.0).sqrt() / n;
        let half = normal_quantile(tail) * deviation;
        Interval {
            estimate: self.sum / self.images.max(1.0),
            low: (centre - half).max(-1.0),
            high: (centre + half).min(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The interval of one draw: of `n` images, `b` break and `c` are repaired.
    fn interval(n: u32, b: u32, c: u32, comparisons: usize) -> Interval {
        let differences = Differences {
            images: n.into(),
            sizes: n.into(),
            sum: f64::from(b) - f64::from(c),
            squares: f64::from(b + c),
        };
        differences.interval(comparisons)
    }

    /// Thirty images in groups of three that break together say as much as ten images.
    #[test]
    fn images_that_break_together_count_once() {
        let groups = Differences {
            images: 30.0,
            sizes: 10.0 * 9.0,
            sum: 4.0 * 3.0 - 3.0,
            squares: 5.0 * 9.0,
        };
        assert_eq!(groups.interval(1), interval(10, 4, 1, 1));
        // Sizes differ, and all images break: the effective number of groups is (1 + 3)² / (1 + 9).
        let all = Differences {
            images: 4.0,
            sizes: 10.0,
            sum: 4.0,
            squares: 10.0,
        };
        let found = all.interval(1);
        assert_eq!((found.estimate, found.high), (1.0, 1.0));
        assert!(found.low < interval(4, 4, 0, 1).low, "{found:?}");
    }

    /// The formula of the paper, written with its own cells.
    #[test]
    fn the_interval_is_that_of_agresti_and_min() {
        let (n, b, c) = (30.0, 9.0 + 0.5, 4.0 + 0.5);
        let total: f64 = n + 2.0;
        let centre = (b - c) / total;
        let half = 1.959_964 * (b + c - (b - c) * (b - c) / total).sqrt() / total;
        let found = interval(30, 9, 4, 1);
        assert!((found.low - (centre - half)).abs() < 1e-6, "{found:?}");
        assert!((found.high - (centre + half)).abs() < 1e-6, "{found:?}");
        assert!((found.estimate - 5.0 / 30.0).abs() < 1e-12);
    }

    #[test]
    fn no_change_has_a_width_that_falls_with_the_images() {
        for (images, width) in [(0, 1.0), (10, 0.17), (1_000, 0.002)] {
            let Interval { low, high, .. } = interval(images, 0, 0, 1);
            assert!(low < 0.0 && low >= -width && high <= width, "{images}");
        }
        let all = interval(10, 10, 0, 1);
        assert!(all.estimate == 1.0 && all.low > 0.5 && all.high == 1.0);
        assert!(interval(10, 10, 0, 40).low < all.low);
    }

    /// The exact probability that the lower end exceeds the true drop, over all outcomes of `n` images
    /// that each break with probability `p` and are repaired with probability `q`.
    fn false_alarms(n: u32, p: f64, q: f64, comparisons: usize) -> f64 {
        let ln_factorial = |k: u32| (1..=k).map(|it| f64::from(it).ln()).sum::<f64>();
        let mut sum = 0.0;
        for b in 0..=n {
            for c in 0..=n - b {
                if interval(n, b, c, comparisons).low <= p - q {
                    continue;
                }
                let rest = n - b - c;
                let power = |base: f64, k: u32| {
                    if k == 0 {
                        0.0
                    } else {
                        f64::from(k) * base.ln()
                    }
                };
                let choose =
                    ln_factorial(n) - ln_factorial(b) - ln_factorial(c) - ln_factorial(rest);
                sum += (choose + power(p, b) + power(q, c) + power(1.0 - p - q, rest)).exp();
            }
        }
        sum
    }

    /// The nominal probability of a lower end above the true drop is 2.5 %; Bonferroni divides it.
    #[test]
    fn drops_are_seldom_overstated_even_with_few_images() {
        for n in [5, 10, 20, 40, 80] {
            for (p, q) in [
                (0.0, 0.0),
                (0.02, 0.02),
                (0.05, 0.0),
                (0.1, 0.05),
                (0.2, 0.1),
                (0.4, 0.05),
            ] {
                let found = false_alarms(n, p, q, 1);
                assert!(found < 0.03, "{n} images, {p}, {q}: {found}");
                let found = false_alarms(n, p, q, 10);
                assert!(found < 0.005, "{n} images, {p}, {q}, ten classes: {found}");
            }
        }
    }
}
