//! The bytes of an event file.
//!
//! An event file is a sequence of TFRecords: the length of the data in 8 bytes, the masked CRC-32C of
//! these, the data, and the masked CRC-32C of the data; all numbers are little-endian
//! (<https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details>). The data
//! is an `Event` in the encoding of Protocol Buffers
//! (<https://protobuf.dev/programming-guides/encoding>):
//!
//! ```text
//! Event      { double wall_time = 1; int64 step = 2; and one of
//!              string file_version = 3; Summary summary = 5; SessionLog session_log = 7; }
//! Summary    { repeated Value value = 1; }
//! Value      { string tag = 1; float simple_value = 2; }
//! SessionLog { enum status = 1; }
//! ```
//!
//! Nothing else is needed of TensorFlow's `event.proto` and `summary.proto`, and this is less code than
//! a generator for them.

use crc::{CRC_32_ISCSI, Crc};

// CRC-32C is listed by the name of a protocol that uses it.
static CRC_32C: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

const FILE_VERSION: u8 = 3;
const SUMMARY: u8 = 5;
const SESSION_LOG: u8 = 7;

const VARINT: u8 = 0;
const FIXED_64: u8 = 1;
const BYTES: u8 = 2;
const FIXED_32: u8 = 5;

/// The values of some curves at one step.
#[derive(Debug)]
pub(super) struct Point {
    /// The epoch or trial, from 0.
    pub(super) step: usize,
    /// The time, in seconds since 1970.
    pub(super) time: f64,
    pub(super) values: Vec<(&'static str, f64)>,
}

impl Point {
    /// The point as a record. Values have the precision of an `f32` there.
    pub(super) fn record(&self) -> Vec<u8> {
        let mut summary = Vec::new();
        for (tag, value) in &self.values {
            let mut message = Vec::new();
            put_bytes(&mut message, 1, tag.as_bytes());
            message.push(key(2, FIXED_32));
            message.extend((*value as f32).to_le_bytes());
            put_bytes(&mut summary, 1, &message);
        }
        framed(&event(self.time, self.step as u64, SUMMARY, &summary))
    }
}

/// The start of a file: its version, and the statement that all points read before, from any file of
/// the folder, are void.
pub(super) fn header(time: f64) -> Vec<u8> {
    let status_start = [key(1, VARINT), 1];
    let mut header = framed(&event(time, 0, FILE_VERSION, b"brain.Event:2"));
    header.extend(framed(&event(time, 0, SESSION_LOG, &status_start)));
    header
}

/// Data as a TFRecord.
fn framed(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = length.to_vec();
    record.extend(masked_crc(&length).to_le_bytes());
    record.extend_from_slice(data);
    record.extend(masked_crc(data).to_le_bytes());
    record
}

/// A CRC-32C, masked because the CRC of data that contains CRCs is problematic.
pub(super) fn masked_crc(data: &[u8]) -> u32 {
    CRC_32C
        .checksum(data)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

/// An `Event` with one field more than time and step.
fn event(time: f64, step: u64, field: u8, content: &[u8]) -> Vec<u8> {
    let mut event = vec![key(1, FIXED_64)];
    event.extend(time.to_le_bytes());
    // Numbers that are 0 are omitted.
    if step > 0 {
        event.push(key(2, VARINT));
        put_varint(&mut event, step);
    }
    put_bytes(&mut event, field, content);
    event
}

fn put_bytes(out: &mut Vec<u8>, field: u8, content: &[u8]) {
    out.push(key(field, BYTES));
    put_varint(out, content.len() as u64);
    out.extend_from_slice(content);
}

/// Seven bits per byte, the lowest first; the top bit means that more follow.
fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The key before a field; one byte, as no field here has a number above 15.
fn key(field: u8, wire_type: u8) -> u8 {
    (field << 3) | wire_type
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standards() {
        // RFC 3720, B.4, and the check value of the catalogue of CRCs.
        assert_eq!(CRC_32C.checksum(&[0; 32]), 0x8a91_36aa);
        assert_eq!(CRC_32C.checksum(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(CRC_32C.checksum(b"123456789"), 0xe306_9283);
        // TensorBoard 2.21.0: `masked_crc32c(b"123456789")`.
        assert_eq!(masked_crc(b"123456789"), 0xc78a_b0e5);
    }

    // The bytes of these tests were made with TensorBoard 2.21.0 and protobuf 7.36.2, by
    // `RecordWriter(file).write(event.SerializeToString())` with `event` as the tests say.

    #[test]
    fn a_point_has_the_bytes_that_tensorboard_gives_it() {
        // Event(wall_time=1700000000.5, step=300, summary=Summary(value=[
        //     Summary.Value(tag="search/reward", simple_value=0.7),
        //     Summary.Value(tag="search/best", simple_value=0.75)]))
        let point = Point {
            step: 300,
            time: 1_700_000_000.5,
            values: vec![("search/reward", 0.7), ("search/best", 0.75)],
        };
        let expected = b"\
            \x38\0\0\0\0\0\0\0\xa3\x79\x7d\x57\
            \x09\x00\x00\x20\x40\xfc\x54\xd9\x41\x10\xac\x02\x2a\x2a\
            \x0a\x14\x0a\x0dsearch/reward\x15\x33\x33\x33\x3f\
            \x0a\x12\x0a\x0bsearch/best\x15\x00\x00\x40\x3f\
            \x7f\x15\x97\x39";
        assert_eq!(point.record(), expected);
    }

    #[test]
    fn step_0_is_omitted_and_value_0_is_not() {
        // Event(wall_time=1700000000.5, summary=Summary(value=[
        //     Summary.Value(tag="t", simple_value=0.0)]))
        let point = Point {
            step: 0,
            time: 1_700_000_000.5,
            values: vec![("t", 0.0)],
        };
        let expected = b"\
            \x15\0\0\0\0\0\0\0\xd6\xab\x6b\x2b\
            \x09\x00\x00\x20\x40\xfc\x54\xd9\x41\x2a\x0a\
            \x0a\x08\x0a\x01t\x15\x00\x00\x00\x00\
            \x09\xc6\xe3\xa0";
        assert_eq!(point.record(), expected);
    }

    #[test]
    fn a_header_has_the_bytes_that_tensorboard_gives_it() {
        // Event(wall_time=1700000000.5, file_version="brain.Event:2"), and
        // Event(wall_time=1700000000.5, session_log=SessionLog(status=SessionLog.START))
        let expected = b"\
            \x18\0\0\0\0\0\0\0\xa3\x7f\x4b\x22\
            \x09\x00\x00\x20\x40\xfc\x54\xd9\x41\x1a\x0dbrain.Event:2\
            \x2b\x35\x31\x10\
            \x0d\0\0\0\0\0\0\0\x3c\x37\xb8\x34\
            \x09\x00\x00\x20\x40\xfc\x54\xd9\x41\x3a\x02\x08\x01\
            \xa8\x70\xfd\xd5";
        assert_eq!(header(1_700_000_000.5), expected);
    }
}
