//! What libtorch for the CPU consists of, and unpacking it from the wheels.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, ensure};
use zip::ZipArchive;

use crate::manifest::Manifest;
use crate::requirements::Requirement;

/// What is taken from a package's wheel.
pub(crate) struct Contents {
    package: &'static str,
    /// Folders taken whole: where they are, and where they go.
    folders: &'static [(&'static str, &'static str)],
    /// Single files, likewise.
    files: &'static [(&'static str, &'static str)],
}

/// The parts of the wheels that a program linked against the CPU library
/// needs: 500 MB of 3 GB. The two CUDA libraries are small, do nothing on a
/// machine without a GPU, and are what `libtorch_cpu.so` is linked against.
pub(crate) const LIBTORCH_FOR_THE_CPU: &[Contents] = &[
    Contents {
        package: "torch",
        folders: &[("torch/include/", "include/")],
        files: &[
            ("torch/lib/libtorch_cpu.so", "lib/libtorch_cpu.so"),
            ("torch/lib/libc10.so", "lib/libc10.so"),
            ("torch/lib/libgomp.so.1", "lib/libgomp.so.1"),
        ],
    },
    Contents {
        package: "nvidia-cuda-runtime",
        folders: &[],
        files: &[("nvidia/cu13/lib/libcudart.so.13", "lib/libcudart.so.13")],
    },
    Contents {
        package: "nvidia-cuda-cupti",
        folders: &[],
        files: &[("nvidia/cu13/lib/libcupti.so.13", "lib/libcupti.so.13")],
    },
];

/// Unpacks the wheels that lie in `downloads` into `target`, and completes it
/// with what tch's build and link ask for. Each wheel is deleted once it is
/// unpacked, as it is then only in the way.
pub(crate) fn unpack_all(
    table: &[Contents],
    requirements: &[Requirement],
    downloads: &Path,
    target: &Path,
) -> Result<()> {
    fs::create_dir_all(target.join("lib"))?;
    let mut manifest = Manifest::default();
    for contents in table {
        let wheel = find(contents.package, requirements, downloads)?;
        unpack(contents, &wheel, target, &mut manifest)
            .with_context(|| format!("cannot unpack {}", wheel.display()))?;
        fs::remove_file(&wheel)?;
    }
    // tch links `-ltorch`. The wheel's libtorch.so would pull in the CUDA
    // library; this linker script of the same name pulls in the CPU's.
    manifest.add_text(target, "lib/libtorch.so", "INPUT(-ltorch_cpu)\n")?;
    let version = version_of("torch", requirements)?;
    manifest.add_text(target, "build-version", &format!("{version}\n"))?;
    manifest.write(target)
}

/// The version that the requirements file pins a package to.
pub(crate) fn version_of<'a>(package: &str, requirements: &'a [Requirement]) -> Result<&'a str> {
    let requirement = requirements.iter().find(|r| r.package == package);
    Ok(&requirement
        .with_context(|| format!("no version of {package} is pinned"))?
        .version)
}

fn find(package: &str, requirements: &[Requirement], downloads: &Path) -> Result<PathBuf> {
    let requirement = requirements.iter().find(|r| r.package == package);
    let requirement = requirement.with_context(|| format!("{package} is not required"))?;
    let files: io::Result<Vec<_>> = downloads.read_dir()?.collect();
    files?
        .iter()
        .find(|file| requirement.is_wheel(&file.file_name().to_string_lossy()))
        .map(fs::DirEntry::path)
        .with_context(|| format!("no wheel of {package} lies in {}", downloads.display()))
}

/// Unpacks a wheel. Its bytes are known good by their hash, and the zip
/// crate compares each file's check sum, so what is left to find is a wheel
/// with other contents than expected.
fn unpack(contents: &Contents, wheel: &Path, target: &Path, manifest: &mut Manifest) -> Result<()> {
    let mut archive = ZipArchive::new(BufReader::new(File::open(wheel)?))?;
    let mut missing: BTreeSet<&str> = contents
        .folders
        .iter()
        .chain(contents.files)
        .map(|(from, _)| *from)
        .collect();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        if entry.is_dir() {
            continue;
        }
        let name = entry.name()?.into_owned();
        let Some((from, to)) = contents.destination(&name) else {
            continue;
        };
        // Written by others, so a path that leads out of the folder is not
        // followed, hash or no hash.
        let inside = Path::new(&to)
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        ensure!(inside, "{name} leads out of its folder");
        let path = target.join(&to);
        write(&mut entry, &path).with_context(|| format!("cannot write {}", path.display()))?;
        missing.remove(from);
        manifest.add(to, entry.size());
    }
    let missing: Vec<_> = missing.into_iter().collect();
    ensure!(
        missing.is_empty(),
        "it does not hold {}",
        missing.join(", ")
    );
    Ok(())
}

fn write(entry: &mut impl io::Read, path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    io::copy(entry, &mut File::create(path)?)?;
    Ok(())
}

