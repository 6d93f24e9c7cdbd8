//! What a compiler will have to do, estimated before it begins.

use wasmparser::{Operator, Parser, ValidPayload, Validator, WasmFeatures};

use crate::PluginError;

/// Validates a module, and adds up how many values are alive at each of its operators.
///
/// That is what a compiler takes long over: a value that finds no register is moved to the stack and
/// back around the operators that need one, and where control flow forks or joins it may have to
/// become the parameter of a block. At most the locals and the operands are alive. So for each
/// operator their number is counted as often as its kind was found to be dear, in units of about 60
/// ns. `examples/compile_study.rs` measures how long the worst modules take for a given effort.
///
/// # Errors
///
/// [`PluginError::Invalid`] where the module is not valid, with the features that plugins may use.
pub(crate) fn effort(module: &[u8]) -> Result<u64, PluginError> {
    try_effort(module).map_err(|error| PluginError::Invalid(error.to_string()))
}

fn try_effort(module: &[u8]) -> wasmparser::Result<u64> {
    let mut validator = Validator::new_with_features(WasmFeatures::WASM2);
    let mut allocations = Default::default();
    let mut effort = 0_u64;
    for payload in Parser::new(0).parse_all(module) {
        let ValidPayload::Func(function, body) = validator.payload(&payload?)? else {
            continue;
        };
        let mut function = function.into_validator(allocations);
        function.read_locals(&mut body.get_binary_reader())?;
        let locals = u64::from(function.len_locals());
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            let position = operators.original_position();
            let operator = operators.read()?;
            let before = function.operand_stack_height();
            function.op(position, &operator)?;
            let operands = before.max(function.operand_stack_height());
            let alive = locals + u64::from(operands) + OPERATOR;
            effort = effort.saturating_add(weight(&operator).saturating_mul(alive));
        }
        operators.finish()?;
        allocations = function.into_allocations();
    }
    Ok(effort)
}

/// What an operator costs without any value alive, in values.
const OPERATOR: u64 = 8;

/// How dear an operator is for each value that is alive.
fn weight(operator: &Operator<'_>) -> u64 {
    const FORK: u64 = 8;
    match operator {
        // Names of values, which leave no code of their own.
        Operator::LocalGet { .. }
        | Operator::LocalSet { .. }
        | Operator::LocalTee { .. }
        | Operator::I32Const { .. }
        | Operator::I64Const { .. }
        | Operator::F32Const { .. }
        | Operator::F64Const { .. }
        | Operator::Drop
        | Operator::Nop
        | Operator::End => 0,
        Operator::BrTable { targets } => FORK * (u64::from(targets.len()) + 1),
        Operator::Block { .. }
        | Operator::Loop { .. }
        | Operator::If { .. }
        | Operator::Else
        | Operator::Br { .. }
        | Operator::BrIf { .. }
        | Operator::Call { .. }
        | Operator::CallIndirect { .. }
        | Operator::TableGet { .. }
        | Operator::TableSet { .. }
        | Operator::RefFunc { .. } => FORK,
        // Calls of the host, each with several arguments that are made up first.
        Operator::MemoryGrow { .. }
        | Operator::MemoryInit { .. }
        | Operator::MemoryCopy { .. }
        | Operator::MemoryFill { .. }
        | Operator::DataDrop { .. }
        | Operator::TableGrow { .. }
        | Operator::TableInit { .. }
        | Operator::TableCopy { .. }
        | Operator::TableFill { .. }
        | Operator::ElemDrop { .. } => 3 * FORK,
        _ => FORK / 4,
    }
}
