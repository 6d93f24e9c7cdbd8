use std::fmt;

use faa_op::OpSet;
use serde_json::json;

use crate::error::within;
use crate::parse::{Object, Place};
use crate::resolve::find;
use crate::tree::{self, Tree};
use crate::{MAX_BYTES, Policy, PolicyError, Problem, Step, Strength, SubPolicy};

/// A policy that was written in another form, and what is to be known about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Converted {
    /// The policy; [`Policy::check`] finds nothing wrong with it.
    pub policy: Policy,
    /// What the other form could not say, or meant differently.
    pub warnings: Vec<Warning>,
}

/// Something to know about a converted policy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// The program that wrote the file did not keep the order of ops within a sub-policy. They
    /// stand in the order of the file.
    OrderLost,
    /// The op is none of those that Fast AutoAugment searches over; its magnitude is taken over
    /// the range that it has here.
    OtherRange {
        /// Where the op stands in the file.
        place: String,
        /// The op's name.
        op: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OrderLost => f.write_str(
                "files of this form do not keep the order in which ops are applied; \
                 they stand as in the file",
            ),
            Self::OtherRange { place, op } => write!(
                f,
                "{place}: Fast AutoAugment does not search over `{op}`; \
                 its magnitude is taken over the op's range here"
            ),
        }
    }
}

/// The ops whose ranges in Fast AutoAugment's public code are those of the paper and of this
/// runtime.
const SAME_RANGE: [&str; 16] = [
    "ShearX",
    "ShearY",
    "TranslateX",
    "TranslateY",
    "Rotate",
    "AutoContrast",
    "Invert",
    "Equalize",
    "Solarize",
    "Posterize",
    "Contrast",
    "Color",
    "Brightness",
    "Sharpness",
    "Cutout",
    "SamplePairing",
];

/// Reads a policy that was written by another program, in one of two forms:
///
/// - the list form of Fast AutoAugment's public code, sub-policies of an op, a probability and a
///   magnitude each: `[[["Contrast", 0.83, 0.5], ["TranslateX", 0.42, 0.39]], …]`;
/// - the object form of a port of it: `{"0": {"Color": [0.79, 0.55], "Invert": [0.1, "None"]}, …}`.
///
/// Magnitudes are from 0 to 1 over the op's range. An op without a value may have `"None"` or
/// `null` for one, and a number is ignored.
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
/// Whatever is malformed, with its place in the file: unknown ops, numbers out of range, a missing
/// magnitude. Also a policy that would be too large to be read again.
pub fn convert(json: &[u8], name: &str, ops: &OpSet) -> Result<Converted, PolicyError> {
    let mut reader = Reader {
        ops,
        warnings: Vec::new(),
    };
    let (sub_policies, source) = match tree::read(json)? {
        Tree::List(list) => (
            reader.list_form(&list)?,
            "converted from the list form of Fast AutoAugment's code",
        ),
        tree => (
            reader.object_form(&tree)?,
            "converted from the object form of a port of Fast AutoAugment",
        ),
    };
    let mut policy = Policy::of_sub_policies(name, sub_policies);
    policy.provenance.insert("source".to_owned(), json!(source));
    let bytes = policy.to_json().len();
    if bytes > MAX_BYTES {
        return Err(PolicyError::new("", Problem::TooLarge { bytes }));
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
    fn list_form(&mut self, list: &[Tree]) -> Result<Vec<SubPolicy>, PolicyError> {
        let root = Place::root();
        let mut sub_policies = Vec::with_capacity(list.len());
        for (i, steps) in some(list, &root)?.iter().enumerate() {
            let place = root.item(i);
            let steps = list_of(steps, &place, "a list of steps")?;
            let mut sub_policy = Vec::with_capacity(steps.len());
            for (j, step) in some(steps, &place)?.iter().enumerate() {
                let place = place.item(j);
                let expected = "a list of an op, a probability and a magnitude";
                let [op, probability, magnitude] = list_of(step, &place, expected)? else {
                    return Err(place.error(Problem::WrongType { expected }));
                };
                let Tree::Text(op) = op else {
                    let expected = "a string";
                    return Err(place.item(0).error(Problem::WrongType { expected }));
                };
                let numbers = [(probability, place.item(1)), (magnitude, place.item(2))];
                sub_policy.push(self.step(op, &place.item(0), numbers)?);
            }
            sub_policies.push(sub_policy);
        }
        Ok(sub_policies)
    }

    fn object_form(&mut self, root: &Tree) -> Result<Vec<SubPolicy>, PolicyError> {
        let root = Object::new(Place::root(), root)?;
        if root.find("format").is_some() {
            return Err(root.error("format", Problem::NotForeign));
        }
        let mut sub_policies = Vec::with_capacity(root.entries().len());
        for (number, steps) in some(root.entries(), &Place::root())? {
            let steps = Object::new(root.place(number), steps)?;
            let mut sub_policy = Vec::with_capacity(steps.entries().len());
            for (op, numbers) in some(steps.entries(), &root.place(number))? {
                let place = steps.place(op);
                let expected = "a list of a probability and a magnitude";
                let [probability, magnitude] = list_of(numbers, &place, expected)? else {
                    return Err(place.error(Problem::WrongType { expected }));
                };
                let numbers = [(probability, place.item(0)), (magnitude, place.item(1))];
                sub_policy.push(self.step(op, &place, numbers)?);
            }
            sub_policies.push(sub_policy);
        }
        if sub_policies.iter().any(|steps| steps.len() > 1) {
            self.warnings.insert(0, Warning::OrderLost);
        }
        Ok(sub_policies)
    }

    /// A step from its op and from its probability and magnitude, each with its place.
    fn step(
        &mut self,
        op: &str,
        op_place: &Place,
        [probability, magnitude]: [(&Tree, Place); 2],
    ) -> Result<Step, PolicyError> {
        let found = find(op, self.ops).map_err(|problem| op_place.error(problem))?;
        let has_value = found.spec().value_range().is_some();
        let none = match magnitude.0 {
            Tree::Null => true,
            Tree::Text(text) => text == "None",
            _ => false,
        };
        let strength = match (has_value, none) {
            (true, true) => return Err(magnitude.1.error(Problem::Missing)),
            (true, false) => Strength::Magnitude(share(magnitude)?),
            (false, true) => Strength::Unstated,
            // It means nothing, but what is no magnitude at all is a mistake.
            (false, false) => share(magnitude).map(|_| Strength::Unstated)?,
        };
        if has_value && !SAME_RANGE.contains(&op) {
            self.warnings.push(Warning::OtherRange {
                place: op_place.to_string(),
                op: op.to_owned(),
            });
        }
        Ok(Step {
            op: op.to_owned(),
            probability: share(probability)?,
            strength,
        })
    }
}

fn some<'a, T>(list: &'a [T], place: &Place) -> Result<&'a [T], PolicyError> {
    match list {
        [] => Err(place.error(Problem::Empty)),
        list => Ok(list),
    }
}

fn list_of<'a>(
    tree: &'a Tree,
    place: &Place,
    expected: &'static str,
) -> Result<&'a [Tree], PolicyError> {
    match tree {
        Tree::List(list) => Ok(list),
        _ => Err(place.error(Problem::WrongType { expected })),
    }
}

/// A number from 0 to 1.
fn share((tree, place): (&Tree, Place)) -> Result<f64, PolicyError> {
    let expected = "a number";
    let value = (tree.as_number()).ok_or_else(|| place.error(Problem::WrongType { expected }))?;
    within(value, 0.0, 1.0).map_err(|problem| place.error(problem))?;
    Ok(value)
}
