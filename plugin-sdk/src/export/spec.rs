//! The specification as JSON.

use alloc::string::String;

use super::registry::Registry;
use crate::Op;

impl Registry {
    /// The JSON text that `faa_spec` returns.
    ///
    /// # Panics
    ///
    /// If an op needs what the ABI does not support; the host gets the message.
    pub fn spec_json(&self) -> String {
        let mut json = String::from("{\"ops\":[");
        for (number, op) in self.0.iter().enumerate() {
            if number > 0 {
                json.push(',');
            }
            write_op(&mut json, op.as_ref());
        }
        json.push_str("]}");
        json
    }
}

fn write_op(json: &mut String, op: &dyn Op) {
    let spec = op.spec();
    let name = spec.name();
    assert!(
        !spec.needs_partner(),
        "`{name}` needs a partner image, which version 1 of the plugin ABI does not support"
    );
    json.push_str("{\"name\":");
    write_text(json, name);
    json.push_str(",\"summary\":");
    write_text(json, spec.summary());
    if let Some(range) = spec.value_range() {
        assert!(
            matches!(range.centre, None | Some(0.0)),
            "`{name}` is mirrored about a value other than 0, which version 1 of the plugin ABI \
             does not support"
        );
        for (key, end) in [(",\"low\":", range.low), (",\"high\":", range.high)] {
            json.push_str(key);
            let written = write_number(json, end);
            assert!(
                written,
                "an end of the range of `{name}` is not finite, or too large or fine"
            );
        }
        json.push_str(",\"unit\":");
        write_text(json, &range.unit);
        if range.centre.is_some() {
            json.push_str(",\"mirrored\":true");
        }
    }
    json.push('}');
}

/// Writes a number with all of its decimal places, so that it is read back exactly. Returns `false`
/// if it is not finite, or beyond 2⁶³, or has a fraction finer than 2⁻¹²⁰.
///
/// The standard library's formatting would be half of the code of a small plugin.
fn write_number(json: &mut String, value: f64) -> bool {
    const FINEST: u32 = 120;
    let bits = value.abs().to_bits();
    let exponent = (bits >> 52) as u32;
    let fraction = bits & ((1 << 52) - 1);
    // The value is `mantissa / 2^places`.
    let (mut mantissa, mut places) = (u128::from(fraction | 1 << 52), 0);
    match exponent {
        0 if fraction == 0 => mantissa = 0,
        // An integer of less than 64 bits.
        1075..=1085 => mantissa <<= exponent - 1075,
        1..1075 => {
            let zeros = mantissa.trailing_zeros().min(1075 - exponent);
            (mantissa, places) = (mantissa >> zeros, 1075 - exponent - zeros);
        }
        _ => return false,
    }
    if places > FINEST {
        return false;
    }
    if value < 0.0 {
        json.push('-');
    }
    let below_one = (1_u128 << places) - 1;
    write_integer(json, (mantissa >> places) as u64);
    let mut rest = mantissa & below_one;
    if rest != 0 {
        json.push('.');
    }
    while rest != 0 {
        // Ten times the rest, whose whole part is the next digit.
        rest = (rest << 3) + (rest << 1);
        json.push(char::from(b'0' + (rest >> places) as u8));
        rest &= below_one;
    }
    true
}

fn write_integer(json: &mut String, value: u64) {
    if value > 9 {
        write_integer(json, value / 10);
    }
    json.push(char::from(b'0' + (value % 10) as u8));
}

fn write_text(json: &mut String, text: &str) {
    json.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                json.push('\\');
                json.push(character);
            }
            character if character.is_control() => {
                json.push_str("\\u");
                let number = u32::from(character);
                for shift in [12, 8, 4, 0] {
                    let digit = number >> shift & 15;
                    json.extend(char::from_digit(digit, 16));
                }
            }
            character => json.push(character),
        }
    }
    json.push('"');
}

#[cfg(test)]
mod tests {
    use alloc::borrow::ToOwned;
    use alloc::boxed::Box;
    use alloc::vec;

    use super::*;
    use crate::{Call, ImageMut, OpError, OpSpec};

    struct Nothing(OpSpec);

    impl Op for Nothing {
        fn spec(&self) -> &OpSpec {
            &self.0
        }

        fn apply(&self, _: &mut ImageMut<'_>, _: f64, _: &mut Call<'_>) -> Result<(), OpError> {
            Ok(())
        }
    }

    #[test]
    fn specifications_are_json() {
        let quoted = OpSpec::new("A", "says \"a\\b\"\n");
        let ranged = OpSpec::new("B", "").range(-0.25, 1e15, "m/s²").mirrored();
        let registry = Registry(vec![Box::new(Nothing(quoted)), Box::new(Nothing(ranged))]);
        assert_eq!(
            registry.spec_json(),
            r#"{"ops":[{"name":"A","summary":"says \"a\\b\"\u000a"},"#.to_owned()
                + r#"{"name":"B","summary":"","low":-0.25,"high":1000000000000000,"unit":"m/s²","mirrored":true}]}"#
        );
    }

    #[test]
    fn numbers_are_read_back_as_they_were() {
        let mut numbers = vec![
            0.1,
            -0.3,
            1.9,
            255.0,
            1e-9,
            0.499_999_999_999_999_94,
            9e15,
            1e18,
        ];
        let mut stream = crate::Stream::for_op(5);
        numbers.extend(
            (0..2000).map(|_| (stream.unit() - 0.5) * [1e-3, 1.0, 1e6][stream.below(3) as usize]),
        );
        for number in numbers {
            let mut text = String::new();
            assert!(write_number(&mut text, number), "{number}");
            assert_eq!(text.parse(), Ok(number), "{text}");
        }
        for number in [f64::NAN, f64::INFINITY, 1e20, 1e-200, 5e-324] {
            assert!(!write_number(&mut String::new(), number), "{number}");
        }
        let mut text = String::new();
        assert!(write_number(&mut text, -0.0) && text == "0");
    }

    #[test]
    #[should_panic(expected = "`C` needs a partner image")]
    fn what_the_abi_lacks_is_refused() {
        Registry(vec![Box::new(Nothing(OpSpec::new("C", "").with_partner()))]).spec_json();
    }
}
