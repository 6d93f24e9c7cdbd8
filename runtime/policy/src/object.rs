//! Objects of a file that know their paths in it.

use std::fmt;

use crate::tree::Tree;
use crate::{PolicyError, PolicyErrorKind};

/// The keys and indices that lead to a value in a file.
#[derive(Clone)]
pub(crate) struct JsonPath(String);

impl JsonPath {
    pub(crate) fn root() -> Self {
        Self(String::new())
    }

    pub(crate) fn item(&self, index: usize) -> Self {
        Self(format!("{self}[{index}]"))
    }

    pub(crate) fn key(&self, key: &str) -> Self {
        let dot = if self.0.is_empty() { "" } else { "." };
        Self(format!("{self}{dot}{key}"))
    }

    pub(crate) fn error(&self, kind: PolicyErrorKind) -> PolicyError {
        PolicyError::new(self.0.clone(), kind)
    }

    pub(crate) fn wrong_type(&self, expected: &'static str) -> PolicyError {
        self.error(PolicyErrorKind::WrongType { expected })
    }

    /// The value, if it lies in a range, both ends included.
    pub(crate) fn within(&self, value: f64, low: f64, high: f64) -> Result<f64, PolicyError> {
        match (low..=high).contains(&value) {
            true => Ok(value),
            false => Err(self.error(PolicyErrorKind::OutOfRange { value, low, high })),
        }
    }

    pub(crate) fn unit_interval(&self, value: f64) -> Result<f64, PolicyError> {
        self.within(value, 0.0, 1.0)
    }

    pub(crate) fn finite(&self, value: f64) -> Result<f64, PolicyError> {
        match value.is_finite() {
            true => Ok(value),
            false => Err(self.error(PolicyErrorKind::NotFinite { value })),
        }
    }

    pub(crate) fn not_empty<'a, T>(&self, list: &'a [T]) -> Result<&'a [T], PolicyError> {
        match list {
            [] => Err(self.error(PolicyErrorKind::Empty)),
            list => Ok(list),
        }
    }

    pub(crate) fn number(&self, tree: &Tree) -> Result<f64, PolicyError> {
        (tree.as_number()).ok_or_else(|| self.wrong_type("a number"))
    }

    pub(crate) fn text<'a>(&self, tree: &'a Tree) -> Result<&'a str, PolicyError> {
        match tree {
            Tree::Text(text) => Ok(text),
            _ => Err(self.wrong_type("a string")),
        }
    }

    pub(crate) fn list_of<'a>(
        &self,
        tree: &'a Tree,
        expected: &'static str,
    ) -> Result<&'a [Tree], PolicyError> {
        match tree {
            Tree::List(list) => Ok(list),
            _ => Err(self.wrong_type(expected)),
        }
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A JSON object that knows its path in the file.
pub(crate) struct Object<'a> {
    path: JsonPath,
    entries: &'a [(String, Tree)],
}

impl<'a> Object<'a> {
    pub(crate) fn new(path: JsonPath, tree: &'a Tree) -> Result<Self, PolicyError> {
        match tree {
            Tree::Object(entries) => Ok(Self { path, entries }),
            _ => Err(path.wrong_type("an object")),
        }
    }

    pub(crate) fn path_of(&self, key: &str) -> JsonPath {
        self.path.key(key)
    }

    pub(crate) fn entries(&self) -> &'a [(String, Tree)] {
        self.entries
    }

    pub(crate) fn allow(&self, keys: &[&str]) -> Result<(), PolicyError> {
        let unknown = |(key, _): &&(String, Tree)| !keys.contains(&key.as_str());
        match self.entries.iter().find(unknown) {
            Some((key, _)) => Err(self.error(key, PolicyErrorKind::UnknownKey)),
            None => Ok(()),
        }
    }

    pub(crate) fn find(&self, key: &str) -> Option<&'a Tree> {
        let (_, value) = self.entries.iter().find(|(own, _)| own == key)?;
        Some(value)
    }

    pub(crate) fn get(&self, key: &str) -> Result<&'a Tree, PolicyError> {
        self.find(key)
            .ok_or_else(|| self.error(key, PolicyErrorKind::Missing))
    }

    /// What `read` makes of a key that may be omitted.
    pub(crate) fn optional<T>(
        &self,
        key: &str,
        read: impl Fn(&Self, &str) -> Result<T, PolicyError>,
    ) -> Result<Option<T>, PolicyError> {
        self.find(key).map(|_| read(self, key)).transpose()
    }

    pub(crate) fn string(&self, key: &str) -> Result<&'a str, PolicyError> {
        self.path_of(key).text(self.get(key)?)
    }

    pub(crate) fn bool(&self, key: &str) -> Result<bool, PolicyError> {
        match self.get(key)? {
            Tree::Bool(value) => Ok(*value),
            _ => Err(self.wrong_type(key, "true or false")),
        }
    }

    pub(crate) fn list_or_empty(&self, key: &str) -> Result<&'a [Tree], PolicyError> {
        self.path_of(key).list_of(self.get(key)?, "a list")
    }

    pub(crate) fn list(&self, key: &str) -> Result<&'a [Tree], PolicyError> {
        self.path_of(key).not_empty(self.list_or_empty(key)?)
    }

    pub(crate) fn f64(&self, key: &str) -> Result<f64, PolicyError> {
        self.path_of(key).number(self.get(key)?)
    }

    pub(crate) fn unit_interval(&self, key: &str) -> Result<f64, PolicyError> {
        self.path_of(key).unit_interval(self.f64(key)?)
    }

    pub(crate) fn u64(&self, key: &str) -> Result<u64, PolicyError> {
        match self.get(key)? {
            Tree::Unsigned(value) => Ok(*value),
            _ => Err(self.wrong_type(key, "a non-negative integer of at most 64 bits")),
        }
    }

    pub(crate) fn usize(&self, key: &str) -> Result<usize, PolicyError> {
        self.integer(key, usize::MAX as f64)
    }

    pub(crate) fn u32(&self, key: &str) -> Result<u32, PolicyError> {
        self.integer(key, u32::MAX.into())
    }

    pub(crate) fn integer<T: TryFrom<u64>>(&self, key: &str, high: f64) -> Result<T, PolicyError> {
        let integer = self.u64(key)?;
        let (value, low) = (integer as f64, 0.0);
        let error = |_| self.error(key, PolicyErrorKind::OutOfRange { value, low, high });
        T::try_from(integer).map_err(error)
    }

    pub(crate) fn error(&self, key: &str, kind: PolicyErrorKind) -> PolicyError {
        self.path_of(key).error(kind)
    }

    pub(crate) fn wrong_type(&self, key: &str, expected: &'static str) -> PolicyError {
        self.path_of(key).wrong_type(expected)
    }
}

impl Tree {
    pub(crate) fn as_number(&self) -> Option<f64> {
        match self {
            Self::Unsigned(value) => Some(*value as f64),
            Self::Signed(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }
}
