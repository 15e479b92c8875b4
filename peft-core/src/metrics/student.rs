//! Student's t distribution: what Welch's test compares with.

/// The probability of a value at least as far from 0 as `t`, in either direction, with ν `degrees` of freedom:
/// I_x(ν/2, 1/2) with x = ν / (ν + t²), the regularised incomplete beta function.
pub(super) fn two_sided(t: f64, degrees: f64) -> f64 {
    match t.is_finite() {
        true => beta_ratio(degrees / 2.0, 0.5, degrees / (degrees + t * t)),
        false => 0.0,
    }
}

/// The value that so much of the distribution stays below, for a share from 0.5 up, by bisection.
pub(super) fn quantile(share: f64, degrees: f64) -> f64 {
    let beyond = 2.0 * (1.0 - share);
    let (mut low, mut high) = (0.0, 1.0);
    while two_sided(high, degrees) > beyond && high < 1e300 {
        high *= 2.0;
    }
    // Each round halves what is unknown, down to the last digit.
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        match two_sided(middle, degrees) > beyond {
            true => low = middle,
            false => high = middle,
        }
    }
    0.5 * (low + high)
}

/// The regularised incomplete beta function I_x(a, b), by its continued fraction (Abramowitz & Stegun 26.5.8), evaluated
/// by Lentz's method on the side where it converges fast.
fn beta_ratio(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p()).exp();
    match x < (a + 1.0) / (a + b + 2.0) {
        true => front * fraction(a, b, x) / a,
        false => 1.0 - front * fraction(b, a, 1.0 - x) / b,
    }
}

fn fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    const TERMS: usize = 500;
    let kept = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / kept(1.0 - (a + b) * x / (a + 1.0));
    let mut value = d;
    for m in 1..TERMS {
        let m = m as f64;
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut change = 1.0;
        for term in [even, odd] {
            d = 1.0 / kept(1.0 + term * d);
            c = kept(1.0 + term / c);
            change *= c * d;
        }
        value *= change;
        if (change - 1.0).abs() < 1e-15 {
            break;
        }
    }
    value
}

/// ln Γ(x) for x > 0: Stirling's series, for small x from a larger one.
fn ln_gamma(x: f64) -> f64 {
    // The series' coefficients B_2k / (2k (2k - 1)).
    const SERIES: [f64; 6] =
        [1.0 / 12.0, -1.0 / 360.0, 1.0 / 1260.0, -1.0 / 1680.0, 1.0 / 1188.0, -691.0 / 360_360.0];
    const LARGE: f64 = 16.0;
    let (mut large, mut less) = (x, 0.0);
    while large < LARGE {
        less += large.ln();
        large += 1.0;
    }
    let inverse = 1.0 / large;
    let series: f64 =
        SERIES.iter().enumerate().map(|(k, of)| of * inverse.powi(2 * k as i32 + 1)).sum();
    (large - 0.5) * large.ln() - large + 0.5 * (2.0 * std::f64::consts::PI).ln() + series - less
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With 1 degree it is Cauchy's distribution, with 2 it has a closed form.
    #[test]
    fn closed_forms_are_met() {
        for t in [0.0f64, 0.1, 1.0, 3.7, 40.0] {
            let cauchy = 1.0 - 2.0 * t.atan() / std::f64::consts::PI;
            let two = 1.0 - t / (2.0 + t * t).sqrt();
            assert!((two_sided(t, 1.0) - cauchy).abs() < 1e-12, "{t}");
            assert!((two_sided(-t, 2.0) - two).abs() < 1e-12, "{t}");
        }
        assert_eq!(two_sided(f64::INFINITY, 3.0), 0.0);
    }

    #[test]
    fn quantiles_are_those_of_tables() {
        for (degrees, expected) in
            [(1.0, 12.706_204_736_432_1), (4.0, 2.776_445_105_197_8), (30.0, 2.042_272_456_301_2)]
        {
            let found = quantile(0.975, degrees);
            assert!((found - expected).abs() < 1e-9, "{degrees}: {found}");
        }
        assert!((quantile(0.975, 1e7) - 1.959_964).abs() < 1e-5);
    }

    #[test]
    fn the_gamma_function_is_that_of_factorials() {
        let mut factorial = 0.0;
        for n in 1..30 {
            assert!((ln_gamma(f64::from(n)) - factorial).abs() < 1e-12 * (1.0 + factorial), "{n}");
            factorial += f64::from(n).ln();
        }
        assert!((ln_gamma(0.5) - 0.5 * std::f64::consts::PI.ln()).abs() < 1e-12);
    }
}
