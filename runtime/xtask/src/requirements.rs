//! The requirements file: which wheels are fetched.

use anyhow::{Context, Result, bail, ensure};

/// A wheel, pinned to one version and to its bytes.
#[derive(Debug, PartialEq)]
pub(crate) struct Requirement {
    /// The package's name.
    pub(crate) package: String,
    /// Its version.
    pub(crate) version: String,
}

impl Requirement {
    /// Whether a file of this name is the required wheel.
    pub(crate) fn is_wheel(&self, file_name: &str) -> bool {
        let stem = format!("{}-{}-", self.package.replace('-', "_"), self.version);
        file_name.starts_with(&stem) && file_name.ends_with(".whl")
    }
}

/// Reads the part of pip's format that keeps a download reproducible: lines
/// of `package==version --hash=sha256:…`. All else is refused, an address
/// above all, so that where packages come from stays the user's choice.
pub(crate) fn parse(text: &str) -> Result<Vec<Requirement>> {
    let mut requirements = Vec::new();
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        requirements.push(parse_line(line).with_context(|| format!("line {number}: {line}"))?);
    }
    Ok(requirements)
}

fn parse_line(line: &str) -> Result<Requirement> {
    let mut words = line.split_whitespace();
    let Some((package, version)) = words.next().and_then(|word| word.split_once("==")) else {
        bail!("this is not `package==version`");
    };
    let plain = |text: &str, more: &str| {
        !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    ensure!(
        plain(package, "-_."),
        "`{package}` is not the name of a package"
    );
    ensure!(plain(version, ".+"), "`{version}` is not one version");
    let mut hashes = 0;
    for word in words {
        let hash = word.strip_prefix("--hash=sha256:").unwrap_or_default();
        let is_hash = hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit());
        ensure!(
            is_hash,
            "`{word}` is not `--hash=sha256:` and 64 hexadecimal digits"
        );
        hashes += 1;
    }
    ensure!(hashes > 0, "there is no hash");
    Ok(Requirement {
        package: package.to_owned(),
        version: version.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_file_pins_everything() {
        let requirements = parse(include_str!("../libtorch.txt")).unwrap();
        let packages: Vec<_> = requirements.iter().map(|r| r.package.as_str()).collect();
        assert_eq!(
            packages,
            ["torch", "nvidia-cuda-runtime", "nvidia-cuda-cupti"]
        );
    }

    #[test]
    fn what_is_not_pinned_is_refused() {
        let hash = format!("--hash=sha256:{}", "0a".repeat(32));
        for (line, complaint) in [
            (format!("torch {hash}"), "not `package==version`"),
            (format!("torch>=2 {hash}"), "not `package==version`"),
            (format!("torch==2.* {hash}"), "not one version"),
            (
                format!("torch==https://a.example/t.whl {hash}"),
                "not one version",
            ),
            (
                format!("torch@file:///t.whl=={hash} {hash}"),
                "not the name",
            ),
            ("torch==2.11.0".to_owned(), "no hash"),
            (
                "torch==2.11.0 --hash=sha256:0a".to_owned(),
                "64 hexadecimal",
            ),
            (
                format!("--index-url https://a.example torch==2 {hash}"),
                "not `package",
            ),
            (format!("torch==2.11.0 {hash} --pre"), "64 hexadecimal"),
        ] {
            let error = parse(&format!("# comment\n\n{line}\n")).unwrap_err();
            let text = format!("{error:#}");
            assert!(
                text.starts_with("line 3:") && text.contains(complaint),
                "{line}: {text}"
            );
        }
    }

    #[test]
    fn wheels_are_told_apart_by_name_and_version() {
        let requirement = Requirement {
            package: "nvidia-cuda-cupti".into(),
            version: "13.0.85".into(),
        };
        assert!(requirement.is_wheel("nvidia_cuda_cupti-13.0.85-py3-none-any.whl"));
        assert!(!requirement.is_wheel("nvidia_cuda_cupti-13.0.8-py3-none-any.whl"));
        assert!(!requirement.is_wheel("nvidia_cuda_cupti_extra-13.0.85-py3-none-any.whl"));
        assert!(!requirement.is_wheel("nvidia_cuda_cupti-13.0.85-py3-none-any.tar.gz"));
    }
}
