use std::fmt;

use faa_op::{OpSet, text};

use crate::object::{JsonPath, Object};
use crate::resolve::resolve_op;
use crate::tree::{self, Tree};
use crate::{
    MAX_BYTES, Policy, PolicyError, PolicyErrorKind, SEARCHED_OPS, Step, Strength, SubPolicy,
};

/// A policy that was converted from a different format, with warnings.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Converted {
    /// The policy; [`Policy::check`] finds nothing wrong with it.
    pub policy: Policy,
    /// What the other format could not express, or meant differently.
    pub warnings: Vec<Warning>,
}

/// A difference between a converted policy and its source.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// The program that wrote the file did not keep the order of ops within a sub-policy. The policy
    /// has the order of the file.
    OrderLost,
    /// Sub-policies that are numbered from 0 to one less than their number would not have this one's
    /// number, so some may be missing in the file.
    #[non_exhaustive]
    Numbering {
        /// The sub-policy's number.
        path: String,
    },
    /// Fast AutoAugment does not search over this op, so its range may be a different one; the
    /// magnitude is taken over the range that the op has here.
    #[non_exhaustive]
    DifferentRange {
        /// The op's path in the file.
        path: String,
        /// The op's name.
        op: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OrderLost => f.write_str(
                "this format does not keep the order in which ops are applied; \
                 the policy has the order of the file",
            ),
            Self::Numbering { path } => {
                let warning = format!(
                    "{path}: not the number of a sub-policy from 0 on without gaps; some of the \
                     sub-policies may be missing"
                );
                f.write_str(&text::clean(&warning, 500))
            }
            Self::DifferentRange { path, op } => {
                let warning = format!(
                    "{path}: Fast AutoAugment does not search over `{op}`; \
                     its magnitude is taken over the range of faa-runtime's op"
                );
                f.write_str(&text::clean(&warning, 500))
            }
        }
    }
}

/// Converts a policy that a different program wrote, in one of two formats:
///
/// - the list format of Fast AutoAugment's public code, sub-policies of an op, a probability and a
///   magnitude each: `[[["Contrast", 0.83, 0.5], ["TranslateX", 0.42, 0.39]], …]`;
/// - the object format of a port of it: `{"0": {"Color": [0.79, 0.55], "Invert": [0.1, "None"]}, …}`.
///
/// Magnitudes are from 0 to 1 over the op's range. For an op without a value, the magnitude may be
/// `"None"`, `null` or a number that is ignored.
///
/// ```
/// let ops = faa_ops_builtin::builtin_ops();
/// let found = br#"[[["Contrast", 0.83, 0.5], ["TranslateX", 0.42, 0.39]]]"#;
/// let converted = faa_policy::convert(found, "mine", &ops)?;
/// assert_eq!(converted.policy.sub_policies()[0][1].op, "TranslateX");
/// assert!(converted.warnings.is_empty());
/// # Ok::<(), faa_policy::PolicyError>(())
/// ```
///
/// # Errors
///
/// Whatever is malformed, with its path in the file: unknown ops, numbers out of range, a missing
/// magnitude. Also a policy that would be too large to be read again.
pub fn convert(json: &[u8], name: &str, ops: &OpSet) -> Result<Converted, PolicyError> {
    let mut reader = Reader {
        ops,
        warnings: Vec::new(),
    };
    let (sub_policies, source) = match tree::read(json)? {
        Tree::List(list) => (
            reader.list_format(&list)?,
            "converted from the list format of Fast AutoAugment's code",
        ),
        tree => (
            reader.object_format(&tree)?,
            "converted from the object format of a port of Fast AutoAugment",
        ),
    };
    let mut policy = Policy::of_sub_policies(name, sub_policies);
    policy.provenance.insert("source", &source)?;
    let bytes = policy.to_json().len();
    if bytes > MAX_BYTES {
        return Err(PolicyError::new("", PolicyErrorKind::TooLarge { bytes }));
    }
    Ok(Converted {
        policy,
        warnings: reader.warnings,
    })
}

