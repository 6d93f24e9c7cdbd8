//! Random modules: any operator that the host accepts, in any combination, repeated to any size.

#[path = "encode.rs"]
mod encode;

use faa_plugin::{HostConfig, inspect};

use self::encode::{encode, number, signed};

/// A module that a list of bytes describes: each byte decides one choice of the generator, and the
/// missing ones are 0, which is the simplest choice. So any list is a valid module, and a small
/// change of the list is a small change of the module.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// The choices.
    pub(crate) choices: Vec<u8>,
}

/// The choices of programs with which searches ended, some under other limits.
#[rustfmt::skip]
pub(crate) const FOUND: [(&str, &[u8]); 7] = [
    ("constants as the arguments of calls, by hand", &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6, 255]),
    ("values used in all of many loops", &[246, 61, 18, 150, 97, 252, 12, 193, 53, 155, 86, 64, 105, 126, 96, 54, 241, 51, 215, 164, 228, 185, 54, 130, 231, 232, 50, 122, 41, 214, 190, 90, 16, 98, 1, 77, 49, 20, 28, 198, 163, 41, 132, 2, 226, 234, 35, 22, 13, 35, 22, 39, 100, 16, 79, 119, 161, 33, 241, 79, 60, 161, 33, 253, 79, 60, 33, 150, 240, 66, 60, 33, 82, 129, 150, 116, 240]),
    ("locals changed in nested conditions", &[6, 164, 9, 212, 192, 48, 54, 37, 108, 18, 11, 165, 57, 255, 76, 91, 236, 72, 8, 111, 26, 111, 26, 40, 11, 5, 149, 37, 132, 37, 132, 84, 103, 68, 89, 218, 185, 70, 236, 162, 78, 50, 168, 30, 225, 131, 216, 115, 224, 249, 56, 145, 17, 228, 137, 167, 44, 69, 165, 49, 249, 8, 206, 227, 150]),
    ("tables of branches around changed locals", &[22, 79, 158, 105, 9, 132, 151, 206, 224, 136, 30, 59, 58, 45, 230, 21, 139, 149, 59, 3, 87, 244, 18, 197, 135, 61, 170, 176, 82, 135, 135, 61, 170, 176, 82, 135, 61, 170, 176, 82, 145, 167, 221, 112, 111, 27, 205, 58, 252, 107, 158, 198, 128, 180, 26, 46, 186, 105, 10, 58, 126, 207, 65, 81, 135, 95, 74, 59, 57, 131, 126, 207, 65, 81, 135, 135, 143, 95, 153]),
    ("loops between calculations of the same values", &[0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 1, 0, 4, 1, 1, 5, 0, 0, 0, 1, 3, 1, 0, 0, 0, 0, 4, 1, 0, 5, 0, 0, 0, 0, 0]),
    ("values used in all of loops, which only optimisation takes long over", &[246, 61, 18, 150, 150, 97, 252, 12, 193, 53, 155, 86, 64, 105, 126, 96, 54, 186, 165, 215, 164, 228, 161, 54, 130, 231, 232, 50, 122, 41, 214, 190, 90, 16, 98, 1, 77, 49, 20, 28, 198, 2, 226, 234, 35, 22, 13, 35, 22, 39, 100, 118, 79, 119, 161, 33, 241, 79, 207, 100, 123, 239, 111, 60, 161, 33, 253, 79, 60, 33, 150, 240, 66, 60, 33, 82, 129, 150, 116, 240]),
    ("what a search within the current limits ended with",
     &[160, 82, 72, 124, 33, 231, 182, 67, 211, 231, 182, 67, 211, 112, 124, 54, 115, 39, 221, 51, 2, 81, 138, 168, 111, 244, 64, 27, 99, 15, 16, 245, 74, 109, 82, 150, 186, 68, 62, 214, 68, 62, 132, 76, 189, 214, 161, 1, 100, 63, 240, 16, 47, 154, 11, 166, 16, 47, 154, 11, 166, 107, 177, 234, 194, 214, 129, 163, 146, 82, 214, 214, 163, 146, 82, 98, 105, 114, 229, 228, 141, 133, 114, 114, 229, 228, 141, 133, 36, 39, 114, 141]),
];

