//! Successive halving: the rungs as a picture, the last one as a table, and what each op does.

use std::collections::BTreeMap;

use faa_search::config::HalvingConfig;
use faa_search::halving::{
    Change, Effect, Entrant, Estimate, HalvingResult, Origin, Standing, mean_losses,
};
use faa_search::statistics::{mean, sample_deviation};
use maud::{Markup, html};

use super::{Sign, Swatch, callout, columns, legend, scrolling};
use crate::page::chart::{Axis, Plot, Rows};
use crate::page::record::Record;
use crate::page::text::{count, counted, percent};

/// More policies than this are not drawn, and more rows than this are only counted.
const MAX_ROWS: usize = 1_000;

/// The policy with the lowest loss in the last rung, once all have been trained there.
pub(in crate::page) fn winner(record: &Record) -> Option<(&'static str, String, String)> {
    let config = record.config().halving.as_ref()?;
    record.policy.as_ref()?;
    let result = result(record, config);
    let winner = result.winner()?;
    let noise = match (result.equals(), result.why_unknown()) {
        (Some(equals), _) => format!("{} others equal within noise", equals.len()),
        (None, why) => why.unwrap_or_default().to_owned(),
    };
    let more = format!("{}; {noise}", winner.name);
    Some((
        "Lowest validation loss",
        format!("{:.4}", winner.mean_loss()?),
        more,
    ))
}

fn result(record: &Record, config: &HalvingConfig) -> HalvingResult {
    HalvingResult::of(config, &record.entrants, &record.rung_results())
}

/// What was trained, what won, and why.
pub(in crate::page) fn body(record: &Record, config: &HalvingConfig) -> Markup {
    let result = result(record, config);
    html! {
        p {
            (count(config.entrants.get())) " policies of the search space, half of them proposed by an additive model of the others, each train "
            "a network for " (counted(config.early_epochs.get(), "epoch")) ". The 1/"
            (config.reduction) " with the lowest validation loss enter the next of "
            (counted(config.rungs.get(), "rung")) ". In the last rung, trainings have "
            (counted(config.epochs.get(), "epoch")) " and "
            (counted(config.seeds.get(), "seed")) ". All policies of a rung have the same seeds, and each "
            "rung has new ones. In the last two rungs, fixed policies take part in any case: the base "
            "augmentation alone, TrivialAugment, RandAugment, and those that an audit and a search by "
            "density matching have made."
        }
        @if record.entrants.is_empty() {
            p { "No policy has been trained yet." }
        } @else {
            @if record.policy.is_some() { (conclusion(&result)) }
            (legend(&[
                (Swatch::Dot, "a policy that was not promoted"),
                (Swatch::Line("accent"), "promoted policies"),
                (Swatch::Line("second dashed"), "fixed policies"),
            ]))
            div.figures { (picture(record)) (effects_figure(&result.effects)) }
            @if !result.standings.is_empty() {
                (scrolling("The last rung", true, &standings(&result.standings)))
            }
            (explanation(&result))
        }
    }
}

fn conclusion(result: &HalvingResult) -> Markup {
    let Some(winner) = result.winner() else {
        return html! {};
    };
    let heading = match &winner.origin {
        Origin::Fixed(name) if name == "base" => {
            "No policy had a lower validation loss than the base augmentation alone".to_owned()
        }
        Origin::Fixed(name) => {
            format!("No searched policy had a lower validation loss than the fixed one, {name}")
        }
        _ => format!("{} has the lowest validation loss", winner.name),
    };
    let equals = result.equals();
    let names =
        |equals: &[&Standing]| -> Vec<_> { equals.iter().map(|it| it.name.clone()).collect() };
    let body = html! {
        @match &equals {
            None => { "It may be the best by chance: " (result.why_unknown().unwrap_or_default()) "." }
            Some(equals) if equals.is_empty() => { "All others are worse by more than noise (95\u{a0}%)." }
            Some(equals) => { "Equal within noise: " (names(equals).join(", ")) "." }
        }
    };
    let is_sure = equals.is_some_and(|equals| equals.is_empty());
    callout(
        if is_sure { Sign::Good } else { Sign::Open },
        &heading,
        &body,
    )
}

