use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;

use serde_core::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::{PolicyError, Problem};

/// The largest file that is read: 1 MiB.
pub const MAX_BYTES: usize = 1 << 20;
/// How many lists and objects may stand inside each other in a file.
pub const MAX_DEPTH: usize = 100;

/// JSON as it stands in the file: keys in their order.
///
/// `serde_json::Value` would keep the last of two equal keys without a word.
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
    let error = |problem| PolicyError::new("", problem);
    if json.len() > MAX_BYTES {
        return Err(error(Problem::TooLarge { bytes: json.len() }));
    }
    let too_deep = Cell::new(false);
    let node = Node {
        levels: MAX_DEPTH,
        too_deep: &too_deep,
    };
    let mut reader = serde_json::Deserializer::from_slice(json);
    let tree = node
        .deserialize(&mut reader)
        .and_then(|tree| reader.end().map(|()| tree))
        .map_err(|found| {
            error(if too_deep.get() {
                Problem::TooDeep
            } else {
                Problem::NotJson(found.to_string())
            })
        })?;
    match repeated_key(&tree) {
        Some(place) => Err(PolicyError::new(place, Problem::DuplicateKey)),
        None => Ok(tree),
    }
}

/// The place of a key that its object has twice, as a path from here.
fn repeated_key(tree: &Tree) -> Option<String> {
    match tree {
        Tree::List(list) => list.iter().enumerate().find_map(|(place, item)| {
            let below = repeated_key(item)?;
            let dot = if below.starts_with('[') { "" } else { "." };
            Some(format!("[{place}]{dot}{below}"))
        }),
        Tree::Object(entries) => {
            let mut seen = BTreeSet::new();
            entries.iter().find_map(|(key, value)| {
                if !seen.insert(key) {
                    return Some(key.clone());
                }
                let below = repeated_key(value)?;
                let dot = if below.starts_with('[') { "" } else { "." };
                Some(format!("{key}{dot}{below}"))
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

/// Reads one value, so many levels above the bottom.
struct Node<'a> {
    levels: usize,
    too_deep: &'a Cell<bool>,
}

impl Node<'_> {
    /// What reads the elements of a list or an object.
    fn below<E: Error>(&self) -> Result<impl Fn() -> Self, E> {
        let Some(levels) = self.levels.checked_sub(1) else {
            self.too_deep.set(true);
            return Err(E::custom("too deep"));
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

    #[test]
    fn a_key_that_stands_twice_is_found_wherever_it_is() {
        let place = |json: &str| read(json.as_bytes()).unwrap_err().place().to_owned();
        assert_eq!(place(r#"{"a": 1, "a": 1}"#), "a");
        assert_eq!(
            place(r#"{"a": [[1, {"b": {"c": 1, "d": 2, "c": 3}}]]}"#),
            "a[0][1].b.c"
        );
        assert!(read(br#"{"a": {"b": 1}, "b": 1}"#).is_ok());
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(read(nested(MAX_DEPTH).as_bytes()).is_ok());
        let error = read(nested(MAX_DEPTH + 1).as_bytes()).unwrap_err();
        assert_eq!(*error.problem(), Problem::TooDeep);
    }
}
