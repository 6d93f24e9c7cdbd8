//! The sections of the page, and what they share.

pub(super) mod audit;
pub(super) mod configuration;
pub(super) mod final_trainings;
pub(super) mod halving;
pub(super) mod images;
pub(super) mod ops;
pub(super) mod policy;
mod rescoring;
pub(super) mod reward;
pub(super) mod summary;
pub(super) mod training;

use faa_search::results::Divergence;
use maud::{Markup, html};

/// A part of the page with a heading and an entry in the contents.
pub(super) struct Section {
    /// The fragment of a link to it.
    pub(super) id: &'static str,
    pub(super) heading: &'static str,
    pub(super) body: Markup,
}

/// The kind of a box.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    Good,
    Open,
    Warning,
}

/// A box that is marked by its sign and its heading as well as by its colour.
fn callout(sign: Sign, heading: &str, body: &Markup) -> Markup {
    let mark = match sign {
        Sign::Good => "✓",
        Sign::Open => "?",
        Sign::Warning => "⚠",
    };
    html! {
        div.callout.warning[sign == Sign::Warning] {
            strong { (mark) " " (heading) }
            p { (body) }
        }
    }
}

fn where_it_diverged(divergence: Divergence) -> Markup {
    html! {
        "The loss became infinite or NaN in epoch "
        (divergence.epoch.saturating_add(1))
        ", at learning rate " (divergence.learning_rate) "."
    }
}

/// How a mark of a chart looks.
enum Swatch {
    /// A line of this class.
    Line(&'static str),
    Dot,
    Full,
    Hollow,
}

impl Swatch {
    fn drawn(&self) -> Markup {
        html! {
            @match self {
                Self::Line(class) => { path class={ "line " (class) } d="M0 6H28" {} }
                Self::Dot => { g.dots { circle cx="14" cy="6" r="3" {} } }
                Self::Full => { circle.full cx="14" cy="6" r="5" {} }
                Self::Hollow => { circle.hollow cx="14" cy="6" r="4" {} }
            }
        }
    }
}

/// What the marks of some charts mean.
fn legend(entries: &[(Swatch, &str)]) -> Markup {
    html! {
        ul.legend {
            @for (swatch, words) in entries {
                li {
                    svg viewBox="0 0 28 12" aria-hidden="true" { (swatch.drawn()) }
                    (words)
                }
            }
        }
    }
}

/// Headings of columns: first those of words, then those of numbers.
fn columns(words: &[&str], numbers: &[&str]) -> Markup {
    html! {
        @for heading in words { th scope="col" { (heading) } }
        @for heading in numbers { th.number scope="col" { (heading) } }
    }
}

/// A table in a box that scrolls, also with the keyboard.
fn scrolling(label: &str, tall: bool, table: &Markup) -> Markup {
    html! {
        div.scroll.tall[tall] role="region" aria-label=(label) tabindex="0" { (table) }
    }
}

/// The images on which candidates are scored.
fn d_a() -> Markup {
    html! { "D" sub { "A" } }
}
