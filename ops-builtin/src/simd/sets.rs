//! The instructions of each level as a type, for functions that are not the same at all levels.

/// The instructions that the program was compiled for.
#[derive(Clone, Copy)]
pub(crate) struct Compiled;

/// A type for the instructions of a level, of which there is a value only where they can run.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! set {
    ($(#[$docs:meta])* $name:ident, $features:literal) => {
        $(#[$docs])*
        #[derive(Clone, Copy)]
        pub(crate) struct $name(());

        impl $name {
            /// Proof that the CPU has the instructions: only code that is compiled for them gets it.
            #[target_feature(enable = $features)]
            #[inline]
            pub(crate) fn new() -> Self {
                Self(())
            }
        }
    };
}

#[cfg(target_arch = "aarch64")]
set! {
    /// NEON.
    Neon, "neon"
}

#[cfg(target_arch = "x86_64")]
set! {
    /// AVX2.
    Avx2, "avx2"
}

#[cfg(target_arch = "x86_64")]
set! {
    /// AVX-512 with byte permutations.
    Avx512, "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi"
}

/// Like `each_level!`, for a function whose first argument has the type of the level's instructions, which
/// implements a trait: `set: impl Trait`.
macro_rules! each_set {
    (
        $visible:vis fn $name:ident $(<const $constant:ident: $kind:ty>)? (
            $set:ident: impl $trait:ident, $($argument:ident: $type:ty),* $(,)?
        ) $(-> $result:ty)? $body:block
    ) => {
        $visible fn $name $(<const $constant: $kind>)? (
            level: $crate::SimdLevel,
            $($argument: $type),*
        ) $(-> $result)? {
            #[inline(always)]
            fn run<S: $trait $(, const $constant: $kind)?>(
                $set: S,
                $($argument: $type),*
            ) $(-> $result)? $body

            #[cfg(target_arch = "aarch64")]
            #[target_feature(enable = "neon")]
            fn neon $(<const $constant: $kind>)? ($($argument: $type),*) $(-> $result)? {
                run::<_ $(, $constant)?>($crate::simd::sets::Neon::new(), $($argument),*)
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2")]
            fn avx2 $(<const $constant: $kind>)? ($($argument: $type),*) $(-> $result)? {
                run::<_ $(, $constant)?>($crate::simd::sets::Avx2::new(), $($argument),*)
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi")]
            fn avx512 $(<const $constant: $kind>)? ($($argument: $type),*) $(-> $result)? {
                run::<_ $(, $constant)?>($crate::simd::sets::Avx512::new(), $($argument),*)
            }

            match level.level() {
                $crate::simd::Level::Compiled => {
                    run::<_ $(, $constant)?>($crate::simd::sets::Compiled, $($argument),*)
                }
                #[cfg(target_arch = "aarch64")]
                #[expect(unsafe_code, reason = "every such CPU has the features")]
                $crate::simd::Level::Neon => {
                    // SAFETY: there is a `SimdLevel` only for features that the CPU has.
                    unsafe { neon $(::<$constant>)? ($($argument),*) }
                }
                #[cfg(target_arch = "x86_64")]
                #[expect(unsafe_code, reason = "the features were found at run time")]
                $crate::simd::Level::Avx2 => {
                    // SAFETY: there is a `SimdLevel` only for features that the CPU has.
                    unsafe { avx2 $(::<$constant>)? ($($argument),*) }
                }
                #[cfg(target_arch = "x86_64")]
                #[expect(unsafe_code, reason = "the features were found at run time")]
                $crate::simd::Level::Avx512 => {
                    // SAFETY: as above.
                    unsafe { avx512 $(::<$constant>)? ($($argument),*) }
                }
            }
        }
    };
}
pub(crate) use each_set;
