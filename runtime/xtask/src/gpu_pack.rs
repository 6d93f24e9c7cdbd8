//! `cargo xtask gpu-pack`: a folder that runs everything on a machine that has an NVIDIA GPU and a Python
//! with PyTorch, and nothing else.

#[cfg(all(test, unix))]
mod script;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, ensure};
use clap::Args;
use faa_system::log_line;

use crate::host::Host;
use crate::{downloads, program, steps};

/// The programs that the script runs, with cargo's name of their kind.
const PROGRAMS: [(&str, &str); 4] = [
    ("faa-runtime", "bin"),
    ("faa-runtime-torch", "bin"),
    ("device_check", "example"),
    ("rates", "example"),
];

/// Builds all programs. It is the same for each of them, so that nothing is built twice.
const BUILD: &str = "build --release -p faa-runtime -p faa-torch --bins --examples";

/// The script and its documentation; paths from the root of the checkout.
const TEXTS: [&str; 2] = ["tests/gpu/run.sh", "tests/gpu/README.md"];

/// The folders of programs and images, which the script knows.
const BIN: &str = "bin";
const DATA: &str = "data";

/// The file that describes the contents. The script reads the path of the images from it.
const ABOUT: &str = "pack.txt";

/// The options of `cargo xtask gpu-pack`.
#[derive(Args)]
pub(crate) struct Options {
    /// Data set: a tar archive of train/CLASS/* and test/CLASS/*, optionally compressed with gzip or
    /// zstd.
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Output folder; created if missing.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Pack into a folder that is not empty; other files in it are kept.
    #[arg(long)]
    force: bool,
}

/// Builds the programs and packs them with the images and the script.
pub(crate) fn run(host: &Host, options: &Options) -> Result<ExitCode> {
    // Checked before the build, which takes minutes.
    let Options { data, out, force } = options;
    ensure!(data.is_file(), "there is no file {}", data.display());
    check_target(out, *force)?;
    host.need_cxx()?;
    downloads::libtorch(host)?;
    let mut programs = Vec::new();
    for (name, kind) in PROGRAMS {
        log_line!("building {name} …");
        programs.push(program::build(host, BUILD, name, kind)?);
    }
    let texts = TEXTS.map(|text| host.root.join(text));
    let packed = pack(&programs, &texts, data, &commit(host), out)?;
    for name in PROGRAMS.map(|(name, _)| name) {
        strip(host, &out.join(BIN).join(name))?;
    }
    log_line!("{}", summary(out, &packed)?.trim_end());
    Ok(ExitCode::SUCCESS)
}

fn check_target(out: &Path, force: bool) -> Result<()> {
    match out.read_dir() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => {
            Err(error).with_context(|| format!("cannot read the folder {}", out.display()))
        }
        Ok(mut entries) => {
            ensure!(
                force || entries.next().is_none(),
                "{} is not empty: choose a different folder, or add --force to pack into it",
                out.display()
            );
            Ok(())
        }
    }
}

/// Fills the folder, and returns the paths of the packed files in it.
fn pack(
    programs: &[PathBuf],
    texts: &[PathBuf],
    data: &Path,
    commit: &str,
    out: &Path,
) -> Result<Vec<PathBuf>> {
    let images = [data.to_owned()];
    let mut packed = Vec::new();
    for (files, folder) in [(programs, BIN), (images.as_slice(), DATA), (texts, "")] {
        fs::create_dir_all(out.join(folder))
            .with_context(|| format!("cannot create {}", out.display()))?;
        for file in files {
            let name = file.file_name().context("a file has no name")?;
            let path = Path::new(folder).join(name);
            replace(file, &out.join(&path))?;
            packed.push(path);
        }
    }
    let data = data.file_name().and_then(|name| name.to_str());
    let data = data.context("the name of the data set is not Unicode")?;
    let about = format!(
        "faa-runtime {}, commit {commit}\ndata: {DATA}/{data}\n",
        env!("CARGO_PKG_VERSION")
    );
    fs::write(out.join(ABOUT), about)?;
    packed.push(PathBuf::from(ABOUT));
    Ok(packed)
}

