//! The names of data sets.

use std::path::{self, Path, PathBuf};
use std::str::FromStr;
use std::{fmt, io};

use faa_system::expand_home;

use crate::error::{DataError, DataErrorKind, name};

/// Which data set to load, as after `--data`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DataSpec {
    /// `glyphs` or `glyphs:shifted`, each followed by `:SEED` or not: a built-in set of small shapes.
    Glyphs {
        /// Whether it is `glyphs:shifted`, the set whose test images vary more than its training images.
        shifted: bool,
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
    /// `coco:IMAGES,FILE.json`: a folder of images, and boxes, outlines and keypoints of its objects.
    Coco {
        /// The folder of the images.
        images: PathBuf,
        /// The annotations.
        annotations: PathBuf,
    },
    /// `yolo:DIR`: `DIR/images/<split>/*` and `DIR/labels/<split>/*.txt`, or `DIR/<split>/images/*` and so on.
    Yolo(PathBuf),
    /// `masks:DIR`: the same with masks, `DIR/masks/<split>/*.png`.
    Masks(PathBuf),
}

impl DataSpec {
    /// The same data set by an absolute path, which names it from any working folder. Links and `..` stay.
    ///
    /// # Errors
    ///
    /// If the path is relative and the working folder is not available.
    pub fn absolute(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Glyphs { .. } => self.clone(),
            Self::Folder(folder) => Self::Folder(absolute(folder)?),
            Self::Tar(file) => Self::Tar(absolute(file)?),
            Self::Cifar10(folder) => Self::Cifar10(absolute(folder)?),
            Self::Cifar100(folder) => Self::Cifar100(absolute(folder)?),
            Self::Coco {
                images,
                annotations,
            } => Self::Coco {
                images: absolute(images)?,
                annotations: absolute(annotations)?,
            },
            Self::Yolo(folder) => Self::Yolo(absolute(folder)?),
            Self::Masks(folder) => Self::Masks(absolute(folder)?),
        })
    }
}

/// An absolute path without a separator at its end, so that `pets/` and `pets` are one name.
fn absolute(path: &Path) -> io::Result<PathBuf> {
    Ok(path::absolute(path)?.components().collect())
}

impl FromStr for DataSpec {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Only the first colon divides, so that `folder:C:\pictures` names a folder.
        let (form, value) = text.split_once(':').unwrap_or((text, ""));
        let path = |of: fn(PathBuf) -> Self, placeholder| match value {
            "" if text.contains(':') => Err(invalid(format!(
                "a path is missing; give one, as in `{form}:{placeholder}`"
            ))),
            "" => unknown(text),
            path => Ok(of(expand_home(Path::new(path)))),
        };
        match form {
            "glyphs" => glyphs(text),
            "folder" => path(Self::Folder, "DIR"),
            "tar" => path(Self::Tar, "FILE"),
            "cifar10" => path(Self::Cifar10, "DIR"),
            "cifar100" => path(Self::Cifar100, "DIR"),
            "coco" => coco(value),
            "yolo" => path(Self::Yolo, "DIR"),
            "masks" => path(Self::Masks, "DIR"),
            _ => unknown(text),
        }
    }
}

fn glyphs(text: &str) -> Result<DataSpec, DataError> {
    let shifted = text.strip_prefix("glyphs:shifted");
    // In `glyphs:shiftedX`, the whole of `shiftedX` is taken for the seed.
    let shifted = shifted.filter(|rest| rest.is_empty() || rest.starts_with(':'));
    let (form, rest) = match shifted {
        Some(rest) => ("glyphs:shifted", rest),
        None => ("glyphs", &text["glyphs".len()..]),
    };
    let seed = match rest.strip_prefix(':') {
        None => 0,
        Some(seed) => seed.parse().map_err(|_| {
            invalid(format!(
                "`{}` is not a seed for `{form}:SEED`; give a whole number from 0 to {}",
                name(seed),
                u64::MAX
            ))
        })?,
    };
    Ok(DataSpec::Glyphs {
        shifted: shifted.is_some(),
        seed,
    })
}

/// The folder and the file of `coco:IMAGES,FILE.json`; the last comma divides.
fn coco(value: &str) -> Result<DataSpec, DataError> {
    let parts = value.rsplit_once(',');
    match parts.filter(|(images, annotations)| !images.is_empty() && !annotations.is_empty()) {
        Some((images, annotations)) => Ok(DataSpec::Coco {
            images: expand_home(Path::new(images)),
            annotations: expand_home(Path::new(annotations)),
        }),
        None => Err(invalid(
            "a folder of images and a file are needed; give both, as in `coco:IMAGES,FILE.json`"
                .to_owned(),
        )),
    }
}

fn unknown(text: &str) -> Result<DataSpec, DataError> {
    Err(invalid(format!(
        "`{}` is not a data set; the known forms are `glyphs`, `glyphs:SEED`, `glyphs:shifted`, \
         `glyphs:shifted:SEED`, `folder:DIR`, `tar:FILE`, `cifar10:DIR`, `cifar100:DIR`, `coco:IMAGES,FILE.json`, \
         `yolo:DIR` and `masks:DIR`",
        name(text)
    )))
}

fn invalid(message: String) -> DataError {
    DataError::new(DataErrorKind::Usage, message)
}

