use faa_op::Stream;

/// Uniform numbers between two bounds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span(pub(super) f64, pub(super) f64);

impl Span {
    pub(super) fn draw(self, stream: &mut Stream) -> f64 {
        self.0 + (self.1 - self.0) * stream.unit()
    }
}

/// How much the images of a split vary.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conditions {
    /// The rotation of a glyph, in degrees.
    pub(super) turn: Span,
    /// The offset of its centre from the image's, in pixels, along each axis.
    pub(super) shift: Span,
    /// How far its top leans sideways, as a fraction of its height.
    pub(super) slant: Span,
    /// Half its height, in pixels.
    pub(super) radius: Span,
    /// Its width over its height.
    pub(super) aspect: Span,
    /// How far apart glyph and ground are in lightness, from 0 to 1.
    pub(super) separation: Span,
    /// How strongly the ground is patterned.
    pub(super) pattern: Span,
    /// The number of specks on the ground.
    pub(super) specks: Span,
    /// The probability that something covers a part of the glyph.
    pub(super) covered: f64,
    /// The softness of the focus: the standard deviation of the blur, in pixels.
    pub(super) blur: Span,
    /// The factor on all colours' distance from grey.
    pub(super) saturation: Span,
    /// The factor on all values' distance from middle grey, as haze lowers it.
    pub(super) contrast: Span,
    /// The factor on all light.
    pub(super) exposure: Span,
    /// How much stronger the light is at one border than in the middle.
    pub(super) falloff: Span,
    /// The standard deviation of the sensor's noise.
    pub(super) noise: Span,
}

impl Conditions {
    /// Both splits of `glyphs`: all images vary alike.
    pub(super) const ALIKE: Self = Self {
        turn: Span(-8.0, 8.0),
        shift: Span(-3.2, 3.2),
        slant: Span(-0.1, 0.1),
        radius: Span(4.0, 5.8),
        aspect: Span(0.9, 1.1),
        separation: Span(0.3, 0.6),
        pattern: Span(0.05, 0.25),
        specks: Span(0.0, 4.0),
        covered: 0.0,
        blur: Span(0.3, 0.6),
        saturation: Span(0.5, 1.3),
        contrast: Span(0.45, 1.1),
        exposure: Span(0.45, 1.7),
        falloff: Span(0.0, 0.35),
        noise: Span(0.02, 0.05),
    };

    /// The training split of `glyphs:shifted`, as images are collected: posed, and in good light.
    pub(super) const POSED: Self = Self {
        turn: Span(-8.0, 8.0),
        shift: Span(-1.5, 1.5),
        slant: Span(-0.05, 0.05),
        radius: Span(8.0, 10.0),
        aspect: Span(0.95, 1.05),
        separation: Span(0.3, 0.6),
        pattern: Span(0.05, 0.25),
        specks: Span(0.0, 4.0),
        covered: 0.0,
        blur: Span(0.3, 0.6),
        saturation: Span(0.8, 1.2),
        contrast: Span(0.8, 1.1),
        exposure: Span(0.85, 1.15),
        falloff: Span(0.0, 0.1),
        noise: Span(0.02, 0.04),
    };

    /// The test split of `glyphs:shifted`, as images are met later.
    pub(super) const MET: Self = Self {
        turn: Span(-33.0, 33.0),
        shift: Span(-3.5, 3.5),
        slant: Span(-0.18, 0.18),
        radius: Span(7.5, 11.0),
        aspect: Span(0.9, 1.12),
        covered: 0.12,
        blur: Span(0.3, 0.9),
        saturation: Span(0.3, 1.7),
        contrast: Span(0.55, 1.1),
        exposure: Span(0.55, 1.5),
        falloff: Span(0.0, 0.3),
        ..Self::POSED
    };
}