impl Contents {
    /// The rule that a file of the wheel falls under, and where it goes.
    fn destination(&self, file: &str) -> Option<(&'static str, String)> {
        if let Some((from, to)) = self.files.iter().find(|(from, _)| *from == file) {
            return Some((from, (*to).to_owned()));
        }
        let in_folder = |(from, to): &(&'static str, &str)| {
            Some((*from, format!("{to}{}", file.strip_prefix(from)?)))
        };
        self.folders.iter().find_map(in_folder)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;

    use zip::write::SimpleFileOptions;
    use zip::{CompressionMethod, ZipWriter};

    use super::*;
    use crate::requirements;

    /// A wheel with the given files.
    pub(crate) fn make_wheel(path: &Path, method: CompressionMethod, files: &[(&str, &str)]) {
        let mut wheel = ZipWriter::new(File::create(path).unwrap());
        for (name, text) in files {
            let options = SimpleFileOptions::default().compression_method(method);
            wheel.start_file(*name, options).unwrap();
            wheel.write_all(text.as_bytes()).unwrap();
        }
        wheel.finish().unwrap();
    }

    /// Three tiny wheels with all that is looked for, and some more.
    pub(crate) fn make_wheels(downloads: &Path) {
        let deflated = CompressionMethod::Deflated;
        make_wheel(
            &downloads.join("torch-2.11.0-cp312-cp312-any.whl"),
            deflated,
            &[
                ("torch/include/", ""),
                ("torch/include/torch/script.h", "#pragma once\n"),
                ("torch/lib/libtorch_cpu.so", &"library ".repeat(1000)),
                ("torch/lib/libc10.so", "c10"),
                ("torch/lib/libgomp.so.1", "gomp"),
                ("torch/lib/libtorch_cuda.so", "large"),
                ("torch/__init__.py", "import"),
            ],
        );
        make_wheel(
            &downloads.join("nvidia_cuda_runtime-13.0.96-py3-none-any.whl"),
            deflated,
            &[("nvidia/cu13/lib/libcudart.so.13", "cudart")],
        );
        make_wheel(
            &downloads.join("nvidia_cuda_cupti-13.0.85-py3-none-any.whl"),
            deflated,
            &[("nvidia/cu13/lib/libcupti.so.13", "cupti")],
        );
    }

    fn requirements() -> Vec<Requirement> {
        requirements::parse(include_str!("../libtorch.txt")).unwrap()
    }

    #[test]
    fn wheels_become_a_libtorch() {
        let downloads = tempfile::tempdir().unwrap();
        let target = tempfile::tempdir().unwrap();
        make_wheels(downloads.path());
        unpack_all(
            LIBTORCH_FOR_THE_CPU,
            &requirements(),
            downloads.path(),
            target.path(),
        )
        .unwrap();

        let read = |file| fs::read_to_string(target.path().join(file)).unwrap();
        assert_eq!(read("include/torch/script.h"), "#pragma once\n");
        assert_eq!(read("lib/libtorch_cpu.so"), "library ".repeat(1000));
        assert_eq!(read("lib/libcudart.so.13"), "cudart");
        assert_eq!(read("lib/libtorch.so"), "INPUT(-ltorch_cpu)\n");
        assert_eq!(read("build-version"), "2.11.0\n");
        assert!(!target.path().join("lib/libtorch_cuda.so").exists());
        assert_eq!(downloads.path().read_dir().unwrap().count(), 0);
        Manifest::check(target.path()).unwrap();
    }

    #[test]
    fn wheel_without_an_expected_file_is_refused() {
        let downloads = tempfile::tempdir().unwrap();
        make_wheels(downloads.path());
        let wheel = downloads.path().join("torch-2.11.0-cp312-cp312-any.whl");
        let files = [("torch/lib/libc10.so", ""), ("torch/include/a.h", "")];
        make_wheel(&wheel, CompressionMethod::Deflated, &files);
        let target = tempfile::tempdir().unwrap();
        let result = unpack_all(
            LIBTORCH_FOR_THE_CPU,
            &requirements(),
            downloads.path(),
            target.path(),
        );
        let text = format!("{:#}", result.unwrap_err());
        assert!(text.contains("does not hold torch/lib/libgomp.so.1, torch/lib/libtorch_cpu.so"));
        assert!(text.contains(&wheel.display().to_string()), "{text}");
        assert!(!target.path().join("manifest").exists());
    }

    #[test]
    fn absent_wheel_is_named() {
        let downloads = tempfile::tempdir().unwrap();
        make_wheels(downloads.path());
        fs::remove_file(
            downloads
                .path()
                .join("nvidia_cuda_cupti-13.0.85-py3-none-any.whl"),
        )
        .unwrap();
        let target = tempfile::tempdir().unwrap();
        let result = unpack_all(
            LIBTORCH_FOR_THE_CPU,
            &requirements(),
            downloads.path(),
            target.path(),
        );
        assert!(
            result
                .unwrap_err()
                .to_string()
                .contains("no wheel of nvidia-cuda-cupti")
        );
    }

    #[test]
    fn changed_byte_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = folder.path().join("a.whl");
        let text = "the contents of a header";
        make_wheel(
            &wheel,
            CompressionMethod::Stored,
            &[("torch/include/a.h", text)],
        );
        let mut bytes = fs::read(&wheel).unwrap();
        let at = bytes
            .windows(text.len())
            .position(|w| w == text.as_bytes())
            .unwrap();
        bytes[at] ^= 1;
        fs::write(&wheel, bytes).unwrap();

        let contents = Contents {
            package: "a",
            folders: &[("torch/include/", "include/")],
            files: &[],
        };
        let target = folder.path().join("target");
        let result = unpack(&contents, &wheel, &target, &mut Manifest::default());
        assert!(format!("{:#}", result.unwrap_err()).contains("hecksum"));
    }

    #[test]
    fn paths_do_not_lead_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = folder.path().join("a.whl");
        let files = [("torch/include/../../outside.h", "")];
        make_wheel(&wheel, CompressionMethod::Stored, &files);
        let contents = Contents {
            package: "a",
            folders: &[("torch/include/", "include/")],
            files: &[],
        };
        let target = folder.path().join("target");
        let result = unpack(&contents, &wheel, &target, &mut Manifest::default());
        assert!(
            result
                .unwrap_err()
                .to_string()
                .contains("leads out of its folder")
        );
        assert!(!folder.path().join("outside.h").exists());
    }
}
