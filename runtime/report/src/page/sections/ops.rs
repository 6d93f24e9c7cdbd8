//! Which ops the search preferred, and whether it preferred doing nothing.

use faa_op::OpSet;
use faa_search::config::SearchConfig;
use maud::{Markup, html};

use super::{Sign, Swatch, callout, legend, scrolling};
use crate::page::chart::{Axis, Rows};
use crate::page::evidence::Evidence;
use crate::page::pictures::{MEASURED_DRAWS, MEASURED_IMAGES};
use crate::page::statistics::{
    Activity, CHANGE_FACTOR, Finding, MIN_SUB_POLICIES, OpUse, UNTOUCHED_FACTOR, op_uses, untouched,
};
use crate::page::text::{count, counted, percent, sub_policies};

/// An op's use by the top n candidates and by all.
struct Row<'a> {
    op: &'a str,
    top_n: Option<&'a OpUse>,
    all: &'a OpUse,
    /// Whether the op has a range of values for magnitudes; assumed if the op is not available.
    valued: bool,
    /// The magnitude about which a mirrored op is mirrored.
    centre: Option<f64>,
}

impl Row<'_> {
    fn magnitude(&self, of: &OpUse) -> Option<f64> {
        of.magnitude().filter(|_| self.valued)
    }
}

/// The finding, and every op's frequency, probability and magnitude.
pub(in crate::page) fn body(search: &SearchConfig, evidence: &Evidence<'_>) -> Markup {
    let Some(activity) = &evidence.activity else {
        return html! { p { "No trial has been made yet." } };
    };
    let top_n = op_uses(&evidence.top_n);
    let all = op_uses(evidence.all.iter().copied());
    let mut rows: Vec<_> = (all.iter())
        .map(|(&op, all)| Row {
            op,
            top_n: top_n.get(op),
            all,
            valued: has_value(evidence.ops, op),
            centre: centre(evidence.ops, op),
        })
        .collect();
    // The sort is stable, and ops are in the order of their names before it.
    let fraction = |row: &Row<'_>| row.top_n.map_or(0.0, |top_n| top_n.fraction);
    rows.sort_by(|a, b| fraction(b).total_cmp(&fraction(a)));
    let top_n_words = format!(
        "top n: {} of the best {} of each fold and round",
        sub_policies(evidence.top_n.len()),
        counted(search.top_n.get(), "trial"),
    );
    let all_words = format!("all trials: {}", sub_policies(evidence.all.len()));
    html! {
        (comparison(activity, evidence))
        div.figures {
            (untouched_figure(activity, evidence))
            @if let Ok(changes) = &evidence.changes { (change_figure(*changes)) }
        }
        (legend(&[(Swatch::Full, top_n_words.as_str()), (Swatch::Hollow, all_words.as_str())]))
        div.figures { (panels(&rows)) }
        (scrolling("Ops in numbers", false, &table(&rows)))
        p.note {
            "From centre: the mean distance of a mirrored op’s magnitude from the centre of its "
            "range, at which it does nothing."
        }
    }
}

fn has_value(ops: &OpSet, op: &str) -> bool {
    ops.get(op)
        .is_none_or(|op| op.spec().value_range().is_some())
}

fn centre(ops: &OpSet, op: &str) -> Option<f64> {
    let range = ops.get(op)?.spec().value_range()?;
    Some((range.centre? - range.low) / (range.high - range.low))
}

/// The finding in a few words.
pub(in crate::page) fn headline(finding: Finding) -> &'static str {
    match finding {
        Finding::TooFew => "Too few candidates to tell whether the search does anything to images",
        Finding::TowardsNothing { .. } => "The search has moved towards doing nothing",
        Finding::NotMeasured => {
            "Ops are not applied much less often than by chance; how much they change images was \
             not measured"
        }
        Finding::NoSign => "No sign of a collapse to the identity",
    }
}

