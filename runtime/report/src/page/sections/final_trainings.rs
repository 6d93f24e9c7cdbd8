//! The final trainings: with the policy, and with the baselines.

use faa_search::config::{Augmentation, FinalTrainings};
use faa_search::results::Epoch;
use maud::{Markup, html};

use super::{scrolling, where_it_diverged};
use crate::page::chart::{Axis, Plot, Rows};
use crate::page::record::{FinalRecord, Record};
use crate::page::statistics::{mean, sample_deviation};
use crate::page::text::{out_of, percent};

struct Group<'a> {
    augmentation: Augmentation,
    trainings: Vec<&'a FinalRecord>,
}

impl Group<'_> {
    /// The errors of the finished trainings, from 0 to 1.
    fn errors(&self) -> Vec<f64> {
        let evaluations = (self.trainings.iter()).filter_map(|run| run.training.evaluation);
        evaluations.map(|evaluation| evaluation.error).collect()
    }
}

/// The augmentations that are configured or have begun.
fn groups(record: &Record) -> Vec<Group<'_>> {
    let group = |augmentation| Group {
        trainings: (record.final_trainings.iter())
            .filter(|run| run.augmentation == augmentation)
            .collect(),
        augmentation,
    };
    let configured = &record.config().final_trainings.augmentations;
    let groups = Augmentation::ALL.into_iter().map(group);
    let known =
        |group: &Group<'_>| configured.contains(&group.augmentation) || !group.trainings.is_empty();
    groups.filter(known).collect()
}

/// The mean test error of each augmentation that has one.
pub(in crate::page) fn mean_errors(record: &Record) -> Vec<(Augmentation, f64)> {
    let groups = groups(record).into_iter();
    groups
        .filter_map(|group| Some((mean(&group.errors())?, group)))
        .map(|(error, group)| (group.augmentation, error))
        .collect()
}

/// The errors as a table and as dots, and the curves of each augmentation.
pub(in crate::page) fn body(record: &Record, config: &FinalTrainings) -> Markup {
    let groups = groups(record);
    html! {
        p {
            "Networks trained on all training images, with the policy and with the baselines that it is "
            "compared with. The error is that on the test split after the last epoch, not after the "
            "best one."
        }
        @if groups.is_empty() {
            p { "No final trainings were requested." }
        } @else {
            (scrolling("Test errors", false, &table(&groups, config.seeds.get())))
            (diverged(record))
            div.figures {
                (every_seed(&groups))
                (curves(record, record.config().final_epochs().get(), &groups))
            }
        }
    }
}

fn table(groups: &[Group<'_>], seeds: usize) -> Markup {
    html! {
        table {
            caption { "Test error: mean ± sample standard deviation over seeds" }
            thead {
                tr {
                    th scope="col" { "Augmentation" }
                    th scope="col" { "Trained with" }
                    th.number scope="col" { "Error" }
                    th.number scope="col" { "Seeds" }
                }
            }
            tbody {
                @for group in groups {
                    @let errors = group.errors();
                    tr {
                        th scope="row" { (group.augmentation.name()) }
                        td.words { (group.augmentation.description()) }
                        td.number { (mean_and_deviation(&errors)) }
                        td.number { (out_of(errors.len(), seeds)) }
                    }
                }
            }
        }
    }
}

fn mean_and_deviation(errors: &[f64]) -> String {
    match (mean(errors), sample_deviation(errors)) {
        (Some(mean), Some(deviation)) => {
            format!("{:.2} ± {}", 100.0 * mean, percent(deviation, 2))
        }
        (Some(mean), None) => percent(mean, 2),
        _ => "–".to_owned(),
    }
}

fn diverged(record: &Record) -> Markup {
    html! {
        @for run in &record.final_trainings {
            @if let Some(divergence) = run.training.diverged {
                p {
                    strong { "⚠ " (run.augmentation.name()) ", seed " (run.seed) ", diverged." }
                    " " (where_it_diverged(divergence))
                }
            }
        }
    }
}

/// The error of every training, with a row for each augmentation.
fn every_seed(groups: &[Group<'_>]) -> Markup {
    let errors: Vec<f64> = groups.iter().flat_map(Group::errors).collect();
    if errors.is_empty() {
        return html! { p { "No final training has finished yet." } };
    }
    let name = |group: &Group<'_>| group.augmentation.name().to_owned();
    let names: Vec<_> = groups.iter().map(name).collect();
    let rows = Rows {
        names: &names,
        axis: Axis::around(errors.iter().map(|error| 100.0 * error), 6),
        left: 104.0,
    };
    let drawn = html! {
        @for (row, group) in groups.iter().enumerate() {
            @if let Some(mean) = mean(&group.errors()) {
                (rows.stroke("accent", row, 100.0 * mean, &format!("mean: {}", percent(mean, 2))))
            }
            @for run in &group.trainings {
                @if let Some(evaluation) = run.training.evaluation {
                    @let words = format!("seed {}: {}", run.seed, percent(evaluation.error, 2));
                    (rows.mark("hollow", row, 100.0 * evaluation.error, &words))
                }
            }
        }
    };
    html! {
        figure {
            h3 { "Every seed" }
            (rows.svg("The test error of every final training, by augmentation", "test error, %", &drawn))
            figcaption { "A ring is a training, a stroke the mean of its augmentation; lower is better." }
        }
    }
}

/// The training error of each augmentation by epoch.
fn curves(record: &Record, planned: usize, groups: &[Group<'_>]) -> Markup {
    let trainings = || record.final_trainings.iter().map(|run| &run.training);
    let epochs = || trainings().flat_map(|training| &training.epochs);
    let last = epochs().map(|epoch| epoch.epoch.saturating_add(1)).max();
    let highest = epochs().map(|epoch| epoch.error).fold(0.0, f64::max);
    let plot = Plot {
        x: Axis::counts(planned.max(last.unwrap_or(0)), 6),
        y: Axis::rounded(0.0, 100.0 * highest, 5),
        height: 190.0,
    };
    let point = |epoch: &Epoch| (epoch.epoch as f64 + 1.0, 100.0 * epoch.error);
    let begun = |run: &&&FinalRecord| !run.training.epochs.is_empty();
    html! {
        @for group in groups {
            @let begun: Vec<_> = group.trainings.iter().filter(begun).collect();
            @if !begun.is_empty() {
                @let drawn = html! {
                    @for run in &begun {
                        (plot.line("accent faint", run.training.epochs.iter().map(point)))
                    }
                };
                @let name = group.augmentation.name();
                @let label = format!("The training error with {name} by epoch");
                figure {
                    h3 { (name) }
                    (plot.svg(&label, ["epoch", "training error, %"], &drawn))
                    figcaption { "A line is a seed. The error is that on the augmented images." }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_their_deviation_if_there_is_one() {
        assert_eq!(mean_and_deviation(&[]), "–");
        assert_eq!(mean_and_deviation(&[0.25]), "25.00\u{a0}%");
        // The deviation of 0.2 and 0.3 is √0.005.
        assert_eq!(mean_and_deviation(&[0.2, 0.3]), "25.00 ± 7.07\u{a0}%");
    }
}
