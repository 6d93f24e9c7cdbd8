use super::region::Region;

/// An object in an image. Positions are in pixels from the left and top edges of the image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object {
    /// The id of its category, or the number of its class.
    pub class: u64,
    /// The edges of its box: left, top, right, bottom.
    pub bounds: Option<[f64; 4]>,
    /// The corners of its outlines, one outline for each of its parts.
    pub outlines: Vec<Vec<[f64; 2]>>,
    /// Its pixels, where the file has them in place of outlines.
    pub region: Option<Region>,
    /// Its keypoints.
    pub keypoints: Vec<ObjectPoint>,
}

/// A keypoint of an object.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ObjectPoint {
    /// Its position.
    pub position: [f64; 2],
    /// As in COCO: 0 if it is not labelled, and then its position means nothing; 1 if it is hidden, 2 if it is
    /// visible.
    pub visibility: u8,
}

impl Object {
    /// The edges of the smallest box about its outlines and its region, or those of its box if it has neither.
    #[must_use]
    pub fn extent(&self) -> Option<[f64; 4]> {
        let corners = self.outlines.iter().flatten();
        let boxes = corners.map(|&[x, y]| [x, y, x, y]);
        let region = self.region.as_ref().and_then(Region::extent);
        let union = |a: [f64; 4], b: [f64; 4]| {
            [
                a[0].min(b[0]),
                a[1].min(b[1]),
                a[2].max(b[2]),
                a[3].max(b[3]),
            ]
        };
        boxes.chain(region).reduce(union).or(self.bounds)
    }

    /// The area of its outlines and its region in pixels; 0 without any.
    #[must_use]
    pub fn area(&self) -> f64 {
        let outlines: f64 = self.outlines.iter().map(|it| area(it)).sum();
        outlines + self.region.as_ref().map_or(0, Region::count) as f64
    }
}

/// The area of a polygon, whose last corner is joined to the first.
fn area(corners: &[[f64; 2]]) -> f64 {
    let next = corners.iter().cycle().skip(1);
    let doubled = corners.iter().zip(next);
    let doubled: f64 = doubled
        .map(|(from, to)| from[0] * to[1] - to[0] * from[1])
        .sum();
    doubled.abs() / 2.0
}