/// The types of values, as they are encoded: numbers, a vector, and a reference.
const TYPES: [u8; 6] = [0x7f, 0x7e, 0x7d, 0x7c, 0x7b, 0x70];
const I32: u8 = TYPES[0];
const I64: u8 = TYPES[1];
const F32: u8 = TYPES[2];
const F64: u8 = TYPES[3];
const V128: u8 = TYPES[4];
const FUNCTION: u8 = TYPES[5];

/// The opcodes that load and store the types that can be stored.
const LOADS: [&[u8]; 5] = [&[0x28], &[0x29], &[0x2a], &[0x2b], &[0xfd, 0]];
const STORES: [&[u8]; 5] = [&[0x36], &[0x37], &[0x38], &[0x39], &[0xfd, 11]];

/// The functions of every module: their parameters and results.
const FUNCTIONS: [(&[u8], &[u8]); 5] = [
    (&[], &[]),
    (&[], &[I32]),
    (&[I32, I64, F32, F64, V128], &[I64]),
    (&[F64; 32], &[V128]),
    (&[I32; 32], &[]),
];

/// An operator outside of control flow: its bytes, what it takes and what it gives.
#[derive(Clone, Debug)]
struct Instruction {
    bytes: Vec<u8>,
    inputs: Vec<u8>,
    output: Option<u8>,
}

/// What the generator chooses from.
pub(crate) struct Generator {
    instructions: Vec<Instruction>,
}

impl Generator {
    /// Finds all operators that the host accepts, by trying every encoding with every signature.
    pub(crate) fn new() -> Self {
        let single = (0x1b..=0xff).filter(|byte| !(0x20..=0x24).contains(byte));
        let opcodes = (single.map(|byte| vec![byte]))
            .chain((0..18).map(|byte| vec![0xfc, byte]))
            .chain((0..128).map(|byte| vec![0xfd, byte]))
            .chain((0..148).map(|byte| vec![0xfd, 0x80 | (byte & 0x7f), 1 + (byte >> 7)]));
        let immediates: [&[u8]; 7] = [
            &[],
            &[0],
            &[1],
            &[0, 0],
            &[0, 0xff, 0xff, 0xff, 0xff, 0xf],
            &[0, 0, 0],
            &[9; 16],
        ];
        let one = TYPES.map(|of| vec![of]);
        let two = TYPES.iter().flat_map(|&a| TYPES.map(|b| vec![a, b]));
        let three = TYPES
            .iter()
            .flat_map(|&a| [vec![a, a, a], vec![I32, a, I32], vec![a, a, I32]]);
        let inputs: Vec<_> = [vec![]]
            .into_iter()
            .chain(one)
            .chain(two)
            .chain(three)
            .collect();
        let outputs: Vec<_> = [None].into_iter().chain(TYPES.map(Some)).collect();
        let mut instructions = Vec::new();
        for opcode in opcodes {
            for immediate in immediates {
                let bytes = [&opcode, immediate].concat();
                // Not two operators.
                let reader = wasmparser::BinaryReader::new(&bytes, 0);
                let mut reader = wasmparser::OperatorsReader::new(reader);
                if reader.read().is_err() || !reader.eof() {
                    continue;
                }
                let accepts = |inputs: &[u8], after: &[u8], results: &[u8]| {
                    let mut code = vec![0];
                    (0..inputs.len()).for_each(|input| code.extend([0x20, input as u8]));
                    code.extend([&bytes, after, &[0x0b]].concat());
                    Compilation::Plain.accepts(&encode(inputs, results, &code, 1, false))
                };
                // After `unreachable`, it does not matter what is given.
                let found = inputs.iter().find(|inputs| accepts(inputs, &[0], &[]));
                let output = found.and_then(|inputs| {
                    outputs
                        .iter()
                        .find(|output| accepts(inputs, &[], output.as_slice()))
                });
                if let (Some(inputs), Some(&output)) = (found, output) {
                    let inputs = inputs.clone();
                    instructions.push(Instruction {
                        bytes: bytes.clone(),
                        inputs,
                        output,
                    });
                }
            }
        }
        Self { instructions }
    }