impl fmt::Display for DataSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Glyphs { shifted, seed } => {
                f.write_str(if *shifted { "glyphs:shifted" } else { "glyphs" })?;
                match seed {
                    0 => Ok(()),
                    seed => write!(f, ":{seed}"),
                }
            }
            Self::Folder(folder) => write!(f, "folder:{}", folder.display()),
            Self::Tar(file) => write!(f, "tar:{}", file.display()),
            Self::Cifar10(folder) => write!(f, "cifar10:{}", folder.display()),
            Self::Cifar100(folder) => write!(f, "cifar100:{}", folder.display()),
            Self::Coco {
                images,
                annotations,
            } => write!(f, "coco:{},{}", images.display(), annotations.display()),
            Self::Yolo(folder) => write!(f, "yolo:{}", folder.display()),
            Self::Masks(folder) => write!(f, "masks:{}", folder.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_survives_a_round_trip() {
        let glyphs = |shifted, seed| DataSpec::Glyphs { shifted, seed };
        let cases = [
            ("glyphs", glyphs(false, 0)),
            ("glyphs:7", glyphs(false, 7)),
            ("glyphs:18446744073709551615", glyphs(false, u64::MAX)),
            ("glyphs:shifted", glyphs(true, 0)),
            ("glyphs:shifted:7", glyphs(true, 7)),
            ("folder:cats", DataSpec::Folder("cats".into())),
            (r"folder:C:\my cats", DataSpec::Folder(r"C:\my cats".into())),
            ("tar:cats.tar", DataSpec::Tar("cats.tar".into())),
            ("cifar10:data", DataSpec::Cifar10("data".into())),
            ("cifar100:a:b", DataSpec::Cifar100("a:b".into())),
            ("yolo:a:b", DataSpec::Yolo("a:b".into())),
            ("masks:a:b", DataSpec::Masks("a:b".into())),
            (
                "coco:a,b/c,d.json",
                DataSpec::Coco {
                    images: "a,b/c".into(),
                    annotations: "d.json".into(),
                },
            ),
        ];
        for (text, spec) in cases {
            assert_eq!(text.parse::<DataSpec>().unwrap(), spec);
            assert_eq!(spec.to_string(), text);
        }
    }

    #[test]
    fn a_path_may_begin_with_the_home_folder() {
        for text in ["folder:~/cats", "tar:~/cats"] {
            let (form, path) = text.split_once(':').unwrap();
            let spec: DataSpec = text.parse().unwrap();
            let expected = expand_home(Path::new(path));
            assert_eq!(spec.to_string(), format!("{form}:{}", expected.display()));
        }
    }

    #[test]
    fn an_absolute_path_is_that_of_the_same_data_set() {
        let working = std::env::current_dir().unwrap();
        for form in ["folder", "tar", "cifar10", "cifar100", "yolo", "masks"] {
            let absolute = |text: String| {
                let spec: DataSpec = text.parse().unwrap();
                spec.absolute().unwrap().to_string()
            };
            let expected = format!("{form}:{}", working.join("a:b").display());
            assert_eq!(absolute(format!("{form}:a:b")), expected);
            assert_eq!(absolute(expected.clone()), expected);
            assert_eq!(absolute(format!("{form}:a:b/")), expected);
        }
        let coco: DataSpec = "coco:a/,b".parse().unwrap();
        let expected = format!("coco:{0}/a,{0}/b", working.display());
        assert_eq!(coco.absolute().unwrap().to_string(), expected);
        let glyphs = DataSpec::Glyphs {
            shifted: true,
            seed: 7,
        };
        assert_eq!(glyphs.absolute().unwrap(), glyphs);
    }

    #[test]
    fn an_omitted_seed_is_0() {
        for form in ["glyphs", "glyphs:shifted"] {
            let parsed = format!("{form}:0").parse::<DataSpec>().unwrap();
            assert_eq!(parsed, form.parse().unwrap());
        }
    }

    #[test]
    fn other_texts_are_refused_by_kind() {
        let refusal = |text: &str| {
            let error = text.parse::<DataSpec>().unwrap_err();
            assert_eq!(error.kind(), DataErrorKind::Usage);
            error.to_string()
        };
        let forms = [
            "folder:DIR",
            "tar:FILE",
            "cifar10:DIR",
            "cifar100:DIR",
            "yolo:DIR",
            "masks:DIR",
        ];
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
            let error = refusal(text);
            assert!(
                error.starts_with(&format!("`{text}` is not a data set;")),
                "{error}"
            );
            let glyphs = [
                "glyphs",
                "glyphs:SEED",
                "glyphs:shifted",
                "glyphs:shifted:SEED",
            ];
            for form in glyphs.iter().chain(&forms) {
                assert!(error.contains(&format!("`{form}`")), "{error}");
            }
        }
        for form in ["glyphs", "glyphs:shifted"] {
            for seed in [
                "",
                "x",
                "-1",
                "1.5",
                "18446744073709551616",
                "shiftedly",
                "1:2",
            ] {
                let error = refusal(&format!("{form}:{seed}"));
                let expected = format!("`{seed}` is not a seed for `{form}:SEED`");
                assert!(error.starts_with(&expected), "{error}");
            }
        }
        for form in forms {
            let (name, _) = form.split_once(':').unwrap();
            let expected = format!("a path is missing; give one, as in `{form}`");
            assert_eq!(refusal(&format!("{name}:")), expected);
        }
        for text in ["coco:", "coco", "coco:a", "coco:a,", "coco:,b"] {
            let error = refusal(text);
            assert!(
                error.contains("give both, as in `coco:IMAGES,FILE.json`"),
                "{error}"
            );
        }
    }
}
