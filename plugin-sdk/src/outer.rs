//! Bytes that depend on a number of their column and one of their row.

/// Computes a byte for each pixel, such as a weight for [`blend_weighted`](crate::blend_weighted), from a number of
/// its column and one of its row. What is greater than 255 becomes 255.
///
/// `bytes` has the pixels in rows from the top. The compiler turns the function into vector instructions if it works on
/// integers of 16 bits without branches:
///
/// ```
/// use faa_plugin_sdk::fill_outer;
///
/// let mut bytes = [0; 3 * 2];
/// fill_outer(&mut bytes, &[1, 2, 3], &[10, 100], |column, row| column * row);
/// assert_eq!(bytes, [10, 20, 30, 100, 200, 255]);
/// ```
///
/// # Panics
///
/// If there are not as many bytes as columns times rows.
pub fn fill_outer(bytes: &mut [u8], columns: &[u16], rows: &[u16], byte: impl Fn(u16, u16) -> u16) {
    let pixels = columns.len().checked_mul(rows.len());
    assert_eq!(
        Some(bytes.len()),
        pixels,
        "there is one byte for each pixel"
    );
    // Rows cannot be 0 long; without columns there are no bytes either.
    let width = columns.len().max(1);
    let (blocks, rest) = columns.as_chunks::<16>();
    for (bytes, &row) in bytes.chunks_exact_mut(width).zip(rows) {
        let byte = |&column: &u16| byte(column, row).min(255) as u8;
        let (of_blocks, of_rest) = bytes.as_chunks_mut::<16>();
        for (bytes, columns) in of_blocks.iter_mut().zip(blocks) {
            *bytes = columns.each_ref().map(byte);
        }
        for (to, column) in of_rest.iter_mut().zip(rest) {
            *to = byte(column);
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn every_byte_is_that_of_its_column_and_row() {
        for (width, height) in [(0, 0), (0, 3), (1, 1), (15, 2), (16, 3), (17, 1), (50, 7)] {
            let columns: Vec<u16> = (0..width).map(|column| column * 1000).collect();
            let rows: Vec<u16> = (0..height).map(|row| row * 300).collect();
            let byte = |column: u16, row: u16| column.wrapping_mul(3).wrapping_add(row) >> 7;
            let mut bytes = vec![9; usize::from(width * height)];
            fill_outer(&mut bytes, &columns, &rows, byte);
            let pairs = rows
                .iter()
                .flat_map(|&row| columns.iter().map(move |&it| (it, row)));
            let expected: Vec<u8> = pairs
                .map(|(column, row)| u8::try_from(byte(column, row)).unwrap_or(255))
                .collect();
            assert_eq!(bytes, expected, "{width}×{height}");
        }
    }

    #[test]
    #[should_panic(expected = "there is one byte for each pixel")]
    fn bytes_that_are_missing_are_noticed() {
        fill_outer(&mut [0; 5], &[1, 2], &[1, 2, 3], |column, row| column + row);
    }
}