    /// The module in which the program's code is repeated in a function, and the function too.
    pub(crate) fn module(&self, program: &Program, repetitions: usize, copies: usize) -> Vec<u8> {
        let mut writer = Writer {
            instructions: &self.instructions,
            choices: &program.choices,
            position: 0,
            code: Vec::new(),
            locals: [0; 6],
            parameters: 0,
            repetition: 0,
            depth: 0,
        };
        let escaping = writer.function(repetitions);
        let parameters = vec![I32; writer.parameters];
        encode(&parameters, &[], &writer.code, copies, escaping)
    }
}

/// A way in which the host compiles modules.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Compilation {
    /// As all modules are compiled by default.
    Plain,
    /// As modules are compiled whose effort is at most `CompileLimits::optimised_effort`.
    Optimised,
}

/// The effort up to which optimisation is studied, about three times that of the largest example.
const OPTIMISED_EFFORT: u64 = 3_000_000;

impl Compilation {
    /// The default limits, of which each module that they accept is compiled in this way.
    pub(crate) fn config(self) -> HostConfig {
        let mut config = HostConfig::default();
        config.cache = None;
        let compile = &mut config.compile;
        match self {
            Self::Plain => compile.optimised_effort = 0,
            Self::Optimised => {
                compile.effort = OPTIMISED_EFFORT;
                compile.optimised_effort = OPTIMISED_EFFORT;
            }
        }
        config
    }

    /// Whether a module is within all limits.
    pub(crate) fn accepts(self, module: &[u8]) -> bool {
        let config = self.config();
        inspect(module, &config.limits, &config.compile).is_ok()
    }
}

