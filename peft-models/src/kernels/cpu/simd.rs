//! Elementary functions of f32, written so that the compiler vectorises loops over them, and the choice of vector
//! instructions at run time.
//!
//! `exp` is accurate to 2 units in the last place, `tanh` to 1.5e-7 and `Φ` to 2e-7. NaN stays NaN.

#[cfg(target_arch = "x86_64")]
use std::sync::LazyLock;

#[cfg(target_arch = "x86_64")]
use super::switch::levels_left_out;

/// Vector instructions of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// AVX-512.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AVX2 with fused multiply-add.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// What every machine of the target has.
    Portable,
}

/// The best that the machine has and `PEFT_KERNELS` allows.
#[cfg(target_arch = "x86_64")]
static BEST: LazyLock<Level> = LazyLock::new(|| {
    use std::is_x86_feature_detected as has;
    if !(has!("avx2") && has!("fma")) {
        return Level::Portable;
    }
    let wide = has!("avx512f") && has!("avx512bw") && has!("avx512dq");
    let best = if wide && has!("avx512vl") { Level::Avx512 } else { Level::Avx2 };
    best.lowered(levels_left_out())
});

impl Level {
    /// The best that the machine has and `PEFT_KERNELS` allows. Each call of a short kernel asks, so the answer is kept.
    pub(super) fn of_machine() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            let best = *BEST;
            #[cfg(test)]
            let best = best.lowered(super::tests::LEVELS_DOWN.get());
            best
        }
        #[cfg(not(target_arch = "x86_64"))]
        Self::Portable
    }

    /// What processors call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "AVX-512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "AVX2",
            Self::Portable => "portable",
        }
    }

    /// The level so many below, as the environment asks for, or a test, see [`super::tests`].
    #[cfg(target_arch = "x86_64")]
    fn lowered(self, down: usize) -> Self {
        match (self, down) {
            (_, 0) => self,
            (Self::Avx512 | Self::Avx2, 1) => Self::Avx2,
            _ => Self::Portable,
        }
    }
}

/// Whether the portable code has a fused multiply-add instruction; without one, the function of the library is slow.
pub(super) const PORTABLE_FMA: bool = cfg!(target_arch = "aarch64");

