//! Arguments that are refused: a status and a message that names them, and nothing is changed.
#![expect(unsafe_code, reason = "as C calls")]

use std::ffi::CStr;
use std::ptr::{self, null, null_mut};

use faa::*;

const NAME: &CStr = c"randaugment";
pub(crate) const KEY: Key = Key {
    seed: 1,
    epoch: 0,
    index: 2,
};

/// The status, path and message of a call.
pub(crate) fn failed(call: impl FnOnce(*mut *mut Error) -> Status) -> (Status, String, String) {
    let mut error = ptr::dangling_mut();
    let status = call(&mut error);
    // SAFETY: every call stores an error or null.
    unsafe {
        let text = |text| CStr::from_ptr(text).to_str().unwrap().to_owned();
        let (path, message) = (text(faa_error_path(error)), text(faa_error_message(error)));
        faa_error_free(error);
        (status, path, message)
    }
}

#[track_caller]
pub(crate) fn refused(path: &str, part: &str, call: impl FnOnce(*mut *mut Error) -> Status) {
    let (status, found, message) = failed(call);
    assert_eq!(
        (status, found.as_str()),
        (FAA_INVALID_ARGUMENT, path),
        "{message}"
    );
    assert!(
        message.starts_with(path) && message.contains(part),
        "{message}"
    );
}

pub(crate) fn policy(json: &CStr) -> *mut Policy {
    let mut policy = null_mut();
    let length = json.to_bytes().len();
    // SAFETY: all pointers are valid.
    let status = unsafe { faa_policy_parse(json.as_ptr(), length, &mut policy, null_mut()) };
    assert_eq!(status, FAA_OK);
    policy
}

pub(crate) fn image(samples: &mut [u8]) -> Image {
    Image {
        samples: samples.as_mut_ptr(),
        length: samples.len(),
        width: 2,
        height: 2,
        channels: 3,
        row_stride: 0,
        layout: FAA_HWC,
    }
}

const INVERTING: &CStr = c"{\"format\": \"faa-policy\", \"version\": 1, \"name\": \"a\",
    \"sub_policies\": [[{\"op\": \"Invert\", \"probability\": 1}]]}";
const MIXING: &CStr = c"{\"format\": \"faa-policy\", \"version\": 1, \"name\": \"a\",
    \"sub_policies\": [[{\"op\": \"SamplePairing\", \"probability\": 1, \"magnitude\": 1}]]}";

#[test]
fn null_is_a_status_or_nothing() {
    const NULL: &str = "must not be NULL";
    let policy = policy(INVERTING);
    let workspace = faa_workspace_new();
    let (mut samples, mut other, mut text) = ([1; 12], null_mut(), null_mut());
    let image = &mut image(&mut samples);
    // SAFETY: each pointer is valid or null.
    unsafe {
        refused("policy", NULL, |e| {
            faa_policy_parse(INVERTING.as_ptr(), 9, null_mut(), e)
        });
        refused("json", NULL, |e| faa_policy_parse(null(), 9, &mut other, e));
        refused("policy", NULL, |e| {
            faa_policy_shipped(NAME.as_ptr(), null_mut(), e)
        });
        refused("name", NULL, |e| faa_policy_shipped(null(), &mut other, e));
        refused("policy", NULL, |e| {
            faa_apply(null(), KEY, null(), image, workspace, e)
        });
        refused("result", NULL, |e| {
            faa_apply(policy, KEY, null(), null_mut(), workspace, e)
        });
        refused("workspace", NULL, |e| {
            faa_apply(policy, KEY, null(), image, null_mut(), e)
        });
        refused("policy", NULL, |e| faa_plan(null(), KEY, 0, &mut text, e));
        refused("plan", NULL, |e| faa_plan(policy, KEY, 0, null_mut(), e));
        refused("policy", NULL, |e| {
            faa_replay(null(), null(), 0, null(), image, workspace, e)
        });
        refused("plan", NULL, |e| {
            faa_replay(policy, null(), 1, null(), image, workspace, e)
        });
        refused("workspace", NULL, |e| {
            faa_replay(policy, null(), 1, null(), image, null_mut(), e)
        });
        refused("partners", NULL, |e| {
            faa_partners_new(null(), 0, 1, 1, 1, null_mut(), e)
        });
        refused("samples", NULL, |e| {
            faa_partners_new(null(), 9, 1, 1, 1, &mut null_mut(), e)
        });
        refused("workspace", NULL, |e| {
            faa_workspace_set_partners(null_mut(), null(), e)
        });
        // No error is wanted.
        let status = faa_policy_parse(null(), 9, &mut other, null_mut());
        assert_eq!(
            (status, other, text),
            (FAA_INVALID_ARGUMENT, null_mut(), null_mut())
        );

        assert!(faa_policy_partner_op(null()).is_null());
        assert_eq!(faa_partners_count(null()), 0);
        assert_eq!(*faa_error_message(null()), 0);
        assert_eq!(*faa_error_path(null()), 0);
        faa_error_free(null_mut());
        faa_policy_free(null_mut());
        faa_workspace_free(null_mut());
        faa_partners_free(null_mut());
        faa_string_free(null_mut());

        faa_workspace_free(workspace);
        faa_policy_free(policy);
    }
    assert_eq!(samples, [1; 12]);
}

