//! Charts as inline SVG.
//!
//! They are drawn here and not by a plotting crate because those write fixed colours: a chart must
//! take its colours from the page's style sheet to follow light and dark. So everything carries a
//! class and no colour. `style.css` has the classes.

use maud::{Markup, html};

/// The width of every chart, in the units of its `viewBox`: about the pixels of a column.
const WIDTH: f64 = 360.0;

/// A range of values with marks at round numbers: whole multiples of 1, 2 or 5 times a power of
/// ten.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    step: f64,
}

impl Axis {
    /// From `low` to `high`, both moved outwards to marks, with at most about `max` steps between.
    pub(super) fn rounded(low: f64, high: f64, max: u32) -> Self {
        // Values that differ in their last digits alone are drawn as equal.
        let resolution = 1e-9 * low.abs().max(high.abs()).max(1e-9);
        let (low, high) = if high - low > resolution {
            (low, high)
        } else {
            (low - 0.5, low + 0.5)
        };
        let step = round_step(high - low, max);
        Self {
            low: (low / step + 1e-9).floor() * step,
            high: (high / step - 1e-9).ceil() * step,
            step,
        }
    }

    /// From the lowest of some values to the highest, as [`rounded`](Self::rounded).
    pub(super) fn around(values: impl Iterator<Item = f64> + Clone, max: u32) -> Self {
        let low = values.clone().fold(f64::INFINITY, f64::min);
        Self::rounded(low, values.fold(f64::NEG_INFINITY, f64::max), max)
    }

    /// From the lowest of some values to the highest, with marks only between them.
    pub(super) fn spanning(values: impl Iterator<Item = f64> + Clone, max: u32) -> Self {
        let low = values.clone().fold(f64::INFINITY, f64::min);
        let high = values.fold(f64::NEG_INFINITY, f64::max);
        if high <= low {
            return Self::rounded(low, high, max);
        }
        Self {
            low,
            high,
            step: round_step(high - low, max),
        }
    }

    /// From 0 to a count, with marks at whole numbers and at most `max` steps between.
    pub(super) fn counts(high: usize, max: u32) -> Self {
        let high = high.max(1) as f64;
        Self {
            low: 0.0,
            high,
            step: round_step(high, max).max(1.0),
        }
    }

    /// Whole numbers from 1 to a count, with `room` to the right of the last.
    pub(super) fn numbered(count: usize, room: f64) -> Self {
        let count = count.max(1) as f64;
        Self {
            low: 0.7,
            high: count + room,
            step: round_step(count, 10).max(1.0),
        }
    }

    fn ticks(&self) -> impl Iterator<Item = f64> + use<> {
        let Self { low, high, step } = *self;
        let first = (low / step - 1e-9).ceil() as i64;
        let last = (high / step + 1e-9).floor() as i64;
        // Numbers that leave the range of a float make no more marks than this.
        (first..=last)
            .take(100)
            .map(move |multiple| multiple as f64 * step)
    }

    /// A mark's number, with the digits that tell it from its neighbours.
    fn label(&self, value: f64) -> String {
        if self.step >= 1e6 {
            return format!("{value:e}");
        }
        let decimals = (-(self.step.log10() + 1e-9).floor()).max(0.0) as usize;
        format!("{:.decimals$}", value + 0.0)
    }

    /// The position of a value, from 0 to 1.
    fn fraction(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }
}

/// The smallest of 1, 2, 5 and 10 times a power of ten that divides `span` into at most `max`
/// steps.
fn round_step(span: f64, max: u32) -> f64 {
    let raw = span / f64::from(max.max(1));
    let power = 10_f64.powi(raw.log10().floor() as i32);
    let steps = [1.0, 2.0, 5.0].map(|multiple| multiple * power);
    let enough = |step: &f64| *step >= raw * (1.0 - 1e-9);
    steps.into_iter().find(enough).unwrap_or(10.0 * power)
}

/// A chart of points over two axes.
pub(super) struct Plot {
    pub(super) x: Axis,
    pub(super) y: Axis,
    /// The height, in the units of [`WIDTH`].
    pub(super) height: f64,
}

impl Plot {
    const LEFT: f64 = 48.0;
    const RIGHT: f64 = WIDTH - 10.0;
    const TOP: f64 = 28.0;
    const BELOW: f64 = 36.0;

