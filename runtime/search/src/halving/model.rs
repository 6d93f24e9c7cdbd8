//! An additive model of what policies do, by ridge regression.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::statistics::t_quantile;

/// One training, as an observation.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Observation {
    /// The block of trainings that it is compared within, which have their seed and epochs in common.
    pub block: usize,
    /// Its weight, above 0.
    pub weight: f64,
    /// The features of its policy; as many for all observations.
    pub features: Vec<f64>,
    /// What is explained: a loss or an error.
    pub response: f64,
}

impl Observation {
    /// An observation of weight 1.
    pub fn new(block: usize, features: Vec<f64>, response: f64) -> Self {
        Self {
            block,
            weight: 1.0,
            features,
            response,
        }
    }
}

/// A number with its uncertainty.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Estimate {
    /// The number.
    pub value: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// The degrees of freedom with which that was estimated.
    pub freedom: f64,
}

impl Estimate {
    /// A number with this standard error, which was estimated with `freedom` degrees of freedom.
    pub fn new(value: f64, standard_error: f64, freedom: f64) -> Self {
        Self {
            value,
            standard_error,
            freedom,
        }
    }

    /// How far its 95 % interval reaches to either side, by Student's *t*.
    pub fn margin(&self) -> f64 {
        t_quantile(self.freedom).unwrap_or(f64::INFINITY) * self.standard_error
    }

    /// Whether its 95 % interval excludes 0.
    pub fn is_clear(&self) -> bool {
        self.value.abs() > self.margin()
    }
}

/// A linear model whose coefficients minimise Σ w (y − b − x·β)² + λ|β|². The constants b, one per block,
/// have no penalty.
#[derive(Clone, Debug)]
pub struct Ridge {
    /// λ.
    penalty: f64,
    /// β.
    coefficients: Vec<f64>,
    /// s² (XᵀWX + λI)⁻¹, row by row.
    covariance: Vec<Vec<f64>>,
    /// The residual variance s² of an observation of weight 1.
    variance: f64,
    /// The degrees of freedom that it was estimated with.
    freedom: f64,
}

impl Ridge {
    /// The penalties that [`fit`](Self::fit) chooses from: ½ · 2ᵏ.
    const PENALTIES: i32 = 10;

    /// Fits a model, with the penalty that has the lowest error in generalised cross-validation (Golub,
    /// Heath and Wahba 1979). `None` if there are too few observations for any.
    pub fn fit(observations: &[Observation]) -> Option<Self> {
        let system = System::new(observations)?;
        let penalties = (0..Self::PENALTIES).map(|power| 0.5 * 2_f64.powi(power));
        let fits = penalties.filter_map(|penalty| system.solve(penalty));
        let best = fits.min_by(|(a, _), (b, _)| a.total_cmp(b));
        best.map(|(_, ridge)| ridge)
    }

    /// The response of these features, up to a constant.
    pub fn predict(&self, features: &[f64]) -> f64 {
        dot(&self.coefficients, features)
    }

    /// The difference that a change of the features makes, with the square root of its posterior
    /// variance.
    pub fn effect(&self, change: &[f64]) -> Estimate {
        let times_covariance = self.covariance.iter().map(|row| dot(row, change));
        let variance = dot(&times_covariance.collect::<Vec<_>>(), change);
        let standard_error = variance.max(0.0).sqrt();
        Estimate::new(self.predict(change), standard_error, self.freedom)
    }

    /// The chosen penalty, and the residual standard deviation of an observation of weight 1.
    pub fn penalty_and_deviation(&self) -> (f64, f64) {
        (self.penalty, self.variance.sqrt())
    }
}

/// The normal equations, with every block's weighted mean removed from its observations, which is the same
/// as a constant per block without a penalty.
struct System {
    /// XᵀWX.
    gram: Vec<Vec<f64>>,
    /// XᵀWy.
    moments: Vec<f64>,
    /// yᵀWy.
    total: f64,
    /// The degrees of freedom: what Σ w (y − b)² is of the variance of an observation. A block takes
    /// Σ w² / Σ w, which is 1 if the weights are 1.
    freedom: f64,
}

