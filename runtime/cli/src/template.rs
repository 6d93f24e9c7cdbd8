//! The files that `plugin new` writes: a crate with an op, and the sources of the SDK.

/// The files of a new plugin, by their paths in its folder.
pub(crate) fn files(name: &str, op: &str) -> Vec<(String, String)> {
    let own = OWN.iter().map(|(path, text)| {
        let text = text.replace("{{name}}", name).replace(OP, op);
        ((*path).to_owned(), text)
    });
    let sdk = TEXTS.iter().chain(FAA_OP).chain(SDK);
    let sdk = sdk.map(|(path, text)| {
        let text = text.replace("{{version}}", env!("CARGO_PKG_VERSION"));
        (format!("sdk/{path}"), text)
    });
    own.chain(sdk).collect()
}

/// The op of the template, whose source is compiled in this repository too.
const OP: &str = "Vignette";

const OWN: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("../template/plugin.toml")),
    ("src/lib.rs", include_str!("../template/lib.rs")),
    ("README.md", include_str!("../template/README.md")),
    (".gitignore", "/target/\n*.wasm\n"),
    (
        ".cargo/config.toml",
        include_str!("../template/cargo-config.toml"),
    ),
];

/// The SDK's manifests, and the READMEs that its sources include as documentation.
#[rustfmt::skip]
const TEXTS: &[(&str, &str)] = &[
    ("faa-op/Cargo.toml", include_str!("../template/faa-op.toml")),
    ("faa-op/README.md", include_str!("../../op/README.md")),
    ("faa-plugin-sdk/Cargo.toml", include_str!("../template/faa-plugin-sdk.toml")),
    ("faa-plugin-sdk/README.md", include_str!("../../../plugin-sdk/README.md")),
];

/// Sources, each with its path in the new plugin's folder `sdk`.
macro_rules! sources {
    ($to:literal, $from:literal, $($file:literal)+) => {
        &[$((concat!($to, $file), include_str!(concat!($from, $file)))),+]
    };
}

#[rustfmt::skip]
const FAA_OP: &[(&str, &str)] = sources!("faa-op/src/", "../../op/src/",
    "abi.rs" "call.rs" "error.rs" "image.rs" "lib.rs" "math.rs" "set.rs" "shape.rs" "spec.rs"
    "stream.rs" "tables.rs" "text.rs" "warp.rs"
);

#[rustfmt::skip]
const SDK: &[(&str, &str)] = sources!("faa-plugin-sdk/src/", "../../../plugin-sdk/src/",
    "lib.rs" "blend.rs" "blend/tests.rs" "blend/vectors.rs" "blend/wasm.rs" "blend/x86.rs" "export.rs" "export/message.rs" "export/native.rs" "export/registry.rs"
    "export/spec.rs" "export/wasm.rs" "outer.rs"
);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    fn sources_in(folder: &Path, under: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for entry in fs::read_dir(folder.join(under)).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{under}{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                found.extend(sources_in(folder, &format!("{path}/")));
            } else {
                found.insert(path);
            }
        }
        found
    }

    /// A new source file of the SDK must be added to the lists above.
    #[test]
    fn all_sources_of_the_sdk_are_listed() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for (folder, prefix, listed) in [
            ("../op/src", "faa-op/src/", FAA_OP),
            ("../../plugin-sdk/src", "faa-plugin-sdk/src/", SDK),
        ] {
            let listed: BTreeSet<_> = listed
                .iter()
                .map(|(path, _)| path.strip_prefix(prefix).unwrap().to_owned())
                .collect();
            assert_eq!(listed, sources_in(&root.join(folder), ""));
        }
    }

    #[test]
    fn every_placeholder_is_replaced() {
        for (path, text) in files("soft-glow", "SoftGlow") {
            assert!(
                !text.contains("{{name}}") && !text.contains("{{version}}"),
                "{path}"
            );
            assert!(path.starts_with("sdk/") || !text.contains(OP), "{path}");
        }
    }
}