#[cfg(feature = "plugins")]
#[test]
fn null_plugins_are_none() {
    let (mut plugins, mut policy) = (null_mut(), null_mut());
    // SAFETY: each pointer is valid or null.
    unsafe {
        refused("plugins", "NULL", |e| {
            faa_plugins_load(null(), 0, null(), null_mut(), e)
        });
        refused("folders", "NULL", |e| {
            faa_plugins_load(null(), 1, null(), &mut plugins, e)
        });
        let folders = [null()];
        let load = |plugins, e| faa_plugins_load(folders.as_ptr(), 1, null(), plugins, e);
        refused("folders[0]", "NULL", |e| load(&mut plugins, e));
        refused("plugins", "NULL", |e| {
            faa_plugins_policy_parse(null(), INVERTING.as_ptr(), 9, &mut policy, e)
        });
        assert_eq!(
            faa_plugins_op_count(null()) + faa_plugins_broken_count(null()),
            0
        );
        assert!(faa_plugins_op(null(), 0).is_null() && faa_plugins_broken(null(), 0).is_null());
        faa_plugins_free(null_mut());
    }
}

#[test]
fn images_that_do_not_fit_are_refused_by_their_field() {
    let policy = policy(INVERTING);
    let workspace = faa_workspace_new();
    let mut samples = [1; 24];
    let valid = image(&mut samples);
    type Change = fn(&mut Image);
    let cases: [(&str, &str, Change); 11] = [
        (".channels", "not 2", |image| image.channels = 2),
        (".layout", "found 2", |image| image.layout = 2),
        ("", "at least one row", |image| image.width = 0),
        ("", "at least one row", |image| image.height = 0),
        ("", "too large", |image| image.width = usize::MAX),
        ("", "too large", |image| image.row_stride = usize::MAX),
        (".row_stride", "rows of 6", |image| image.row_stride = 5),
        (".length", "take 11 bytes where", |image| image.length = 11),
        (".length", "shape needs 27", |image| {
            // The last row of the last channel needs no gap after it.
            (image.layout, image.row_stride) = (FAA_CHW, 5);
        }),
        (".samples", "NULL", |image| image.samples = null_mut()),
        ("", "too large", |image| {
            image.samples = ptr::without_provenance_mut(usize::MAX - 4);
        }),
    ];
    for (field, part, change) in cases {
        let mut wrong = valid;
        change(&mut wrong);
        // SAFETY: each pointer is valid; no memory of an image that is not is touched, which is tested.
        unsafe {
            refused(&format!("result{field}"), part, |e| {
                faa_apply(policy, KEY, null(), &mut wrong, workspace, e)
            });
            let mut valid = valid;
            refused(&format!("source{field}"), part, |e| {
                faa_apply(policy, KEY, &wrong, &mut valid, workspace, e)
            });
        }
    }
    for epoch in [u64::from(u32::MAX), u64::MAX] {
        let (key, mut image) = (Key { epoch, ..KEY }, valid);
        // SAFETY: all pointers are valid.
        unsafe {
            refused("key.epoch", "not below 4294967295", |e| {
                faa_apply(policy, key, null(), &mut image, workspace, e)
            });
            refused("key.epoch", "not below", |e| {
                faa_plan(policy, key, 0, &mut null_mut(), e)
            });
        }
    }
    let (mut other, mut shifted, mut result) = (valid, valid, valid);
    other.width = 1;
    shifted.samples = shifted.samples.wrapping_add(6);
    // SAFETY: all pointers are valid.
    unsafe {
        refused("source", "size", |e| {
            faa_apply(policy, KEY, &other, &mut result, workspace, e)
        });
        refused("source", "overlaps the result", |e| {
            faa_apply(policy, KEY, &shifted, &mut result, workspace, e)
        });
        faa_workspace_free(workspace);
        faa_policy_free(policy);
    }
    assert_eq!(samples, [1; 24]);
}

