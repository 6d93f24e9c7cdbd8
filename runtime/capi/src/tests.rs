//! What the library does with a fault of its own. C cannot make one, so this needs an op that panics.
#![expect(unsafe_code, reason = "as C calls")]

use std::ffi::CStr;
use std::ptr;
use std::sync::Arc;

use faa_op::{Call, ImageMut, Op, OpResult, OpSet, OpSpec};

use super::*;

struct Faulty(OpSpec);

impl Op for Faulty {
    fn spec(&self) -> &OpSpec {
        &self.0
    }

    fn apply(&self, image: &mut ImageMut<'_>, _: f64, _: &mut Call<'_>) -> OpResult {
        let width = image.width();
        assert!(width == 1, "width {width}\nis not 1");
        image.samples_mut().fill(7);
        Ok(())
    }
}

fn faulty() -> Policy {
    let mut ops = OpSet::new();
    let faulty = Faulty(OpSpec::new("Faulty", "panics"));
    ops.insert(Arc::new(faulty)).unwrap();
    let json = br#"{"format": "faa-policy", "version": 1, "name": "faulty", "sub_policies": [
        [{"op": "Faulty", "probability": 1}]]}"#;
    Policy::parse(json, ops).unwrap()
}

#[test]
fn a_panic_is_a_status_and_everything_can_be_used_again() {
    let (policy, key) = (
        faulty(),
        Key {
            seed: 1,
            epoch: 0,
            index: 0,
        },
    );
    let (workspace, samples) = (faa_workspace_new(), &mut [0; 6]);
    let image = |samples: &mut [u8], width| Image {
        samples: samples.as_mut_ptr(),
        length: samples.len(),
        width,
        height: 1,
        channels: 3,
        row_stride: 0,
        layout: FAA_HWC,
    };
    for round in 0..2 {
        let mut error = ptr::null_mut();
        let mut result = image(samples, 2);
        // SAFETY: all pointers are valid, and the image is as long as it says.
        let message = unsafe {
            let status = faa_apply(
                &policy,
                key,
                ptr::null(),
                &mut result,
                workspace,
                &mut error,
            );
            assert_eq!(status, FAA_INTERNAL);
            // Without an error, too.
            let status = faa_apply(
                &policy,
                key,
                ptr::null(),
                &mut result,
                workspace,
                ptr::null_mut(),
            );
            assert_eq!(status, FAA_INTERNAL);
            let message = CStr::from_ptr(faa_error_message(error)).to_owned();
            faa_error_free(error);
            message
        };
        assert_eq!(message, c"please report this fault: width 2 is not 1");

        let samples = &mut [round; 3];
        let mut result = image(samples, 1);
        let error = &mut ptr::dangling_mut();
        // SAFETY: as above.
        let status = unsafe { faa_apply(&policy, key, ptr::null(), &mut result, workspace, error) };
        assert_eq!(
            (status, *error, *samples),
            (FAA_OK, ptr::null_mut(), [7; 3])
        );
    }
    // SAFETY: it is not used again.
    unsafe { faa_workspace_free(workspace) };
}

/// It also does not say where it moves pixels.
#[test]
fn targets_of_an_op_that_does_not_say_where_pixels_go_are_refused() {
    let key = Key {
        seed: 1,
        epoch: 0,
        index: 0,
    };
    let (policy, workspace, samples) = (faulty(), faa_workspace_new(), &mut [1; 3]);
    let mut result = Image {
        samples: samples.as_mut_ptr(),
        length: 3,
        width: 1,
        height: 1,
        channels: 3,
        row_stride: 0,
        layout: FAA_HWC,
    };
    let targets = Targets {
        images: ptr::null(),
        image_count: 0,
        masks: ptr::null(),
        mask_count: 0,
        boxes: ptr::null_mut(),
        box_count: 0,
        rotated_boxes: ptr::null_mut(),
        rotated_box_count: 0,
        keypoints: ptr::null_mut(),
        keypoint_count: 0,
        min_visible: 0.0,
        min_size: 0.0,
        erased: FAA_OCCLUDED,
    };
    let mut error = ptr::null_mut();
    // SAFETY: all pointers are valid, and the image is as long as it says.
    let (status, message) = unsafe {
        let name = CStr::from_ptr(faa_policy_op_without_warp(&policy));
        assert_eq!(name, c"Faulty");
        let status = faa_apply_with_targets(
            &policy,
            key,
            ptr::null(),
            &mut result,
            &targets,
            workspace,
            &mut error,
        );
        let message = CStr::from_ptr(faa_error_message(error)).to_owned();
        faa_error_free(error);
        faa_workspace_free(workspace);
        (status, message.into_string().unwrap())
    };
    assert_eq!((status, *samples), (FAA_INVALID_POLICY, [1; 3]));
    assert!(message.contains("`Faulty`"), "{message}");
}
