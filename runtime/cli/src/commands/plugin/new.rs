use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use faa_ops_builtin::builtin_ops;

use super::super::{Usage, print};
use crate::template;

/// Create a plugin crate with an example op.
#[derive(Args)]
#[command(after_help = "\
The crate includes the sources of the SDK. To build it, Rust 1.88 or newer is needed.

Examples:
  faa-runtime plugin new vignette
  faa-runtime plugin build vignette")]
pub(crate) struct New {
    /// Name of the crate and its folder: lower-case letters, digits, - and _. The op is named in camel
    /// case: SoftGlow for soft-glow.
    name: String,
    /// Parent folder; created if missing [default: current folder].
    #[arg(long, value_name = "DIR")]
    r#in: Option<PathBuf>,
}

impl New {
    pub(crate) fn run(self) -> Result<()> {
        let Some(op) = op_name(&self.name) else {
            bail!(Usage(format!(
                "`{}` is not a valid name for a plugin: it must begin with a lower-case letter, \
                 followed by at most 63 lower-case letters, digits, - and _",
                self.name
            )));
        };
        if builtin_ops().get(&op).is_some() {
            bail!(Usage(format!(
                "`{op}` is the name of a built-in op: choose a different name"
            )));
        }
        let folder = self.r#in.unwrap_or_default().join(&self.name);
        if folder.exists() {
            bail!(
                "{} already exists: choose a different name, or a different folder with --in",
                folder.display()
            );
        }
        if let Err(error) = write(&folder, &self.name, &op) {
            // An incomplete crate would only be in the way of the next attempt.
            let _ = fs::remove_dir_all(&folder);
            return Err(error);
        }
        let (shown, name) = (folder.display(), &self.name);
        print(&format!(
            "created {shown} with the op {op} in src/lib.rs\n\n\
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

/// The op's name for a crate's name: `SoftGlow` for `soft-glow`. `None` if the crate's name is invalid.
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