impl System {
    fn new(observations: &[Observation]) -> Option<Self> {
        let columns = observations.first()?.features.len();
        let mut blocks = BTreeMap::<usize, Vec<&Observation>>::new();
        for observation in observations {
            blocks
                .entry(observation.block)
                .or_default()
                .push(observation);
        }
        let mut system = Self {
            gram: vec![vec![0.0; columns]; columns],
            moments: vec![0.0; columns],
            total: 0.0,
            freedom: 0.0,
        };
        for block in blocks.values() {
            let weight: f64 = block.iter().map(|it| it.weight).sum();
            let mean = |value: &dyn Fn(&Observation) -> f64| {
                block.iter().map(|it| it.weight * value(it)).sum::<f64>() / weight
            };
            let centre: Vec<f64> = (0..columns)
                .map(|index| mean(&|it| it.features[index]))
                .collect();
            let mean_response = mean(&|it| it.response);
            for observation in block {
                let centred = observation.features.iter().zip(&centre);
                let centred: Vec<f64> = centred.map(|(value, mean)| value - mean).collect();
                system.add(
                    observation.weight,
                    &centred,
                    observation.response - mean_response,
                );
            }
            let squares: f64 = block.iter().map(|it| it.weight * it.weight).sum();
            system.freedom += weight - squares / weight;
        }
        Some(system)
    }

    fn add(&mut self, weight: f64, features: &[f64], response: f64) {
        for (row, value) in self.gram.iter_mut().zip(features) {
            for (entry, other) in row.iter_mut().zip(features) {
                *entry += weight * value * other;
            }
        }
        for (moment, value) in self.moments.iter_mut().zip(features) {
            *moment += weight * value * response;
        }
        self.total += weight * response * response;
    }

    /// The model with this penalty, and its error in generalised cross-validation; `None` if no degree of
    /// freedom is left to estimate the variance with.
    fn solve(&self, penalty: f64) -> Option<(f64, Ridge)> {
        let mut matrix = self.gram.clone();
        for (index, row) in matrix.iter_mut().enumerate() {
            row[index] += penalty;
        }
        let inverse = inverse(&matrix)?;
        let coefficients: Vec<f64> = inverse.iter().map(|row| dot(row, &self.moments)).collect();
        // tr(G (G + λI)⁻¹) = p − λ tr((G + λI)⁻¹).
        let trace: f64 = inverse
            .iter()
            .enumerate()
            .map(|(index, row)| row[index])
            .sum();
        let freedom = self.freedom - (inverse.len() as f64 - penalty * trace);
        if freedom < 1.0 {
            return None;
        }
        // yᵀWy − 2 βᵀXᵀWy + βᵀXᵀWXβ.
        let fitted: Vec<f64> = self
            .gram
            .iter()
            .map(|row| dot(row, &coefficients))
            .collect();
        let explained = 2.0 * dot(&coefficients, &self.moments) - dot(&coefficients, &fitted);
        let residual = (self.total - explained).max(0.0);
        let variance = residual / freedom;
        let scaled = |row: Vec<f64>| row.into_iter().map(|entry| variance * entry).collect();
        let ridge = Ridge {
            penalty,
            coefficients,
            covariance: inverse.into_iter().map(scaled).collect(),
            variance,
            freedom,
        };
        Some((residual / (freedom * freedom), ridge))
    }
}

