//! The fuzz target of image files.

use std::fs;

use faa_data::{jpeg_ends_early, read_image};

/// Reads an image file. The result has pixels, or is an error with a message. A JPEG whose picture ends early
/// is refused.
///
/// # Panics
///
/// If one of these conditions does not hold.
pub fn image(input: &[u8]) {
    let folder = tempfile::tempdir().expect("a temporary folder can be created");
    let file = folder.path().join("image");
    fs::write(&file, input).expect("a file can be written");
    match read_image(&file) {
        Ok(image) => {
            assert!(image.width() > 0 && image.height() > 0);
            assert!(!jpeg_ends_early(input));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
