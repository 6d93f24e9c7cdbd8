//! Targets that are refused: a status and a message that names them, and nothing is changed.
#![expect(unsafe_code, reason = "as C calls")]

use std::ptr::{self, null, null_mut};

use faa::*;

use crate::arguments::{KEY, failed, image, policy, refused};

const FLIPPING: &std::ffi::CStr = c"{\"format\": \"faa-policy\", \"version\": 1, \"name\": \"a\",
    \"sub_policies\": [[{\"op\": \"FlipX\", \"probability\": 1}]]}";

fn none() -> Targets {
    Targets {
        images: null(),
        image_count: 0,
        masks: null(),
        mask_count: 0,
        boxes: null_mut(),
        box_count: 0,
        rotated_boxes: null_mut(),
        rotated_box_count: 0,
        keypoints: null_mut(),
        keypoint_count: 0,
        min_visible: 0.0,
        min_size: 0.0,
        erased: FAA_OCCLUDED,
    }
}

fn mask(labels: &mut [u16]) -> Mask {
    Mask {
        labels: labels.as_mut_ptr().cast(),
        length: size_of_val(labels),
        width: 2,
        height: 2,
        label_bytes: 2,
        row_stride: 0,
        fill: 0,
    }
}

#[test]
fn targets_that_do_not_fit_are_refused_by_their_field() {
    let (policy, workspace) = (policy(FLIPPING), faa_workspace_new());
    let (mut samples, mut labels, mut more) = ([1; 12], [2; 4], [3; 12]);
    let refused_with = |targets: *const Targets, path: &str, part: &str| {
        let mut samples = [1; 12];
        let result = &mut image(&mut samples);
        // SAFETY: each pointer is valid or null, and no memory that is not is touched, which is tested.
        unsafe {
            refused(path, part, |e| {
                faa_apply_with_targets(policy, KEY, null(), result, targets, workspace, e)
            });
            refused(path, part, |e| {
                let plan = c"{\"steps\": []}".as_ptr();
                faa_replay_with_targets(policy, plan, 13, null(), result, targets, workspace, e)
            });
        }
        assert_eq!(samples, [1; 12]);
    };
    refused_with(null(), "targets", "NULL");

    type Change = fn(&mut Targets);
    let cases: [(&str, &str, Change); 12] = [
        (".images", "NULL", |it| it.image_count = 1),
        (".masks", "NULL", |it| it.mask_count = 1),
        (".boxes", "NULL", |it| it.box_count = 1),
        (".rotated_boxes", "NULL", |it| it.rotated_box_count = 1),
        (".keypoints", "NULL", |it| it.keypoint_count = 1),
        (".boxes", "too long", |it| {
            (it.boxes, it.box_count) = (ptr::dangling_mut(), usize::MAX / 2);
        }),
        (".min_visible", "1.5 is not from 0 to 1", |it| {
            it.min_visible = 1.5;
        }),
        (".min_visible", "NaN", |it| it.min_visible = f64::NAN),
        (".min_size", "-1 is not a length", |it| it.min_size = -1.0),
        (".min_size", "inf", |it| it.min_size = f64::INFINITY),
        (".erased", "found 2", |it| it.erased = 2),
        (".erased", "FAA_REMOVED", |it| it.erased = u32::MAX),
    ];
    for (field, part, change) in cases {
        let mut targets = none();
        change(&mut targets);
        refused_with(&targets, &format!("targets{field}"), part);
    }

    type MaskChange = fn(&mut Mask);
    let cases: [(&str, &str, MaskChange); 11] = [
        (".label_bytes", "not 4", |it| it.label_bytes = 4),
        ("", "3×2 labels, and its image 2×2", |it| it.width = 3),
        ("", "2×1 labels", |it| it.height = 1),
        (".fill", "65536 does not fit", |it| it.fill = 65_536),
        (".fill", "256 does not fit", |it| {
            (it.label_bytes, it.fill) = (1, 256);
        }),
        (".row_stride", "rows of 4", |it| it.row_stride = 3),
        (".row_stride", "multiple", |it| {
            (it.row_stride, it.length) = (5, 99);
        }),
        ("", "too large", |it| it.row_stride = usize::MAX),
        (".length", "take 7 bytes", |it| it.length = 7),
        (".labels", "NULL", |it| it.labels = null_mut()),
        (".labels", "aligned", |it| {
            it.labels = it.labels.wrapping_byte_add(1);
        }),
    ];
    for (field, part, change) in cases {
        let mut masks = [mask(&mut more[..4]), mask(&mut labels)];
        change(&mut masks[1]);
        let mut targets = none();
        (targets.masks, targets.mask_count) = (masks.as_ptr(), 2);
        refused_with(&targets, &format!("targets.masks[1]{field}"), part);
    }

    let mut wrong = [image(&mut samples); 2];
    wrong[1].channels = 2;
    let mut targets = none();
    (targets.images, targets.image_count) = (wrong.as_ptr(), 2);
    refused_with(&targets, "targets.images[1].channels", "not 2");
    // SAFETY: they are not used again.
    unsafe {
        faa_workspace_free(workspace);
        faa_policy_free(policy);
    }
    assert_eq!((samples, labels, more), ([1; 12], [2; 4], [3; 12]));
}

