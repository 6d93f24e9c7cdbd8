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

#[test]
fn calls_allocate_nothing() {
    let mixing =
        c"{\"format\": \"faa-policy\", \"version\": 1, \"name\": \"mixing\", \"sub_policies\":
        [[{\"op\": \"SamplePairing\", \"probability\": 0.9, \"magnitude\": 0.5},
          {\"op\": \"Rotate\", \"probability\": 0.9, \"magnitude\": 0.5}]]}";
    let set = vec![7; 3 * BYTES];
    let [from, to] = &mut [0, 1].map(|_| vec![5; BYTES + 2 * SIDE]);
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
