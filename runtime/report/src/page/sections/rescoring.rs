//! First and second rewards of the candidates that were scored twice.

use faa_search::config::SearchConfig;
use faa_search::reliability::{Reliability, ReliabilityLevel};
use faa_search::selection::RoundResults;
use faa_search::statistics::mean;
use faa_search::trial::Trial;
use maud::{Markup, html};

use super::{Sign, Swatch, callout, columns, legend, scrolling};
use crate::page::chart::{Axis, Plot};
use crate::page::record::{FoldRecord, Record};
use crate::page::text::{count, counted};

/// The reliability of the reward, and what is left of the rewards of finalists. Empty until a candidate has
/// been scored again.
pub(super) fn body(record: &Record, search: &SearchConfig) -> Markup {
    if record.folds.iter().all(|fold| fold.rescorings.is_empty()) {
        return html! {};
    }
    html! {
        h3 { "Scored again" }
        (reliability(record, search))
        @if search.finalists > 0 { (finalists(record, search)) }
    }
}

/// What a run's second scorings say about the reliability of its reward.
fn reliability(record: &Record, search: &SearchConfig) -> Markup {
    let rewards = |fold: &FoldRecord| -> Vec<[f64; 2]> {
        let rounds = fold.rounds();
        rounds
            .flat_map(|round| round.random_rewards(search))
            .collect()
    };
    let rewards: Vec<_> = (record.folds.iter())
        .map(|fold| (fold.number, rewards(fold)))
        .collect();
    let folds = rewards
        .iter()
        .map(|(fold, rewards)| (*fold, rewards.as_slice()));
    let Some(reliability) = Reliability::of(folds) else {
        return html! {
            p {
                "The reliability of the reward was not measured: it needs four random candidates with "
                "different rewards on a fold."
            }
        };
    };
    let sign = match reliability.level() {
        ReliabilityLevel::Reliable => Sign::Good,
        ReliabilityLevel::PartlyByChance => Sign::Open,
        _ => Sign::Warning,
    };
    let details = html! {
        "Some random candidates were scored twice, with different draws. Their rank correlation "
        "(Spearman), about the fraction of the differences between candidates that is not noise of the "
        "draws: "
        @for (index, fold) in reliability.folds.iter().enumerate() {
            @if index > 0 { ", " }
            (format!("{:.2}", fold.correlation)) " on fold " (fold.fold)
            " (" (counted(fold.candidates, "candidate")) ")"
        }
        ". Below 0.5 there is more noise than differences; from 0.8 the order is reliable. The noise of "
        "the images and of the network is not part of it."
    };
    callout(
        sign,
        &format!("Reward reliability: {reliability}"),
        &details,
    )
}

fn finalists(record: &Record, search: &SearchConfig) -> Markup {
    let folds = || {
        record
            .folds
            .iter()
            .filter(|fold| !fold.rescorings.is_empty())
    };
    html! {
        p {
            "The " (count(search.finalists)) " × " (count(search.top_n.get())) " candidates with the "
            "highest rewards of a round were scored again with fresh draws, and "
            (count(search.top_n.get())) " of them selected by the mean of both rewards. The first reward "
            "of a finalist is high partly by luck: what it loses on average is the winner’s curse."
        }
        (legend(&[
            (Swatch::Full, "selected"),
            (Swatch::Hollow, "other finalist"),
            (Swatch::Line("second dashed"), "equal rewards"),
        ]))
        div.figures { @for fold in folds() { (figure(fold, search)) } }
        (scrolling("First and second rewards", false, &table(folds(), search)))
        p.note {
            "Random candidates are not selected by their reward, so what they lose is chance, and with "
            "common draws a shift that all candidates of the round share. The second reward of the "
            "selected is high partly by luck too, since they were selected by it, but that of the candidates "
            "that the first reward alone would have selected is not."
        }
    }
}

/// The first and second rewards of the finalists that have both, and whether they were selected.
fn rewards(round: RoundResults<'_>, search: &SearchConfig) -> Vec<([f64; 2], bool, String)> {
    let selected = round.selected(search);
    let is_selected = |trial: &Trial| selected.iter().any(|it| it.trial == trial.trial);
    let of = |trial: &Trial| {
        let second = round.second_reward(trial)?;
        let words = format!(
            "round {}, trial {}: {:.4}, then {second:.4}",
            trial.round, trial.trial, trial.reward
        );
        Some(([trial.reward, second], is_selected(trial), words))
    };
    round.finalists(search).into_iter().filter_map(of).collect()
}

fn figure(fold: &FoldRecord, search: &SearchConfig) -> Markup {
    let rewards: Vec<_> = fold.rounds().flat_map(|it| rewards(it, search)).collect();
    let axis = |side: usize| Axis::around(rewards.iter().map(move |it| it.0[side]), 5);
    let plot = Plot {
        x: axis(0),
        y: axis(1),
        height: 230.0,
    };
    let drawn = html! {
        (plot.diagonal("second dashed"))
        @for ([first, second], is_selected, words) in &rewards {
            (plot.mark(if *is_selected { "full" } else { "hollow" }, (*first, *second), words))
        }
    };
    html! {
        @if !rewards.is_empty() {
            figure {
                h3 { "Fold " (fold.number) }
                (plot.svg(
                    &format!("First and second rewards of fold {}’s finalists", fold.number),
                    ["first reward", "second reward"],
                    &drawn,
                ))
            }
        }
    }
}

fn table<'a>(folds: impl Iterator<Item = &'a FoldRecord>, search: &SearchConfig) -> Markup {
    html! {
        table {
            thead {
                tr {
                    (columns(&["fold", "round", "candidates", "first", "second", "drop"], &[]))
                }
            }
            tbody {
                @for fold in folds {
                    @for round in fold.rounds() {
                        (rows(fold.number, round, search))
                    }
                }
            }
        }
    }
}

/// Mean rewards of the groups of a round's candidates.
fn rows(fold: usize, round: RoundResults<'_>, search: &SearchConfig) -> Markup {
    let finalists = rewards(round, search);
    let pairs = |of: &mut dyn Iterator<Item = &([f64; 2], bool, String)>| -> Vec<[f64; 2]> {
        of.map(|it| it.0).collect()
    };
    let groups = [
        ("finalists", pairs(&mut finalists.iter())),
        (
            "best N by the first reward",
            pairs(&mut finalists.iter().take(search.top_n.get())),
        ),
        ("selected", pairs(&mut finalists.iter().filter(|it| it.1))),
        ("random", round.random_rewards(search)),
    ];
    let number = round.trials().first().map_or(0, |trial| trial.round);
    let mean_of = |pairs: &[[f64; 2]], side: usize| {
        mean(&pairs.iter().map(|pair| pair[side]).collect::<Vec<_>>())
    };
    html! {
        @for (group, pairs) in &groups {
            @if let (Some(first), Some(second)) = (mean_of(pairs, 0), mean_of(pairs, 1)) {
                tr {
                    td { (fold) }
                    td { (number) }
                    th scope="row" { (group) ": " (count(pairs.len())) }
                    td { (format!("{first:.4}")) }
                    td { (format!("{second:.4}")) }
                    td { (format!("{:.4}", first - second + 0.0)) }
                }
            }
        }
    }
}
