//! How the networks of the folds were trained.

use faa_search::config::{FoldAugment, SearchConfig, TrainingConfig};
use faa_search::results::{Epoch, Evaluation};
use maud::{Markup, html};

use super::{Sign, Swatch, callout, d_a, legend, where_it_diverged};
use crate::page::chart::{Axis, Plot};
use crate::page::record::{FoldRecord, Record};
use crate::page::text::{out_of, percent};

/// The axes that all folds share, so that they can be compared.
struct Axes {
    epochs: Axis,
    error: Axis,
    loss: Axis,
    /// How many epochs a training has.
    planned: usize,
}

impl Axes {
    fn new(record: &Record, planned: usize) -> Self {
        let trainings = || record.folds.iter().map(|fold| &fold.training);
        let epochs = || trainings().flat_map(|training| &training.epochs);
        let evaluations = || trainings().filter_map(|training| training.evaluation.as_ref());
        let highest = |epoch: fn(&Epoch) -> f64, evaluation: fn(&Evaluation) -> f64| {
            let all = epochs().map(epoch).chain(evaluations().map(evaluation));
            all.fold(0.0, f64::max)
        };
        let last = epochs().map(|epoch| epoch.epoch.saturating_add(1)).max();
        let error = 100.0 * highest(|epoch| epoch.error, |evaluation| evaluation.error);
        let loss = highest(|epoch| epoch.loss, |evaluation| evaluation.loss);
        Self {
            epochs: Axis::counts(planned.max(last.unwrap_or(0)), 6),
            error: Axis::rounded(0.0, error, 5),
            loss: Axis::rounded(0.0, loss, 5),
            planned,
        }
    }
}

/// Error and loss by epoch, for each fold.
pub(in crate::page) fn body(
    record: &Record,
    config: &TrainingConfig,
    search: &SearchConfig,
) -> Markup {
    let axes = Axes::new(record, config.epochs.get());
    let policy = match search.fold_augment {
        FoldAugment::Uniform => "after a random sub-policy for every image and epoch",
        _ => "without a policy",
    };
    html! {
        p {
            "On each fold’s D" sub { "M" } " a network is trained with the base augmentation (crop, "
            "flip and Cutout) " (policy) ". Candidates are scored with it on the fold’s "
            (d_a()) "."
        }
        @if record.folds.is_empty() {
            p { "No fold has been begun yet." }
        } @else {
            (legend(&[
                (Swatch::Line("accent"), "training images, augmented"),
                (Swatch::Line("second dashed"), "validation images, not augmented, after the last epoch"),
            ]))
            div.figures {
                @for fold in &record.folds { (figure(fold, &axes)) }
            }
        }
    }
}

fn figure(fold: &FoldRecord, axes: &Axes) -> Markup {
    let training = &fold.training;
    html! {
        figure {
            h3 { "Fold " (fold.number) }
            @if let Some(divergence) = training.diverged {
                (callout(Sign::Warning, "Diverged", &where_it_diverged(divergence)))
            }
            @if !training.epochs.is_empty() { (curves(fold, axes)) }
            figcaption {
                (out_of(training.epochs.len(), axes.planned)) " epochs."
                @if let Some(evaluation) = &training.evaluation {
                    " On " (d_a()) ": error " (percent(evaluation.error, 1))
                    ", loss " (format!("{:.3}", evaluation.loss)) " nats."
                }
            }
        }
    }
}

fn curves(fold: &FoldRecord, axes: &Axes) -> Markup {
    let training = &fold.training;
    let [error, loss] = [axes.error, axes.loss].map(|y| Plot {
        x: axes.epochs,
        y,
        height: 180.0,
    });
    let by_epoch = |plot: &Plot, value: fn(&Epoch) -> f64| {
        let points = (training.epochs.iter()).map(|epoch| (epoch.epoch as f64 + 1.0, value(epoch)));
        plot.line("accent", points)
    };
    let errors = html! {
        (by_epoch(&error, |epoch| 100.0 * epoch.error))
        @if let Some(evaluation) = &training.evaluation {
            (error.level("second dashed", 100.0 * evaluation.error))
        }
    };
    let losses = html! {
        (by_epoch(&loss, |epoch| epoch.loss))
        @if let Some(evaluation) = &training.evaluation {
            (loss.level("second dashed", evaluation.loss))
        }
    };
    let label = |what: &str| format!("The {what} of fold {}’s network, by epoch", fold.number);
    html! {
        (error.svg(&label("error"), ["epoch", "error, %"], &errors))
        (loss.svg(&label("loss"), ["epoch", "loss, nats"], &losses))
    }
}