/// The inverse of a symmetric positive definite matrix, by its Cholesky factor; `None` if it is not one.
fn inverse(matrix: &[Vec<f64>]) -> Option<Vec<Vec<f64>>> {
    let size = matrix.len();
    // L with LLᵀ = A, then L⁻¹, and A⁻¹ = L⁻ᵀ L⁻¹.
    let mut factor = vec![vec![0.0; size]; size];
    for row in 0..size {
        for column in 0..=row {
            let known = dot(&factor[row][..column], &factor[column][..column]);
            let rest = matrix[row][column] - known;
            factor[row][column] = match row == column {
                true if rest > 0.0 => rest.sqrt(),
                true => return None,
                false => rest / factor[column][column],
            };
        }
    }
    // Column by column of L⁻¹, stored as rows.
    let mut inverse_factor = vec![vec![0.0; size]; size];
    for column in 0..size {
        inverse_factor[column][column] = 1.0 / factor[column][column];
        for row in column + 1..size {
            let known = dot(
                &factor[row][column..row],
                &inverse_factor[column][column..row],
            );
            inverse_factor[column][row] = -known / factor[row][row];
        }
    }
    let entry = |row: usize, column: usize| {
        let from = row.max(column);
        dot(
            &inverse_factor[row][from..],
            &inverse_factor[column][from..],
        )
    };
    let row = |row| (0..size).map(|column| entry(row, column)).collect();
    Some((0..size).map(row).collect())
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The figures are NumPy's, for `np.linalg.solve(X.T @ W @ X + penalty * np.eye(5), X.T @ W @ y)` with the
    /// weighted mean of each block removed from X and y, at the penalty with the lowest Σ w r² / f² of ½ · 2ᵏ,
    /// where f is Σ w − tr(H), less Σ w² / Σ w of each block; the same coefficients came from a column per block without a penalty.
    #[test]
    fn a_fit_is_that_of_numpy() {
        let observation = |index: usize| {
            let on = |column| (index * index + column * 5 + index * column) % 7 < 3;
            let features: Vec<_> = (0..5).map(|it| f64::from(u8::from(on(it)))).collect();
            let noise = (index * 37 % 11) as f64 / 12.0;
            let response = noise + 0.9 * features[0] - 0.6 * features[2];
            let mut observation = Observation::new(index % 2, features, response);
            observation.weight = if index.is_multiple_of(3) { 0.5 } else { 1.0 };
            observation
        };
        let observations: Vec<_> = (0..24).map(observation).collect();
        let ridge = Ridge::fit(&observations).unwrap();
        let close = |found: f64, expected: f64| (found - expected).abs() < 1e-12;
        let (penalty, deviation) = ridge.penalty_and_deviation();
        assert_eq!(penalty, 1.0);
        assert!(close(deviation, 0.29042610847050887), "{deviation}");
        let expected = [
            0.42988141389477896,
            0.15900747499411005,
            -0.2641775007674899,
            0.09414351703113512,
            -0.06647425874759944,
        ];
        for (index, expected) in expected.into_iter().enumerate() {
            let mut one = [0.0; 5];
            one[index] = 1.0;
            assert!(close(ridge.predict(&one), expected), "{index}");
        }
        let effect = ridge.effect(&[1.0, 1.0, 0.0, 0.0, 0.0]);
        assert!(close(effect.value, 0.588888888888889), "{effect:?}");
        assert!(
            close(effect.standard_error, 0.19361740564700594),
            "{effect:?}"
        );
        assert!(close(effect.freedom, 14.901_495_236_803_34), "{effect:?}");
        // It is 3.04 standard errors, and the interval reaches 2.13.
        assert!(effect.is_clear());
    }

    #[test]
    fn too_few_observations_have_no_fit() {
        assert!(Ridge::fit(&[]).is_none());
        let one = Observation::new(0, vec![1.0, 0.0], 0.5);
        assert!(Ridge::fit(&[one]).is_none());
    }

    /// Of blocks, only the differences within them count.
    #[test]
    fn a_constant_per_block_changes_nothing() {
        let observations = |shift: f64| {
            let observation = |index: usize| {
                let on = |modulus| f64::from(u8::from(index.is_multiple_of(modulus)));
                let (block, response) = (index % 2, 0.1 * (index * 7 % 5) as f64 + on(3));
                let response = response + shift * block as f64;
                Observation::new(block, vec![on(3), on(4)], response)
            };
            (0..12).map(observation).collect::<Vec<_>>()
        };
        let predicted = |shift| {
            Ridge::fit(&observations(shift))
                .unwrap()
                .predict(&[1.0, 0.0])
        };
        assert!((predicted(0.0) - predicted(100.0)).abs() < 1e-9);
    }
}
