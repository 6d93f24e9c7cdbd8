//! Once a workspace is warm, its calls allocate nothing.
#![expect(
    unsafe_code,
    reason = "as C calls, and only a global allocator sees every allocation"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::{null, null_mut};

use faa::*;

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps to the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `System` through `alloc`, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SIDE: usize = 72;
const BYTES: usize = SIDE * SIDE * 3;

fn image(samples: &mut [u8], layout: u32, row_stride: usize) -> Image {
    Image {
        samples: samples.as_mut_ptr(),
        length: samples.len(),
        width: SIDE,
        height: SIDE,
        channels: 3,
        row_stride,
        layout,
    }
}

/// All layouts, in place and from a source.
fn pass(policy: *const Policy, workspace: *mut Workspace, from: &mut [u8], to: &mut [u8]) {
    for index in 0..300 {
        let key = Key {
            seed: 1,
            epoch: 2,
            index,
        };
        for (layout, stride) in [(FAA_HWC, 0), (FAA_CHW, 0), (FAA_HWC, SIDE * 3 + 2)] {
            let source = image(from, layout, stride);
            let mut result = image(to, layout, stride);
            // SAFETY: all pointers are valid, and the images are as long as they say.
            unsafe {
                let status = faa_apply(policy, key, &source, &mut result, workspace, null_mut());
                assert_eq!(status, FAA_OK);
                let status = faa_apply(policy, key, null(), &mut result, workspace, null_mut());
                assert_eq!(status, FAA_OK);
            }
        }
    }
}

/// The same with targets of all kinds, masks with gaps and without.
fn pass_with_targets(
    policy: *const Policy,
    workspace: *mut Workspace,
    from: &mut [u8],
    to: &mut [u8],
    more: &mut [u8],
    labels: &mut [u16],
) {
    let [first, second] = labels.split_at_mut(SIDE * (SIDE + 1)).into();
    let mask = |labels: &mut [u16], label_bytes, row_stride| Mask {
        labels: labels.as_mut_ptr().cast(),
        length: size_of_val(labels),
        width: SIDE,
        height: SIDE,
        label_bytes,
        row_stride,
        fill: 9,
    };
    for index in 0..300 {
        let key = Key {
            seed: 1,
            epoch: 2,
            index,
        };
        for (layout, gap) in [(FAA_HWC, 0), (FAA_CHW, 2)] {
            let masks = [
                mask(first, 2, (SIDE * 2 + gap) * usize::from(gap > 0)),
                mask(second, 1, (SIDE + gap) * usize::from(gap > 0)),
            ];
            let images = [image(more, layout, 0)];
            let edge = index as f64 / 10.0;
            let mut boxes = [BoundingBox {
                left: edge,
                top: 1.0,
                right: edge + 20.0,
                bottom: 50.0,
                visible: 0.0,
            }; 3];
            let mut rotated_boxes = [RotatedBox {
                x: 30.0,
                y: edge,
                width: 20.0,
                height: 9.0,
                angle: edge,
                visible: 0.0,
            }; 2];
            let mut keypoints = [Keypoint {
                x: edge,
                y: 2.0,
                visible: 1,
            }; 5];
            let targets = Targets {
                images: images.as_ptr(),
                image_count: images.len(),
                masks: masks.as_ptr(),
                mask_count: masks.len(),
                boxes: boxes.as_mut_ptr(),
                box_count: boxes.len(),
                rotated_boxes: rotated_boxes.as_mut_ptr(),
                rotated_box_count: rotated_boxes.len(),
                keypoints: keypoints.as_mut_ptr(),
                keypoint_count: keypoints.len(),
                min_visible: 0.1,
                min_size: 1.0,
                erased: FAA_REMOVED,
            };
            let source = image(from, layout, 0);
            let mut result = image(to, layout, 0);
            // SAFETY: all pointers are valid, and images and masks are as long as they say.
            unsafe {
                for source in [&raw const source, null()] {
                    let status = faa_apply_with_targets(
                        policy,
                        key,
                        source,
                        &mut result,
                        &targets,
                        workspace,
                        null_mut(),
                    );
                    assert_eq!(status, FAA_OK);
                }
            }
        }
    }
}

#[test]
fn calls_allocate_nothing() {
    let mixing =
        c"{\"format\": \"faa-policy\", \"version\": 1, \"name\": \"mixing\", \"sub_policies\":
        [[{\"op\": \"SamplePairing\", \"probability\": 0.9, \"magnitude\": 0.5},
          {\"op\": \"Rotate\", \"probability\": 0.9, \"magnitude\": 0.5}]]}";
    let set = vec![7; 3 * BYTES];
    let [from, to, more] = &mut [0, 1, 2].map(|_| vec![5; BYTES + 2 * SIDE]);
    let labels = &mut vec![1; 2 * SIDE * (SIDE + 1)];
    let (mut shipped, mut mixed, mut partners) = (null_mut(), null_mut(), null_mut());
    // SAFETY: all pointers are valid, and the partners' memory outlives the workspace.
    unsafe {
        let name = c"autoaugment-imagenet".as_ptr();
        assert_eq!(faa_policy_shipped(name, &mut shipped, null_mut()), FAA_OK);
        let length = mixing.to_bytes().len();
        let status = faa_policy_parse(mixing.as_ptr(), length, &mut mixed, null_mut());
        assert_eq!(status, FAA_OK);
        let status = faa_partners_new(
            set.as_ptr(),
            set.len(),
            SIDE,
            SIDE,
            3,
            &mut partners,
            null_mut(),
        );
        assert_eq!(status, FAA_OK);
        let workspace = faa_workspace_new();
        for policy in [shipped, mixed] {
            pass(policy, workspace, from, to);
            let before = COUNT.get();
            assert!(before > 0, "the first images allocate");
            pass(policy, workspace, from, to);
            assert_eq!(COUNT.get() - before, 0);
            pass_with_targets(policy, workspace, from, to, more, labels);
            let before = COUNT.get();
            pass_with_targets(policy, workspace, from, to, more, labels);
            assert_eq!(COUNT.get() - before, 0, "with targets");
            assert_eq!(
                faa_workspace_set_partners(workspace, partners, null_mut()),
                FAA_OK
            );
        }
        faa_workspace_free(workspace);
        faa_partners_free(partners);
        faa_policy_free(mixed);
        faa_policy_free(shipped);
    }
}
