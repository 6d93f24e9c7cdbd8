use std::env;
use std::path::{Path, PathBuf};

/// Expands a leading `~` or `~/` to the user's home folder, as a shell does. Shells do so only at the
/// start of a word, and not in `--out=~/x` or `folder:~/x`. Every other path is returned unchanged, also
/// `~user/x` and `./~`; and all are where `HOME` is not an absolute path.
pub fn expand_home(path: &Path) -> PathBuf {
    expand(path, env::var_os("HOME").as_ref().map(Path::new))
}

fn expand(path: &Path, home: Option<&Path>) -> PathBuf {
    let home = home.filter(|home| home.is_absolute());
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) if rest.as_os_str().is_empty() => home.to_owned(),
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_first_component_is_expanded() {
        for (path, expanded) in [
            ("~", "/home/a"),
            ("~/", "/home/a"),
            ("~/x/~", "/home/a/x/~"),
            ("~b/x", "~b/x"),
            ("./~", "./~"),
            ("x/~", "x/~"),
            ("/~", "/~"),
            ("", ""),
        ] {
            let found = expand(Path::new(path), Some(Path::new("/home/a")));
            assert_eq!(found.as_os_str(), expanded, "{path}");
            for home in [None, Some(Path::new("")), Some(Path::new("a"))] {
                let found = expand(Path::new(path), home);
                assert_eq!(found.as_os_str(), path, "{path}");
            }
        }
    }
}
