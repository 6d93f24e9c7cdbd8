use faa_op::{ImageMut, ImageRef, PointTables, ShapeError};

/// Sends the image, or the source where there is one, through tables and into the image.
pub(crate) fn apply_tables(
    tables: &PointTables,
    source: Option<ImageRef<'_>>,
    image: &mut ImageMut<'_>,
) -> Result<(), ShapeError> {
    if let Some(source) = source {
        image.copy_from(source)?;
    }
    tables.apply(image);
    Ok(())
}
