use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;

use serde_core::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::{MAX_BYTES, MAX_DEPTH, PolicyError, PolicyErrorKind, misread};

/// JSON as it is in the file: keys in their order.
///
/// `serde_json::Value` would silently keep the last of two equal keys.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tree {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(String),
    List(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

/// Reads a file within bounds, in which no object has a key twice.
pub(crate) fn read(json: &[u8]) -> Result<Tree, PolicyError> {
    let error = |kind| PolicyError::new("", kind);
    if json.len() > MAX_BYTES {
        return Err(error(PolicyErrorKind::TooLarge { bytes: json.len() }));
    }
    if let Some(kind) = misread::encoding(json) {
        return Err(error(kind));
    }
    let too_deep = Cell::new(false);
    let mut reader = serde_json::Deserializer::from_slice(json);
    let tree = Node::root(&too_deep)
        .deserialize(&mut reader)
        .and_then(|tree| reader.end().map(|()| tree))
        .map_err(|found| {
            error(if too_deep.get() {
                PolicyErrorKind::TooDeep
            } else {
                misread::not_json(json, &found)
            })
        })?;
    if let Tree::Text(text) = &tree
        && let Some(kind) = misread::configuration(text)
    {
        return Err(error(kind));
    }
    check_keys(&tree)?;
    Ok(tree)
}

/// Reads part of a larger text, within the same bounds.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(reader: D) -> Result<Tree, D::Error> {
    let tree = Node::root(&Cell::new(false)).deserialize(reader)?;
    check_keys(&tree).map_err(D::Error::custom)?;
    let bytes = tree.to_string().len();
    match bytes > MAX_BYTES {
        true => Err(D::Error::custom(PolicyErrorKind::TooLarge { bytes })),
        false => Ok(tree),
    }
}

fn check_keys(tree: &Tree) -> Result<(), PolicyError> {
    match duplicate_key(tree) {
        Some(path) => Err(PolicyError::new(path, PolicyErrorKind::DuplicateKey)),
        None => Ok(()),
    }
}

/// The path of a key that its object has twice, relative to `tree`.
fn duplicate_key(tree: &Tree) -> Option<String> {
    let join = |start: String, below: String| {
        let dot = if below.starts_with('[') { "" } else { "." };
        format!("{start}{dot}{below}")
    };
    match tree {
        Tree::List(list) => (list.iter().enumerate())
            .find_map(|(index, item)| Some(join(format!("[{index}]"), duplicate_key(item)?))),
        Tree::Object(entries) => {
            let mut seen = BTreeSet::new();
            entries.iter().find_map(|(key, value)| {
                if !seen.insert(key) {
                    return Some(key.clone());
                }
                Some(join(key.clone(), duplicate_key(value)?))
            })
        }
        _ => None,
    }
}

impl From<Tree> for Value {
    fn from(tree: Tree) -> Self {
        match tree {
            Tree::Null => Self::Null,
            Tree::Bool(value) => value.into(),
            Tree::Unsigned(value) => value.into(),
            Tree::Signed(value) => value.into(),
            Tree::Float(value) => value.into(),
            Tree::Text(value) => value.into(),
            Tree::List(list) => list.into_iter().map(Self::from).collect(),
            Tree::Object(entries) => entries.into_iter().collect(),
        }
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Value::from(self.clone()).fmt(f)
    }
}

/// Reads one value.
struct Node<'a> {
    /// How many levels may lie below.
    levels: usize,
    too_deep: &'a Cell<bool>,
}

impl<'a> Node<'a> {
    fn root(too_deep: &'a Cell<bool>) -> Self {
        let levels = MAX_DEPTH;
        Self { levels, too_deep }
    }

    /// Makes the readers for the elements of a list or an object.
    fn below<E: Error>(&self) -> Result<impl Fn() -> Self, E> {
        let Some(levels) = self.levels.checked_sub(1) else {
            self.too_deep.set(true);
            return Err(E::custom(PolicyErrorKind::TooDeep));
        };
        let too_deep = self.too_deep;
        Ok(move || Self { levels, too_deep })
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Tree;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Tree, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Unsigned(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Signed(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let below = self.below()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(below())? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let below = self.below()?;
        let mut entries = Vec::new();
        while let Some(key) = items.next_key::<String>()? {
            entries.push((key, items.next_value_seed(below())?));
        }
        Ok(Tree::Object(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_their_order_and_numbers_their_kind() {
        let tree = read(br#"{"z": [null, true, 1, -1, 1.0, "t"], "a": {}}"#).unwrap();
        let list = vec![
            Tree::Null,
            Tree::Bool(true),
            Tree::Unsigned(1),
            Tree::Signed(-1),
            Tree::Float(1.0),
            Tree::Text("t".into()),
        ];
        let entries = vec![
            ("z".into(), Tree::List(list)),
            ("a".into(), Tree::Object(Vec::new())),
        ];
        assert_eq!(tree, Tree::Object(entries));
    }
}
