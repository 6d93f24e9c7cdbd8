//! How candidates were judged, trial by trial.

use maud::{Markup, html};

use super::{Sign, Swatch, callout, d_a, legend};
use crate::page::chart::{Axis, Plot};
use crate::page::record::{FoldRecord, Record};
use crate::page::statistics::{best_so_far, expected_best};
use crate::page::text::{count, counted, out_of};
use faa_search::trial::Trial;

/// With fewer random trials than this, nothing is said of what random search would have found.
const ENOUGH_RANDOM_TRIALS: usize = 10;
/// With more trials than this on a fold, dots have no words of their own.
const MOST_WORDS: usize = 1_000;
/// How many points a line of expectations has.
const LINE_POINTS: usize = 200;

/// What all folds share.
struct Layout {
    /// The trials of a round.
    round: usize,
    /// The first trials of a round, which are random.
    start_up: usize,
    /// Those of a fold, where that is known.
    planned: Option<usize>,
    trials: Axis,
    reward: Axis,
}

impl Layout {
    fn of(record: &Record) -> Self {
        let most = |of: fn(&Trial) -> usize| {
            let most = record.trials().map(|(_, trial)| of(trial)).max();
            most.map_or(1, |most| most.saturating_add(1))
        };
        let planned = record.count("/search/trials");
        let round = planned.unwrap_or(most(|trial| trial.trial));
        let rounds = record.count("/search/rounds");
        let rounds = rounds.unwrap_or(most(|trial| trial.round));
        let rewards = || record.trials().map(|(_, trial)| trial.reward);
        let start_up = record.count("/search/sampler/start_up_trials");
        Self {
            round,
            start_up: start_up.unwrap_or(20),
            planned: planned.map(|round| round.saturating_mul(rounds)),
            trials: Axis::counts(round.saturating_mul(rounds), 5),
            reward: Axis::rounded(
                rewards().fold(f64::INFINITY, f64::min),
                rewards().fold(f64::NEG_INFINITY, f64::max),
                6,
            ),
        }
    }

    /// Where a trial stands when all of a fold are in sequence.
    fn place(&self, round: usize, trial: usize) -> f64 {
        round as f64 * self.round as f64 + trial as f64 + 1.0
    }
}

/// Reward, best so far and what random search would have found, for every fold.
pub(in crate::page) fn body(record: &Record) -> Markup {
    let layout = Layout::of(record);
    let draws = record
        .count("/search/draws")
        .map_or("its".to_owned(), count);
    html! {
        p {
            "The reward is the share of "
            @if record.text("/search/reward") == Some("mean") {
                "all " (draws) " draws of the images of " (d_a()) " that the network gets right"
            } @else {
                "images of " (d_a()) " that the network gets right in at least one of " (draws) " draws"
            }
            "; more is better. The sampler begins afresh with every round, and so do both lines."
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
                @for fold in &record.folds { (figure(fold, &layout)) }
            }
            p.note {
                "The first " (layout.start_up) " trials of a round are random candidates. Those of "
                "all rounds of a fold, m of them, give an estimate of the expected best of n: the "
                "mean of the best over all choices of n of them, Σ xᵢ·C(i−1, n−1)/C(m, n) over "
                "their rewards in order. The nearer n is to m, the fewer trials it rests on; there "
                "is none for n above m, where the line ends."
            }
        }
    }
}

fn figure(fold: &FoldRecord, layout: &Layout) -> Markup {
    html! {
        figure {
            h3 { "Fold " (fold.number) }
            @if fold.diverged.is_some() && fold.trials.is_empty() {
                (callout(Sign::Warning, "No trials", &html! { "The training of this fold diverged." }))
            } @else if fold.trials.is_empty() {
                p { "No trial has been made yet." }
            } @else {
                (chart(fold, layout))
            }
        }
    }
}

fn chart(fold: &FoldRecord, layout: &Layout) -> Markup {
    let plot = Plot {
        x: layout.trials,
        y: layout.reward,
        height: 230.0,
    };
    let random: Vec<f64> = (fold.trials.iter())
        .filter(|trial| trial.trial < layout.start_up)
        .map(|trial| trial.reward)
        .collect();
    let random = (random.len() >= ENOUGH_RANDOM_TRIALS).then_some(random);
    let drawn = html! {
        (dots(&plot, fold, layout))
        @for trials in fold.rounds() {
            @let round = trials[0].round;
            @if round > 0 { (plot.divider(round as f64 * layout.round as f64)) }
            @if let Some(random) = &random { (expectation(&plot, random, round, layout)) }
            (best(&plot, trials, layout))
        }
    };
    let label = format!(
        "The rewards of fold {}’s trials and the best so far",
        fold.number
    );
    html! {
        (plot.svg(&label, ["trial", "reward"], &drawn))
        figcaption { (caption(fold, layout, random.as_deref())) }
    }
}

fn dots(plot: &Plot, fold: &FoldRecord, layout: &Layout) -> Markup {
    let trials = || fold.trials.iter();
    if fold.trials.len() > MOST_WORDS {
        let point = |trial: &Trial| (layout.place(trial.round, trial.trial), trial.reward);
        return plot.many_dots(trials().map(point));
    }
    plot.dots(trials().map(|trial| {
        let Trial {
            round,
            trial: number,
            reward,
            ..
        } = trial;
        let words = format!("round {round}, trial {number}: {reward:.4}");
        (layout.place(*round, *number), *reward, words)
    }))
}

fn best(plot: &Plot, trials: &[Trial], layout: &Layout) -> Markup {
    let places = (trials.iter()).map(|trial| layout.place(trial.round, trial.trial));
    let best = best_so_far(trials.iter().map(|trial| trial.reward));
    plot.staircase("accent", places.zip(best))
}

fn expectation(plot: &Plot, random: &[f64], round: usize, layout: &Layout) -> Markup {
    let most = most_draws(random, layout);
    let stride = most.div_ceil(LINE_POINTS).max(1);
    let draws = (1..most).step_by(stride).chain([most]);
    let points = draws.filter_map(|draws| {
        let expected = expected_best(random, draws)?;
        Some((layout.place(round, draws - 1), expected))
    });
    plot.line("second dashed", points)
}

/// Of how many random candidates there is an estimate, and a round to compare it with.
fn most_draws(random: &[f64], layout: &Layout) -> usize {
    random.len().min(layout.round)
}

fn caption(fold: &FoldRecord, layout: &Layout, random: Option<&[f64]>) -> Markup {
    // From behind, so that the earliest of equals is named.
    let trials = fold.trials.iter().rev();
    let best = trials.max_by(|a, b| a.reward.total_cmp(&b.reward));
    let expected = random.and_then(|random| {
        let draws = most_draws(random, layout);
        Some((draws, expected_best(random, draws)?))
    });
    html! {
        (out_of(fold.trials.len(), layout.planned)) " trials."
        @if let Some(best) = best {
            " Best: " (format!("{:.4}", best.reward)) ", round " (best.round) ", trial " (best.trial) "."
        }
        @match expected {
            Some((draws, expected)) => {
                " Best of " (counted(draws, "random candidate")) ": "
                (format!("{expected:.4}")) " expected"
                @if draws < layout.round {
                    " (beyond " (counted(draws, "random trial")) " there is no estimate)"
                }
                "."
            }
            None => { " Too few random trials for an expectation." }
        }
    }
}
