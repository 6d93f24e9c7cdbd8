//! The exports that the ABI requires, and their types.

use faa_op::abi;
use wasmtime::{ExternType, Module, ValType};

use crate::error::PluginErrorKind;

/// An exported function, with its type as text and as values.
struct Export {
    name: &'static str,
    required: bool,
    expected: &'static str,
    parameters: &'static [ValType],
    result: ValType,
}

use ValType::{F64, I32, I64};

const FUNCTIONS: [Export; 5] = [
    Export {
        name: abi::SPEC,
        required: true,
        expected: "() -> i64",
        parameters: &[],
        result: I64,
    },
    Export {
        name: abi::RESERVE,
        required: true,
        expected: "(i32) -> i32",
        parameters: &[I32],
        result: I32,
    },
    Export {
        name: abi::APPLY,
        required: true,
        expected: "(i32, i32, i32, i32, i32, f64, i64) -> i32",
        parameters: &[I32, I32, I32, I32, I32, F64, I64],
        result: I32,
    },
    Export {
        name: abi::ERROR,
        required: false,
        expected: "() -> i64",
        parameters: &[],
        result: I64,
    },
    Export {
        name: abi::LOOKUP_TABLES,
        required: false,
        expected: "(i32, i32, f64) -> i64",
        parameters: &[I32, I32, F64],
        result: I64,
    },
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
    FUNCTIONS.iter().try_for_each(|export| export.check(module))
}

impl Export {
    fn check(&self, module: &Module) -> Result<(), PluginErrorKind> {
        let name = self.name;
        match module.get_export(name) {
            None if self.required => Err(PluginErrorKind::MissingExport(name)),
            None => Ok(()),
            Some(ExternType::Func(found)) if self.fits(&found) => Ok(()),
            Some(other) => Err(PluginErrorKind::WrongExport {
                name,
                expected: self.expected,
                found: described(&other),
            }),
        }
    }

    fn fits(&self, found: &wasmtime::FuncType) -> bool {
        let same = |found: &[ValType], expected: &[ValType]| {
            found.len() == expected.len()
                && found.iter().zip(expected).all(|(a, b)| ValType::eq(a, b))
        };
        let parameters: Vec<_> = found.params().collect();
        let results: Vec<_> = found.results().collect();
        same(&parameters, self.parameters) && same(&results, std::slice::from_ref(&self.result))
    }
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