/// Makes functions whose body is compiled once per [`Level`]. Inside, `FMA` tells whether there is a fused
/// multiply-add.
macro_rules! vectorised {
    ($($(#[$meta:meta])* $visibility:vis fn $name:ident<FMA>($($arg:ident: $ty:ty),* $(,)?) $(-> $out:ty)? $body:block)+) => {$(
        $(#[$meta])*
        #[allow(clippy::too_many_arguments, reason = "slices of several tensors, and their sizes")]
        $visibility fn $name($($arg: $ty),*) $(-> $out)? {
            #[inline(always)]
            fn body<const FMA: bool>($($arg: $ty),*) $(-> $out)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
                    fn avx512($($arg: $ty),*) $(-> $out)? { body::<true>($($arg),*) }
                #[target_feature(enable = "avx2,fma")]
                    fn avx2($($arg: $ty),*) $(-> $out)? { body::<true>($($arg),*) }
                use $crate::kernels::cpu::simd::Level;
                match Level::of_machine() {
                    // SAFETY: the machine was asked whether it has these instructions.
                    Level::Avx512 => return unsafe { avx512($($arg),*) },
                    Level::Avx2 => return unsafe { avx2($($arg),*) },
                    Level::Portable => {}
                }
            }
            body::<{ $crate::kernels::cpu::simd::PORTABLE_FMA }>($($arg),*)
        }
    )+};
}
pub(super) use vectorised;

/// `a b + c`.
#[inline(always)]
pub(super) fn mul_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// `x` clamped. NaN stays NaN, which `f32::clamp` promises too but `min` and `max` do not.
#[inline(always)]
fn within(x: f32, low: f32, high: f32) -> f32 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

/// `e^x`; 0 for x below -87, where f32 begins to lose digits, and at most `e^88`.
#[inline(always)]
pub(super) fn exp<const FMA: bool>(x: f32) -> f32 {
    // Adding this leaves the nearest whole number in the lowest bits of the mantissa.
    const ROUND: f32 = 12_582_912.0;
    let is_zero = x < -87.0;
    let x = within(x, -87.0, 88.0);
    let shifted = mul_add::<FMA>(x, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    // ln 2 in two parts, the first with zeros at the end, so that the remainder is exact.
    let r = mul_add::<FMA>(n, -0.693_359_4, x);
    let r = mul_add::<FMA>(n, 2.121_944_4e-4, r);
    // The series of e^r on [-ln 2 / 2, ln 2 / 2].
    let p = mul_add::<FMA>(1.0 / 720.0, r, 1.0 / 120.0);
    let p = mul_add::<FMA>(p, r, 1.0 / 24.0);
    let p = mul_add::<FMA>(p, r, 1.0 / 6.0);
    let p = mul_add::<FMA>(p, r, 0.5);
    let p = mul_add::<FMA>(p, r, 1.0);
    let p = mul_add::<FMA>(p, r, 1.0);
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
    if is_zero { 0.0 } else { p * f32::from_bits(exponent) }
}

/// `tanh x = 1 - 2 / (e^2x + 1)` for positive x, and its negative for negative x.
#[inline(always)]
pub(super) fn tanh<const FMA: bool>(x: f32) -> f32 {
    // Beyond this it is 1 in f32.
    let e = exp::<FMA>(2.0 * within(x.abs(), 0.0, 9.1));
    (1.0 - 2.0 / (e + 1.0)).copysign(x)
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub(super) fn sigmoid<const FMA: bool>(x: f32) -> f32 {
    1.0 / (1.0 + exp::<FMA>(-x))
}

/// `Φ(x)`, the distribution function of N(0, 1), as half of `erfc(-x / √2)`, which is
/// `t exp(-z² + p(t))` with `t = 1 / (1 + z / 2)` and p of degree 9 (Press et al., Numerical Recipes, 6.2).
#[inline(always)]
pub(super) fn normal_cdf<const FMA: bool>(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / mul_add::<FMA>(0.5, z, 1.0);
    let p = mul_add::<FMA>(t, 0.170_872_77, -0.822_152_23);
    let p = mul_add::<FMA>(t, p, 1.488_515_9);
    let p = mul_add::<FMA>(t, p, -1.135_204);
    let p = mul_add::<FMA>(t, p, 0.278_868_07);
    let p = mul_add::<FMA>(t, p, -0.186_288_06);
    let p = mul_add::<FMA>(t, p, 0.096_784_18);
    let p = mul_add::<FMA>(t, p, 0.374_091_96);
    let p = mul_add::<FMA>(t, p, 1.000_023_7);
    let p = mul_add::<FMA>(t, p, -1.265_512_2);
    let half_erfc = 0.5 * t * exp::<FMA>(mul_add::<FMA>(-z, z, p));
    if x < 0.0 { half_erfc } else { 1.0 - half_erfc }
}

/// Lanes of the sums below: enough for four AVX-512 vectors at once.
const LANES: usize = 64;

/// The sum of `term` over pairs, in a fixed order that does not depend on the machine's vectors.
#[inline(always)]
pub(super) fn sum_pairs<const FMA: bool>(
    a: &[f32],
    b: &[f32],
    term: impl Fn(f32, f32, f32) -> f32,
) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (a_parts, b_parts) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let (a_rest, b_rest) = (a_parts.remainder(), b_parts.remainder());
    for (a, b) in a_parts.zip(b_parts) {
        for (lane, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane = term(*a, *b, *lane);
        }
    }
    for (lane, (a, b)) in lanes.iter_mut().zip(a_rest.iter().zip(b_rest)) {
        *lane = term(*a, *b, *lane);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// `Σ a b`.
#[inline(always)]
pub(super) fn dot_body<const FMA: bool>(a: &[f32], b: &[f32]) -> f32 {
    sum_pairs::<FMA>(a, b, mul_add::<FMA>)
}

/// `Σ a`.
#[inline(always)]
pub(super) fn sum_body<const FMA: bool>(a: &[f32]) -> f32 {
    sum_pairs::<FMA>(a, a, |a, _, sum| sum + a)
}

/// The largest element; minus infinity of none. NaN is skipped.
#[inline(always)]
pub(super) fn max_body(a: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let parts = a.chunks_exact(LANES);
    let rest = parts.remainder();
    for part in parts {
        for (lane, x) in lanes.iter_mut().zip(part) {
            *lane = if *x > *lane { *x } else { *lane };
        }
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *lane = if *x > *lane { *x } else { *lane };
    }
    // By halves, as sums are: one after another each would wait for the one before.
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            let other = lanes[lane + width];
            lanes[lane] = if other > lanes[lane] { other } else { lanes[lane] };
        }
        width /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error_function(x: f64) -> f64 {
        // The series up to 3, beyond that the continued fraction of erfc.
        let z = x.abs();
        let value = if z < 3.0 {
            let mut term = z;
            let mut sum = z;
            for n in 1..80 {
                term *= -z * z / f64::from(n);
                sum += term / f64::from(2 * n + 1);
            }
            sum * 2.0 / std::f64::consts::PI.sqrt()
        } else {
            let mut fraction = 0.0;
            for n in (1..60).rev() {
                fraction = f64::from(n) / 2.0 / (z + fraction);
            }
            1.0 - (-z * z).exp() / (z + fraction) / std::f64::consts::PI.sqrt()
        };
        value.copysign(x)
    }

    proptest! {
        #[test]
        fn elementary_functions_are_as_accurate_as_said(x in -30.0f32..30.0) {
            let wide = f64::from(x);
            let both = |found: [f32; 2], expected: f64, limit: f64| {
                found.iter().all(|found| (f64::from(*found) - expected).abs() <= limit)
            };
            let e = wide.exp();
            prop_assert!(both([exp::<true>(x), exp::<false>(x)], e, e * 2.4e-7));
            prop_assert!(both([tanh::<true>(x), tanh::<false>(x)], wide.tanh(), 1.5e-7));
            let cdf = 0.5 * (1.0 + error_function(wide / std::f64::consts::SQRT_2));
            prop_assert!(both([normal_cdf::<true>(x), normal_cdf::<false>(x)], cdf, 2e-7));
            let sigma = 1.0 / (1.0 + (-wide).exp());
            prop_assert!(both([sigmoid::<true>(x), sigmoid::<false>(x)], sigma, 1.2e-7));
        }

        #[test]
        fn sums_and_maxima_of_any_length(values in prop::collection::vec(-9.0f32..9.0, 0..300)) {
            let twice: f64 = values.iter().map(|x| f64::from(x * x)).sum();
            prop_assert!((f64::from(dot_body::<true>(&values, &values)) - twice).abs() < 1e-2);
            let sum: f64 = values.iter().copied().map(f64::from).sum();
            prop_assert!((f64::from(sum_body::<false>(&values)) - sum).abs() < 1e-3);
            let largest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            prop_assert_eq!(max_body(&values), largest);
        }
    }

    #[test]
    fn nan_stays_nan() {
        assert!(exp::<true>(f32::NAN).is_nan() && tanh::<true>(f32::NAN).is_nan());
        assert!(normal_cdf::<false>(f32::NAN).is_nan() && sigmoid::<false>(f32::NAN).is_nan());
        assert!(exp::<true>(-1e9) == 0.0 && exp::<true>(1e9) > 1e38);
        assert!((tanh::<true>(50.0) - 1.0).abs() < 1e-7 && normal_cdf::<true>(-40.0) < 1e-30);
    }
}