/// The rungs as columns, with a line per policy at its mean validation losses.
fn picture(record: &Record) -> Markup {
    let losses = mean_losses(&record.rung_results());
    let mut lines = BTreeMap::<usize, (&Entrant, Vec<(usize, f64)>)>::new();
    for entrant in &record.entrants {
        if let Some(loss) = losses.get(&(entrant.rung, entrant.entrant)) {
            let line = lines
                .entry(entrant.entrant)
                .or_insert((entrant, Vec::new()));
            line.1.push((entrant.rung, *loss));
        }
    }
    if lines.is_empty() {
        return html! { p { "No training of a rung has finished yet." } };
    }
    let rungs = record.entrants.iter().map(|it| it.rung.saturating_add(1));
    let rungs = rungs.max().unwrap_or(1);
    let drawn = lines.values().take(MAX_ROWS);
    let plot = Plot {
        x: Axis::numbered(rungs, 0.9),
        y: Axis::around(
            drawn
                .clone()
                .flat_map(|(_, points)| points)
                .map(|(_, loss)| *loss),
            6,
        ),
        height: 300.0,
    };
    let place = |(rung, loss): &(usize, f64)| (*rung as f64 + 1.0, *loss);
    let mut labels: Vec<_> = drawn
        .clone()
        .filter(|(entrant, _)| entrant.is_fixed())
        .filter_map(|(entrant, points)| Some((points.last()?.1, entrant.name())))
        .collect();
    let body = html! {
        @for (entrant, points) in drawn {
            @let words = entrant.name();
            @if points.len() > 1 {
                @let class = if entrant.is_fixed() { "second dashed" } else { "accent" };
                (plot.line(class, points.iter().map(place)))
            }
            (plot.dots(points.iter().map(|point| {
                let (x, y) = place(point);
                (x, y, format!("{words}: {y:.4}"))
            })))
        }
        (plot.labels(rungs as f64, &mut labels))
    };
    let label = "The mean validation loss of every policy in every rung";
    html! {
        figure {
            h3 { "Rungs" }
            (plot.svg(label, ["rung", "validation loss, nats"], &body))
            figcaption {
                "Losses of different rungs differ also by seed and number of epochs; lower is better."
            }
        }
    }
}

fn standings(standings: &[Standing]) -> Markup {
    let more = standings.len().saturating_sub(MAX_ROWS);
    html! {
        table {
            caption { "The last rung: mean ± sample standard deviation over seeds" }
            thead {
                tr {
                    (columns(&["Policy", "Origin"], &["Validation loss", "Validation error", "Loss above the first"]))
                    th scope="col" { "Compared with the first" }
                }
            }
            tbody {
                @for (index, standing) in standings.iter().enumerate().take(MAX_ROWS) {
                    tr {
                        th scope="row" { (standing.name) }
                        td { (standing.origin) }
                        td.number { (spread(&standing.losses, |it| format!("{it:.4}"))) }
                        td.number { (spread(&standing.errors, |it| percent(it, 2))) }
                        td.number {
                            @match standing.difference {
                                Some(it) => { (format!("{:.4} ± {:.4}", it.value, it.standard_error)) }
                                None => { "–" }
                            }
                        }
                        td {
                            @if standing.diverged > 0 { (counted(standing.diverged, "seed")) " diverged" }
                            @else if index == 0 { "–" }
                            @else {
                                @match standing.is_equal() {
                                    Some(true) => { "equal within noise" }
                                    Some(false) => { "worse" }
                                    None => { "not known" }
                                }
                            }
                        }
                    }
                }
                @if more > 0 {
                    tr { td colspan="6" { "… and " (count(more)) " more" } }
                }
            }
        }
    }
}

