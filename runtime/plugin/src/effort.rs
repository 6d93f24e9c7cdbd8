//! What a compiler will have to do, estimated before it begins.

use wasmparser::{Operator, Parser, ValidPayload, Validator, WasmFeatures};

use crate::PluginError;
use crate::message::shown;

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
pub(crate) fn effort(module: &[u8]) -> Result<Effort, PluginError> {
    try_effort(module).map_err(|error| PluginError::Invalid(shown(error.message())))
}

/// What compiling a module takes.
#[derive(Default)]
pub(crate) struct Effort {
    /// In units of about 60 ns.
    pub(crate) units: u64,
    /// How deep blocks stand inside each other at most.
    pub(crate) depth: u32,
}

/// What plugins may use: WebAssembly 2.0 without multiple values, which compilers of languages do not
/// write, and whose blocks with many parameters a compiler cannot bound.
pub(crate) const FEATURES: WasmFeatures = WasmFeatures::WASM2.difference(WasmFeatures::MULTI_VALUE);

fn try_effort(module: &[u8]) -> wasmparser::Result<Effort> {
    let mut validator = Validator::new_with_features(FEATURES);
    let mut allocations = Default::default();
    let mut effort = Effort::default();
    for payload in Parser::new(0).parse_all(module) {
        let ValidPayload::Func(function, body) = validator.payload(&payload?)? else {
            continue;
        };
        let mut function = function.into_validator(allocations);
        function.read_locals(&mut body.get_binary_reader())?;
        let locals = u64::from(function.len_locals());
        effort.add(FUNCTION, locals);
        let mut blocks = 0;
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            let position = operators.original_position();
            let operator = operators.read()?;
            let before = function.operand_stack_height();
            function.op(position, &operator)?;
            let operands = before.max(function.operand_stack_height());
            effort.add(weight(&operator), locals + u64::from(operands));
            if opens_block(&operator) {
                blocks += 1;
                // Tables of blocks by blocks.
                effort.units = effort.units.saturating_add(blocks);
            }
            effort.depth = effort.depth.max(function.control_stack_height());
        }
        operators.finish()?;
        allocations = function.into_allocations();
    }
    Ok(effort)
}

/// What an operator costs without any value alive, in values.
const OPERATOR: u64 = 8;

/// How dear a function is for each of its parameters: others may call it through two more functions,
/// which are made for each.
const FUNCTION: u64 = 256;

impl Effort {
    fn add(&mut self, weight: u64, alive: u64) {
        let units = weight.saturating_mul(alive + OPERATOR);
        self.units = self.units.saturating_add(units);
    }
}

fn opens_block(operator: &Operator<'_>) -> bool {
    matches!(
        operator,
        Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. }
    )
}

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
        | Operator::Nop => 0,
        Operator::BrTable { targets } => FORK * (u64::from(targets.len()) + 1),
        Operator::Block { .. }
        | Operator::Loop { .. }
        | Operator::If { .. }
        | Operator::Else
        | Operator::End
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
