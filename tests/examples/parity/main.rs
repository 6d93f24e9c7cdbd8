//! The Rust part of `cargo xtask parity`: generates random cases, and writes them with their results to
//! standard output. `tests/oracle/parity.py` reads and compares them with Pillow.
//!
//! The arguments are three numbers: the seed, the number of the first case, and the number of cases. A case
//! depends only on the seed and its number, so that it can be repeated.
//!
//! The output is a line of JSON about the run, then for every case a line of JSON and the bytes of the
//! result. Some cases are followed by a copy with one bit changed, in which the reader must find the
//! difference: it shows that the comparison works.

mod cases;
mod policies;
mod values;

use std::env;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::process::ExitCode;

use faa_op::OpSet;
use faa_ops_builtin::SimdLevel;
use faa_system::log_line;
use faa_tests::ways::builtin_ops_by_level;
use serde_json::json;

use crate::cases::Case;

/// Cases whose number is a multiple of this are followed by an altered copy.
const ALTERED_EVERY: u64 = 500;

fn main() -> ExitCode {
    let numbers: Option<Vec<u64>> = env::args().skip(1).map(|word| word.parse().ok()).collect();
    let Some([seed, first, count]) = numbers.as_deref() else {
        log_line!("usage: parity SEED FIRST COUNT");
        return ExitCode::from(2);
    };
    let mut out = BufWriter::new(io::stdout().lock());
    match run(&mut out, *seed, *first, *count) {
        // The reader has stopped at the first difference.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            log_line!("error: {error}");
            ExitCode::FAILURE
        }
        Ok(()) => ExitCode::SUCCESS,
    }
}

fn run(out: &mut impl Write, seed: u64, first: u64, count: u64) -> io::Result<()> {
    let levels = builtin_ops_by_level();
    let names: Vec<&str> = levels[0].1.iter().map(|op| op.spec().name()).collect();
    let level_names: Vec<String> = levels.iter().map(|(level, _)| level.to_string()).collect();
    let about = json!({
        "seed": seed, "first": first, "cases": count, "ops": names, "levels": level_names,
    });
    writeln!(out, "{about}")?;
    for number in first..first.saturating_add(count) {
        write_case(out, seed, number, &levels)?;
    }
    out.flush()
}

fn write_case(
    out: &mut impl Write,
    seed: u64,
    number: u64,
    levels: &[(SimdLevel, OpSet)],
) -> io::Result<()> {
    let (level, ops) = &levels[(number % levels.len() as u64) as usize];
    let case = Case::draw(seed, number, ops);
    let mut result = case.result(*level, ops).map_err(io::Error::other)?;
    let mut record = case.record();
    record["level"] = json!(level.to_string());
    writeln!(out, "{record}")?;
    out.write_all(&result)?;
    if number.is_multiple_of(ALTERED_EVERY) {
        let index = result.len() / 2;
        result[index] ^= 1;
        record["altered"] = json!(index);
        writeln!(out, "{record}")?;
        out.write_all(&result)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn output(seed: u64, first: u64, count: u64) -> Vec<u8> {
        let mut out = Vec::new();
        run(&mut out, seed, first, count).unwrap();
        out
    }

    /// The records and results in an output.
    fn read(mut bytes: &[u8]) -> Vec<(Value, Vec<u8>)> {
        let mut records = Vec::new();
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            let record: Value = serde_json::from_slice(&bytes[..end]).unwrap();
            let length = record["length"].as_u64().unwrap_or(0) as usize;
            let (result, rest) = bytes[end + 1..].split_at(length);
            records.push((record, result.to_vec()));
            bytes = rest;
        }
        records
    }

    #[test]
    fn a_case_can_be_repeated_alone() {
        let all = read(&output(7, 0, 30));
        let alone = read(&output(7, 20, 1));
        let (_, same) = all.split_at(all.len() - 10);
        assert_eq!(alone[1], same[0]);
        assert_ne!(read(&output(8, 20, 1))[1], alone[1]);
    }

    #[test]
    fn an_altered_copy_differs_in_one_bit() {
        let records = read(&output(1, 0, 2));
        let [_, (_, result), (altered, copy), _] = &records[..] else {
            panic!("{} records", records.len());
        };
        let differing: Vec<usize> = (0..result.len())
            .filter(|&i| result[i] != copy[i])
            .collect();
        assert_eq!(differing.len(), 1);
        assert_eq!(altered["altered"].as_u64(), Some(differing[0] as u64));
    }

    #[test]
    fn a_thousand_cases_include_every_op_kind_and_mode() {
        let text: Vec<String> = read(&output(3, 0, 1000))
            .into_iter()
            .skip(1)
            .map(|(record, _)| record.to_string())
            .collect();
        let (_, ops) = builtin_ops_by_level().swap_remove(0);
        let names = ops.iter().map(|op| op.spec().name());
        let wanted = names.chain(["L", "RGB", "RGBA", "noise", "grain", "constant", "FromPart"]);
        for word in wanted {
            let quoted = format!("\"{word}\"");
            assert!(
                text.iter().any(|record| record.contains(&quoted)),
                "no {word}"
            );
        }
        assert!(text.iter().any(|record| record.contains("\"policy\"")));
    }
}