#[test]
fn nothing_that_is_written_belongs_to_two() {
    let (policy, workspace) = (policy(FLIPPING), faa_workspace_new());
    let mut memory = [5_u16; 64];
    let bytes = memory.as_mut_ptr().cast::<u8>();
    let image_at = |offset: usize| Image {
        samples: bytes.wrapping_add(offset),
        length: 12,
        width: 2,
        height: 2,
        channels: 3,
        row_stride: 0,
        layout: FAA_HWC,
    };
    let mask_at = |offset: usize| Mask {
        labels: bytes.wrapping_add(offset).cast(),
        length: 8,
        width: 2,
        height: 2,
        label_bytes: 2,
        row_stride: 0,
        fill: 0,
    };
    let mut partners = null_mut();
    // SAFETY: all pointers are valid, and memory of the partners outlives the workspace.
    unsafe {
        let set = bytes.wrapping_add(100);
        assert_eq!(
            faa_partners_new(set, 24, 2, 2, 3, &mut partners, null_mut()),
            FAA_OK
        );
        faa_workspace_set_partners(workspace, partners, null_mut());
        faa_partners_free(partners);
    }
    let call = |source: Option<usize>, images: &[usize], masks: &[usize], error| {
        let images: Vec<_> = images.iter().copied().map(image_at).collect();
        let masks: Vec<_> = masks.iter().copied().map(mask_at).collect();
        let mut targets = none();
        (targets.images, targets.image_count) = (images.as_ptr(), images.len());
        (targets.masks, targets.mask_count) = (masks.as_ptr(), masks.len());
        let source = source.map(image_at);
        let source = source.as_ref().map_or(null(), ptr::from_ref);
        // SAFETY: all pointers are valid.
        unsafe {
            let result = &mut image_at(0);
            faa_apply_with_targets(policy, KEY, source, result, &targets, workspace, error)
        }
    };
    for (source, images, masks, path, message) in [
        (
            None,
            &[11][..],
            &[][..],
            "targets.images[0]",
            "overlaps result",
        ),
        (
            None,
            &[12, 23],
            &[],
            "targets.images[1]",
            "overlaps targets.images[0]",
        ),
        (
            None,
            &[12],
            &[22],
            "targets.masks[0]",
            "overlaps targets.images[0]",
        ),
        (
            None,
            &[],
            &[40, 34],
            "targets.masks[1]",
            "overlaps targets.masks[0]",
        ),
        (
            None,
            &[60],
            &[40, 20, 10],
            "targets.masks[2]",
            "overlaps result",
        ),
        (
            Some(12),
            &[],
            &[22],
            "targets.masks[0]",
            "overlaps the source",
        ),
        (
            Some(12),
            &[13],
            &[],
            "targets.images[0]",
            "overlaps the source",
        ),
        (None, &[], &[122], "targets.masks[0]", "with the partners"),
        (None, &[89], &[], "targets.images[0]", "with the partners"),
    ] {
        refused(path, message, |error| call(source, images, masks, error));
    }
    assert_eq!(memory, [5; 64]);
    let status = call(Some(12), &[24, 40], &[56, 64, 72], null_mut());
    assert_eq!(status, FAA_OK);
    // SAFETY: they are not used again.
    unsafe {
        faa_workspace_free(workspace);
        faa_policy_free(policy);
    }
}

