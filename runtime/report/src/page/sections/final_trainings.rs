//! The final trainings with their controls.

use maud::{Markup, html};

use super::{scrolling, where_it_diverged};
use crate::page::chart::{Axis, Plot, Rows};
use crate::page::record::{FinalRecord, Record, known_control};
use crate::page::statistics::{mean, sample_deviation};
use crate::page::text::{out_of, percent};
use faa_search::config::Augmentation;
use faa_search::results::Epoch;

/// A control and its trainings.
struct Group<'a> {
    augmentation: String,
    trainings: Vec<&'a FinalRecord>,
}

impl Group<'_> {
    /// The errors of the trainings that are over, from 0 to 1.
    fn errors(&self) -> Vec<f64> {
        let results = self.trainings.iter().filter_map(|training| training.result);
        results.map(|result| result.error).collect()
    }
}

fn groups(record: &Record) -> Vec<Group<'_>> {
    let group = |augmentation: String| Group {
        trainings: (record.final_trainings.iter())
            .filter(|training| training.augmentation == augmentation)
            .collect(),
        augmentation,
    };
    record.augmentations().into_iter().map(group).collect()
}

/// The mean test error of every control that has one.
pub(in crate::page) fn mean_errors(record: &Record) -> Vec<(String, f64)> {
    let groups = groups(record).into_iter();
    groups
        .filter_map(|group| Some((mean(&group.errors())?, group)))
        .map(|(error, group)| (group.augmentation, error))
        .collect()
}

/// The errors as a table and as dots, and the curves of every control.
pub(in crate::page) fn body(record: &Record) -> Markup {
    let groups = groups(record);
    let seeds = record.count(&record.of_finals("seeds"));
    html! {
        p {
            "Networks that learn from all training images. Their error is that on the test split "
            "after the last epoch, and not that of the best one."
        }
        @if groups.is_empty() {
            p { "No final training was asked for." }
        } @else {
            (scrolling("Test errors", false, &table(&groups, seeds)))
            (diverged(record))
            div.figures {
                (every_seed(&groups))
                (curves(record, &groups))
            }
        }
    }
}

fn table(groups: &[Group<'_>], seeds: Option<usize>) -> Markup {
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
                        th scope="row" { (group.augmentation) }
                        td.words { (trained_with(&group.augmentation)) }
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

fn trained_with(augmentation: &str) -> &'static str {
    known_control(augmentation).map_or("–", Augmentation::description)
}

fn diverged(record: &Record) -> Markup {
    html! {
        @for training in &record.final_trainings {
            @if let Some(divergence) = training.diverged {
                p {
                    strong { "⚠ " (training.augmentation) ", seed " (training.seed) ", diverged." }
                    " " (where_it_diverged(divergence))
                }
            }
        }
    }
}

/// The error of every training, in a row for each control.
fn every_seed(groups: &[Group<'_>]) -> Markup {
    let errors: Vec<f64> = groups.iter().flat_map(Group::errors).collect();
    if errors.is_empty() {
        return html! { p { "No final training is over yet." } };
    }
    let names: Vec<_> = groups
        .iter()
        .map(|group| group.augmentation.clone())
        .collect();
    let rows = Rows {
        names: &names,
        axis: Axis::rounded(
            100.0 * errors.iter().copied().fold(f64::INFINITY, f64::min),
            100.0 * errors.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            6,
        ),
        left: 104.0,
    };
    let drawn = html! {
        @for (row, group) in groups.iter().enumerate() {
            @if let Some(mean) = mean(&group.errors()) {
                (rows.stroke("accent", row, 100.0 * mean, &format!("mean: {}", percent(mean, 2))))
            }
            @for training in &group.trainings {
                @if let Some(result) = training.result {
                    @let words = format!("seed {}: {}", training.seed, percent(result.error, 2));
                    (rows.mark("hollow", row, 100.0 * result.error, &words))
                }
            }
        }
    };
    html! {
        figure {
            h3 { "Every seed" }
            (rows.svg("The test error of every final training, by augmentation", "test error, %", &drawn))
            figcaption { "A ring is a training, a stroke the mean of its augmentation; less is better." }
        }
    }
}

/// The training error of every control by epoch.
fn curves(record: &Record, groups: &[Group<'_>]) -> Markup {
    let epochs = || {
        record
            .final_trainings
            .iter()
            .flat_map(|training| &training.epochs)
    };
    let last = epochs().map(|epoch| epoch.epoch.saturating_add(1)).max();
    let planned = record.count(&record.of_finals("epochs"));
    let planned = planned.or_else(|| record.count("/training/epochs"));
    let highest = epochs().map(|epoch| epoch.error).fold(0.0, f64::max);
    let plot = Plot {
        x: Axis::counts(planned.max(last).unwrap_or(1), 6),
        y: Axis::rounded(0.0, 100.0 * highest, 5),
        height: 190.0,
    };
    let point = |epoch: &Epoch| (epoch.epoch as f64 + 1.0, 100.0 * epoch.error);
    let begun = |training: &&&FinalRecord| !training.epochs.is_empty();
    html! {
        @for group in groups {
            @let begun: Vec<_> = group.trainings.iter().filter(begun).collect();
            @if !begun.is_empty() {
                @let drawn = html! {
                    @for training in &begun {
                        (plot.line("accent faint", training.epochs.iter().map(point)))
                    }
                };
                @let label = format!("The training error with {} by epoch", group.augmentation);
                figure {
                    h3 { (group.augmentation) }
                    (plot.svg(&label, ["epoch", "training error, %"], &drawn))
                    figcaption { "A line is a seed. The error is that of the images as augmented." }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_is_described_where_it_is_known() {
        assert_eq!(trained_with("cutout"), Augmentation::Cutout.description());
        assert_eq!(trained_with("my-own"), "–");
    }

    #[test]
    fn errors_are_told_with_their_deviation_where_there_is_one() {
        assert_eq!(mean_and_deviation(&[]), "–");
        assert_eq!(mean_and_deviation(&[0.25]), "25.00\u{a0}%");
        // The deviation of 0.2 and 0.3 is √0.005.
        assert_eq!(mean_and_deviation(&[0.2, 0.3]), "25.00 ± 7.07\u{a0}%");
    }
}
