//! The names of data sets, and what can be chosen when one is loaded.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Which data set to load, as after `--data`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DataSpec {
    /// `glyphs` or `glyphs:SEED`: the built-in set of small shapes.
    Glyphs {
        /// The seed that the images are drawn from; 0 by default.
        seed: u64,
    },
    /// `folder:DIR`: `DIR/train/<class>/*` and `DIR/test/<class>/*`.
    Folder(PathBuf),
    /// `tar:FILE`: `train/<class>/*` and `test/<class>/*` in a tar file, which may be compressed with gzip
    /// or zstd.
    Tar(PathBuf),
    /// `cifar10:DIR`: the binary version of CIFAR-10.
    Cifar10(PathBuf),
    /// `cifar100:DIR`: the binary version of CIFAR-100, with its fine labels.
    Cifar100(PathBuf),
}

/// What can be chosen when a data set is loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// The side, in pixels, of the square that every image is cropped at the centre and scaled to.
    /// `None` keeps the images' size, which must then be the same for all.
    pub image_size: Option<u32>,
}

/// Why a text is not the name of a data set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseDataSpecError {
    /// The text has none of the known forms.
    #[error(
        "`{0}` is not a data set; the known forms are `glyphs`, `glyphs:SEED`, `folder:DIR`, \
            `tar:FILE`, `cifar10:DIR` and `cifar100:DIR`"
    )]
    UnknownForm(String),
    /// What follows `glyphs:` is not a seed.
    #[error(
        "`{0}` is not a seed for `glyphs:SEED`; give a whole number from 0 to {max}",
        max = u64::MAX
    )]
    Seed(String),
    /// The path is missing in a form such as `folder:DIR`.
    #[error("a path is missing; give one, as in `{0}`")]
    NoPath(&'static str),
}

impl FromStr for DataSpec {
    type Err = ParseDataSpecError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Only the first colon divides, so that `folder:C:\pictures` names a folder.
        match text.split_once(':') {
            None if text == "glyphs" => Ok(Self::Glyphs { seed: 0 }),
            Some(("glyphs", seed)) => match seed.parse() {
                Ok(seed) => Ok(Self::Glyphs { seed }),
                Err(_) => Err(ParseDataSpecError::Seed(seed.into())),
            },
            Some(("folder", path)) => Ok(Self::Folder(given(path, "folder:DIR")?)),
            Some(("tar", path)) => Ok(Self::Tar(given(path, "tar:FILE")?)),
            Some(("cifar10", path)) => Ok(Self::Cifar10(given(path, "cifar10:DIR")?)),
            Some(("cifar100", path)) => Ok(Self::Cifar100(given(path, "cifar100:DIR")?)),
            _ => Err(ParseDataSpecError::UnknownForm(text.into())),
        }
    }
}

fn given(path: &str, form: &'static str) -> Result<PathBuf, ParseDataSpecError> {
    if path.is_empty() {
        return Err(ParseDataSpecError::NoPath(form));
    }
    Ok(path.into())
}

impl fmt::Display for DataSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Glyphs { seed: 0 } => f.write_str("glyphs"),
            Self::Glyphs { seed } => write!(f, "glyphs:{seed}"),
            Self::Folder(folder) => write!(f, "folder:{}", folder.display()),
            Self::Tar(file) => write!(f, "tar:{}", file.display()),
            Self::Cifar10(folder) => write!(f, "cifar10:{}", folder.display()),
            Self::Cifar100(folder) => write!(f, "cifar100:{}", folder.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_survives_a_round_trip() {
        let cases = [
            ("glyphs", DataSpec::Glyphs { seed: 0 }),
            ("glyphs:7", DataSpec::Glyphs { seed: 7 }),
            (
                "glyphs:18446744073709551615",
                DataSpec::Glyphs { seed: u64::MAX },
            ),
            ("folder:cats", DataSpec::Folder("cats".into())),
            (r"folder:C:\my cats", DataSpec::Folder(r"C:\my cats".into())),
            ("tar:cats.tar", DataSpec::Tar("cats.tar".into())),
            ("cifar10:data", DataSpec::Cifar10("data".into())),
            ("cifar100:a:b", DataSpec::Cifar100("a:b".into())),
        ];
        for (text, spec) in cases {
            assert_eq!(text.parse(), Ok(spec.clone()));
            assert_eq!(spec.to_string(), text);
        }
    }

    #[test]
    fn an_omitted_seed_is_0() {
        assert_eq!("glyphs:0".parse::<DataSpec>(), "glyphs".parse());
    }

    #[test]
    fn other_texts_are_refused_by_kind() {
        let forms = ["folder:DIR", "tar:FILE", "cifar10:DIR", "cifar100:DIR"];
        for text in [
            "",
            "glyph",
            "Glyphs",
            "imagenet:DIR",
            ":",
            "folder",
            "tar",
            "cifar:x",
        ] {
            let error = text.parse::<DataSpec>().unwrap_err();
            assert_eq!(error, ParseDataSpecError::UnknownForm(text.into()));
            for form in ["glyphs", "glyphs:SEED"].iter().chain(&forms) {
                assert!(error.to_string().contains(&format!("`{form}`")), "{error}");
            }
        }
        for seed in ["", "x", "-1", "1.5", "18446744073709551616"] {
            let error = format!("glyphs:{seed}").parse::<DataSpec>().unwrap_err();
            assert_eq!(error, ParseDataSpecError::Seed(seed.into()));
        }
        for form in forms {
            let (name, _) = form.split_once(':').unwrap();
            assert_eq!(
                format!("{name}:").parse::<DataSpec>(),
                Err(ParseDataSpecError::NoPath(form))
            );
        }
    }
}
