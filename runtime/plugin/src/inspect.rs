//! The checks of a module before it is compiled.

use faa_op::abi::{self, AbiVersion};
use wasmparser::{ElementItems, Encoding, Parser, Payload};

use crate::config::{CompileLimits, Limits};
use crate::effort::effort;
use crate::error::{PluginError, PluginErrorKind};
use crate::message::{clean_message, clean_name};

/// The size of a page of memory, in bytes.
const PAGE: u64 = 64 << 10;

/// Checks a module's version, imports and all of its sizes, and validates it, without compiling it.
///
/// # Errors
///
/// [`PluginError`] if it is not a valid module, was made for a different version of the ABI, imports
/// something, or exceeds a limit.
pub fn inspect(
    module: &[u8],
    limits: &Limits,
    compile: &CompileLimits,
) -> Result<AbiVersion, PluginError> {
    inspected(module, limits, compile).map(|inspected| inspected.abi)
}

/// What is known of a module before it is compiled.
pub(crate) struct Inspected {
    pub(crate) abi: AbiVersion,
    /// The estimated effort of compiling it, in the units of [`CompileLimits::effort`].
    pub(crate) effort: u64,
}

/// As [`inspect`].
pub(crate) fn inspected(
    module: &[u8],
    limits: &Limits,
    compile: &CompileLimits,
) -> Result<Inspected, PluginError> {
    if !module.starts_with(b"\0asm") {
        return Err(PluginErrorKind::NotWasm.into());
    }
    let mut sizes = Sizes::default();
    check("bytes", module.len() as u64, compile.module as u64)?;
    for payload in Parser::new(0).parse_all(module) {
        sizes.add(payload.map_err(malformed)?)?;
    }
    let abi = sizes.check(limits, compile)?;
    // Last, because it takes the longest, and what was checked before bounds its time.
    let effort = effort(module)?;
    let depth = u64::from(effort.depth);
    check("nested blocks", depth, u64::from(compile.depth))?;
    check("units of compilation effort", effort.units, compile.effort)?;
    let effort = effort.units;
    Ok(Inspected { abi, effort })
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn malformed(error: wasmparser::BinaryReaderError) -> PluginErrorKind {
    PluginErrorKind::Malformed(clean_message(error.message()))
}

#[derive(Default)]
struct Sizes<'a> {
    abi: Vec<&'a [u8]>,
    import: Option<(&'a str, &'a str)>,
    /// The initial size of all memories, in bytes.
    memory: u64,
    /// The initial number of elements of all tables.
    table_elements: u64,
    functions: u64,
    code: u64,
    max_function: u64,
    max_locals: u64,
    max_parameters: u64,
    /// The elements of all element segments.
    elements: u64,
    /// The section with the most entries, and their number.
    entries: (&'static str, u64),
}

impl<'a> Sizes<'a> {
    fn add(&mut self, payload: Payload<'a>) -> Result<(), PluginErrorKind> {
        match payload {
            Payload::Version {
                encoding: Encoding::Component,
                ..
            } => {
                return Err(PluginErrorKind::Component);
            }
            Payload::CustomSection(section) if section.name() == abi::SECTION => {
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
                // Validation refuses types that are not those of functions.
                for function in section.into_iter_err_on_gc_types().map_while(Result::ok) {
                    let parameters = function.params().len() as u64;
                    self.max_parameters = self.max_parameters.max(parameters);
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
                self.max_function = self.max_function.max(length);
                let mut locals = 0;
                for declared in body.get_locals_reader().map_err(malformed)? {
                    let (count, _) = declared.map_err(malformed)?;
                    locals += u64::from(count);
                }
                self.max_locals = self.max_locals.max(locals);
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

    fn check(
        &self,
        limits: &Limits,
        compile: &CompileLimits,
    ) -> Result<AbiVersion, PluginErrorKind> {
        let version = match self.abi[..] {
            [&[a, b, c, d]] => AbiVersion::from_bytes([a, b, c, d]),
            [] => return Err(PluginErrorKind::NoAbi),
            _ => return Err(PluginErrorKind::BadAbi),
        };
        if !version.is_supported() {
            return Err(PluginErrorKind::WrongVersion(version));
        }
        if let Some((module, name)) = self.import {
            let (module, name) = (clean_name(module), clean_name(name));
            return Err(PluginErrorKind::Import { module, name });
        }
        let (found, limit) = (self.memory, limits.memory as u64);
        if found > limit {
            return Err(PluginErrorKind::MemoryTooLarge { found, limit });
        }
        let (found, limit) = (self.table_elements, limits.table_elements as u64);
        if found > limit {
            return Err(PluginErrorKind::TableTooLarge { found, limit });
        }
        let (section, entries) = self.entries;
        let elements = limits.table_elements as u64;
        for (what, found, limit) in [
            (section, entries, u64::from(compile.entries)),
            ("elements of segments", self.elements, elements),
            (
                "parameters of a function",
                self.max_parameters,
                compile.parameters.into(),
            ),
            ("functions", self.functions, compile.functions.into()),
            (
                "locals in a function",
                self.max_locals,
                compile.locals.into(),
            ),
            (
                "bytes in a function",
                self.max_function,
                compile.function as u64,
            ),
            ("bytes of functions", self.code, compile.code as u64),
        ] {
            check(what, found, limit)?;
        }
        Ok(version)
    }
}

fn check(what: &'static str, found: u64, limit: u64) -> Result<(), PluginErrorKind> {
    if found > limit {
        return Err(PluginErrorKind::TooComplex { what, found, limit });
    }
    Ok(())
}