    /// The whole chart: the axes with their titles, and what was drawn on them. `label` says in
    /// words what it shows.
    pub(super) fn svg(&self, label: &str, titles: [&str; 2], drawn: &Markup) -> Markup {
        let bottom = self.bottom();
        html! {
            svg viewBox={ "0 0 " (WIDTH) " " (self.height) } role="img" aria-label=(label) {
                @for tick in self.y.ticks() {
                    @let y = self.y(tick);
                    (rule(Self::LEFT, y, Self::RIGHT, y))
                    text.left x=(px(Self::LEFT - 6.0)) y=(px(y + 4.0)) { (self.y.label(tick)) }
                }
                @for tick in self.x.ticks() {
                    @let x = self.x(tick);
                    (rule(x, bottom, x, bottom + 4.0))
                    text.below x=(px(x)) y=(px(bottom + 17.0)) { (self.x.label(tick)) }
                }
                text.title x="0" y="11" { (titles[1]) }
                text.title.left x=(px(Self::RIGHT)) y=(px(self.height - 3.0)) { (titles[0]) }
                (drawn)
            }
        }
    }

    pub(super) fn line(&self, class: &str, points: impl Iterator<Item = (f64, f64)>) -> Markup {
        let mut path = String::new();
        for (x, y) in points {
            let command = if path.is_empty() { 'M' } else { 'L' };
            path += &format!("{command}{:.1} {:.1}", self.x(x), self.y(y));
        }
        html! { path class={ "line " (class) } d=(path) {} }
    }

    /// A line that keeps its height from each point to the next.
    pub(super) fn staircase(
        &self,
        class: &str,
        points: impl Iterator<Item = (f64, f64)>,
    ) -> Markup {
        let mut path = String::new();
        let mut last: Option<(f64, f64)> = None;
        for (x, y) in points {
            match last {
                None => path += &format!("M{:.1} {:.1}", self.x(x), self.y(y)),
                // A path of hundreds of trials has a handful of steps.
                Some((_, before)) if before != y => {
                    path += &format!("H{:.1}V{:.1}", self.x(x), self.y(y));
                }
                Some(_) => {}
            }
            last = Some((x, y));
        }
        if let Some((x, _)) = last {
            path += &format!("H{:.1}", self.x(x));
        }
        html! { path class={ "line " (class) } d=(path) {} }
    }

    /// A filled shape with these corners.
    pub(super) fn area(&self, class: &str, points: impl Iterator<Item = (f64, f64)>) -> Markup {
        let corners = points.map(|(x, y)| format!("{:.1},{:.1}", self.x(x), self.y(y)));
        let corners: Vec<String> = corners.collect();
        html! { polygon class=(class) points=(corners.join(" ")) {} }
    }

    /// What lies between two values, from top to bottom.
    pub(super) fn span(&self, class: &str, low: f64, high: f64) -> Markup {
        let (x, y) = (self.x(low), Self::TOP);
        let (width, height) = (self.x(high) - x, self.bottom() - y);
        html! {
            rect class=(class) x=(px(x)) y=(px(y)) width=(px(width)) height=(px(height)) {}
        }
    }

    /// A level line from side to side.
    pub(super) fn level(&self, class: &str, y: f64) -> Markup {
        self.line(class, [(self.x.low, y), (self.x.high, y)].into_iter())
    }

    /// An upright line from top to bottom.
    pub(super) fn divider(&self, x: f64) -> Markup {
        let x = px(self.x(x));
        html! { line.round x1=(x) y1=(px(Self::TOP)) x2=(x) y2=(px(self.bottom())) {} }
    }

    /// The line on which both values are equal, as far as it is within both axes.
    pub(super) fn diagonal(&self, class: &str) -> Markup {
        let (low, high) = (self.x.low.max(self.y.low), self.x.high.min(self.y.high));
        let ends = (low < high).then_some([(low, low), (high, high)]);
        self.line(class, ends.into_iter().flatten())
    }

    /// A round mark at a point, with words that show when it is pointed at.
    pub(super) fn mark(&self, class: &str, (x, y): (f64, f64), words: &str) -> Markup {
        html! {
            circle class=(class) cx=(px(self.x(x))) cy=(px(self.y(y))) r="3" { title { (words) } }
        }
    }

    /// A dot for every point, with words that show when it is pointed at.
    pub(super) fn dots(&self, points: impl Iterator<Item = (f64, f64, String)>) -> Markup {
        html! {
            g.dots {
                @for (x, y, words) in points {
                    circle cx=(px(self.x(x))) cy=(px(self.y(y))) r="2" { title { (words) } }
                }
            }
        }
    }