/// Copies a file and its permissions; replaces an existing file even if it is read-only.
fn replace(from: &Path, to: &Path) -> Result<()> {
    let copied = match fs::remove_file(to) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => fs::copy(from, to),
    };
    copied.with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

/// Removes debug symbols, which are most of a program's size.
fn strip(host: &Host, program: &Path) -> Result<()> {
    match host.find_program("strip") {
        Some(strip) => steps::complete(Command::new(strip).arg(program)),
        None => Ok(()),
    }
}

/// The commit that the programs were built from, or `unknown`.
fn commit(host: &Host) -> String {
    let mut git = Command::new("git");
    git.args(["describe", "--always", "--dirty", "--abbrev=12"])
        .current_dir(&host.root)
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    let output = git.output().ok().filter(|output| output.status.success());
    let commit = output.and_then(|output| String::from_utf8(output.stdout).ok());
    commit.map_or("unknown".into(), |commit| commit.trim().into())
}

/// A table of the files and their sizes.
fn summary(out: &Path, packed: &[PathBuf]) -> Result<String> {
    let mut lines = String::new();
    let mut all = 0;
    for file in packed {
        let size = out.join(file).metadata()?.len();
        lines += &format!("  {:>7}  {}\n", megabytes(size), file.display());
        all += size;
    }
    let (out, all) = (out.display(), megabytes(all));
    Ok(format!("packed {out}, {all} MB:\n{lines}"))
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const SCRIPT: &str = include_str!("../../../tests/gpu/run.sh");

    fn write(folder: &Path, name: &str, mode: u32) -> PathBuf {
        let file = folder.join(name);
        fs::write(&file, name).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    #[test]
    fn files_are_packed_where_the_script_expects_them() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let out = to.path().join("a/pack");
        check_target(&out, false).unwrap();
        let programs = [write(from.path(), "rates", 0o755)];
        let texts = [write(from.path(), "run.sh", 0o755)];
        // Read-only, as in a shared folder.
        let data = write(from.path(), "pets.tar.zst", 0o444);
        let pack = || pack(&programs, &texts, &data, "abc", &out).unwrap();
        let packed = pack();
        assert_eq!(
            packed,
            ["bin/rates", "data/pets.tar.zst", "run.sh", "pack.txt"].map(PathBuf::from)
        );
        let about = fs::read_to_string(out.join(ABOUT)).unwrap();
        assert!(about.starts_with("faa-runtime ") && about.contains("commit abc"));
        assert!(about.lines().any(|line| line == "data: data/pets.tar.zst"));
        for name in ["bin/rates", "run.sh"] {
            let mode = out.join(name).metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o755, "{name}");
        }
        let lines = summary(&out, &packed).unwrap();
        assert!(
            lines.contains("MB:\n") && lines.ends_with("pack.txt\n"),
            "{lines}"
        );

        // Results of earlier runs are kept.
        fs::write(out.join("summary.txt"), "mine").unwrap();
        let refusal = check_target(&out, false).unwrap_err().to_string();
        assert!(refusal.contains("--force"), "{refusal}");
        check_target(&out, true).unwrap();
        assert_eq!(pack(), packed);
        assert!(out.join("summary.txt").exists());
    }

    #[test]
    fn a_file_with_the_folder_s_name_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = write(folder.path(), "pack", 0o644);
        let error = check_target(&file, true).unwrap_err().to_string();
        assert!(error.contains(&file.display().to_string()), "{error}");
    }

    #[test]
    fn the_script_runs_what_is_packed() {
        for (name, _) in PROGRAMS {
            // `faa-runtime` starts `faa-runtime-torch`.
            let runs = SCRIPT.contains(&format!("{BIN}/{name} "));
            assert!(runs || name == "faa-runtime-torch", "{name}");
        }
        assert!(SCRIPT.contains(ABOUT));
    }

    #[test]
    fn the_script_is_executable_and_valid_bash() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let script = root.join(TEXTS[0]);
        let mode = script.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "it is not executable");
        let status = Command::new("bash").arg("-n").arg(&script).status();
        assert!(status.unwrap().success());
    }
}
