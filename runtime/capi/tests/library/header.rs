//! The header is the interface: it compiles by itself, and the library has what it declares.

use std::collections::BTreeSet;
use std::fs;
use std::mem::offset_of;
use std::process::Command;

use faa::{BoundingBox, Image, Key, Keypoint, Mask, RotatedBox, Status, Targets};

use crate::compile::{Link, Program, compiler, library_folder, package, successful};

#[test]
fn headers_compile_as_c99_and_as_cpp17() {
    let folder = tempfile::tempdir().unwrap();
    for (name, header) in [("c.c", "faa.h"), ("c.cpp", "faa.h"), ("cpp.cpp", "faa.hpp")] {
        let source = folder.path().join(name);
        // Twice, as when other headers include it too.
        fs::write(
            &source,
            format!("#include \"{header}\"\n#include \"{header}\"\n"),
        )
        .unwrap();
        for plugins in [&["-UFAA_PLUGINS"][..], &["-UFAA_PLUGINS", "-DFAA_PLUGINS"]] {
            let mut compiler = compiler(&source);
            compiler.args(plugins).arg("-fsyntax-only").arg(&source);
            successful(&mut compiler);
        }
    }
}

#[test]
fn exported_symbols_are_the_prototypes() {
    let header = fs::read_to_string(package().join("include/faa.h")).unwrap();
    let (all, without) = (prototypes(&header), prototypes(&without_plugins(&header)));
    assert!(without.len() > 15 && all.len() > without.len(), "{all:?}");
    let expected = if cfg!(feature = "plugins") {
        all
    } else {
        without
    };

    let mut nm = Command::new("nm");
    nm.args(["-D", "--defined-only"]);
    let symbols = successful(nm.arg(library_folder().join("libfaa.so")));
    let symbols = String::from_utf8(symbols.stdout).unwrap();
    let names = symbols.lines().filter_map(|line| line.split(' ').nth(2));
    let names: BTreeSet<_> = names.map(str::to_owned).collect();
    assert_eq!(names, expected);
}

#[test]
fn prototypes_are_found() {
    let header = "/* faa_no(x) */ void faa_a(int);\nint *faa_b(\n void);\n#ifdef FAA_PLUGINS\nint faa_c(void);\n#endif\n";
    let names = |text: &str| prototypes(text).into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!(names(header), "faa_a faa_b faa_c");
    assert_eq!(names(&without_plugins(header)), "faa_a faa_b");
}

fn without_plugins(header: &str) -> String {
    let (before, rest) = header.split_once("#ifdef FAA_PLUGINS").unwrap();
    let (_, after) = rest.split_once("#endif").unwrap();
    format!("{before}{after}")
}

/// The names before an opening parenthesis, outside of comments.
fn prototypes(header: &str) -> BTreeSet<String> {
    let mut comments = header.split("/*");
    let mut code = comments.next().unwrap().to_owned();
    for comment in comments {
        code += comment.split_once("*/").unwrap().1;
    }
    let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let mut names = BTreeSet::new();
    for (end, _) in code.match_indices('(') {
        let name = code[..end].rsplit(|character| !is_name(character)).next();
        names.extend(
            name.filter(|name| name.starts_with("faa_"))
                .map(str::to_owned),
        );
    }
    names
}

#[test]
fn constants_and_structures_are_the_header_s() {
    let mut expected = Vec::new();
    macro_rules! constants {
        ($($name:ident)+) => { $(expected.push(format!("{} {}", stringify!($name), faa::$name));)+ };
    }
    macro_rules! structure {
        ($c:ident $type:ident $($field:ident)*) => {
            expected.push(format!("{} {}", stringify!($c), size_of::<$type>()));
            $(expected.push(format!(
                "{}.{} {}", stringify!($c), stringify!($field), offset_of!($type, $field)
            ));)*
        };
    }
    constants! {
        FAA_ABI_MAJOR FAA_ABI_MINOR FAA_OK FAA_INVALID_ARGUMENT FAA_INVALID_POLICY FAA_NOT_FOUND
        FAA_PARTNER FAA_OP_FAILED FAA_PLUGIN_FAILED FAA_INTERNAL FAA_HWC FAA_CHW
        FAA_OCCLUDED FAA_REMOVED
    }
    structure! { faa_status Status }
    structure! { faa_key Key seed epoch index }
    structure! { faa_image Image samples length width height channels row_stride layout }
    structure! { faa_mask Mask labels length width height label_bytes row_stride fill }
    structure! { faa_box BoundingBox left top right bottom visible }
    structure! { faa_rotated_box RotatedBox x y width height angle visible }
    structure! { faa_keypoint Keypoint x y visible }
    structure! {
        faa_targets Targets images image_count masks mask_count boxes box_count rotated_boxes
        rotated_box_count keypoints keypoint_count min_visible min_size erased
    }
    #[cfg(feature = "plugins")]
    {
        use faa::PluginOptions;
        structure! {
            faa_plugin_options PluginOptions memory_mib total_memory_mib call_seconds allow_native
        }
    }
    let printed = Program::new("tests/c/layout.c", Link::Shared, &[]).run(&[]);
    assert_eq!(printed.lines().collect::<Vec<_>>(), expected);
}
