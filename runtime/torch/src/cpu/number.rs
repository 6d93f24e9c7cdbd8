//! The formats of numbers, and loops over them that are compiled for each set of vector instructions.

use std::ops::{Add, Mul, Sub};

use tch::Kind;

/// The format of a tensor's elements in memory.
pub(crate) trait Element: Copy + 'static {
    /// Libtorch's name of it.
    const KIND: Kind;
    /// The format that is computed in.
    type Number: Number;

    fn get(self) -> Self::Number;
    fn of(number: Self::Number) -> Self;

    #[inline(always)]
    fn to_f64(self) -> f64 {
        self.get().into()
    }

    #[inline(always)]
    fn of_f64(value: f64) -> Self {
        Self::of(Self::Number::of_f64(value))
    }
}

/// A format for computation.
pub(crate) trait Number:
    Copy
    + Default
    + PartialOrd
    + Into<f64>
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
{
    fn of_f64(value: f64) -> Self;
}

impl Number for f32 {
    fn of_f64(value: f64) -> Self {
        value as f32
    }
}

impl Number for f64 {
    fn of_f64(value: f64) -> Self {
        value
    }
}

macro_rules! is_its_own_number {
    ($number:ty, $kind:ident) => {
        impl Element for $number {
            const KIND: Kind = Kind::$kind;
            type Number = $number;

            #[inline(always)]
            fn get(self) -> $number {
                self
            }

            #[inline(always)]
            fn of(number: $number) -> Self {
                number
            }
        }
    };
}
is_its_own_number!(f32, Float);
is_its_own_number!(f64, Double);

/// The upper half of a 32-bit float.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub(crate) struct Bf16(u16);

impl Element for Bf16 {
    const KIND: Kind = Kind::BFloat16;
    type Number = f32;

    #[inline(always)]
    fn get(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }

    /// Rounds to the nearest one, and to an even one between two.
    #[inline(always)]
    fn of(number: f32) -> Self {
        let bits = number.to_bits();
        let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
        // Rounding could turn NaN into infinity.
        let nan = bits >> 16 | 0x40;
        Self(if number.is_nan() { nan } else { rounded } as u16)
    }
}

/// In the format that elements of `T` are computed in.
pub(crate) fn numbers<T: Element>(values: &[f64]) -> Vec<T::Number> {
    values.iter().map(|it| T::Number::of_f64(*it)).collect()
}

/// Compiles a function over formats for each set of vector instructions, and calls the best that this CPU has. What the
/// body calls must be `inline(always)` to be compiled with it.
macro_rules! vectorised {
    ($(#[$docs:meta])* $visible:vis fn $name:ident<T>($($argument:ident: $type:ty),* $(,)?) $body:block) => {
        $(#[$docs])*
        $visible fn $name<T: Element>($($argument: $type),*) {
            #[inline(always)]
            fn compiled<T: Element>($($argument: $type),*) $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2")]
            fn avx2<T: Element>($($argument: $type),*) {
                compiled($($argument),*);
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
            fn avx512<T: Element>($($argument: $type),*) {
                compiled($($argument),*);
            }

            #[cfg(target_arch = "x86_64")]
            #[expect(unsafe_code, reason = "the features were found at run time")]
            {
                use std::arch::is_x86_feature_detected as has;
                if has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl") {
                    // SAFETY: The CPU has these features.
                    return unsafe { avx512($($argument),*) };
                }
                if has!("avx2") {
                    // SAFETY: As above.
                    return unsafe { avx2($($argument),*) };
                }
            }
            compiled($($argument),*);
        }
    };
}

pub(crate) use vectorised;

#[cfg(test)]
mod tests {
    use super::*;

    use tch::Tensor;

    /// Around every number of 16 bits, and exactly between two.
    #[test]
    fn numbers_are_rounded_as_by_libtorch() {
        let halves = (0..=u32::from(u16::MAX)).map(|bits| bits << 16);
        let lower = [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff];
        let numbers = halves.flat_map(|upper| lower.map(|lower| f32::from_bits(upper | lower)));
        let numbers: Vec<f32> = numbers.collect();
        let rounded = Tensor::from_slice(&numbers).to_kind(Kind::BFloat16);
        let expected = Vec::<f32>::try_from(rounded.to_kind(Kind::Float)).unwrap();
        for (number, expected) in numbers.into_iter().zip(expected) {
            let found = Bf16::of(number).get();
            let same = found.to_bits() == expected.to_bits();
            assert!(same || found.is_nan() && number.is_nan(), "{number:e}");
        }
    }
}