fn spread(values: &[f64], text: fn(f64) -> String) -> String {
    match (mean(values), sample_deviation(values)) {
        (Some(mean), Some(deviation)) => format!("{} ± {}", text(mean), text(deviation)),
        (Some(mean), None) => text(mean),
        _ => "–".to_owned(),
    }
}

/// What each op does up to the furthest end that was trained.
fn effects_figure(effects: &[Effect]) -> Markup {
    let mut furthest = Vec::<(&str, &Effect)>::new();
    for effect in effects {
        let name = match &effect.change {
            Change::Op { op, .. } => op.as_str(),
            Change::TwoOps => "two ops",
            _ => continue,
        };
        match furthest.last_mut() {
            // Effects of an op are in the order of its ends.
            Some(last) if last.0 == name => last.1 = effect,
            _ => furthest.push((name, effect)),
        }
    }
    if furthest.is_empty() {
        return html! {};
    }
    furthest.sort_by(|(_, a), (_, b)| b.error.value.total_cmp(&a.error.value));
    let ends = |it: Estimate| {
        let margin = it.margin();
        [it.value - margin, it.value + margin].map(|end| 100.0 * end)
    };
    let all = furthest
        .iter()
        .flat_map(|(_, it)| ends(it.error))
        .chain([0.0]);
    let names: Vec<_> = furthest
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    let rows = Rows {
        names: &names,
        axis: Axis::around(all.collect::<Vec<_>>().into_iter(), 6),
        left: 112.0,
    };
    let drawn = html! {
        @for (row, (_, effect)) in furthest.iter().enumerate() {
            @let [low, high] = ends(effect.error);
            @let words = format!("{}: {}", effect.change, points(effect.error));
            @let class = if effect.error.is_clear() { "full" } else { "hollow" };
            (rows.stroke("second", row, 0.0, "no effect"))
            (rows.link(row, low, high))
            (rows.mark(class, row, 100.0 * effect.error.value, &words))
        }
    };
    html! {
        figure {
            h3 { "What each op does" }
            (rows.svg("The effect of each op on the validation error", "validation error, points", &drawn))
            figcaption {
                "Up to the furthest end that was trained, compared with off; 95\u{a0}% intervals. To the "
                "right of 0, the op costs. A full mark is clear of noise."
            }
        }
    }
}

fn explanation(result: &HalvingResult) -> Markup {
    if result.effects.is_empty() {
        return html! { p { "There are too few trainings to tell what each op does." } };
    }
    let table = html! {
        table {
            caption { "What each op does, by an additive model of all short trainings" }
            thead {
                tr { (columns(&["Change"], &["Policies", "Validation error, points", "Validation loss, nats"])) }
            }
            tbody {
                @for effect in result.effects.iter().take(MAX_ROWS) {
                    tr {
                        th scope="row" { (effect.change) }
                        td.number { (count(effect.entrants)) }
                        td.number { (points(effect.error)) }
                        td.number {
                            (format!("{:+.3} ± {:.3}", effect.loss.value, effect.loss.standard_error))
                        }
                    }
                }
            }
        }
    };
    html! {
        h3 { "Explanation" }
        @if result.explanation.is_empty() {
            p { "No effect is clear of noise: all 95\u{a0}% intervals include 0." }
        } @else {
            ul { @for sentence in &result.explanation { li { (sentence) "." } } }
        }
        p.note {
            "Effects are estimated by ridge regression on the policies of the search space and are "
            "drawn towards 0 by its penalty. About one in twenty without a true effect may seem clear."
        }
        (scrolling("Effects of ops", true, &table))
    }
}

fn points(estimate: Estimate) -> String {
    format!(
        "{:+.2} ± {:.2}",
        100.0 * estimate.value,
        100.0 * estimate.standard_error
    )
}