/// The largest number up to `max` that is accepted, and at least 1.
pub(crate) fn largest(max: usize, accepted: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (1, max + 1);
    while high - low > 1 {
        // Large modules take long to generate, and small ones are the rule.
        let middle = low.midpoint(high).min(4 * low);
        if accepted(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// Writes one function.
struct Writer<'a> {
    instructions: &'a [Instruction],
    choices: &'a [u8],
    position: usize,
    code: Vec<u8>,
    /// The number of locals of each type.
    locals: [usize; 6],
    parameters: usize,
    repetition: usize,
    /// The depth of blocks at this point.
    depth: usize,
}

impl Writer<'_> {
    fn pick(&mut self, count: usize) -> usize {
        self.choice() % count
    }

    fn choice(&mut self) -> usize {
        let choice = self.choices.get(self.position).copied().unwrap_or_default();
        self.position += 1;
        choice.into()
    }

    fn function(&mut self, repetitions: usize) -> bool {
        const COUNTS: [usize; 12] = [0, 1, 2, 3, 5, 8, 16, 24, 60, 200, 500, 990];
        self.parameters = [0, 0, 0, 1, 4, 32][self.pick(6)];
        let mut left = 990;
        for index in 0..6 {
            let often = self.pick(2) == 0 && index > 0;
            let count = if often {
                0
            } else {
                COUNTS[self.pick(12)].min(left)
            };
            left -= count;
            self.locals[index] = count;
        }
        let declared: Vec<_> = (0..6).filter(|&index| self.locals[index] > 0).collect();
        number(&mut self.code, declared.len());
        for index in declared {
            number(&mut self.code, self.locals[index]);
            self.code.push(TYPES[index]);
        }
        let escaping = self.pick(4) == 3;
        let live = self.pick(2) == 1;
        let nest = [1, 1, 1, 2, 10, 100, 400, 900][self.pick(8)];
        let shape = self.pick(6);
        let reduce = shape == 5;
        let around = match shape {
            4 => [1, 4, 10, 30, 100, 300][self.pick(6)],
            _ => 0,
        };
        if live {
            self.each_local(true);
        }
        let before = self.position;
        self.store_values(around);
        let start = self.position;
        let mut repetition = 0;
        while repetition < repetitions {
            let level = nest.min(repetitions - repetition);
            let mut after = start;
            for inner in 0..level {
                (self.position, self.repetition) = (start, repetition + inner);
                if reduce {
                    self.expression(V128, 3);
                } else {
                    self.statements(2);
                }
                if nest > 1 {
                    self.open(false);
                }
                after = self.position;
            }
            for inner in (0..level).rev() {
                (self.position, self.repetition) = (after, repetition + inner);
                if nest > 1 {
                    self.close();
                    self.statements(2);
                }
            }
            repetition += level;
        }
        if reduce && nest == 1 {
            // The additions of all values that are on the stack.
            (1..repetitions).for_each(|_| self.code.extend([0xfd, 0xae, 1]));
            self.code.push(0x1a);
        }
        self.position = before;
        self.store_values(around);
        if live {
            self.each_local(false);
        }
        self.code.push(0x0b);
        escaping
    }

    /// Stores values, each of a calculation that depends on its number. If that is done twice, a compiler
    /// may keep the values in between.
    fn store_values(&mut self, count: usize) {
        let start = self.position;
        for number in 0..count {
            (self.position, self.repetition) = (start, number);
            let of = self.pick(5);
            self.code.extend([0x41, 0]);
            self.expression(TYPES[of], 2);
            self.access(STORES[of]);
        }
    }

    /// Loads all locals, so that the compiler knows nothing about them, or stores them.
    fn each_local(&mut self, load: bool) {
        let mut local = self.parameters;
        for of in 0..6 {
            for index in 0..self.locals[of] {
                let access = if load { LOADS.get(of) } else { STORES.get(of) };
                if let Some(access) = access {
                    self.code.push(0x41);
                    signed(&mut self.code, 16 * index as i64);
                    if !load {
                        self.local(0x20, local);
                    }
                    self.access(access);
                    if load {
                        self.local(0x21, local);
                    }
                }
                local += 1;
            }
        }
    }

    /// A load or a store, without an offset.
    fn access(&mut self, opcode: &[u8]) {
        self.code.extend_from_slice(opcode);
        self.code.extend([0, 0]);
    }

    fn statements(&mut self, depth: usize) {
        let count = [1, 1, 2, 3, 5, 0][self.pick(6)];
        (0..count).for_each(|_| self.statement(depth));
    }

    fn statement(&mut self, depth: usize) {
        match self.pick(12) {
            0 | 1 => self.set(depth),
            2 | 3 => self.instruction(None, depth),
            4 if depth > 0 => {
                self.open(true);
                self.statements(depth - 1);
                self.close();
            }
            5 => {
                self.expression(I32, depth);
                let label = self.label();
                self.code.push(0x0d);
                number(&mut self.code, label);
            }
            6 | 7 => {
                // The last function is the rarest: it came when the others were in programs already.
                let function = match self.choice() {
                    255 => FUNCTIONS.len() - 1,
                    choice => choice % (FUNCTIONS.len() - 1),
                };
                self.call(function, depth);
                if !FUNCTIONS[function].1.is_empty() {
                    self.code.push(0x1a);
                }
            }
            8 => {
                let of = self.pick(6);
                self.expression(TYPES[of], depth);
                self.code.extend([0x24, of as u8]);
            }
            9 if depth > 0 => {
                self.open(true);
                let targets = [1, 2, 5, 20, 200, 1000][self.pick(6)];
                self.expression(I32, depth - 1);
                self.code.push(0x0e);
                number(&mut self.code, targets);
                let (first, step) = (self.pick(8), self.pick(3));
                for target in 0..=targets {
                    let label = (first + step * target) % (self.depth + 1);
                    number(&mut self.code, label);
                }
                self.close();
            }
            10 if depth > 0 => {
                self.open(true);
                if self.pick(2) == 0 {
                    self.code.push(0x0f);
                } else {
                    let label = self.label();
                    self.code.push(0x0c);
                    number(&mut self.code, label);
                }
                self.close();
            }
            _ => {
                let of = TYPES[self.pick(6)];
                self.expression(of, depth);
                self.code.push(0x1a);
            }
        }
    }

    /// A value of a type.
    fn expression(&mut self, of: u8, depth: usize) {
        match self.pick(10) {
            1 => self.constant(of),
            2..=4 if depth > 0 => self.instruction(Some(of), depth - 1),
            5 if depth > 0 && of != FUNCTION => {
                self.expression(of, depth - 1);
                self.expression(of, depth - 1);
                self.expression(I32, depth - 1);
                self.code.push(0x1b);
            }
            6 if depth > 0 => {
                let condition = self.pick(3);
                if condition == 2 {
                    self.expression(I32, depth - 1);
                }
                self.code.extend([[0x02, 0x03, 0x04][condition], of]);
                self.depth += 1;
                self.expression(of, depth - 1);
                if condition == 2 {
                    self.code.push(0x05);
                    self.expression(of, depth - 1);
                }
                self.close();
            }
            7 => {
                let index = TYPES.iter().position(|&found| found == of);
                self.code.extend([0x23, index.unwrap_or_default() as u8]);
            }
            8 | 9 if depth > 0 => {
                let gives = |&(_, results): &(&[u8], &[u8])| results == [of];
                match FUNCTIONS.iter().position(gives) {
                    Some(function) => self.call(function, depth - 1),
                    None => self.instruction(Some(of), depth - 1),
                }
            }
            _ => match self.some_local(of) {
                Some(local) => self.local(0x20, local),
                None => self.constant(of),
            },
        }
    }

    /// One of all instructions with this result.
    fn instruction(&mut self, output: Option<u8>, depth: usize) {
        let choice = 256 * self.pick(256) + self.pick(256);
        let all = self.instructions.iter();
        let matching: Vec<_> = all
            .filter(|instruction| instruction.output == output)
            .collect();
        if matching.is_empty() {
            return self.constant(output.unwrap_or(I32));
        }
        let instruction = matching[choice % matching.len()];
        for &input in &instruction.inputs {
            self.expression(input, depth);
        }
        self.code.extend_from_slice(&instruction.bytes);
    }

    fn call(&mut self, function: usize, depth: usize) {
        let indirect = self.pick(2) == 1;
        for &of in FUNCTIONS[function].0 {
            self.expression(of, depth.saturating_sub(1));
        }
        if indirect {
            self.expression(I32, depth.saturating_sub(1));
            self.code.extend([0x11, function as u8, 0]);
        } else {
            self.code.extend([0x10, function as u8]);
        }
    }

    fn set(&mut self, depth: usize) {
        let of = TYPES[self.pick(6)];
        let first = TYPES.iter().zip(self.locals).find(|(_, count)| *count > 0);
        let (of, local) = match (self.some_local(of), first) {
            (Some(local), _) => (of, local),
            (None, Some((&first, _))) => (first, self.some_local(first).unwrap_or_default()),
            (None, None) => {
                self.expression(of, depth);
                return self.code.push(0x1a);
            }
        };
        self.expression(of, depth);
        self.local(0x21, local);
    }

    /// A local of a type, which depends on the repetition.
    fn some_local(&mut self, of: u8) -> Option<usize> {
        let (first, step) = (self.pick(256), [0, 1, 3, 7][self.pick(4)]);
        let index = TYPES.iter().position(|&found| found == of)?;
        let count = self.locals[index];
        let before: usize = self.locals[..index].iter().sum();
        (count > 0).then(|| self.parameters + before + (first + step * self.repetition) % count)
    }

    fn local(&mut self, opcode: u8, local: usize) {
        self.code.push(opcode);
        number(&mut self.code, local);
    }

    /// A constant, which may depend on the repetition.
    fn constant(&mut self, of: u8) {
        let value = (self.pick(256) + self.pick(2) * self.repetition) as u32;
        match of {
            I32 | I64 => {
                self.code.push(if of == I32 { 0x41 } else { 0x42 });
                signed(&mut self.code, value.into());
            }
            F32 => {
                self.code.push(0x43);
                self.code.extend((value as f32).to_le_bytes());
            }
            F64 => {
                self.code.push(0x44);
                self.code.extend(f64::from(value).to_le_bytes());
            }
            V128 => {
                self.code.extend([0xfd, 12]);
                (0..4).for_each(|_| self.code.extend(value.to_le_bytes()));
            }
            _ if value.is_multiple_of(2) => self.code.extend([0xd2, 0]),
            _ => self.code.extend([0xd0, FUNCTION]),
        }
    }

    fn label(&mut self) -> usize {
        let from_outside = self.pick(2) == 1;
        let label = self.pick(256) % (self.depth + 1);
        if from_outside {
            self.depth - label
        } else {
            label
        }
    }

    /// Opens a block, a loop or a condition.
    fn open(&mut self, or_else: bool) {
        let kind = self.pick(4);
        if kind >= 2 {
            self.expression(I32, 1);
        }
        self.code.extend([[0x02, 0x03, 0x04, 0x04][kind], 0x40]);
        self.depth += 1;
        if kind == 3 && or_else {
            self.set(0);
            self.code.push(0x05);
        }
    }

    fn close(&mut self) {
        self.depth -= 1;
        self.code.push(0x0b);
    }
}
