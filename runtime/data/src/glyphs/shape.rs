//! The shapes of glyphs.

/// The shape of a glyph.
///
/// Each remains what it is when it is mirrored, or turned by up to 40°: there is no diamond beside
/// the square, and no cross beside the plus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Arch,
    Crescent,
    Disc,
    Heart,
    Hourglass,
    Plus,
    Ring,
    Square,
    Star,
    Triangle,
}

/// The directions of a star's five tips, clockwise from the upmost: sine and negated cosine of the
/// multiples of 72°.
const TIPS: [[f64; 2]; 5] = [
    [0.0, -1.0],
    [0.951_056_516_295_153_5, -0.309_016_994_374_947_45],
    [0.587_785_252_292_473_1, 0.809_016_994_374_947_5],
    [-0.587_785_252_292_473_1, 0.809_016_994_374_947_5],
    [-0.951_056_516_295_153_5, -0.309_016_994_374_947_45],
];

impl Shape {
    /// Whether a point lies in the shape: x to the right and y down, with the middle at the origin
    /// and all of the shape within a distance of [`REACH`].
    pub(super) fn contains(self, x: f64, y: f64) -> bool {
        let squared = x * x + y * y;
        match self {
            Self::Arch => {
                let (inner, outer) = (0.42, 0.9);
                if y < 0.0 {
                    (inner * inner..outer * outer).contains(&squared)
                } else {
                    y < outer && (inner..outer).contains(&x.abs())
                }
            }
            Self::Crescent => {
                let bite = (x - 0.45) * (x - 0.45) + y * y;
                squared < 0.95 * 0.95 && bite > 0.72 * 0.72
            }
            Self::Disc => squared < 0.88 * 0.88,
            Self::Heart => {
                // The well-known sextic (x² + y² − 1)³ = x² y³, with y up.
                let (x, y) = (x * 1.22, 0.1 - y * 1.22);
                let ball = x * x + y * y - 1.0;
                ball * ball * ball < x * x * y * y * y
            }
            Self::Hourglass => y.abs() < 0.92 && x.abs() < 0.1 + 0.72 * y.abs(),
            Self::Plus => {
                let (short, long) = (x.abs().min(y.abs()), x.abs().max(y.abs()));
                short < 0.3 && long < 0.95
            }
            Self::Ring => (0.52 * 0.52..0.95 * 0.95).contains(&squared),
            Self::Square => x.abs() < 0.76 && y.abs() < 0.76,
            Self::Star => {
                // The five sides of the inner pentagon, prolonged, bound the tips: a tip lies
                // beyond one side alone.
                let beyond = |[tip_x, tip_y]: &[f64; 2]| x * tip_x + y * tip_y > 0.38;
                TIPS.iter().filter(|tip| beyond(tip)).count() < 2 && squared < REACH * REACH
            }
            Self::Triangle => y < 0.68 && x.abs() < 0.58 * (y + 0.98),
        }
    }
}

/// How far from its middle any part of a shape can be.
pub(super) const REACH: f64 = 1.3;

#[cfg(test)]
mod tests {
    use super::super::class::SHAPES;
    use super::*;

    const ALL: [Shape; 10] = {
        let mut all = [Shape::Arch; 10];
        let mut index = 0;
        while index < all.len() {
            all[index] = SHAPES[index].shape;
            index += 1;
        }
        all
    };

    fn grid() -> impl Iterator<Item = (f64, f64)> {
        let ticks = || (-80_i32..=80).map(|tick| f64::from(tick) / 40.0);
        ticks().flat_map(move |y| ticks().map(move |x| (x, y)))
    }

    #[test]
    fn shapes_lie_within_their_reach_and_fill_some_of_it() {
        for shape in ALL {
            let inside: Vec<_> = grid().filter(|&(x, y)| shape.contains(x, y)).collect();
            let reached = inside.iter().all(|(x, y)| x * x + y * y <= REACH * REACH);
            // 1600 points make a unit of area.
            let filled = (1_000..4_000).contains(&inside.len());
            assert!(reached && filled, "{shape:?}: {}", inside.len());
        }
    }

    #[test]
    fn shapes_differ_from_each_other_however_they_are_turned() {
        // The minimum fraction of their common area in which two shapes must differ, at any angle up
        // to 40° either way.
        const MIN: f64 = 0.14;
        for (index, first) in ALL.into_iter().enumerate() {
            for second in &ALL[..index] {
                for degrees in -8..=8 {
                    let angle = f64::from(degrees) * 5.0_f64.to_radians();
                    let (sine, cosine) = (faa_op::math::sin(angle), faa_op::math::cos(angle));
                    let (mut either, mut one) = (0.0, 0.0);
                    for (x, y) in grid() {
                        let a = first.contains(x, y);
                        let b = second.contains(cosine * x - sine * y, sine * x + cosine * y);
                        either += f64::from(u8::from(a || b));
                        one += f64::from(u8::from(a != b));
                    }
                    assert!(
                        one / either > MIN,
                        "{first:?}, {second:?} at {degrees} × 5°"
                    );
                }
            }
        }
    }
}
