use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::error::Error;
use core::fmt;

use crate::Op;

/// The ops that a program knows, by name: built-in, custom, and from plugins.
///
/// No two names differ only in upper and lower case, so that nobody takes one op for another; to find
/// an op takes its exact name.
#[derive(Clone, Default)]
pub struct OpSet {
    ops: Vec<Arc<dyn Op>>,
}

impl OpSet {
    /// A set without ops.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an op at the end.
    ///
    /// # Errors
    ///
    /// [`DuplicateOp`] if the set already has an op of that name, in whichever case; the set is
    /// unchanged.
    pub fn insert(&mut self, op: Arc<dyn Op>) -> Result<(), DuplicateOp> {
        self.insert_all([op])
    }

    /// Adds ops at the end: all of them, or none.
    ///
    /// # Errors
    ///
    /// [`DuplicateOp`] if two of the ops and those of the set have one name, in whichever case; the
    /// set is unchanged.
    pub fn insert_all(
        &mut self,
        ops: impl IntoIterator<Item = Arc<dyn Op>>,
    ) -> Result<(), DuplicateOp> {
        let before = self.ops.len();
        for op in ops {
            let name = op.spec().name();
            if let Some(index) = self.position(name) {
                let (name, existing) = (name.into(), self.ops[index].spec().name().into());
                self.ops.truncate(before);
                return Err(DuplicateOp { name, existing });
            }
            self.ops.push(op);
        }
        Ok(())
    }

    /// Replaces the op of that name, in whichever case, or adds it at the end if there is none.
    pub fn replace(&mut self, op: Arc<dyn Op>) {
        match self.position(op.spec().name()) {
            Some(index) => self.ops[index] = op,
            None => self.ops.push(op),
        }
    }

    /// The op of that name; upper and lower case differ.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Op>> {
        self.ops.iter().find(|op| op.spec().name() == name)
    }

    /// All ops, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Op>> {
        self.ops.iter()
    }

    /// Where the op of that name is, in whichever case.
    fn position(&self, name: &str) -> Option<usize> {
        fn lowercase(name: &str) -> impl Iterator<Item = char> {
            name.chars().flat_map(char::to_lowercase)
        }
        let same = |op: &Arc<dyn Op>| lowercase(op.spec().name()).eq(lowercase(name));
        self.ops.iter().position(same)
    }
}

impl fmt::Debug for OpSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|op| op.spec().name()))
            .finish()
    }
}

/// Two ops have one name, or names that differ only in case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuplicateOp {
    name: String,
    existing: String,
}

impl DuplicateOp {
    /// The name of the op that was not added.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of the op that was there.
    pub fn existing(&self) -> &str {
        &self.existing
    }
}

impl fmt::Display for DuplicateOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, existing } = self;
        match name == existing {
            true => write!(f, "there is already an op named `{name}`"),
            false => write!(f, "the ops `{name}` and `{existing}` differ only in case"),
        }
    }
}

impl Error for DuplicateOp {}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;
    use crate::{Call, ImageMut, OpResult, OpSpec};

    /// A test double that implements only what the trait requires.
    struct Named(OpSpec);

    impl Op for Named {
        fn spec(&self) -> &OpSpec {
            &self.0
        }

        fn apply(&self, _: &mut ImageMut<'_>, _: f64, _: &mut Call<'_>) -> OpResult {
            Ok(())
        }
    }

    #[test]
    fn names_are_unique_and_keep_their_order() {
        let mut set = OpSet::new();
        for name in ["B", "A"] {
            set.insert(Arc::new(Named(OpSpec::new(name, "")))).unwrap();
        }
        let op = |name| -> Arc<dyn Op> { Arc::new(Named(OpSpec::new(name, ""))) };
        for (ops, message) in [
            (["C", "B"], "there is already an op named `B`"),
            (["C", "b"], "the ops `b` and `B` differ only in case"),
            (["É", "é"], "the ops `é` and `É` differ only in case"),
        ] {
            let error = set.insert_all(ops.map(op)).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
        set.replace(op("b"));
        assert!(set.get("b").is_some() && set.get("B").is_none());
        set.replace(Arc::new(Named(OpSpec::new("B", "replaced"))));
        let names: Vec<_> = set.iter().map(|op| op.spec().name()).collect();
        assert_eq!(names, ["B", "A"]);
        assert_eq!(set.get("B").unwrap().spec().summary(), "replaced");
        assert!(set.get("b").is_none());
    }
}
