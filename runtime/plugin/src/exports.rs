//! The exports that the ABI requires, and their types.

use faa_op::abi;
use wasmtime::{ExternType, Module, ValType};

use crate::error::PluginErrorKind;

const MEMORY: &str = "a 32-bit memory that is not shared";

/// The exports: their names, whether they are required, and their types.
const EXPORTS: [(&str, bool, &str); 8] = [
    (abi::MEMORY, true, MEMORY),
    (abi::SPEC, true, "() -> i64"),
    (abi::RESERVE, true, "(i32) -> i32"),
    (
        abi::APPLY,
        true,
        "(i32, i32, i32, i32, i32, f64, i64) -> i32",
    ),
    (abi::ERROR, false, "() -> i64"),
    (abi::LOOKUP_TABLES, false, "(i32, i32, f64) -> i64"),
    (abi::WARP, false, "(i32, i32, i32, f64, i64) -> i64"),
    (abi::FIELD, false, "(i32, i32, i32, f64, i64) -> i64"),
];

pub(crate) fn check_exports(module: &Module) -> Result<(), PluginErrorKind> {
    for (name, required, expected) in EXPORTS {
        match module.get_export(name).map(|export| described(&export)) {
            None if required => return Err(PluginErrorKind::MissingExport(name)),
            Some(found) if found != expected => {
                return Err(PluginErrorKind::WrongExport {
                    name,
                    expected,
                    found,
                });
            }
            _ => {}
        }
    }
    Ok(())
}

fn described(found: &ExternType) -> String {
    match found {
        ExternType::Func(function) => {
            let listed = |types: &mut dyn Iterator<Item = ValType>| {
                let names: Vec<_> = types.map(|ty| ty.to_string()).collect();
                names.join(", ")
            };
            let parameters = listed(&mut function.params());
            match listed(&mut function.results()) {
                none if none.is_empty() => format!("({parameters})"),
                results => format!("({parameters}) -> {results}"),
            }
        }
        ExternType::Global(_) => "a global".to_owned(),
        ExternType::Table(_) => "a table".to_owned(),
        ExternType::Memory(memory) if !memory.is_64() && !memory.is_shared() => MEMORY.to_owned(),
        ExternType::Memory(_) => "a different kind of memory".to_owned(),
        ExternType::Tag(_) => "a tag".to_owned(),
    }
}