/// The finding as a box, with `body` to say more.
pub(in crate::page) fn finding_box(finding: Finding, body: &Markup) -> Markup {
    let sign = match finding {
        Finding::TooFew | Finding::NotMeasured => Sign::Open,
        Finding::TowardsNothing { .. } => Sign::Warning,
        Finding::NoSign => Sign::Good,
    };
    callout(sign, headline(finding), body)
}

fn comparison(activity: &Activity, evidence: &Evidence<'_>) -> Markup {
    let finding = activity.finding();
    let (much_untouched, little_change) = match finding {
        Finding::TowardsNothing { untouched, change } => (untouched, change),
        _ => (false, false),
    };
    let body = html! {
        "A draw from the top n candidates leaves the image untouched in "
        (percent(activity.untouched, 1)) " of cases, and one of uniformly random candidates in "
        (percent(activity.untouched_if_uniform, 1))
        @if much_untouched { ": more than " (UNTOUCHED_FACTOR) " times as often" }
        ". "
        @match &evidence.changes {
            Ok((policy, random)) => {
                "The policy changes a pixel by " (levels(*policy)) " of 255 levels on average, "
                "and random policies by " (levels(*random))
                @if little_change { ": less than " (percent(CHANGE_FACTOR, 0)) " of that" }
                "."
            }
            Err(reason) => { "By how much pixels change was not measured: " (reason) "." }
        }
        @if finding == Finding::TooFew {
            " At least " (MIN_SUB_POLICIES) " sub-policies in the top n are needed to tell."
        }
    };
    finding_box(finding, &body)
}

fn levels(value: f64) -> String {
    format!("{value:.1}")
}

fn untouched_figure(activity: &Activity, evidence: &Evidence<'_>) -> Markup {
    let all = untouched(evidence.all.iter().copied()).unwrap_or(0.0);
    let bars = [
        ("top n", "bar-accent", 100.0 * activity.untouched),
        ("all trials", "bar-second", 100.0 * all),
        ("random", "bar-dot", 100.0 * activity.untouched_if_uniform),
    ];
    let label = "How often a draw applies no op: top n, all trials, random";
    html! {
        figure {
            h3 { "Untouched images" }
            (bar_chart(&bars, label, "probability that a draw applies no op, %"))
            figcaption {
                "The mean over sub-policies of the product of 1 − probability. “Random” has "
                "uniform probabilities."
            }
        }
    }
}

fn change_figure((policy, random): (f64, f64)) -> Markup {
    let bars = [
        ("the policy", "bar-accent", policy),
        ("random", "bar-dot", random),
    ];
    let label = "How much pixels change: the policy, random policies";
    html! {
        figure {
            h3 { "Change of pixels" }
            (bar_chart(&bars, label, "mean change of a pixel, levels of 255"))
            figcaption {
                "The mean absolute difference over " (MEASURED_IMAGES) " training images at most, "
                (MEASURED_DRAWS) " draws each. “Random” has uniform ops, probabilities and "
                "magnitudes."
            }
        }
    }
}

fn bar_chart(bars: &[(&str, &str, f64)], label: &str, title: &str) -> Markup {
    let names: Vec<_> = bars.iter().map(|(name, ..)| (*name).to_owned()).collect();
    let longest = bars.iter().map(|(.., value)| *value).fold(0.0, f64::max);
    let rows = Rows {
        names: &names,
        axis: Axis::rounded(0.0, longest, 5),
        left: 76.0,
    };
    let drawn = html! {
        @for (row, (name, class, value)) in bars.iter().enumerate() {
            (rows.bar(class, row, *value, &format!("{name}: {value:.1}")))
        }
    };
    rows.svg(label, title, &drawn)
}

