//! The binary form of a program.

use super::{F64, FUNCTION, FUNCTIONS, TYPES, V128};

/// A module with the functions that every program may call, and copies of one.
pub(super) fn encode(
    parameters: &[u8],
    results: &[u8],
    code: &[u8],
    copies: usize,
    escape: bool,
) -> Vec<u8> {
    let mut types = Vec::new();
    let own = (parameters, results);
    for (parameters, results) in FUNCTIONS.into_iter().chain([own]) {
        types.push(0x60);
        for list in [parameters, results] {
            number(&mut types, list.len());
            types.extend(list);
        }
    }
    // The index of the first function of the program itself.
    let first = FUNCTIONS.len();
    let (mut functions, mut bodies) = ((0..first as u8).collect::<Vec<_>>(), Vec::new());
    functions.extend(vec![first as u8; copies]);
    let unreachable: &[u8] = &[0, 0, 0x0b];
    for body in [unreachable; FUNCTIONS.len()]
        .into_iter()
        .chain(vec![code; copies])
    {
        number(&mut bodies, body.len());
        bodies.extend(body);
    }
    let zeros = [&[0x41, 0][..], &[0x42, 0], &[0x43, 0, 0, 0, 0]];
    let mut globals: Vec<u8> = Vec::new();
    for (&of, zero) in TYPES.iter().zip(zeros) {
        globals.extend([&[of, 1], zero, &[0x0b]].concat());
    }
    globals.extend(
        [
            &[F64, 1, 0x44][..],
            &[0; 8],
            &[0x0b, V128, 1, 0xfd, 12],
            &[0; 16],
        ]
        .concat(),
    );
    globals.extend([0x0b, FUNCTION, 1, 0xd0, FUNCTION, 0x0b]);
    // The functions of the first segment can be called from outside.
    let mut elements = vec![3, 0];
    let escaping = if escape { first + copies } else { 1 };
    number(&mut elements, escaping);
    (0..escaping).for_each(|function| number(&mut elements, function));
    elements.extend([1, 0, 1, 0]);
    let mut module = b"\0asm\x01\0\0\0\0\x0c\x07faa.abi\x01\0\0\0".to_vec();
    for (id, count, content) in [
        (1, first + 1, types),
        (3, functions.len(), functions),
        (4, 2, vec![FUNCTION, 0, 10, FUNCTION, 0, 10]),
        (5, 1, vec![0, 1]),
        (6, 6, globals),
        (9, 2, elements),
        (12, 1, vec![]),
        (10, first + copies, bodies),
        (11, 1, vec![1, 1, 0]),
    ] {
        let mut section = Vec::new();
        number(&mut section, count);
        section.extend(content);
        module.push(id);
        number(&mut module, section.len());
        module.extend(section);
    }
    module
}

/// Appends an unsigned number in LEB128.
pub(super) fn number(bytes: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Appends a signed number in LEB128.
pub(super) fn signed(bytes: &mut Vec<u8>, mut value: i64) {
    while !(-0x40..0x40).contains(&value) {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8 & 0x7f);
}