#[test]
fn partners_are_needed_of_one_shape_and_apart_from_the_result() {
    let (policy, workspace) = (policy(MIXING), faa_workspace_new());
    let (mut samples, mut set) = ([0; 12], [200; 36]);
    let mut partners = null_mut();
    // SAFETY: all pointers are valid, and the partners' memory outlives the workspace.
    unsafe {
        let apply = |result: &mut Image| {
            failed(|error| faa_apply(policy, KEY, null(), result, workspace, error))
        };
        let (status, path, message) = apply(&mut image(&mut samples));
        assert_eq!((status, path.as_str()), (FAA_PARTNER, ""));
        assert!(
            message.contains("`SamplePairing`") && message.contains("faa_workspace_set_partners")
        );

        let new = |length, width, partners, error| {
            faa_partners_new(set.as_ptr(), length, width, 2, 3, partners, error)
        };
        refused("partners", "take 35 bytes", |e| {
            new(35, 2, &mut partners, e)
        });
        refused("partners", "at least one row", |e| {
            new(36, 0, &mut partners, e)
        });
        let bad = |e| faa_partners_new(set.as_ptr(), 36, 2, 2, 2, &mut null_mut(), e);
        refused("channels", "not 2", bad);

        for (width, expected) in [(3, FAA_PARTNER), (2, FAA_OK)] {
            assert_eq!(new(36, width, &mut partners, null_mut()), FAA_OK);
            assert_eq!(faa_partners_count(partners), 36 / (6 * width as u64));
            assert_eq!(
                faa_workspace_set_partners(workspace, partners, null_mut()),
                FAA_OK
            );
            // The workspace keeps them.
            faa_partners_free(partners);
            let (status, ..) = apply(&mut image(&mut samples));
            assert_eq!(status, expected);
        }
        // Half of each, by the op's largest value.
        assert!(samples.iter().all(|sample| *sample > 0), "{samples:?}");
        refused("result", "partners", |e| {
            faa_apply(
                policy,
                KEY,
                null(),
                &mut image(&mut set[20..32]),
                workspace,
                e,
            )
        });
        assert_eq!(
            faa_workspace_set_partners(workspace, null(), null_mut()),
            FAA_OK
        );
        assert_eq!(apply(&mut image(&mut samples)).0, FAA_PARTNER);
        faa_workspace_free(workspace);
        faa_policy_free(policy);
    }
    assert_eq!(set, [200; 36]);
}

#[test]
fn errors_of_files_name_the_place() {
    let (policy, workspace) = (policy(INVERTING), faa_workspace_new());
    let mut samples = [1; 12];
    let mut other = null_mut();
    // SAFETY: all pointers are valid.
    unsafe {
        let parse = |json: &[u8], policy, error| {
            faa_policy_parse(json.as_ptr().cast(), json.len(), policy, error)
        };
        let json = INVERTING.to_bytes();
        let (status, path, message) = failed(|e| parse(&json[..json.len() - 1], &mut other, e));
        assert_eq!((status, path.as_str()), (FAA_INVALID_POLICY, ""));
        assert!(message.starts_with("not valid JSON"), "{message}");
        let (status, path, _) = failed(|e| faa_policy_parse(null(), 0, &mut other, e));
        assert_eq!((status, path.as_str()), (FAA_INVALID_POLICY, ""));
        // Neither a zero byte nor an escape of a terminal gets into a message.
        let wrong =
            br#"{"format": "faa-policy", "version": 1, "name": "a", "x\u0000\u001b[2Jy": 1}"#;
        let (status, path, message) = failed(|e| parse(wrong, &mut other, e));
        assert_eq!(
            (status, message),
            (FAA_INVALID_POLICY, format!("{path}: unknown key"))
        );
        assert_eq!(path, "x  [2Jy");

        let (status, path, message) =
            failed(|e| faa_policy_shipped(c"rand-m9-mstd0.5".as_ptr(), &mut other, e));
        assert_eq!((status, path.as_str()), (FAA_NOT_FOUND, "name"));
        assert!(message.contains("timm"), "{message}");
        let (_, _, message) = failed(|e| faa_policy_shipped(c"\xff".as_ptr(), &mut other, e));
        assert!(message.contains("faa_shipped_name"), "{message}");

        let plan = br#"{"steps": [{"step": 0, "op": "Inverted", "value": 0, "seed": 1}]}"#;
        let mut source = [2; 12];
        let source = image(&mut source);
        let (status, path, message) = failed(|e| {
            let result = &mut image(&mut samples);
            faa_replay(
                policy,
                plan.as_ptr().cast(),
                plan.len(),
                &source,
                result,
                workspace,
                e,
            )
        });
        assert_eq!((status, path.as_str()), (FAA_INVALID_POLICY, "steps[0].op"));
        assert!(message.contains("did you mean `Invert`?"), "{message}");
        faa_workspace_free(workspace);
        faa_policy_free(policy);
    }
    assert_eq!((samples, other), ([1; 12], null_mut()));
}
