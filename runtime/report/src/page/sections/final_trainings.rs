//! The final trainings: with the policy, and with the baselines.

use faa_op::text::clean;
use faa_search::config::Augmentation;
use faa_search::results::{Epoch, Evaluation};
use faa_search::summary::{
    ClassChange, Comparison, FinalResult, class_changes, comparisons, largest_changes, points,
};
use maud::{Markup, html};

use super::{columns, scrolling, where_it_diverged};
use crate::page::chart::{Axis, Plot, Rows};
use crate::page::record::{FinalRecord, Record};
use crate::page::text::{count, out_of, percent};

/// With more classes than this, only those that change most are shown.
const MAX_CLASSES: usize = 100;

/// The number of classes that are then shown of those that gain most, and of those that lose most.
const LARGEST: usize = 20;

/// Characters of a class's name.
const MAX_NAME: usize = 60;

struct Group<'a> {
    augmentation: Augmentation,
    trainings: Vec<&'a FinalRecord>,
}

impl Group<'_> {
    fn result(&self) -> FinalResult {
        let trainings = || self.trainings.iter().map(|run| &run.training);
        let evaluations = trainings().filter_map(|training| training.evaluation.as_ref());
        let diverged = trainings().filter(|training| training.diverged.is_some());
        FinalResult::new(self.augmentation, evaluations, diverged.count())
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

/// The results of the trainings that have finished.
pub(in crate::page) fn results(record: &Record) -> Vec<FinalResult> {
    groups(record).iter().map(Group::result).collect()
}

/// The errors as a table and as dots, what the policy is worth, and the curves of each augmentation.
pub(in crate::page) fn body(record: &Record) -> Markup {
    let (groups, results) = (groups(record), results(record));
    let comparisons = comparisons(&results);
    html! {
        p {
            "Networks trained on all training images, with the policy and with the baselines that it is "
            "compared with. The error is that on the test split after the last epoch, not after the "
            "best one."
        }
        @if groups.is_empty() {
            p { "No final trainings were requested." }
        } @else {
            (scrolling("Test errors", false, &table(&results, &comparisons, record.seeds())))
            (diverged(record))
            (worth(&comparisons))
            @if let Some(seeds) = &record.seed_count { p.note { "There are " (seeds) "." } }
            (by_class(&results))
            div.figures {
                (every_seed(&groups, &results))
                (curves(record, record.config().final_epochs().get(), &groups))
            }
        }
    }
}

fn table(results: &[FinalResult], comparisons: &[Comparison], seeds: Option<usize>) -> Markup {
    let difference = |augmentation| {
        let found = comparisons.iter().find(|it| it.baseline == augmentation);
        found.map(Comparison::points).unwrap_or_default()
    };
    html! {
        table {
            caption { "Test error: mean ± sample standard deviation over seeds" }
            thead {
                tr {
                    (columns(&["Augmentation", "Trained with"], &["Error", "Seeds"]))
                    @if !comparisons.is_empty() {
                        th.number scope="col" { "Policy minus this, points (95\u{a0}%)" }
                    }
                }
            }
            tbody {
                @for result in results {
                    @let done = result.errors.len();
                    tr {
                        th scope="row" { (result.augmentation.name()) }
                        td.words { (result.augmentation.description()) }
                        td.number { (error(result)) }
                        td.number { (seeds.map_or_else(|| count(done), |seeds| out_of(done, seeds))) }
                        @if !comparisons.is_empty() {
                            td.number { (difference(result.augmentation)) }
                        }
                    }
                }
            }
        }
    }
}

/// The mean error and its deviation, with a non-breaking space.
fn error(result: &FinalResult) -> String {
    result.error().replace(" %", "\u{a0}%")
}

/// What the policy is worth, a sentence per baseline.
fn worth(comparisons: &[Comparison]) -> Markup {
    html! {
        @if !comparisons.is_empty() {
            h3 { "What the policy is worth" }
            ul {
                @for comparison in comparisons { li { (comparison.sentence()) } }
            }
            p.note {
                "Points are percentage points of the test error. An interval is Welch’s t interval of "
                "the difference of two means over seeds, on this test split; each holds with 95\u{a0}% by "
                "itself, not all of them together."
            }
        }
    }
}

/// The errors of every class with and without the policy, or of those that change most.
fn by_class(results: &[FinalResult]) -> Markup {
    let Some((base, changes)) = class_changes(results) else {
        return html! {};
    };
    let is_short = changes.len() <= MAX_CLASSES;
    let each = if is_short { changes.len() } else { LARGEST };
    let table = html! {
        table {
            caption { "Test error by class: means over seeds" }
            thead {
                tr { (columns(&["Class"], &["Test images", base.name(), Augmentation::Policy.name(), "Change, points"])) }
            }
            tbody {
                @for class in largest_changes(&changes, each) { (class_row(class)) }
            }
        }
    };
    html! {
        h3 { "Errors by class" }
        p {
            "With the policy (" code { (Augmentation::Policy.name()) } ") and without it ("
            code { (base.name()) } "), starting with the class that gains most. "
            @if !is_short {
                "Of " (count(changes.len())) " classes, these are the " (LARGEST) " that gain and the "
                (LARGEST) " that lose most. "
            }
            "A class has fewer images than the test split, so its error is less certain than the whole."
        }
        (scrolling("Errors by class", true, &table))
    }
}

fn class_row(class: &ClassChange) -> Markup {
    html! {
        tr {
            th scope="row" { (clean(&class.class, MAX_NAME)) }
            td.number { (count(class.images)) }
            td.number { (percent(class.base, 2)) }
            td.number { (percent(class.policy, 2)) }
            td.number { (points(class.change())) }
        }
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
fn every_seed(groups: &[Group<'_>], results: &[FinalResult]) -> Markup {
    let errors: Vec<f64> = results.iter().flat_map(|it| it.errors.clone()).collect();
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
        @for (row, (group, result)) in groups.iter().zip(results).enumerate() {
            @if let Some(mean) = result.mean {
                (rows.stroke("accent", row, 100.0 * mean, &format!("mean: {}", percent(mean, 2))))
            }
            @for run in &group.trainings {
                @if let Some(Evaluation { error, .. }) = run.training.evaluation {
                    @let words = format!("seed {}: {}", run.seed, percent(error, 2));
                    (rows.mark("hollow", row, 100.0 * error, &words))
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
        let error = |errors: &[f64]| {
            let evaluations: Vec<_> = errors.iter().map(|it| Evaluation::new(*it, 1.0)).collect();
            super::error(&FinalResult::new(Augmentation::None, &evaluations, 0))
        };
        assert_eq!(error(&[]), "–");
        assert_eq!(error(&[0.25]), "25.00\u{a0}%");
        // The deviation of 0.2 and 0.3 is √0.005.
        assert_eq!(error(&[0.2, 0.3]), "25.00 ± 7.07\u{a0}%");
    }
}
