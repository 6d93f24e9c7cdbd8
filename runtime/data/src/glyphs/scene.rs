//! What an image shows: a glyph, its pose, the ground and the light.

use faa_op::{Stream, math};

use super::class::Class;
use super::conditions::{Conditions, Span};
use super::shape::{REACH, Shape};

/// Red, green and blue, from 0 to 1.
pub(super) type Colour = [f64; 3];

/// Everything that an image shows and how it is lit, apart from the sensor's noise.
pub(super) struct Scene {
    /// Width and height of the image, in pixels.
    pub(super) side: usize,
    shape: Shape,
    /// From image to glyph coordinates: rows of a 2×3 matrix.
    pose: [[f64; 3]; 2],
    ink: Colour,
    ground: Ground,
    cover: Option<Cover>,
    pub(super) blur: f64,
    pub(super) saturation: f64,
    pub(super) contrast: f64,
    pub(super) exposure: f64,
    /// The direction in which the light grows, of the length by which it grows from middle to border.
    pub(super) falloff: [f64; 2],
    pub(super) noise: f64,
}

struct Ground {
    side: f64,
    colour: Colour,
    /// What the pattern adds at its strongest.
    tint: Colour,
    /// Values from −1 to 1 on a square grid, between which the pattern runs smoothly.
    grid: [[f64; GRID]; GRID],
    specks: Vec<Speck>,
}

const GRID: usize = 7;

struct Speck {
    middle: [f64; 2],
    radius: f64,
    colour: Colour,
}

/// A straight edge that hides everything beyond it.
struct Cover {
    direction: [f64; 2],
    distance: f64,
    colour: Colour,
}

impl Scene {
    /// Draws a scene. The draws and their order define the data sets: any change to them changes
    /// every image.
    pub(super) fn draw(
        class: &Class,
        side: usize,
        conditions: &Conditions,
        stream: &mut Stream,
    ) -> Self {
        let middle = [(); 2].map(|()| side as f64 / 2.0 + conditions.shift.draw(stream));
        let radius = conditions.radius.draw(stream);
        let pose = draw_pose(class.turn, middle, radius, conditions, stream);
        let (ink, lightness) = draw_ink(class, conditions, stream);
        let ground = Ground::draw(side as f64, lightness, conditions, stream);
        let cover = stream
            .chance(conditions.covered)
            .then(|| Cover::draw(middle, radius, stream));

        let falloff = conditions.falloff.draw(stream);
        Self {
            side,
            shape: class.shape,
            pose,
            ink,
            ground,
            cover,
            blur: conditions.blur.draw(stream),
            saturation: conditions.saturation.draw(stream),
            contrast: conditions.contrast.draw(stream),
            exposure: conditions.exposure.draw(stream),
            falloff: draw_direction(stream).map(|part| part * falloff),
            noise: conditions.noise.draw(stream),
        }
    }

    /// The colour at a point, in pixels from the upper left corner, in plain white light.
    pub(super) fn colour(&self, x: f64, y: f64) -> Colour {
        if let Some(cover) = self.cover.as_ref().filter(|cover| cover.hides(x, y)) {
            return cover.colour;
        }
        let [u, v] = self.pose.map(|[a, b, c]| a * x + b * y + c);
        if u.abs() < REACH && v.abs() < REACH && self.shape.contains(u, v) {
            return self.ink;
        }
        self.ground.colour(x, y)
    }
}

/// Draws the glyph's colour, and how light the ground is.
fn draw_ink(class: &Class, conditions: &Conditions, stream: &mut Stream) -> (Colour, f64) {
    if let Some(hue) = class.hue {
        // As the hue alone sets the glyph apart, it is neither pale nor near black or white.
        let hue = Span(hue - 10.0, hue + 10.0).draw(stream) / 60.0;
        let chroma = Span(0.4, 0.7).draw(stream);
        let lightness = Span(0.35, 0.65).draw(stream);
        let ink = colour(hue, chroma, lightness);
        return (ink, Span(0.1, 0.9).draw(stream));
    }
    // One of glyph and ground is light and the other dark, either way round alike.
    let separation = conditions.separation.draw(stream);
    let centre = Span(0.42, 0.58).draw(stream);
    let sign = if stream.chance(0.5) { 0.5 } else { -0.5 };
    let ink = draw_colour(centre + sign * separation, stream);
    (ink, centre - sign * separation)
}

fn draw_pose(
    turn: f64,
    [middle_x, middle_y]: [f64; 2],
    radius: f64,
    conditions: &Conditions,
    stream: &mut Stream,
) -> [[f64; 3]; 2] {
    let angle = (turn + conditions.turn.draw(stream)) * (core::f64::consts::PI / 180.0);
    let (sine, cosine) = (math::sin(angle), math::cos(angle));
    let slant = conditions.slant.draw(stream);
    let width = radius * conditions.aspect.draw(stream);
    // A point of the image is rotated back, unslanted and scaled to the glyph's unit.
    let across = [cosine + slant * sine, slant * cosine - sine].map(|part| part / width);
    let down = [sine, cosine].map(|part| part / radius);
    [across, down].map(|[a, b]| [a, b, -(a * middle_x + b * middle_y)])
}