    /// Dots without words, in a fraction of the bytes.
    pub(super) fn many_dots(&self, points: impl Iterator<Item = (f64, f64)>) -> Markup {
        let dot = |(x, y)| format!("M{:.1} {:.1}h0", self.x(x), self.y(y));
        html! { path.dots d=(points.map(dot).collect::<String>()) {} }
    }

    /// Words to the right of `x`, at these values or as near as they have room.
    pub(super) fn labels(&self, x: f64, labels: &mut [(f64, String)]) -> Markup {
        const LINE: f64 = 13.0;
        labels.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        let mut next = f64::NEG_INFINITY;
        let position = |(value, words): &(f64, String)| {
            let y = self.y(*value).max(next);
            next = y + LINE;
            (y, words.clone())
        };
        let positioned: Vec<_> = labels.iter().map(position).collect();
        html! {
            @for (y, words) in positioned {
                text x=(px(self.x(x) + 8.0)) y=(px(y + 4.0)) { (words) }
            }
        }
    }

    fn x(&self, value: f64) -> f64 {
        Self::LEFT + self.x.fraction(value) * (Self::RIGHT - Self::LEFT)
    }

    fn y(&self, value: f64) -> f64 {
        self.bottom() - self.y.fraction(value) * (self.bottom() - Self::TOP)
    }

    fn bottom(&self) -> f64 {
        self.height - Self::BELOW
    }
}

/// A chart with named rows over one axis.
pub(super) struct Rows<'a> {
    pub(super) names: &'a [String],
    pub(super) axis: Axis,
    /// The width of the names, in the units of [`WIDTH`].
    pub(super) left: f64,
}

impl Rows<'_> {
    const HEIGHT: f64 = 22.0;
    const RIGHT: f64 = WIDTH - 14.0;
    const TOP: f64 = 8.0;
    const BELOW: f64 = 36.0;

    /// The whole chart, as [`Plot::svg`].
    pub(super) fn svg(&self, label: &str, title: &str, drawn: &Markup) -> Markup {
        let bottom = Self::TOP + Self::HEIGHT * self.names.len() as f64;
        html! {
            svg viewBox={ "0 0 " (WIDTH) " " (bottom + Self::BELOW) } role="img" aria-label=(label) {
                @for tick in self.axis.ticks() {
                    @let x = self.x(tick);
                    (rule(x, Self::TOP - 4.0, x, bottom + 4.0))
                    text.below x=(px(x)) y=(px(bottom + 17.0)) { (self.axis.label(tick)) }
                }
                @for (row, name) in self.names.iter().enumerate() {
                    text.left x=(px(self.left - 8.0)) y=(px(Self::y(row) + 4.0)) { (name) }
                }
                text.title.left x=(px(Self::RIGHT)) y=(px(bottom + 32.0)) { (title) }
                (drawn)
            }
        }
    }

    /// A bar from the left to a value.
    pub(super) fn bar(&self, class: &str, row: usize, value: f64, words: &str) -> Markup {
        let (start, y) = (self.x(self.axis.low), Self::y(row) - 7.0);
        let width = (self.x(value) - start).max(0.0);
        html! {
            rect class=(class) x=(px(start)) y=(px(y)) width=(px(width)) height="14" {
                title { (words) }
            }
        }
    }

    /// A round mark at a value.
    pub(super) fn mark(&self, class: &str, row: usize, value: f64, words: &str) -> Markup {
        // A ring's stroke adds to its size.
        let radius = if class == "hollow" { "4" } else { "5" };
        html! {
            circle class=(class) cx=(px(self.x(value))) cy=(px(Self::y(row))) r=(radius) {
                title { (words) }
            }
        }
    }

    /// A line between the marks of a row.
    pub(super) fn link(&self, row: usize, from: f64, to: f64) -> Markup {
        let y = px(Self::y(row));
        html! { line.link x1=(px(self.x(from))) y1=(y) x2=(px(self.x(to))) y2=(y) {} }
    }

    /// An upright stroke at a value.
    pub(super) fn stroke(&self, class: &str, row: usize, value: f64, words: &str) -> Markup {
        let (x, y) = (px(self.x(value)), Self::y(row));
        html! {
            line class={ "line " (class) } x1=(x) y1=(px(y - 8.0)) x2=(x) y2=(px(y + 8.0)) {
                title { (words) }
            }
        }
    }

    fn x(&self, value: f64) -> f64 {
        self.left + self.axis.fraction(value) * (Self::RIGHT - self.left)
    }

    fn y(row: usize) -> f64 {
        Self::TOP + Self::HEIGHT * (row as f64 + 0.5)
    }
}

