use crate::fnv1a;

const KEY: &str = "\"checksum\"";

/// A JSON object, on one line or indented, with the digest of its text as the last key, and a newline.
///
/// ```
/// let line = faa_system::with_checksum(r#"{"copy":1}"#);
/// assert!(faa_system::has_checksum(line.as_bytes()));
/// assert!(!faa_system::has_checksum(line.replace('1', "2").as_bytes()));
/// ```
///
/// # Panics
///
/// If it is not an object.
#[must_use]
pub fn with_checksum(object: &str) -> String {
    let object = object.trim_end();
    let (comma, colon, end) = match object.contains('\n') {
        true => (",\n  ", ": ", "\n}\n"),
        false => (",", ":", "}\n"),
    };
    let fields = object.strip_suffix('}').expect("it is an object");
    let fields = fields.trim_end();
    let content = format!("{fields}{comma}");
    let digest = fnv1a(content.bytes());
    format!("{content}{KEY}{colon}\"{digest:016x}\"{end}")
}

/// Whether a JSON object has the checksum that [`with_checksum`] has given it.
#[must_use]
pub fn has_checksum(object: &[u8]) -> bool {
    let mut windows = object.windows(KEY.len());
    let Some(end) = windows.rposition(|window| window == KEY.as_bytes()) else {
        return false;
    };
    let (content, checksum) = object.split_at(end);
    let expected = format!("{KEY}:\"{:016x}\"}}", fnv1a(content.iter().copied()));
    let found = checksum.iter().filter(|byte| !byte.is_ascii_whitespace());
    found.eq(expected.as_bytes())
}
