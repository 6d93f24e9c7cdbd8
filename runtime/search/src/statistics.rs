//! Means, deviations, and the interval of a difference.

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// The probability with which a confidence interval includes the true value.
pub const CONFIDENCE: f64 = 0.95;

/// The probability of lying beyond one end of an interval.
const TAIL: f64 = (1.0 - CONFIDENCE) / 2.0;

/// A fraction in percent, for people: `6.57 %`.
pub fn percent(fraction: f64, decimals: usize) -> String {
    format!("{:.decimals$} %", 100.0 * fraction)
}

/// The mean; `None` for no values.
pub fn mean(values: &[f64]) -> Option<f64> {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    // Rounding may not take it out of their range, or equal values would have a deviation.
    let [low, high] = [f64::min, f64::max].map(|of| values.iter().copied().reduce(of));
    Some(mean.max(low?).min(high?))
}

/// The standard deviation of a sample, √(Σ(x − x̄)² / (n − 1)); `None` for fewer than two values.
pub fn sample_deviation(values: &[f64]) -> Option<f64> {
    let centre = mean(values).filter(|_| values.len() > 1)?;
    let squares = values.iter().map(|value| (value - centre).powi(2));
    Some((squares.sum::<f64>() / (values.len() - 1) as f64).sqrt())
}

/// The 95 % confidence interval of the mean of `a` minus that of `b`: Welch's *t* interval with the
/// degrees of freedom of Welch and Satterthwaite, for samples whose variances may differ (Welch, *The
/// generalization of "Student's" problem when several different population variances are involved*,
/// Biometrika 34, 1947).
///
/// `None` if a sample has fewer than two values, or if neither varies.
pub fn welch_interval(a: &[f64], b: &[f64]) -> Option<[f64; 2]> {
    let squared_error = |of: &[f64]| Some(sample_deviation(of)?.powi(2) / of.len() as f64);
    let errors = [squared_error(a)?, squared_error(b)?];
    let variance = errors[0] + errors[1];
    let part = |error: f64, of: &[f64]| error.powi(2) / (of.len() - 1) as f64;
    let freedom = variance.powi(2) / (part(errors[0], a) + part(errors[1], b));
    let (centre, radius) = (mean(a)? - mean(b)?, t_quantile(freedom)? * variance.sqrt());
    Some([centre - radius, centre + radius])
}

/// How many standard errors a 95 % interval reaches to either side of an estimate whose variance was
/// estimated with `freedom` degrees of freedom: a quantile of Student's *t*. `None` unless they are
/// finite and above 0.
pub fn t_quantile(freedom: f64) -> Option<f64> {
    let t = StudentsT::new(0.0, 1.0, freedom).ok();
    Some(t.filter(|_| freedom.is_finite())?.inverse_cdf(1.0 - TAIL))
}

/// The value that a standard normal variable exceeds with this probability.
pub(crate) fn normal_quantile(tail: f64) -> f64 {
    -Normal::standard().inverse_cdf(tail)
}

