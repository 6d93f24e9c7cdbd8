use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::error::Error;
use core::fmt;

use crate::Op;

/// The ops that a program knows, by name: built-in, custom, and from plugins.
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
    /// [`DuplicateOp`] if the set already has an op of that name; the set is unchanged.
    pub fn insert(&mut self, op: Arc<dyn Op>) -> Result<(), DuplicateOp> {
        self.insert_all([op])
    }

    /// Adds ops at the end: all of them, or none.
    ///
    /// # Errors
    ///
    /// [`DuplicateOp`] if two of the ops and those of the set have one name; the set is unchanged.
    pub fn insert_all(
        &mut self,
        ops: impl IntoIterator<Item = Arc<dyn Op>>,
    ) -> Result<(), DuplicateOp> {
        let before = self.ops.len();
        for op in ops {
            let name = op.spec().name();
            if self.get(name).is_some() {
                let name = name.to_string();
                self.ops.truncate(before);
                return Err(DuplicateOp { name });
            }
            self.ops.push(op);
        }
        Ok(())
    }

    /// Replaces the op of that name, or adds it at the end if there is none.
    pub fn replace(&mut self, op: Arc<dyn Op>) {
        match self.position(op.spec().name()) {
            Some(index) => self.ops[index] = op,
            None => self.ops.push(op),
        }
    }

    /// The op of that name; upper and lower case differ.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Op>> {
        self.position(name).map(|index| &self.ops[index])
    }

    /// All ops, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Op>> {
        self.ops.iter()
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.ops.iter().position(|op| op.spec().name() == name)
    }
}

impl fmt::Debug for OpSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|op| op.spec().name()))
            .finish()
    }
}

/// Two ops have this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuplicateOp {
    name: String,
}

impl DuplicateOp {
    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for DuplicateOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is already an op named `{}`", self.name)
    }
}

impl Error for DuplicateOp {}

#[cfg(test)]
mod tests {
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
        let again = set.insert(Arc::new(Named(OpSpec::new("B", "again"))));
        assert_eq!(again.unwrap_err().name(), "B");
        let op = |name| -> Arc<dyn Op> { Arc::new(Named(OpSpec::new(name, ""))) };
        assert!(set.insert_all([op("C"), op("A")]).is_err());
        set.replace(Arc::new(Named(OpSpec::new("B", "replaced"))));
        let names: Vec<_> = set.iter().map(|op| op.spec().name()).collect();
        assert_eq!(names, ["B", "A"]);
        assert_eq!(set.get("B").unwrap().spec().summary(), "replaced");
        assert!(set.get("b").is_none());
    }
}
