use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use faa_system::log_line;

use super::super::print;
use crate::wasm_toolchain::{self, Target};

/// Build a plugin crate to WebAssembly, with an installed Rust toolchain.
#[derive(Args)]
#[command(after_help = "\
The first of these that is available builds the plugin:
  1. cargo with the target wasm32-unknown-unknown
  2. cargo after rustup has installed that target
  3. cargo with the sources of the standard library, from rustup or Debian's rust-web-src

Examples:
  faa-runtime plugin build vignette
  faa-runtime plugin build . --native --out libraries")]
pub(crate) struct Build {
    /// Folder of the crate, or a folder with a single plugin crate in it.
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// Build a native library instead, which runs without a sandbox and is loaded only with
    /// --allow-native.
    #[arg(long)]
    native: bool,
    /// Output folder; created if missing [default: current folder].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Build {
    pub(crate) fn run(self) -> Result<()> {
        let folder = crate_folder(&self.folder)?;
        let target = if self.native {
            Target::Native
        } else {
            Target::Wasm
        };
        let built = wasm_toolchain::build(&folder, target)?;
        if let Some(out) = &self.out {
            fs::create_dir_all(out)
                .with_context(|| format!("cannot create the folder {}", out.display()))?;
        }
        let extension = built.file.extension().unwrap_or_default();
        let mut name = OsString::from(&built.package);
        name.push(".");
        name.push(extension);
        let plugin = self.out.unwrap_or_default().join(name);
        let bytes = fs::read(&built.file)
            .with_context(|| format!("cannot read {}", built.file.display()))?;
        faa_system::write_whole(&plugin, &bytes)?;
        let kilobytes = bytes.len() / 1000;
        print(&format!("{} ({kilobytes} kB)\n", plugin.display()))
    }
}

/// The folder itself, or the only plugin crate in it.
fn crate_folder(folder: &Path) -> Result<PathBuf> {
    if folder.join("Cargo.toml").is_file() {
        return Ok(folder.to_owned());
    }
    let entries = fs::read_dir(folder)
        .with_context(|| format!("cannot read the folder {}", folder.display()))?;
    let mut plugins: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            fs::read_to_string(path.join("Cargo.toml"))
                .is_ok_and(|manifest| manifest.contains("faa-plugin-sdk"))
        })
        .collect();
    plugins.sort();
    match &plugins[..] {
        [plugin] => {
            log_line!(
                "building {}, the only plugin crate in this folder",
                plugin.display()
            );
            Ok(plugin.clone())
        }
        [] => bail!(
            "{} has no Cargo.toml: name the folder of a plugin, or create one with \
             `faa-runtime plugin new NAME`",
            folder.display()
        ),
        [one, ..] => bail!(
            "{} contains several plugins: name one, for example `faa-runtime plugin build {}`",
            folder.display(),
            one.display()
        ),
    }
}
