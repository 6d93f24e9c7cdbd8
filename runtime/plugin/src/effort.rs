//! An estimate of how long a module takes to compile.

use wasmparser::{Operator, Parser, ValidPayload, Validator, WasmFeatures};

use crate::error::PluginErrorKind;
use crate::message::clean_message;

/// Validates a module, and estimates the cost of compiling each of its functions.
///
/// At most the locals and the operands are live at an operator, since the compiler moves no
/// calculation to a different place (`OptLevel::None`, the default). From that follows what takes it long:
///
/// - each operator becomes instructions, and each value that is live around them may have to be
///   moved to the stack and back;
/// - the allocator of registers splits the lives of values, which takes up to the square of the
///   instructions;
/// - where control flow joins, each local that was assigned since it forked becomes a parameter of a
///   block, and the allocator goes through the parameters again and again, up to once for each value
///   that is live at the start of a block;
/// - each loop begins with a check of the deadline, around whose call all that is live is moved away, so
///   the allocator splits those values as often as there are loops.
///
/// `examples/compile_study` searches for the modules of a given effort that take the longest.
///
/// # Errors
///
/// [`PluginErrorKind::Invalid`] if the module is not valid with the features that plugins may use.
pub(crate) fn effort(module: &[u8]) -> Result<Effort, PluginErrorKind> {
    try_effort(module).map_err(|error| PluginErrorKind::Invalid(clean_message(error.message())))
}

/// The estimated cost of compiling a module.
#[derive(Default)]
pub(crate) struct Effort {
    /// In units of about 250 ns.
    pub(crate) units: u64,
    pub(crate) depth: u32,
}

/// What plugins may use: WebAssembly 2.0 without multiple values, which compilers of languages do not
/// emit, and whose blocks with many parameters make the time of compiling hard to bound; and without
/// references to values of the host, which has none to give.
const FEATURES: WasmFeatures = WasmFeatures::WASM2
    .difference(WasmFeatures::MULTI_VALUE)
    .difference(WasmFeatures::GC_TYPES);

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
        let mut cost = Cost::of_function(function.len_locals().into());
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            let position = operators.original_position();
            let operator = operators.read()?;
            let before = function.operand_stack_height();
            function.op(position, &operator)?;
            let after = function.operand_stack_height();
            cost.add(&operator, before.max(after).into())?;
            if let Operator::Call { .. } | Operator::CallIndirect { .. } = operator {
                cost.arguments(before.saturating_sub(after).into(), before.into());
            }
            effort.depth = effort.depth.max(function.control_stack_height());
        }
        operators.finish()?;
        effort.units = effort.units.saturating_add(cost.units());
        allocations = function.into_allocations();
    }
    Ok(effort)
}

/// The cost of one function so far.
#[derive(Default)]
struct Cost {
    locals: u64,
    steps: u64,
    /// The steps, each times the number of values that are live.
    live_steps: u64,
    /// The values that are live at the start of a block, over all blocks.
    live_in: u64,
    /// The values that branches pass to the parameters of blocks.
    passed: u64,
    /// The assignments to locals.
    assignments: u64,
    loops: u64,
    /// The open blocks.
    blocks: Vec<Block>,
}

struct Block {
    /// The assignments before it.
    assignments: u64,
    /// How many ways lead to where it can be branched to.
    ways: u64,
}

/// The steps of a function without any operators: others may have to call it through two more.
const FUNCTION: u64 = 512;

/// The steps of an argument of a call.
const ARGUMENT: u64 = 16;

/// The values of the compiler that are live everywhere, such as the deadline.
const ALWAYS_LIVE: u64 = 4;

impl Cost {
    fn of_function(locals: u64) -> Self {
        let mut cost = Self {
            locals,
            ..Self::default()
        };
        cost.steps(FUNCTION, locals);
        cost.open(0);
        cost
    }

