//! What is read of a module before anything is compiled.

use wasmparser::{ElementItems, Encoding, Parser, Payload};

use crate::effort::effort;
use crate::message::{short, shown};
use crate::{AbiVersion, CompileLimits, Limits, PluginError};

/// The name of the section that states the version of the ABI.
const SECTION: &str = "faa.abi";

/// The size of a page of memory.
const PAGE: u64 = 64 << 10;

/// Checks a module's version and its size in every respect.
///
/// # Errors
///
/// [`PluginError`]: the module is not one, was made for another version, imports something, or is
/// larger than what may run or be compiled.
pub fn inspect(
    module: &[u8],
    limits: &Limits,
    compile: &CompileLimits,
) -> Result<AbiVersion, PluginError> {
    if !module.starts_with(b"\0asm") {
        return Err(PluginError::NotWasm);
    }
    let mut findings = Findings::default();
    check("bytes", module.len() as u64, compile.module as u64)?;
    for payload in Parser::new(0).parse_all(module) {
        findings.add(payload.map_err(malformed)?)?;
    }
    let version = findings.check(limits, compile)?;
    // What is left, since it takes the longest, and is bounded by what was checked before it.
    let effort = effort(module)?;
    let depth = u64::from(effort.depth);
    check("blocks inside each other", depth, u64::from(compile.depth))?;
    check("units of compiling effort", effort.units, compile.effort)?;
    Ok(version)
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn malformed(error: wasmparser::BinaryReaderError) -> PluginError {
    PluginError::Malformed(shown(error.message()))
}

#[derive(Default)]
struct Findings<'a> {
    abi: Vec<&'a [u8]>,
    import: Option<(&'a str, &'a str)>,
    /// Bytes of all memories as a module starts.
    memory: u64,
    /// Elements of all tables as a module starts.
    table_elements: u64,
    functions: u64,
    code: u64,
    largest_function: u64,
    most_locals: u64,
    most_parameters: u64,
    /// Elements of all element segments.
    elements: u64,
    /// The section with the most entries, and how many.
    entries: (&'static str, u64),
}

impl<'a> Findings<'a> {
    fn add(&mut self, payload: Payload<'a>) -> Result<(), PluginError> {
        match payload {
            Payload::Version {
                encoding: Encoding::Component,
                ..
            } => {
                return Err(PluginError::Component);
            }
            Payload::CustomSection(section) if section.name() == SECTION => {
                self.abi.push(section.data());
            }
            Payload::ImportSection(section) => {
                if let Some(import) = section.into_imports().next() {
                    let import = import.map_err(malformed)?;
                    self.import = Some((import.module, import.name));
                }
            }
            Payload::TypeSection(section) => {
                self.count("types", section.count());
                // What is no function's type is for the validation to refuse.
                for function in section.into_iter_err_on_gc_types().map_while(Result::ok) {
                    let parameters = function.params().len() as u64;
                    self.most_parameters = self.most_parameters.max(parameters);
                }
            }
            Payload::FunctionSection(section) => self.functions = u64::from(section.count()),
            Payload::TableSection(section) => {
                self.count("tables", section.count());
                for table in section {
                    let initial = table.map_err(malformed)?.ty.initial;
                    self.table_elements = self.table_elements.saturating_add(initial);
                }
            }
            Payload::MemorySection(section) => {
                for memory in section {
                    let bytes = memory.map_err(malformed)?.initial.saturating_mul(PAGE);
                    self.memory = self.memory.saturating_add(bytes);
                }
            }
            Payload::GlobalSection(section) => self.count("globals", section.count()),
            Payload::ExportSection(section) => self.count("exports", section.count()),
            Payload::ElementSection(section) => {
                self.count("element segments", section.count());
                for segment in section {
                    self.elements += match segment.map_err(malformed)?.items {
                        ElementItems::Functions(items) => u64::from(items.count()),
                        ElementItems::Expressions(_, items) => u64::from(items.count()),
                    };
                }
            }
            Payload::DataSection(section) => self.count("data segments", section.count()),
            Payload::CodeSectionEntry(body) => {
                let length = body.range().len() as u64;
                self.code += length;
                self.largest_function = self.largest_function.max(length);
                let mut locals = 0;
                for declared in body.get_locals_reader().map_err(malformed)? {
                    let (count, _) = declared.map_err(malformed)?;
                    locals += u64::from(count);
                }
                self.most_locals = self.most_locals.max(locals);
            }
            _ => {}
        }
        Ok(())
    }

    fn count(&mut self, section: &'static str, count: u32) {
        if u64::from(count) > self.entries.1 {
            self.entries = (section, u64::from(count));
        }
    }

    fn check(&self, limits: &Limits, compile: &CompileLimits) -> Result<AbiVersion, PluginError> {
        let version = match self.abi[..] {
            [&[a, b, c, d]] => AbiVersion {
                major: u16::from_le_bytes([a, b]),
                minor: u16::from_le_bytes([c, d]),
            },
            [] => return Err(PluginError::NoAbi),
            _ => return Err(PluginError::BadAbi),
        };
        version.check()?;
        if let Some((module, name)) = self.import {
            let (module, name) = (short(module), short(name));
            return Err(PluginError::Import { module, name });
        }
        let (found, limit) = (self.memory, limits.memory as u64);
        if found > limit {
            return Err(PluginError::MemoryTooLarge { found, limit });
        }
        let (found, limit) = (self.table_elements, limits.table_elements as u64);
        if found > limit {
            return Err(PluginError::TableTooLarge { found, limit });
        }
        let (section, entries) = self.entries;
        check(section, entries, u64::from(compile.entries))?;
        check(
            "elements of segments",
            self.elements,
            limits.table_elements as u64,
        )?;
        let parameters = u64::from(compile.parameters);
        check("parameters of a function", self.most_parameters, parameters)?;
        check("functions", self.functions, u64::from(compile.functions))?;
        check(
            "locals in a function",
            self.most_locals,
            u64::from(compile.locals),
        )?;
        let function = compile.function as u64;
        check("bytes in a function", self.largest_function, function)?;
        check("bytes of functions", self.code, compile.code as u64)?;
        Ok(version)
    }
}

fn check(what: &'static str, found: u64, limit: u64) -> Result<(), PluginError> {
    if found > limit {
        return Err(PluginError::TooComplex { what, found, limit });
    }
    Ok(())
}
