use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use faa_ops_builtin::builtin_ops;

use super::super::Usage;
use super::print;
use crate::template;

/// Make a crate with an op to begin from. It builds as it is.
#[derive(Args)]
#[command(after_help = "\
The SDK's few source files are written beside the op, so that the crate builds wherever it is; that
needs Rust 1.95 or newer.

Example:
  faa-runtime plugin new vignette
  faa-runtime plugin build vignette")]
pub(crate) struct New {
    /// The name of the crate and of the folder: lower-case letters, digits, - and _. The op has the
    /// same name in one word: soft-glow makes SoftGlow.
    name: String,
    /// Where to make the folder; here where not given.
    #[arg(long, value_name = "DIR")]
    r#in: Option<PathBuf>,
}

impl New {
    pub(crate) fn run(self) -> Result<()> {
        let Some(op) = op_name(&self.name) else {
            bail!(Usage(format!(
                "`{}` is no name for a plugin: it begins with a lower-case letter and goes on with \
                 lower-case letters, digits, - and _, 64 in all at most",
                self.name
            )));
        };
        if builtin_ops().get(&op).is_some() {
            bail!(Usage(format!(
                "`{op}` is a built-in op, and a plugin's op cannot have its name: choose another"
            )));
        }
        let folder = self.r#in.unwrap_or_default().join(&self.name);
        if folder.exists() {
            bail!(
                "{} exists: choose another name, or another folder with --in",
                folder.display()
            );
        }
        if let Err(error) = write(&folder, &self.name, &op) {
            // Nothing half-made stays.
            let _ = fs::remove_dir_all(&folder);
            return Err(error);
        }
        let (shown, name) = (folder.display(), &self.name);
        print(&format!(
            "{shown}: a crate with the op {op}; its code is in src/lib.rs\n\n\
             next:\n  \
             faa-runtime plugin build {shown}\n  \
             faa-runtime plugin check {name}.wasm\n"
        ))
    }
}

fn write(folder: &Path, name: &str, op: &str) -> Result<()> {
    for (path, text) in template::files(name, op) {
        let path = folder.join(path);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, text))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// The op's name for a crate's: `soft-glow` is `SoftGlow`. `None` where it is no name.
fn op_name(name: &str) -> Option<String> {
    let fits = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.len() <= 64
        && (name.chars()).all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c));
    let word = |word: &str| {
        let (first, rest) = word.split_at(1);
        first.to_ascii_uppercase() + rest
    };
    let words = name.split(['-', '_']).filter(|word| !word.is_empty());
    fits.then(|| words.map(word).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_crates_become_names_of_ops() {
        assert_eq!(op_name("vignette").unwrap(), "Vignette");
        assert_eq!(op_name("soft-glow_2").unwrap(), "SoftGlow2");
        for name in ["", "Vignette", "1st", "a b", "../x", "é", &"x".repeat(65)] {
            assert_eq!(op_name(name), None, "{name}");
        }
    }
}
