//! A grid of real images under the policy.

use maud::{Markup, html};

use crate::page::evidence::Evidence;
use crate::page::pictures::{Column, Gallery, Row, are_generated};
use crate::page::record::Record;
use crate::page::text::{count, counted, percent};

/// The images, or why there are none.
pub(in crate::page) fn body(record: &Record, evidence: &Evidence<'_>) -> Markup {
    let gallery = match &evidence.gallery {
        Ok(gallery) => gallery,
        Err(reason) => return html! { p { "No images are shown: " (reason) "." } },
    };
    html! {
        p {
            "Training images, and the same images under the policy. "
            @if matches!(gallery.columns.first(), Some(Column::SubPolicy { .. })) {
                "The sub-policies are evenly spaced in the policy. All of their steps are applied here; "
                "the headings give the probabilities that training applies them with. "
            }
            "The base augmentation (crop, flip and Cutout), which follows in training, is omitted."
        }
        @if !are_generated(record) {
            p.note {
                "These images were not verified against the run’s digest, which covers the whole data "
                "set: only the images shown or measured were read."
            }
        }
        @for warning in &evidence.warnings {
            p.note { "Warning: " (warning) "." }
        }
        div.scroll role="region" aria-label="Images under the policy" tabindex="0" {
            (grid(gallery))
        }
    }
}

fn grid(gallery: &Gallery) -> Markup {
    html! {
        table.pictures {
            caption {
                (counted(gallery.rows.len(), "image")) ", "
                (counted(gallery.columns.len(), "column"))
            }
            thead {
                tr {
                    td {}
                    th scope="col" { "original" }
                    @for (draw, column) in gallery.columns.iter().enumerate() {
                        th scope="col" { (heading(draw, column)) }
                    }
                }
            }
            tbody {
                @for row in &gallery.rows { (images(row, &gallery.columns)) }
            }
        }
    }
}

fn heading(draw: usize, column: &Column) -> Markup {
    html! {
        @match column {
            Column::SubPolicy { index, steps } => {
                strong { "#" (count(*index)) }
                @for step in steps {
                    br;
                    (step.op) " " (percent(step.probability, 0))
                }
            }
            Column::Draw => { "draw " (draw) }
        }
    }
}

fn images(row: &Row, columns: &[Column]) -> Markup {
    html! {
        tr {
            th scope="row" { (row.class) }
            td.original { img src=(row.original) alt={ (row.class) ", original" }; }
            @for (image, column) in row.augmented.iter().zip(columns) {
                td { img src=(image) alt={ (row.class) ", after " (words(column)) }; }
            }
        }
    }
}

fn words(column: &Column) -> String {
    match column {
        Column::SubPolicy { steps, .. } => {
            let ops: Vec<_> = steps.iter().map(|step| step.op.as_str()).collect();
            ops.join(" and ")
        }
        Column::Draw => "a draw of the policy".to_owned(),
    }
}
