//! A grid of real images under the policy.

use maud::{Markup, html};

use crate::page::evidence::Evidence;
use crate::page::pictures::{Column, Gallery, Row};
use crate::page::text::{count, counted, percent};

/// The images, or why there are none.
pub(in crate::page) fn body(evidence: &Evidence<'_>) -> Markup {
    let gallery = match &evidence.gallery {
        Ok(gallery) => gallery,
        Err(reason) => return html! { p { "No images are shown: " (reason) "." } },
    };
    html! {
        @if evidence.other_images {
            p {
                strong { "The images have changed since the run began." }
                " These are those that are there now."
            }
        }
        p {
            "Training images, and what the policy makes of them. "
            @if matches!(gallery.columns.first(), Some(Column::SubPolicy { .. })) {
                "The sub-policies are chosen evenly through the policy. Here all of their steps are "
                "applied; the headings give the probability with which an image draws each. "
            }
            "Crop, flip and Cutout, which follow in training, are left out."
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
                    @for (place, column) in gallery.columns.iter().enumerate() {
                        th scope="col" { (heading(place, column)) }
                    }
                }
            }
            tbody {
                @for row in &gallery.rows { (images(row, &gallery.columns)) }
            }
        }
    }
}

fn heading(place: usize, column: &Column) -> Markup {
    html! {
        @match column {
            Column::SubPolicy { place, steps } => {
                strong { "#" (count(*place)) }
                @for step in steps {
                    br;
                    (step.op) " " (percent(step.probability, 0))
                }
            }
            Column::Draw => { "draw " (place) }
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

/// What was applied, in words.
fn words(column: &Column) -> String {
    match column {
        Column::SubPolicy { steps, .. } => {
            let ops: Vec<_> = steps.iter().map(|step| step.op.as_str()).collect();
            ops.join(" and ")
        }
        Column::Draw => "a draw of the policy".to_owned(),
    }
}
