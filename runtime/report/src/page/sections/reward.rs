//! How candidates were scored, trial by trial.

use faa_search::config::{Reward, SearchConfig};
use faa_search::trial::Trial;
use maud::{Markup, html};

use super::{Sign, Swatch, callout, d_a, legend, rescoring};
use crate::page::chart::{Axis, Plot};
use crate::page::record::{FoldRecord, Record};
use crate::page::statistics::{best_so_far, expected_best};
use crate::page::text::{count, counted, out_of};

/// With fewer random trials than this, the result of random search is not estimated.
const MIN_RANDOM_TRIALS: usize = 10;
/// With more trials than this on a fold, dots have no tooltips.
const MAX_TOOLTIPS: usize = 1_000;
/// The number of points of an expectation line.
const LINE_POINTS: usize = 200;

/// What all folds share.
struct Axes {
    /// The trials of a round.
    round: usize,
    /// The first trials of a round, which are random.
    start_up: usize,
    /// The trials of a fold.
    planned: usize,
    trials: Axis,
    reward: Axis,
}

impl Axes {
    fn new(record: &Record, search: &SearchConfig) -> Self {
        let round = search.trials.get();
        let planned = round.saturating_mul(search.rounds.get());
        let trials = record.folds.iter().flat_map(|fold| &fold.trials);
        Self {
            round,
            start_up: search.sampler.start_up_trials,
            planned,
            trials: Axis::counts(planned, 5),
            reward: Axis::around(trials.map(|trial| trial.reward), 6),
        }
    }

    /// The number of a trial, from 1, counted through the rounds of its fold.
    fn number(&self, round: usize, trial: usize) -> f64 {
        round as f64 * self.round as f64 + trial as f64 + 1.0
    }
}

/// Reward, best so far and what random search would have found, for every fold.
pub(in crate::page) fn body(record: &Record, search: &SearchConfig) -> Markup {
    let axes = Axes::new(record, search);
    let draws = count(search.draws.get());
    html! {
        p {
            "The reward is the fraction of "
            @if search.reward == Reward::Any {
                "images of " (d_a()) " that the network gets right in at least one of " (draws)
                " draws"
            } @else {
                "all " (draws) " draws of the images of " (d_a()) " that the network gets right"
            }
            "; more is better. The sampler restarts in each round, and so do both lines."
        }
        @if record.trials().next().is_none() {
            p { "No trial has been made yet." }
        } @else {
            (legend(&[
                (Swatch::Dot, "a trial"),
                (Swatch::Line("accent"), "best so far"),
                (Swatch::Line("second dashed"), "expected best of as many random candidates"),
            ]))
            div.figures {
                @for fold in &record.folds { (figure(fold, &axes)) }
            }
            p.note {
                "The first " (axes.start_up) " trials of a round are random candidates. The m of them "
                "in all rounds of a fold give an estimate of the expected best of n: the mean of the "
                "best over all choices of n of them, Σ xᵢ·C(i−1, n−1)/C(m, n) over their sorted "
                "rewards. The closer n is to m, the fewer trials it depends on; above m there is no "
                "estimate, and the line ends."
            }
            (rescoring::body(record, search))
        }
    }
}

fn figure(fold: &FoldRecord, axes: &Axes) -> Markup {
    html! {
        figure {
            h3 { "Fold " (fold.number) }
            @if fold.training.diverged.is_some() && fold.trials.is_empty() {
                (callout(Sign::Warning, "No trials", &html! { "The training of this fold diverged." }))
            } @else if fold.trials.is_empty() {
                p { "No trial has been made yet." }
            } @else {
                (chart(fold, axes))
            }
        }
    }
}

fn chart(fold: &FoldRecord, axes: &Axes) -> Markup {
    let plot = Plot {
        x: axes.trials,
        y: axes.reward,
        height: 230.0,
    };
    let random: Vec<f64> = (fold.trials.iter())
        .filter(|trial| trial.trial < axes.start_up)
        .map(|trial| trial.reward)
        .collect();
    let random = (random.len() >= MIN_RANDOM_TRIALS).then_some(random);
    let drawn = html! {
        (dots(&plot, fold, axes))
        @for round in fold.rounds() {
            @let trials = round.trials();
            @let round = trials[0].round;
            @if round > 0 { (plot.divider(round as f64 * axes.round as f64)) }
            @if let Some(random) = &random { (expectation(&plot, random, round, axes)) }
            (best(&plot, trials, axes))
        }
    };
    let label = format!(
        "The rewards of fold {}’s trials and the best so far",
        fold.number
    );
    html! {
        (plot.svg(&label, ["trial", "reward"], &drawn))
        figcaption { (caption(fold, axes, random.as_deref())) }
    }
}

fn dots(plot: &Plot, fold: &FoldRecord, axes: &Axes) -> Markup {
    let point = |trial: &Trial| (axes.number(trial.round, trial.trial), trial.reward);
    if fold.trials.len() > MAX_TOOLTIPS {
        return plot.many_dots(fold.trials.iter().map(point));
    }
    plot.dots(fold.trials.iter().map(|trial| {
        let (x, y) = point(trial);
        let words = format!("round {}, trial {}: {y:.4}", trial.round, trial.trial);
        (x, y, words)
    }))
}

fn best(plot: &Plot, trials: &[Trial], axes: &Axes) -> Markup {
    let numbers = (trials.iter()).map(|trial| axes.number(trial.round, trial.trial));
    let best = best_so_far(trials.iter().map(|trial| trial.reward));
    plot.staircase("accent", numbers.zip(best))
}

fn expectation(plot: &Plot, random: &[f64], round: usize, axes: &Axes) -> Markup {
    let max = max_draws(random, axes);
    let stride = max.div_ceil(LINE_POINTS).max(1);
    let draws = (1..max).step_by(stride).chain([max]);
    let points = draws.filter_map(|draws| {
        let expected = expected_best(random, draws)?;
        Some((axes.number(round, draws - 1), expected))
    });
    plot.line("second dashed", points)
}

/// For how many random candidates there is an estimate, and a round to compare it with.
fn max_draws(random: &[f64], axes: &Axes) -> usize {
    random.len().min(axes.round)
}

fn caption(fold: &FoldRecord, axes: &Axes, random: Option<&[f64]>) -> Markup {
    // In reverse, so that the earliest of equals is named.
    let trials = fold.trials.iter().rev();
    let best = trials.max_by(|a, b| a.reward.total_cmp(&b.reward));
    let expected = random.and_then(|random| {
        let draws = max_draws(random, axes);
        Some((draws, expected_best(random, draws)?))
    });
    html! {
        (out_of(fold.trials.len(), axes.planned)) " trials."
        @if let Some(best) = best {
            " Best: " (format!("{:.4}", best.reward)) ", round " (best.round) ", trial " (best.trial) "."
        }
        @match expected {
            Some((draws, expected)) => {
                " Best of " (counted(draws, "random candidate")) ": "
                (format!("{expected:.4}")) " expected"
                @if draws < axes.round {
                    " (beyond " (counted(draws, "random trial")) " there is no estimate)"
                }
                "."
            }
            None => { " Too few random trials for an expectation." }
        }
    }
}
