//! Paths within a data set, as its files state them.

/// The longest path, in bytes.
const MAX_INNER_PATH: usize = 4096;

/// Whether this is the path of a file below a folder, with `/` between its parts, on every system.
pub(crate) fn is_inner_path(path: &str) -> bool {
    let is_name = |part: &str| !matches!(part, "" | "." | "..");
    path.len() <= MAX_INNER_PATH
        && path.split('/').all(is_name)
        && !path.contains(['\\', '\0'])
        && !path
            .split('/')
            .next()
            .is_some_and(|first| first.ends_with(':'))
}
