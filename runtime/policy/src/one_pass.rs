use faa_op::{ImageMut, ImageRef, LookupTables, ShapeError};

/// The smallest image, in samples, for which one pass through tables can beat the passes that it
/// replaces: 64×64 RGB pixels. Below that, making the tables takes longer than everything else.
const MIN_SAMPLES: usize = 12 * 1024;

/// Whether one pass through tables beats a pass for each op.
///
/// Measured with two to four built-in ops, which are a few instructions for a whole vector each:
/// with byte permutations of 512 bits one pass is up to twice as fast at 224×224 and above; with
/// shorter vectors it is three to six times slower, so there every op makes its own pass.
pub(crate) fn one_pass_pays(samples: usize) -> bool {
    samples >= MIN_SAMPLES && lookups_are_fast()
}

#[cfg(feature = "builtin")]
fn lookups_are_fast() -> bool {
    faa_ops_builtin::SimdLevel::best().looks_up_fast()
}

/// Without the built-in ops, all ops are custom, and likely to look at one sample after the other.
#[cfg(not(feature = "builtin"))]
fn lookups_are_fast() -> bool {
    true
}

/// Sends the source, or the image itself if there is none, through tables and into the image.
#[cfg(feature = "builtin")]
pub(crate) fn apply_tables(
    tables: &LookupTables,
    source: Option<ImageRef<'_>>,
    image: &mut ImageMut<'_>,
) -> Result<(), ShapeError> {
    use faa_ops_builtin::{SimdLevel, map_levels, map_levels_from};

    match source {
        Some(source) => map_levels_from(SimdLevel::best(), tables, source, image)?,
        None => map_levels(SimdLevel::best(), tables, image),
    }
    Ok(())
}

/// Sends the source, or the image itself if there is none, through tables and into the image.
#[cfg(not(feature = "builtin"))]
pub(crate) fn apply_tables(
    tables: &LookupTables,
    source: Option<ImageRef<'_>>,
    image: &mut ImageMut<'_>,
) -> Result<(), ShapeError> {
    if let Some(source) = source {
        image.copy_from(source)?;
    }
    tables.apply(image);
    Ok(())
}
