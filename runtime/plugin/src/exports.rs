//! The exports that the ABI requires, and their types.

use faa_op::abi;
use wasmtime::{ExternType, FuncType, Module, ValType};

use crate::error::PluginErrorKind;

use ValType::{F64, I32, I64};

/// An exported function: its name, whether it is required, its type as text, and as values.
type Export = (
    &'static str,
    bool,
    &'static str,
    &'static [ValType],
    ValType,
);

#[rustfmt::skip]
const FUNCTIONS: [Export; 5] = [
    (abi::SPEC, true, "() -> i64", &[], I64),
    (abi::RESERVE, true, "(i32) -> i32", &[I32], I32),
    (abi::APPLY, true, "(i32, i32, i32, i32, i32, f64, i64) -> i32",
     &[I32, I32, I32, I32, I32, F64, I64], I32),
    (abi::ERROR, false, "() -> i64", &[], I64),
    (abi::LOOKUP_TABLES, false, "(i32, i32, f64) -> i64", &[I32, I32, F64], I64),
];

/// Checks that a module exports what the ABI requires.
pub(crate) fn check_exports(module: &Module) -> Result<(), PluginErrorKind> {
    match module.get_export(abi::MEMORY) {
        Some(ExternType::Memory(memory)) if !memory.is_64() && !memory.is_shared() => {}
        Some(other) => {
            return Err(PluginErrorKind::WrongExport {
                name: abi::MEMORY,
                expected: "a 32-bit memory that is not shared",
                found: described(&other),
            });
        }
        None => return Err(PluginErrorKind::MissingExport(abi::MEMORY)),
    }
    for (name, required, expected, parameters, result) in &FUNCTIONS {
        match module.get_export(name) {
            None if *required => return Err(PluginErrorKind::MissingExport(name)),
            None => {}
            Some(ExternType::Func(found)) if has_type(&found, parameters, result) => {}
            Some(other) => {
                let found = described(&other);
                return Err(PluginErrorKind::WrongExport {
                    name,
                    expected,
                    found,
                });
            }
        }
    }
    Ok(())
}

fn has_type(found: &FuncType, parameters: &[ValType], result: &ValType) -> bool {
    let result = std::slice::from_ref(result);
    let same = |found: &mut dyn Iterator<Item = ValType>, expected: &[ValType]| {
        let all = expected
            .iter()
            .all(|ty| found.next().is_some_and(|found| ValType::eq(&found, ty)));
        all && found.next().is_none()
    };
    same(&mut found.params(), parameters) && same(&mut found.results(), result)
}

fn described(found: &ExternType) -> String {
    match found {
        ExternType::Func(function) => {
            let listed = |types: Vec<ValType>| {
                let names: Vec<_> = types.iter().map(ToString::to_string).collect();
                names.join(", ")
            };
            let parameters = listed(function.params().collect());
            match listed(function.results().collect()) {
                none if none.is_empty() => format!("({parameters})"),
                results => format!("({parameters}) -> {results}"),
            }
        }
        ExternType::Global(_) => "a global".to_owned(),
        ExternType::Table(_) => "a table".to_owned(),
        ExternType::Memory(_) => "a different kind of memory".to_owned(),
        ExternType::Tag(_) => "a tag".to_owned(),
    }
}