fn panels(rows: &[Row<'_>]) -> Markup {
    let uses = rows
        .iter()
        .flat_map(|row| row.top_n.into_iter().chain([row.all]));
    let highest = uses.map(|of| of.fraction).fold(0.0, f64::max);
    let fractions = Axis::rounded(0.0, 100.0 * highest, 5);
    let unit = Axis::rounded(0.0, 1.0, 5);
    let fraction = |_: &Row<'_>, of: &OpUse| Some(100.0 * of.fraction);
    let probability = |_: &Row<'_>, of: &OpUse| Some(of.probability);
    html! {
        figure {
            h3 { "Frequency" }
            (dumbbells(rows, fractions, "fraction of steps, %", fraction))
            figcaption { "How often each op was chosen." }
        }
        figure {
            h3 { "Probability" }
            (dumbbells(rows, unit, "mean probability", probability))
            figcaption { "How often a chosen op is applied; uniform draws give 0.5." }
        }
        figure {
            h3 { "Magnitude" }
            (dumbbells(rows, unit, "mean magnitude", Row::magnitude))
            figcaption {
                "How strongly; uniform draws give 0.5. Ops without a value have no mark. Mirrored "
                "ops (↔) do nothing at the centre and are strongest at 0 and 1."
            }
        }
    }
}

/// A row for each op, with a mark for the top n candidates and one for all.
fn dumbbells<'a>(
    rows: &[Row<'a>],
    axis: Axis,
    title: &str,
    value: impl Fn(&Row<'a>, &OpUse) -> Option<f64>,
) -> Markup {
    let name = |row: &Row<'_>| match row.centre {
        Some(_) => format!("{} ↔", row.op),
        None => row.op.to_owned(),
    };
    let names: Vec<_> = rows.iter().map(name).collect();
    let chart = Rows {
        names: &names,
        axis,
        left: 112.0,
    };
    let drawn = html! {
        @for (index, row) in rows.iter().enumerate() {
            @let top_n = row.top_n.and_then(|top_n| value(row, top_n));
            @let all = value(row, row.all);
            @if let (Some(top_n), Some(all)) = (top_n, all) { (chart.link(index, top_n, all)) }
            @if let Some(all) = all {
                (chart.mark("hollow", index, all, &format!("{}, all trials: {all:.2}", row.op)))
            }
            @if let Some(top_n) = top_n {
                (chart.mark("full", index, top_n, &format!("{}, top n: {top_n:.2}", row.op)))
            }
        }
    };
    let label = format!("The {title} of each op: top n candidates and all trials");
    chart.svg(&label, title, &drawn)
}

fn table(rows: &[Row<'_>]) -> Markup {
    html! {
        table {
            caption { "The same in numbers" }
            thead {
                tr {
                    th rowspan="2" scope="col" { "Op" }
                    th.step colspan="5" scope="colgroup" { "Top n" }
                    th.step colspan="5" scope="colgroup" { "All trials" }
                }
                tr {
                    @for _ in 0..2 {
                        th.number.step scope="col" { "Steps" }
                        th.number scope="col" { "Fraction" }
                        th.number scope="col" { "Probability" }
                        th.number scope="col" { "Magnitude" }
                        th.number scope="col" { "From centre" }
                    }
                }
            }
            tbody {
                @for row in rows {
                    tr {
                        th scope="row" { (row.op) }
                        (cells(row, row.top_n))
                        (cells(row, Some(row.all)))
                    }
                }
            }
        }
    }
}

fn cells(row: &Row<'_>, of: Option<&OpUse>) -> Markup {
    let number = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.2}"));
    let distance = |of: &OpUse| row.centre.and_then(|centre| of.distance(centre));
    html! {
        td.number.step { (of.map_or("0".to_owned(), |of| count(of.steps))) }
        td.number { (of.map_or("–".to_owned(), |of| percent(of.fraction, 1))) }
        td.number { (number(of.map(|of| of.probability))) }
        td.number { (number(of.and_then(|of| row.magnitude(of)))) }
        td.number { (number(of.and_then(distance))) }
    }
}
