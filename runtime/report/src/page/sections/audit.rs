//! Which ops are safe, with a small curve for each.

use faa_search::audit::{Audit, Measured, OpAudit, Safety};
use maud::{Markup, html};

use super::{Swatch, legend};
use crate::page::broken::Broken;
use crate::page::chart::{Axis, Plot};
use crate::page::evidence::Evidence;
use crate::page::pictures::are_generated;
use crate::page::record::Record;
use crate::page::text::{count, counted, percent};

/// A curve for each op, or how far the audit has come.
pub(in crate::page) fn body(record: &Record, evidence: &Evidence<'_>) -> Markup {
    let audit = record.audit.as_ref();
    let Some(findings) = audit.and_then(|it| it.findings.as_ref()) else {
        let points = audit.map_or(0, |it| it.points.len());
        return html! { p { "The audit is not finished: " (counted(points, "measurement")) " so far." } };
    };
    let tolerance = findings.tolerance;
    html! {
        p {
            "One network classifies " (count(findings.images)) " held-out images under one op at one value, "
            "each with the same random numbers. Without an op " (percent(findings.accuracy, 1))
            " are right, with a loss of " (format!("{:.3}", findings.loss)) " nats. A value is unsafe if "
            "the 95 % interval of the drop in accuracy lies above " (percent(tolerance.overall, 1))
            " for all images, or above " (percent(tolerance.class, 1)) " for a class; intervals of classes "
            "are widened for their number. What is not called unsafe is either safe or within noise."
        }
        (legend(&[
            (Swatch::Line("accent"), "accuracy of all images, with its interval"),
            (Swatch::Line("second"), "accuracy of the worst-affected class"),
            (Swatch::Line("dot dashed"), "the lowest accepted accuracy of all images"),
            (Swatch::Full, "a measured value; the shaded range is safe"),
        ]))
        @match &evidence.broken {
            Err(reason) => { p.note { "No images are shown: " (reason) "." } }
            Ok(_) if !are_generated(record) => {
                p.note {
                    "The images were not verified against the run’s digest, which covers the whole data set."
                }
            }
            Ok(_) => {}
        }
        div.figures {
            @for op in &findings.ops {
                @let broken = evidence.broken.as_ref().ok().and_then(|it| it.get(&op.op));
                (figure(findings, op, broken))
            }
        }
    }
}

fn figure(audit: &Audit, op: &OpAudit, broken: Option<&Broken>) -> Markup {
    let mark = match op.safety {
        Safety::Safe => "✓",
        Safety::Partly => "◐",
        Safety::Unsafe => "⚠",
    };
    html! {
        figure {
            h3 { (mark) " " (op.op) ": " (op.sentence()) }
            @if op.start.is_some() { (curve(audit, op)) }
            @if let Some(point) = op.most_telling() {
                @if let Some(broken) = broken { (pair(op, point, broken)) }
                figcaption { (words(op, point)) }
            }
        }
    }
}

/// Accuracy over the values of an op, the start included.
fn curve(audit: &Audit, op: &OpAudit) -> Markup {
    let start = op.start.unwrap_or_default();
    let valued = || op.points.iter().filter_map(|it| Some((it.value?, it)));
    let ends = valued().map(|(value, _)| value).chain([start]);
    let plot = Plot {
        x: Axis::spanning(ends, 5),
        y: Axis::rounded(0.0, 100.0, 5),
        height: 170.0,
    };
    let at_start = (start, 100.0 * audit.accuracy);
    let with_start = |mut points: Vec<(f64, f64)>| {
        if !points.iter().any(|it| it.0 == start) {
            points.push(at_start);
        }
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points
    };
    let line = |of: &dyn Fn(&Measured) -> Option<f64>| {
        let points = valued().filter_map(|(value, it)| Some((value, 100.0 * of(it)?)));
        with_start(points.collect())
    };
    let end = |drop: f64| 100.0 * (audit.accuracy - drop).clamp(0.0, 1.0);
    let upper = valued().map(|(value, it)| (value, end(it.drop.low)));
    let lower = valued().map(|(value, it)| (value, end(it.drop.high)));
    let (upper, lower) = (with_start(upper.collect()), with_start(lower.collect()));
    let dots = valued().map(|(value, it)| (value, 100.0 * it.accuracy, words(op, it)));
    let drawn = html! {
        @if let Some([low, high]) = op.safe { (plot.span("safe", low, high)) }
        (plot.area("band", upper.into_iter().chain(lower.into_iter().rev())))
        (plot.level("dot dashed", end(audit.tolerance.overall)))
        (plot.line("second", line(&|it| it.worst.as_ref().map(|it| it.accuracy)).into_iter()))
        (plot.line("accent", line(&|it| Some(it.accuracy)).into_iter()))
        (plot.dots(dots))
    };
    let unit = if op.unit.is_empty() {
        "value"
    } else {
        &op.unit
    };
    let label = format!("Accuracy under {} by its value: {}", op.op, op.sentence());
    plot.svg(&label, [unit, "accuracy, %"], &drawn)
}

fn pair(op: &OpAudit, point: &Measured, broken: &Broken) -> Markup {
    let class = point.worst.as_ref().map_or("", |it| it.class.as_str());
    html! {
        div.pair {
            img src=(broken.original) alt={ (class) ", original" };
            span aria-hidden="true" { "→" }
            img src=(broken.augmented) alt={ (class) ", under " (op.op) };
        }
    }
}

/// A measurement in words.
fn words(op: &OpAudit, point: &Measured) -> String {
    let at = point.value.map_or(String::new(), |value| {
        format!("At {}: ", op.with_unit(value))
    });
    let range = |drop: &faa_search::audit::Interval| {
        let [low, high] = [drop.low, drop.high].map(|it| 100.0 * it);
        format!("{} ({low:.1} to {high:.1})", percent(drop.estimate, 1))
    };
    let mut text = format!(
        "{at}accuracy {}, a drop of {}; loss {:.3}.",
        percent(point.accuracy, 1),
        range(&point.drop),
        point.loss,
    );
    if let Some(worst) = &point.worst {
        text += &format!(
            " Worst is `{}`: accuracy {}, a drop of {} of {}; loss {:.3}.",
            worst.class,
            percent(worst.accuracy, 1),
            range(&worst.drop),
            counted(worst.images, "image"),
            worst.loss,
        );
        if let Some(mistake) = &worst.mistaken_for {
            text += &format!(
                " {} taken for `{}`.",
                counted(mistake.count, "image"),
                mistake.class
            );
        }
    }
    text
}