/// The difference of two error rates on the same number of images which 95 % of differences stay below
/// if the true rates are equal, by the binomial standard errors of both; NaN without images.
pub fn binomial_noise(rates: [f64; 2], images: usize) -> f64 {
    let variance = rates.map(|rate| rate.clamp(0.0, 1.0) * (1.0 - rate.clamp(0.0, 1.0)));
    normal_quantile(TAIL) * ((variance[0] + variance[1]) / images as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By SciPy 1.17.1: `ttest_ind(a, b, equal_var=False).confidence_interval(0.95)`.
    #[test]
    fn intervals_are_those_of_scipy() {
        let cases: [(&[f64], &[f64], [f64; 2]); 8] = [
            (
                &[0.0649, 0.0668, 0.0655],
                &[0.0703, 0.0699, 0.0712],
                [-0.006_721_795_403_471, -0.002_744_871_263_196],
            ),
            (
                &[0.0649, 0.0712, 0.0655],
                &[0.0703, 0.0649, 0.069],
                [-0.008_164_260_358_373, 0.006_430_927_025_040],
            ),
            (
                &[0.2935, 0.301, 0.2875],
                &[0.2715, 0.264, 0.2701],
                [0.011_626_914_124_961, 0.039_306_419_208_372],
            ),
            // Only one of them varies.
            (
                &[0.25, 0.25, 0.25],
                &[0.24, 0.26, 0.28],
                [-0.059_682_754_235_007, 0.039_682_754_235_007],
            ),
            // 1.01 degrees of freedom.
            (
                &[0.1, 0.3],
                &[0.22, 0.21, 0.23, 0.2, 0.24],
                [-1.264_319_436_403_509, 1.224_319_436_403_509],
            ),
            (
                &[0.051, 0.049],
                &[0.06, 0.058],
                [-0.015_084_869_844_593, -0.002_915_130_155_407],
            ),
            (
                &[0.5, 0.4, 0.3, 0.2, 0.1, 0.25, 0.35, 0.45, 0.15, 0.2],
                &[0.31, 0.32, 0.33],
                [-0.125_463_394_794_742, 0.065_463_394_794_742],
            ),
            (
                &[0.0, 0.0001, 0.0],
                &[0.9, 1.0, 0.95],
                [-1.074_173_317_656_191, -0.825_760_015_677_142],
            ),
        ];
        for (a, b, expected) in cases {
            let found = welch_interval(a, b).unwrap();
            for (found, expected) in found.into_iter().zip(expected) {
                assert!((found - expected).abs() < 1e-9, "{found}, not {expected}");
            }
            let [low, high] = welch_interval(b, a).unwrap();
            assert!((low + expected[1]).abs() < 1e-9 && (high + expected[0]).abs() < 1e-9);
        }
    }

    /// The first is tan(0.475 π), and the others were found by numerical integration of the density.
    #[test]
    fn few_degrees_of_freedom_widen_an_interval() {
        for (freedom, expected) in [
            (1.0, 12.706_204_736_174_7),
            (5.0, 2.570_581_835_636),
            (60.0, 2.000_297_822_014),
        ] {
            let found = t_quantile(freedom).unwrap();
            assert!((found - expected).abs() < 1e-8, "{found}, not {expected}");
        }
        assert_eq!([0.0, f64::NAN, f64::INFINITY].map(t_quantile), [None; 3]);
    }

    #[test]
    fn there_is_no_interval_without_variance() {
        // The sum of three times 0.1 is not 0.3 in floats.
        for (a, b) in [
            ([0.1, 0.1, 0.1].as_slice(), [0.2, 0.2].as_slice()),
            (&[0.1], &[0.2, 0.3]),
            (&[0.2, 0.3], &[]),
            (&[1e300, -1e300], &[0.0, 1.0]),
        ] {
            assert_eq!(welch_interval(a, b), None);
        }
    }

    #[test]
    fn the_deviation_is_that_of_a_sample() {
        let values = [2.0, 4.0, 4.0, 6.0];
        assert_eq!(mean(&values), Some(4.0));
        // The squares are 4, 0, 0 and 4.
        let deviation = sample_deviation(&values).unwrap();
        assert!((deviation - (8.0_f64 / 3.0).sqrt()).abs() < 1e-12);
        assert_eq!(sample_deviation(&[0.1; 3]), Some(0.0));
        assert_eq!(sample_deviation(&[1.0]), None);
        assert_eq!(mean(&[]), None);
    }

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (tail, expected) in [(0.025, 1.959_964), (0.005, 2.575_829), (0.5, 0.0)] {
            let found = normal_quantile(tail);
            assert!((found - expected).abs() < 1e-6, "{tail}: {found}");
        }
    }

    #[test]
    fn the_noise_of_a_test_split_is_binomial() {
        // A standard error of 0.005 each, at 0.5 of 10,000 images.
        let noise = binomial_noise([0.5; 2], 10_000);
        assert!((noise - 1.959_964 * 0.005 * 2.0_f64.sqrt()).abs() < 1e-8);
        assert_eq!(binomial_noise([0.0, 2.0], 10), 0.0);
        assert!(binomial_noise([0.5; 2], 0).is_infinite() && binomial_noise([0.0; 2], 0).is_nan());
    }
}
