//! The policy as a table.

use faa_op::{OpSet, ValueRange};
use faa_policy::{Policy, Sampler, SamplerOp, Step, Strength};
use maud::{Markup, html};

use super::{columns, scrolling};
use crate::page::evidence::Evidence;
use crate::page::record::Record;
use crate::page::text::{count, counted, significant, sub_policies};

/// More sub-policies than this are only counted.
const MAX_ROWS: usize = 2_000;

/// The policy, or what it would be if the search ended now.
pub(in crate::page) fn body(record: &Record, evidence: &Evidence<'_>) -> Markup {
    let Some(policy) = &evidence.policy else {
        let when = match record.config().halving {
            Some(_) => "it is chosen when the last rung has been trained",
            None => "it is merged when all folds have been searched",
        };
        return html! { p { "There is no policy yet: " (when) "." } };
    };
    html! {
        @if record.policy.is_none() && record.is_search() {
            p {
                strong { "The search has not written its policy yet." }
                " This is what it would merge from the trials made so far."
            }
        }
        @match policy.sampler() {
            Some(sampler) => { (sampler_body(policy, sampler)) }
            None => { (sub_policies_body(policy, evidence.ops)) }
        }
    }
}

fn sub_policies_body(policy: &Policy, ops: &OpSet) -> Markup {
    let all = policy.sub_policies();
    let steps = all.iter().map(Vec::len).max().unwrap_or(0);
    let more = all.len().saturating_sub(MAX_ROWS);
    let table = html! {
        table {
            caption { "Policy " code { (policy.name) } }
            thead {
                tr {
                    th.number rowspan="2" scope="col" { "#" }
                    @for step in 1..=steps {
                        th.step colspan="4" scope="colgroup" { "Step " (step) }
                    }
                }
                tr {
                    @for _ in 0..steps {
                        th.step scope="col" { "Op" }
                        th.number scope="col" { "Probability" }
                        th.number scope="col" { "Magnitude" }
                        th scope="col" { "Value" }
                    }
                }
            }
            tbody {
                @for (index, own) in all.iter().enumerate().take(MAX_ROWS) {
                    tr {
                        th.number scope="row" { (index) }
                        @for step in own { (cells(step, ops)) }
                        @if own.len() < steps {
                            td colspan=(4 * (steps - own.len())) {}
                        }
                    }
                }
            }
        }
    };
    html! {
        p {
            (sub_policies(all.len())) "; each image draws one of them, uniformly. A value with ± is "
            "mirrored with probability ½."
        }
        (scrolling("The policy’s sub-policies", true, &table))
        @if more > 0 { p.note { "… and " (sub_policies(more)) " more." } }
    }
}

fn cells(step: &Step, ops: &OpSet) -> Markup {
    let range = ops.get(&step.op).map(|op| op.spec().value_range());
    let (magnitude, value) = match (step.strength, range) {
        (Strength::Magnitude(magnitude), Some(Some(range))) => {
            (Some(magnitude), with_unit(range.value_at(magnitude), range))
        }
        (Strength::Value(value), Some(Some(range))) => (None, with_unit(value, range)),
        // The op is not available, so that the values of its magnitudes are unknown.
        (Strength::Magnitude(magnitude), None) => (Some(magnitude), "–".to_owned()),
        (Strength::Value(value), None) => (None, significant(value)),
        _ => (None, "–".to_owned()),
    };
    html! {
        td.step { (step.op) }
        td.number { (format!("{:.2}", step.probability)) }
        td.number { (magnitude.map_or("–".to_owned(), |magnitude| format!("{magnitude:.2}"))) }
        td { (value) }
    }
}

/// A value in the op's unit; without its sign if it is mirrored about 0.
fn with_unit(value: f64, range: &ValueRange) -> String {
    let number = match range.centre {
        Some(0.0) => format!("±{}", significant(value.abs())),
        Some(centre) => {
            let distance = significant((value - centre).abs());
            format!("{} ± {distance}", significant(centre))
        }
        None => significant(value),
    };
    format!("{number} {}", range.unit)
}

fn sampler_body(policy: &Policy, sampler: &Sampler) -> Markup {
    let table = html! {
        table {
            caption { "Policy " code { (policy.name) } }
            thead {
                tr {
                    (columns(&["Op"], &["Lowest value", "Highest value"]))
                    th scope="col" { "Mirrored about" }
                }
            }
            tbody {
                @for op in &sampler.ops { (sampler_row(op)) }
            }
        }
    };
    html! {
        p {
            "Each image draws " (counted(sampler.count as usize, "op")) " one by one, uniformly "
            "from " (count(sampler.ops.len())) ", and each op with a value "
            @match sampler.bin {
                Some(bin) => { "takes strength " (bin) " of " (sampler.bins) "." }
                None => { "draws one of " (sampler.bins) " strengths." }
            }
        }
        (scrolling("The policy’s ops", true, &table))
    }
}

fn sampler_row(op: &SamplerOp) -> Markup {
    let values = op.values;
    let number = |value: Option<f64>| value.map_or("–".to_owned(), significant);
    html! {
        tr {
            th scope="row" { (op.op) }
            td.number { (number(values.map(|values| values.low))) }
            td.number { (number(values.map(|values| values.high))) }
            td { (number(values.and_then(|values| values.centre))) }
        }
    }
}

#[cfg(test)]
mod tests {
    use faa_ops_builtin::builtin_ops;

    use super::*;

    #[test]
    fn a_step_has_the_unit_of_its_op() {
        let row = |op: &str, strength| {
            let step = Step::new(op, 0.25, strength);
            cells(&step, &builtin_ops()).into_string()
        };
        let half = Strength::Magnitude(0.5);
        for (row, expected) in [
            (
                row("Rotate", Strength::Magnitude(0.25)),
                "0.25</td><td>±15 degrees</td>",
            ),
            (
                row("Posterize", Strength::Value(6.0)),
                "\"number\">–</td><td>6 bits</td>",
            ),
            (row("Invert", half), "\"number\">–</td><td>–</td>"),
            (row("<b>", half), "0.50</td><td>–</td>"),
        ] {
            assert!(row.ends_with(expected), "{row}");
        }
        assert!(row("<b>", half).contains("&lt;b&gt;"));
    }
}
