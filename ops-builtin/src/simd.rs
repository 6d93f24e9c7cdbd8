//! Which vector instructions the ops use, decided when an op is created.

use core::fmt;

pub(crate) mod sets;

#[cfg(all(
    target_arch = "aarch64",
    not(all(target_feature = "neon", target_endian = "little"))
))]
compile_error!("on aarch64, a target with NEON and little-endian numbers is needed");

/// Loads and stores of whole vectors.
#[cfg(target_arch = "aarch64")]
pub(crate) mod neon;
/// Loads and stores of whole vectors.
#[cfg(target_arch = "x86_64")]
pub(crate) mod x86;

/// The vector instructions that an op may use. The pixels are the same at every level.
///
/// There are values only for levels that this CPU supports, so holding one proves that its
/// instructions can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SimdLevel(Level);

/// Levels from the lowest to the highest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// What the program was compiled for, such as SSE2 on x86-64.
    Compiled,
    /// NEON, which programs for aarch64 are compiled for too, with code written for it.
    #[cfg(target_arch = "aarch64")]
    Neon,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 with byte permutations (VBMI): Intel since Ice Lake, AMD since Zen 4.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl SimdLevel {
    /// The best level that this CPU supports.
    pub fn best() -> Self {
        Self::available()
            .last()
            .expect("the level that the program was compiled for is always supported")
    }

    /// All levels that this CPU supports, from the lowest to the highest.
    pub fn available() -> impl Iterator<Item = Self> {
        let levels = [
            Some(Level::Compiled),
            #[cfg(target_arch = "aarch64")]
            Some(Level::Neon),
            #[cfg(target_arch = "x86_64")]
            has_avx2::get().then_some(Level::Avx2),
            #[cfg(target_arch = "x86_64")]
            (has_avx2::get() && has_avx512::get()).then_some(Level::Avx512),
        ];
        levels.into_iter().flatten().map(Self)
    }

    /// Whether a pass through tables ([`map_levels`](crate::map_levels)) costs about as much as a
    /// copy; at other levels it takes several times as long as the arithmetic of most point ops.
    pub fn looks_up_fast(self) -> bool {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => true,
            _ => false,
        }
    }

    pub(crate) fn level(self) -> Level {
        self.0
    }
}

#[cfg(target_arch = "x86_64")]
cpufeatures::new!(has_avx2, "avx2");
#[cfg(target_arch = "x86_64")]
cpufeatures::new!(
    has_avx512,
    "avx512f",
    "avx512bw",
    "avx512dq",
    "avx512vl",
    "avx512vbmi"
);

impl fmt::Display for SimdLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Level::Compiled => "compiled",
            #[cfg(target_arch = "aarch64")]
            Level::Neon => "neon",
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => "avx512",
        })
    }
}

/// Compiles a function once for each level, and calls the one for the level that becomes its first
/// argument.
///
/// The body is ordinary code that the compiler vectorises. What it calls must be `inline(always)`
/// to be compiled with it.
macro_rules! each_level {
    (
        $(#[$docs:meta])*
        $visible:vis fn $name:ident $(<const $constant:ident: $kind:ty>)? (
            $($argument:ident: $type:ty),* $(,)?
        ) $(-> $result:ty)? $body:block
    ) => {
        $(#[$docs])*
        $visible fn $name $(<const $constant: $kind>)? (
            level: $crate::SimdLevel,
            $($argument: $type),*
        ) $(-> $result)? {
            #[inline(always)]
            fn compiled $(<const $constant: $kind>)? ($($argument: $type),*) $(-> $result)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2")]
            fn avx2 $(<const $constant: $kind>)? ($($argument: $type),*) $(-> $result)? {
                compiled $(::<$constant>)? ($($argument),*)
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi")]
            fn avx512 $(<const $constant: $kind>)? ($($argument: $type),*) $(-> $result)? {
                compiled $(::<$constant>)? ($($argument),*)
            }

            match level.level() {
                $crate::simd::Level::Compiled => compiled $(::<$constant>)? ($($argument),*),
                // There the compiler uses NEON by itself.
                #[cfg(target_arch = "aarch64")]
                $crate::simd::Level::Neon => compiled $(::<$constant>)? ($($argument),*),
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
pub(crate) use each_level;

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn levels_rise_from_what_was_compiled_to_the_best() {
        let levels: Vec<SimdLevel> = SimdLevel::available().collect();
        assert_eq!(levels[0].level(), Level::Compiled);
        assert!(levels.is_sorted());
        assert_eq!(levels.last(), Some(&SimdLevel::best()));
    }
}
