//! Reads event files, as little as the tests need.

use std::fs;
use std::path::Path;

use super::super::record::masked_crc;

/// The points of an event file, as `tag step value`; its checksums are checked.
pub(super) fn read(file: &Path) -> Vec<String> {
    let content = fs::read(file).unwrap();
    let mut rest = content.as_slice();
    let mut points = Vec::new();
    while !rest.is_empty() {
        let length = take_checked(&mut rest, 8);
        let length = u64::from_le_bytes(length.try_into().unwrap());
        let event = fields(take_checked(&mut rest, length as usize));
        let step = find(&event, 2).map_or(0, |step| u64::from_le_bytes(step.try_into().unwrap()));
        for (_, value) in fields(find(&event, 5).unwrap_or_default()) {
            let value = fields(&value);
            let tag = str::from_utf8(find(&value, 1).unwrap()).unwrap();
            let number = f32::from_le_bytes(find(&value, 2).unwrap().try_into().unwrap());
            points.push(format!("{tag} {step} {number}"));
        }
    }
    points
}

fn find(fields: &[(u8, Vec<u8>)], number: u8) -> Option<&[u8]> {
    let field = fields.iter().find(|(of, _)| *of == number);
    field.map(|(_, content)| content.as_slice())
}

/// The numbers and contents of a message's fields; integers have eight bytes.
fn fields(mut message: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let key = take(&mut message, 1)[0];
        let content = match key & 7 {
            0 => take_varint(&mut message).to_le_bytes().to_vec(),
            1 => take(&mut message, 8).to_vec(),
            2 => {
                let length = take_varint(&mut message) as usize;
                take(&mut message, length).to_vec()
            }
            5 => take(&mut message, 4).to_vec(),
            other => panic!("wire type {other}"),
        };
        fields.push((key >> 3, content));
    }
    fields
}

fn take_varint(rest: &mut &[u8]) -> u64 {
    let mut value = 0;
    for index in 0.. {
        let byte = take(rest, 1)[0];
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            break;
        }
    }
    value
}

fn take_checked<'a>(rest: &mut &'a [u8], count: usize) -> &'a [u8] {
    let data = take(rest, count);
    assert_eq!(take(rest, 4), masked_crc(data).to_le_bytes());
    data
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (head, tail) = rest.split_at(count);
    *rest = tail;
    head
}