impl Ground {
    fn draw(side: f64, lightness: f64, conditions: &Conditions, stream: &mut Stream) -> Self {
        let colour = draw_colour(lightness, stream);
        let strength = conditions.pattern.draw(stream);
        let tint = [(); 3].map(|()| Span(0.3, 1.0).draw(stream) * strength);
        let grid = [[(); GRID]; GRID].map(|row| row.map(|()| Span(-1.0, 1.0).draw(stream)));
        let count = math::floor(conditions.specks.draw(stream)) as usize;
        let specks = (0..count)
            .map(|_| Speck::draw(side, lightness, stream))
            .collect();
        Self {
            side,
            colour,
            tint,
            grid,
            specks,
        }
    }

    fn colour(&self, x: f64, y: f64) -> Colour {
        let speck = self.specks.iter().find(|speck| speck.covers(x, y));
        let base = speck.map_or(self.colour, |speck| speck.colour);
        let pattern = self.pattern(x, y);
        [0, 1, 2].map(|channel| base[channel] + self.tint[channel] * pattern)
    }

    /// Smooth noise between −1 and 1: values on a grid, blended by a cubic.
    fn pattern(&self, x: f64, y: f64) -> f64 {
        let cells = (GRID - 1) as f64 / self.side;
        let [(column, right), (row, low)] = [x, y].map(|position| {
            let position = (position * cells).clamp(0.0, (GRID - 1) as f64);
            let cell = (position as usize).min(GRID - 2);
            let rest = position - cell as f64;
            (cell, rest * rest * (3.0 - 2.0 * rest))
        });
        let across = |row: usize| blend(self.grid[row][column], self.grid[row][column + 1], right);
        blend(across(row), across(row + 1), low)
    }
}

impl Speck {
    fn draw(side: f64, lightness: f64, stream: &mut Stream) -> Self {
        Self {
            middle: [(); 2].map(|()| Span(0.0, side).draw(stream)),
            radius: Span(0.8, 2.2).draw(stream) * (side / 32.0),
            colour: {
                let other = lightness + Span(-0.3, 0.3).draw(stream);
                draw_colour(other, stream)
            },
        }
    }

    fn covers(&self, x: f64, y: f64) -> bool {
        let (x, y) = (x - self.middle[0], y - self.middle[1]);
        x * x + y * y < self.radius * self.radius
    }
}

impl Cover {
    /// An edge that hides at most a quarter of the glyph's height.
    fn draw(middle: [f64; 2], radius: f64, stream: &mut Stream) -> Self {
        let direction = draw_direction(stream);
        let to_middle = direction[0] * middle[0] + direction[1] * middle[1];
        let lightness = Span(0.2, 0.8).draw(stream);
        Self {
            direction,
            distance: to_middle + radius * Span(0.5, 0.9).draw(stream),
            colour: draw_colour(lightness, stream),
        }
    }

    fn hides(&self, x: f64, y: f64) -> bool {
        self.direction[0] * x + self.direction[1] * y > self.distance
    }
}

/// A colour of any hue with about the given lightness.
fn draw_colour(lightness: f64, stream: &mut Stream) -> Colour {
    let hue = Span(0.0, 6.0).draw(stream);
    let chroma = Span(0.1, 0.45).draw(stream);
    colour(hue, chroma, lightness)
}

/// The colour of a hue from 0 to 6: red is 0, green 2 and blue 4.
fn colour(hue: f64, chroma: f64, lightness: f64) -> Colour {
    // Around the hue circle, each primary is full for a third, and rises and falls over a sixth.
    let pure = [3.0, 5.0, 1.0].map(|opposite: f64| {
        let away = (hue - opposite).abs();
        (away.min(6.0 - away) - 1.0).clamp(0.0, 1.0)
    });
    let grey = luma(pure);
    pure.map(|part| (lightness + chroma * (part - grey)).clamp(0.0, 1.0))
}

fn draw_direction(stream: &mut Stream) -> [f64; 2] {
    let angle = Span(0.0, core::f64::consts::TAU).draw(stream);
    [math::cos(angle), math::sin(angle)]
}

/// The lightness of a colour, with the weights of ITU-R BT.601.
pub(super) fn luma([red, green, blue]: Colour) -> f64 {
    0.299 * red + 0.587 * green + 0.114 * blue
}

/// From `a` to `b` as `fraction` goes from 0 to 1.
pub(super) fn blend(a: f64, b: f64, fraction: f64) -> f64 {
    a + (b - a) * fraction
}