struct Reader<'a> {
    ops: &'a OpSet,
    warnings: Vec<Warning>,
}

impl Reader<'_> {
    fn list_format(&mut self, list: &[Tree]) -> Result<Vec<SubPolicy>, PolicyError> {
        let root = JsonPath::root();
        let mut step = |step: &Tree, path: JsonPath| {
            let expected = "a list of an op, a probability and a magnitude";
            let [op, probability, magnitude] = path.list_of(step, expected)? else {
                return Err(path.wrong_type(expected));
            };
            let op_path = path.item(0);
            let numbers = [(probability, path.item(1)), (magnitude, path.item(2))];
            self.step(op_path.text(op)?, &op_path, numbers)
        };
        let sub_policy = |(i, steps)| {
            let path = root.item(i);
            let steps = path.not_empty(path.list_of(steps, "a list of steps")?)?;
            let steps = steps.iter().enumerate();
            steps.map(|(j, own)| step(own, path.item(j))).collect()
        };
        let list = root.not_empty(list)?.iter().enumerate();
        list.map(sub_policy).collect()
    }

    fn object_format(&mut self, root: &Tree) -> Result<Vec<SubPolicy>, PolicyError> {
        let root = Object::new(JsonPath::root(), root)?;
        if root.find("format").is_some() {
            return Err(root.error("format", PolicyErrorKind::AlreadyPolicy));
        }
        let mut sub_policies = Vec::with_capacity(root.entries().len());
        for (number, steps) in JsonPath::root().not_empty(root.entries())? {
            let steps = Object::new(root.path_of(number), steps)?;
            let mut sub_policy = Vec::with_capacity(steps.entries().len());
            for (op, numbers) in root.path_of(number).not_empty(steps.entries())? {
                let path = steps.path_of(op);
                let expected = "a list of a probability and a magnitude";
                let [probability, magnitude] = path.list_of(numbers, expected)? else {
                    return Err(path.wrong_type(expected));
                };
                let numbers = [(probability, path.item(0)), (magnitude, path.item(1))];
                sub_policy.push(self.step(op, &path, numbers)?);
            }
            sub_policies.push(sub_policy);
        }
        // No key is there twice, so keys that are all below their number have no gap.
        let count = root.entries().len();
        let is_number = |key: &str| (key.parse::<usize>()).is_ok_and(|number| number < count);
        if let Some((key, _)) = root.entries().iter().find(|(key, _)| !is_number(key)) {
            let path = root.path_of(key).to_string();
            self.warnings.insert(0, Warning::Numbering { path });
        }
        if sub_policies.iter().any(|steps| steps.len() > 1) {
            self.warnings.insert(0, Warning::OrderLost);
        }
        Ok(sub_policies)
    }

    /// A step from its op, its probability and its magnitude, each with its path.
    fn step(
        &mut self,
        op: &str,
        op_path: &JsonPath,
        [probability, magnitude]: [(&Tree, JsonPath); 2],
    ) -> Result<Step, PolicyError> {
        let found = resolve_op(op, self.ops, op_path)?;
        let has_value = found.spec().value_range().is_some();
        let none = match magnitude.0 {
            Tree::Null => true,
            Tree::Text(text) => text == "None",
            _ => false,
        };
        let strength = match (has_value, none) {
            (true, true) => return Err(magnitude.1.error(PolicyErrorKind::Missing)),
            (true, false) => Strength::Magnitude(unit_interval(magnitude)?),
            (false, true) => Strength::Unstated,
            // The magnitude has no effect, but anything that is not a magnitude is a mistake.
            (false, false) => unit_interval(magnitude).map(|_| Strength::Unstated)?,
        };
        if has_value && !SEARCHED_OPS.contains(&op) && op != "SamplePairing" {
            self.warnings.push(Warning::DifferentRange {
                path: op_path.to_string(),
                op: op.to_owned(),
            });
        }
        Ok(Step::new(op, unit_interval(probability)?, strength))
    }
}

fn unit_interval((tree, path): (&Tree, JsonPath)) -> Result<f64, PolicyError> {
    path.unit_interval(path.number(tree)?)
}
