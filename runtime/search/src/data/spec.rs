use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Which data set to load: what follows `--data`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DataSpec {
    /// `glyphs` or `glyphs:SEED`: the built-in set of small shapes.
    Glyphs {
        /// What the pictures are drawn from; 0 where none is given.
        seed: u64,
    },
    /// `folder:DIR`: `DIR/train/<class>/*` and `DIR/test/<class>/*`.
    Folder(PathBuf),
}

/// Why a text names no data set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseDataSpecError {
    /// The text has none of the known forms.
    #[error(
        "`{given}` names no data set; the known forms are `glyphs`, `glyphs:SEED` and `folder:DIR`"
    )]
    UnknownForm {
        /// The text.
        given: String,
    },
    /// What follows `glyphs:` is no seed.
    #[error(
        "`{given}` is no seed for `glyphs:SEED`; give a whole number from 0 to {max}",
        max = u64::MAX
    )]
    Seed {
        /// What stands in the seed's place.
        given: String,
    },
    /// Nothing follows `folder:`.
    #[error("`folder:` names no folder; give one, as in `folder:DIR`")]
    NoFolder,
}

impl FromStr for DataSpec {
    type Err = ParseDataSpecError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Only the first colon divides, so that `folder:C:\pictures` names a folder.
        match text.split_once(':') {
            None if text == "glyphs" => Ok(Self::Glyphs { seed: 0 }),
            Some(("glyphs", seed)) => match seed.parse() {
                Ok(seed) => Ok(Self::Glyphs { seed }),
                Err(_) => Err(ParseDataSpecError::Seed { given: seed.into() }),
            },
            Some(("folder", "")) => Err(ParseDataSpecError::NoFolder),
            Some(("folder", folder)) => Ok(Self::Folder(folder.into())),
            _ => Err(ParseDataSpecError::UnknownForm { given: text.into() }),
        }
    }
}

impl fmt::Display for DataSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Glyphs { seed: 0 } => f.write_str("glyphs"),
            Self::Glyphs { seed } => write!(f, "glyphs:{seed}"),
            Self::Folder(folder) => write!(f, "folder:{}", folder.display()),
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
        ];
        for (text, spec) in cases {
            assert_eq!(text.parse(), Ok(spec.clone()));
            assert_eq!(spec.to_string(), text);
        }
    }

    #[test]
    fn the_seed_left_out_is_0() {
        assert_eq!("glyphs:0".parse::<DataSpec>(), "glyphs".parse());
    }

    #[test]
    fn other_texts_are_refused_by_kind() {
        for text in ["", "glyph", "Glyphs", "imagenet:DIR", ":", "folder"] {
            let error = text.parse::<DataSpec>().unwrap_err();
            assert_eq!(
                error,
                ParseDataSpecError::UnknownForm { given: text.into() }
            );
            for form in ["`glyphs`", "`glyphs:SEED`", "`folder:DIR`"] {
                assert!(error.to_string().contains(form), "{error}");
            }
        }
        for seed in ["", "x", "-1", "1.5", "18446744073709551616"] {
            let error = format!("glyphs:{seed}").parse::<DataSpec>().unwrap_err();
            assert_eq!(error, ParseDataSpecError::Seed { given: seed.into() });
        }
        assert_eq!(
            "folder:".parse::<DataSpec>(),
            Err(ParseDataSpecError::NoFolder)
        );
    }
}