fn rule(x1: f64, y1: f64, x2: f64, y2: f64) -> Markup {
    html! { line.grid x1=(px(x1)) y1=(px(y1)) x2=(px(x2)) y2=(px(y2)) {} }
}

/// A tenth of a unit is finer than any screen.
fn px(value: f64) -> String {
    format!("{value:.1}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: Axis) -> String {
        let labels: Vec<_> = axis.ticks().map(|tick| axis.label(tick)).collect();
        labels.join(" ")
    }

    #[test]
    fn marks_are_at_round_numbers() {
        for (low, high, max, expected) in [
            (0.618, 0.8236, 6, "0.60 0.65 0.70 0.75 0.80 0.85"),
            (0.0, 88.0, 5, "0 20 40 60 80 100"),
            (0.0, 0.3, 3, "0.0 0.1 0.2 0.3"),
            (-3.0, 4.0, 5, "-4 -2 0 2 4"),
        ] {
            assert_eq!(labels(Axis::rounded(low, high, max)), expected);
        }
    }

    #[test]
    fn equal_ends_are_moved_apart() {
        let axis = Axis::rounded(3.0, 3.0, 4);
        assert!(axis.fraction(3.0) > 0.0 && axis.fraction(3.0) < 1.0);
        assert!(Axis::rounded(f64::NAN, 1.0, 4).ticks().count() < 10);
    }

    #[test]
    fn numbers_begin_with_one_and_leave_room() {
        assert_eq!(labels(Axis::numbered(3, 0.9)), "1 2 3");
        assert_eq!(labels(Axis::numbered(0, 0.9)), "1");
        assert!(Axis::numbered(usize::MAX, 0.9).ticks().count() <= 100);
    }

    #[test]
    fn labels_do_not_lie_on_each_other() {
        let mut words = [
            (0.5, "b".to_owned()),
            (0.5, "a".to_owned()),
            (1.0, "c".to_owned()),
        ];
        let labels = plot(10).labels(10.0, &mut words).into_string();
        let expected = r#"<text x="358.0" y="32.0">c</text><text x="358.0" y="50.0">b</text><text x="358.0" y="63.0">a</text>"#;
        assert_eq!(labels, expected);
    }

    #[test]
    fn counts_have_whole_marks_and_end_where_they_end() {
        assert_eq!(labels(Axis::counts(2, 6)), "0 1 2");
        assert_eq!(labels(Axis::counts(120, 6)), "0 20 40 60 80 100 120");
        assert_eq!(labels(Axis::counts(130, 5)), "0 50 100");
        assert_eq!(Axis::counts(130, 5).fraction(130.0), 1.0);
        assert_eq!(labels(Axis::counts(0, 5)), "0 1");
    }

    fn plot(count: usize) -> Plot {
        Plot {
            x: Axis::counts(count, 5),
            y: Axis::rounded(0.0, 1.0, 5),
            height: 100.0,
        }
    }

    #[test]
    fn larger_values_lie_higher_and_further_right() {
        let line = plot(10).line("accent", [(0.0, 0.0), (10.0, 1.0)].into_iter());
        let expected = r#"<path class="line accent" d="M48.0 64.0L350.0 28.0"></path>"#;
        assert_eq!(line.into_string(), expected);
    }

    #[test]
    fn a_staircase_is_drawn_where_it_rises() {
        let points = [(0.0, 0.0), (1.0, 0.0), (2.0, 1.0), (4.0, 1.0)];
        let staircase = plot(4).staircase("accent", points.into_iter());
        let expected = r#"<path class="line accent" d="M48.0 64.0H199.0V28.0H350.0"></path>"#;
        assert_eq!(staircase.into_string(), expected);
    }

    #[test]
    fn names_and_words_are_escaped() {
        let names = ["<script>".to_owned()];
        let rows = Rows {
            names: &names,
            axis: Axis::rounded(0.0, 1.0, 5),
            left: 80.0,
        };
        let mark = rows.mark("full", 0, 0.5, "a < b");
        let svg = rows.svg("\"quoted\"", "fraction", &mark).into_string();
        for escaped in ["&lt;script&gt;", "a &lt; b", "&quot;quoted&quot;"] {
            assert!(svg.contains(escaped), "{svg}");
        }
        assert!(!svg.contains("<script>"), "{svg}");
    }
}
