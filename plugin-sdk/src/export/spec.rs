//! The specification as JSON.

use alloc::format;
use alloc::string::String;
use core::fmt::Write;

use super::{Box, Op, Registry};

impl Registry {
    /// The JSON text that `faa_spec` gives.
    ///
    /// # Panics
    ///
    /// Where an op needs what the ABI does not have; the host is told the message.
    pub fn spec_json(&self) -> String {
        let mut json = String::from("{\"ops\":[");
        for (number, op) in self.ops().iter().enumerate() {
            if number > 0 {
                json.push(',');
            }
            write_op(&mut json, op);
        }
        json.push_str("]}");
        json
    }
}

fn write_op(json: &mut String, op: &Box<dyn Op>) {
    let spec = op.spec();
    let name = spec.name();
    assert!(
        !spec.mixes(),
        "`{name}` mixes another image in, which version 1 of the plugin ABI has no place for"
    );
    json.push_str("{\"name\":");
    write_text(json, name);
    json.push_str(",\"summary\":");
    write_text(json, spec.summary());
    if let Some(range) = spec.value_range() {
        let (low, high) = (range.low, range.high);
        assert!(
            low.is_finite() && high.is_finite(),
            "the range of `{name}` is not finite"
        );
        assert!(
            matches!(range.centre, None | Some(0.0)),
            "`{name}` is mirrored about another value than 0, which version 1 of the plugin ABI \
             has no place for"
        );
        // The shortest digits that are read back as the same number.
        json.push_str(&format!(",\"low\":{low:?},\"high\":{high:?},\"unit\":"));
        write_text(json, &range.unit);
        let mirrored = range.centre.is_some();
        json.push_str(&format!(",\"mirrored\":{mirrored}"));
    }
    json.push('}');
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
                let number = u32::from(character);
                // Writing to a string does not fail.
                let _ = write!(json, "\\u{number:04x}");
            }
            character => json.push(character),
        }
    }
    json.push('"');
}

#[cfg(test)]
mod tests {
    use alloc::borrow::ToOwned;
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
        let registry = Registry::new(|| {
            let quoted = OpSpec::new("A", "says \"a\\b\"\n");
            let ranged = OpSpec::new("B", "").range(-0.3, 1e21, "m/s²").mirrored();
            vec![Box::new(Nothing(quoted)), Box::new(Nothing(ranged))]
        });
        assert_eq!(
            registry.spec_json(),
            r#"{"ops":[{"name":"A","summary":"says \"a\\b\"\u000a"},"#.to_owned()
                + r#"{"name":"B","summary":"","low":-0.3,"high":1e21,"unit":"m/s²","mirrored":true}]}"#
        );
    }

    #[test]
    #[should_panic(expected = "`C` mixes another image in")]
    fn what_the_abi_lacks_is_refused() {
        Registry::new(|| vec![Box::new(Nothing(OpSpec::new("C", "").mixing()))]).spec_json();
    }
}
