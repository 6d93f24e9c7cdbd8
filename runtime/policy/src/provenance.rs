use serde_core::de::DeserializeOwned;
use serde_core::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::tree::Tree;
use crate::{PolicyError, PolicyErrorKind};

/// Facts about a policy's origin: keys with values of any form, which are kept as they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Provenance(Map<String, Value>);

impl Provenance {
    /// No facts.
    pub fn new() -> Self {
        Self::default()
    }

    /// The fields of a structure, or the entries of a map.
    ///
    /// ```
    /// use std::collections::BTreeMap;
    ///
    /// let facts = BTreeMap::from([("source", "written by hand")]);
    /// let provenance = faa_policy::Provenance::from_facts(&facts)?;
    /// assert_eq!(provenance.get("source"), Some("written by hand".to_owned()));
    /// assert_eq!(provenance.get::<u32>("source"), None);
    /// # Ok::<(), faa_policy::PolicyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`PolicyErrorKind::WrongType`] if the facts are neither,
    /// [`PolicyErrorKind::NotJson`] if they cannot be represented in JSON.
    pub fn from_facts(facts: &impl Serialize) -> Result<Self, PolicyError> {
        let (path, expected) = ("provenance", "an object");
        match to_value(path, facts)? {
            Value::Object(facts) => Ok(Self(facts)),
            _ => Err(PolicyError::new(
                path,
                PolicyErrorKind::WrongType { expected },
            )),
        }
    }

    /// Adds a fact, or replaces the one that has this key.
    ///
    /// # Errors
    ///
    /// [`PolicyErrorKind::NotJson`] if the value cannot be represented in JSON.
    pub fn insert(
        &mut self,
        key: impl Into<String>,
        value: &impl Serialize,
    ) -> Result<(), PolicyError> {
        let key = key.into();
        let value = to_value(&format!("provenance.{key}"), value)?;
        self.0.insert(key, value);
        Ok(())
    }

    /// The value of a key; `None` if there is none, or none of this type.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        T::deserialize(self.0.get(key)?).ok()
    }

    /// All keys.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(crate) fn from_entries(entries: &[(String, Tree)]) -> Self {
        let entries = entries.iter().cloned();
        Self(entries.map(|(key, tree)| (key, tree.into())).collect())
    }

    /// The facts as JSON over several lines.
    pub(crate) fn to_lines(&self) -> String {
        format!("{:#}", Value::Object(self.0.clone()))
    }
}

fn to_value(path: &str, value: &impl Serialize) -> Result<Value, PolicyError> {
    let error = |error: serde_json::Error| PolicyErrorKind::NotJson(error.to_string());
    serde_json::to_value(value).map_err(|cause| PolicyError::new(path, error(cause)))
}

impl Serialize for Provenance {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}