    fn add(&mut self, operator: &Operator<'_>, operands: u64) -> wasmparser::Result<()> {
        let live = self.locals + operands;
        self.steps(steps(operator), live);
        match operator {
            Operator::LocalSet { .. } | Operator::LocalTee { .. } => self.assignments += 1,
            Operator::Block { .. } => self.open(1),
            Operator::If { .. } => self.open(2),
            Operator::Loop { .. } => {
                self.open(1);
                self.loops += 1;
                // It begins with a check of the deadline, which may change.
                self.assignments += 1;
                self.passed += 2;
            }
            Operator::End => self.close(),
            Operator::Br { relative_depth } | Operator::BrIf { relative_depth } => {
                self.branch(*relative_depth);
            }
            Operator::BrTable { targets } => {
                self.branch(targets.default());
                for target in targets.targets() {
                    self.branch(target?);
                }
            }
            Operator::Else => {}
            _ => return Ok(()),
        }
        self.live_in += live + ALWAYS_LIVE;
        Ok(())
    }

    /// Each argument is moved to where the call expects it, and a constant is made anew for each call.
    fn arguments(&mut self, arguments: u64, operands: u64) {
        self.steps(ARGUMENT * arguments, self.locals + operands);
    }

    fn steps(&mut self, steps: u64, live: u64) {
        self.steps += steps;
        self.live_steps += steps * live;
    }

    fn open(&mut self, ways: u64) {
        let assignments = self.assignments;
        self.blocks.push(Block { assignments, ways });
    }

    fn branch(&mut self, depth: u32) {
        if let Some(block) = self.blocks.iter_mut().nth_back(depth as usize) {
            block.ways += 1;
        }
    }

    /// Where several ways meet, there is a parameter for each local that was assigned in the block,
    /// and for its result.
    fn close(&mut self) {
        if let Some(Block { assignments, ways }) = self.blocks.pop()
            && ways > 1
        {
            let parameters = self.locals.min(self.assignments - assignments) + 1;
            self.passed += parameters * ways;
        }
    }

    /// The divisors are fitted to the longest compilations that were found.
    fn units(&self) -> u64 {
        self.steps
            + self.live_steps / 32
            + self.steps.saturating_mul(self.steps) / 100_000
            + self.loops.saturating_mul(self.loops)
            + self.passed.saturating_mul(self.live_in) / 800
    }
}

/// The steps of an operator: what it takes if nothing is live, in units of 250 ns.
fn steps(operator: &Operator<'_>) -> u64 {
    match operator {
        // They only name values, and become no code.
        Operator::LocalGet { .. }
        | Operator::LocalSet { .. }
        | Operator::LocalTee { .. }
        | Operator::I32Const { .. }
        | Operator::I64Const { .. }
        | Operator::F32Const { .. }
        | Operator::F64Const { .. }
        | Operator::Drop
        | Operator::Nop => 1,
        Operator::Block { .. }
        | Operator::If { .. }
        | Operator::Else
        | Operator::End
        | Operator::Br { .. }
        | Operator::BrIf { .. } => 48,
        Operator::BrTable { targets } => 64 + 16 * u64::from(targets.len()),
        Operator::Loop { .. }
        | Operator::Call { .. }
        | Operator::TableGet { .. }
        | Operator::TableSet { .. }
        | Operator::RefFunc { .. } => 96,
        Operator::CallIndirect { .. } => 128,
        // They become calls of the host with several arguments, and checks of ranges.
        Operator::MemoryGrow { .. }
        | Operator::MemoryCopy { .. }
        | Operator::MemoryFill { .. }
        | Operator::DataDrop { .. }
        | Operator::ElemDrop { .. } => 320,
        Operator::MemoryInit { .. }
        | Operator::TableGrow { .. }
        | Operator::TableCopy { .. }
        | Operator::TableFill { .. } => 400,
        Operator::TableInit { .. } => 800,
        _ => 40,
    }
}
