//! How the networks of the folds learnt.

use maud::{Markup, html};

use super::{Sign, Swatch, callout, d_a, legend, where_it_diverged};
use crate::page::chart::{Axis, Plot};
use crate::page::record::{FoldRecord, Record};
use crate::page::text::{out_of, percent};
use faa_search::results::{Epoch, Evaluation};

/// The axes that all folds share, so that they can be compared.
struct Axes {
    epochs: Axis,
    error: Axis,
    loss: Axis,
    /// How many epochs a training has, where that is known.
    planned: Option<usize>,
}

impl Axes {
    fn of(record: &Record) -> Self {
        let epochs = || record.folds.iter().flat_map(|fold| &fold.epochs);
        let evaluations = || record.folds.iter().filter_map(|fold| fold.evaluation);
        let highest = |epoch: fn(&Epoch) -> f64, evaluation: fn(Evaluation) -> f64| {
            let all = epochs().map(epoch).chain(evaluations().map(evaluation));
            all.fold(0.0, f64::max)
        };
        let planned = record.count("/training/epochs");
        let last = epochs().map(|epoch| epoch.epoch.saturating_add(1)).max();
        let error = 100.0 * highest(|epoch| epoch.error, |evaluation| evaluation.error);
        let loss = highest(|epoch| epoch.loss, |evaluation| evaluation.loss);
        Self {
            epochs: Axis::counts(planned.max(last).unwrap_or(1), 6),
            error: Axis::rounded(0.0, error, 5),
            loss: Axis::rounded(0.0, loss, 5),
            planned,
        }
    }
}

/// Error and loss by epoch, for every fold.
pub(in crate::page) fn body(record: &Record) -> Markup {
    let axes = Axes::of(record);
    html! {
        p {
            "On each fold’s D" sub { "M" } " a network is trained with crop, flip and Cutout, and "
            "without a policy. It backends candidates on the fold’s " (d_a()) "."
        }
        @if record.folds.is_empty() {
            p { "No fold has been begun yet." }
        } @else {
            (legend(&[
                (Swatch::Line("accent"), "training images, as augmented"),
                (Swatch::Line("second dashed"), "scoring images, as they are, after the last epoch"),
            ]))
            div.figures {
                @for fold in &record.folds { (figure(fold, &axes)) }
            }
        }
    }
}

fn figure(fold: &FoldRecord, axes: &Axes) -> Markup {
    html! {
        figure {
            h3 { "Fold " (fold.number) }
            @if let Some(divergence) = fold.diverged {
                (callout(Sign::Warning, "Diverged", &where_it_diverged(divergence)))
            }
            @if !fold.epochs.is_empty() { (curves(fold, axes)) }
            figcaption {
                (out_of(fold.epochs.len(), axes.planned)) " epochs."
                @if let Some(evaluation) = fold.evaluation {
                    " On " (d_a()) ": error " (percent(evaluation.error, 1))
                    ", loss " (format!("{:.3}", evaluation.loss)) " nats."
                }
            }
        }
    }
}

fn curves(fold: &FoldRecord, axes: &Axes) -> Markup {
    let height = 180.0;
    let error = Plot {
        x: axes.epochs,
        y: axes.error,
        height,
    };
    let loss = Plot {
        x: axes.epochs,
        y: axes.loss,
        height,
    };
    let by_epoch = |plot: &Plot, value: fn(&Epoch) -> f64| {
        let points = (fold.epochs.iter()).map(|epoch| (epoch.epoch as f64 + 1.0, value(epoch)));
        plot.line("accent", points)
    };
    let errors = html! {
        (by_epoch(&error, |epoch| 100.0 * epoch.error))
        @if let Some(evaluation) = fold.evaluation {
            (error.level("second dashed", 100.0 * evaluation.error))
        }
    };
    let losses = html! {
        (by_epoch(&loss, |epoch| epoch.loss))
        @if let Some(evaluation) = fold.evaluation {
            (loss.level("second dashed", evaluation.loss))
        }
    };
    let label = |what: &str| format!("The {what} of fold {}’s network, by epoch", fold.number);
    html! {
        (error.svg(&label("error"), ["epoch", "error, %"], &errors))
        (loss.svg(&label("loss"), ["epoch", "loss, nats"], &losses))
    }
}