#[test]
fn a_frame_s_key_is_rust_s() {
    let key = faa_op::DrawKey::new(1, 3, 2);
    for frame in [0, 1, u32::MAX] {
        let found = faa_key_for_frame(Key { epoch: 3, ..KEY }, frame);
        assert_eq!(found.seed, key.for_frame(frame).seed);
        assert_eq!((found.epoch, found.index), (3, 2));
    }
    // A key that no call takes stays one.
    let far = Key {
        epoch: u64::MAX,
        ..KEY
    };
    assert_eq!(faa_key_for_frame(far, 1).epoch, u64::MAX);
    // SAFETY: null is no policy.
    assert!(unsafe { faa_policy_op_without_warp(null()) }.is_null());
}

/// After a failure of an op, boxes and points are as they were.
#[test]
fn boxes_and_points_change_only_if_all_goes_well() {
    let mixing = policy(
        c"{\"format\": \"faa-policy\", \"version\": 1, \"name\": \"a\",
        \"sub_policies\": [[{\"op\": \"FlipX\", \"probability\": 1},
                            {\"op\": \"SamplePairing\", \"probability\": 1, \"magnitude\": 1}]]}",
    );
    let workspace = faa_workspace_new();
    let set = [9; 12];
    let (mut samples, mut other) = ([1; 12], [2; 3]);
    let mut boxes = [BoundingBox {
        left: 0.0,
        top: 0.0,
        right: 1.0,
        bottom: 2.0,
        visible: 0.5,
    }];
    let mut points = [Keypoint {
        x: 0.5,
        y: 1.0,
        visible: 2,
    }];
    // A partner of the image has the wrong shape for the second one.
    let mut small = image(&mut other);
    (small.width, small.height) = (1, 1);
    let mut targets = none();
    (targets.images, targets.image_count) = (&small, 1);
    (targets.boxes, targets.box_count) = (boxes.as_mut_ptr(), 1);
    (targets.keypoints, targets.keypoint_count) = (points.as_mut_ptr(), 1);
    let mut partners = null_mut();
    // SAFETY: all pointers are valid, and memory of the partners outlives the workspace.
    unsafe {
        faa_partners_new(set.as_ptr(), 12, 2, 2, 3, &mut partners, null_mut());
        faa_workspace_set_partners(workspace, partners, null_mut());
        faa_partners_free(partners);
        let result = &mut image(&mut samples);
        let (status, path, _) =
            failed(|e| faa_apply_with_targets(mixing, KEY, null(), result, &targets, workspace, e));
        assert_eq!((status, path.as_str()), (FAA_PARTNER, ""));
        assert_eq!((boxes[0].left, boxes[0].visible), (0.0, 0.5));
        assert_eq!((points[0].x, points[0].visible), (0.5, 2));
        targets.image_count = 0;
        let status =
            faa_apply_with_targets(mixing, KEY, null(), result, &targets, workspace, null_mut());
        assert_eq!(status, FAA_OK);
        assert_eq!((boxes[0].left, boxes[0].visible), (1.0, 1.0));
        assert_eq!((points[0].x, points[0].visible), (1.5, 2));
        faa_workspace_free(workspace);
        faa_policy_free(mixing);
    }
}
