//! The axes of a picture: which numbers stand at them, and where.

/// Marks that an axis has, about.
const MARKS: f64 = 5.0;

/// From numbers to places along an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    low: f64,
    high: f64,
    is_log: bool,
}

impl Scale {
    /// One for these numbers, with some room at both ends.
    pub fn linear(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = ends(values);
        // What is less is the rounding of means.
        let differs = high - low > 1e-9 * high.abs().max(low.abs());
        let room = if differs { 0.06 * (high - low) } else { 0.5 * high.abs().max(1e-3) };
        Self { low: low - room, high: high + room, is_log: false }
    }

    /// One from 0 on.
    pub fn from_zero(values: impl Iterator<Item = f64>) -> Self {
        let (_, high) = ends(values);
        Self { low: 0.0, high: if high > 0.0 { 1.02 * high } else { 1.0 }, is_log: false }
    }

    /// One along which equal distances are equal factors, for numbers above 0.
    pub fn log(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = ends(values.map(|value| value.max(1.0).log10()));
        let room = (0.1 * (high - low)).max(0.15);
        Self { low: low - room, high: high + room, is_log: true }
    }

    /// The place of a number, from 0 to 1.
    pub fn place(&self, value: f64) -> f64 {
        let value = if self.is_log { value.max(1.0).log10() } else { value };
        (value - self.low) / (self.high - self.low)
    }

    /// The numbers that stand at the axis, with their texts.
    pub fn marks(&self) -> Vec<(f64, String)> {
        if self.is_log {
            return self.powers();
        }
        let about = (self.high - self.low) / MARKS;
        let power = 10f64.powf(about.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .map(|times| times * power)
            .into_iter()
            .find(|step| *step >= about);
        let step = step.unwrap_or(about);
        let digits = (-step.log10().floor()).max(0.0) as usize;
        let first = (self.low / step).ceil() as i64;
        let last = (self.high / step).floor() as i64;
        (first..=last)
            .map(|count| count as f64 * step)
            .map(|value| (value, format!("{:.digits$}", value + 0.0)))
            .collect()
    }

    /// 1, 2 and 5 times the powers of ten; the powers alone where those are many.
    fn powers(&self) -> Vec<(f64, String)> {
        let times: &[f64] = if self.high - self.low < 2.5 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let powers = self.low.floor() as i32..=self.high.ceil() as i32;
        let values =
            powers.flat_map(|power| times.iter().map(move |times| times * 10f64.powi(power)));
        values
            .filter(|value| (0.0..=1.0).contains(&self.place(*value)))
            .map(|value| (value, short(value)))
            .collect()
    }
}

fn ends(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let finite = values.filter(|value| value.is_finite());
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    if low <= high { (low, high) } else { (0.0, 1.0) }
}

/// A count in few letters: 500, 20k, 1M.
fn short(value: f64) -> String {
    match value {
        1e9.. => format!("{}G", value / 1e9),
        1e6.. => format!("{}M", value / 1e6),
        1e3.. => format!("{}k", value / 1e3),
        _ => format!("{value}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(scale: Scale) -> Vec<String> {
        scale.marks().into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn marks_are_round_numbers() {
        let scores = Scale::linear([0.91, 0.985].into_iter());
        assert_eq!(texts(scores), ["0.92", "0.94", "0.96", "0.98"]);
        assert!(
            scores.marks().iter().all(|(value, _)| (0.0..=1.0).contains(&scores.place(*value)))
        );
        assert_eq!(texts(Scale::from_zero([430.0].into_iter())), ["0", "100", "200", "300", "400"]);
        assert_eq!(
            texts(Scale::log([1280.0, 76_423.0].into_iter())),
            ["1k", "2k", "5k", "10k", "20k", "50k", "100k"]
        );
        assert_eq!(texts(Scale::log([1e3, 1e7].into_iter())), ["1k", "10k", "100k", "1M", "10M"]);
    }

    #[test]
    fn rounding_is_no_difference() {
        let rates = Scale::linear([0.1, 0.100_000_000_000_000_02].into_iter());
        assert!(rates.marks().len() > 1);
        assert!(texts(rates).iter().all(|text| text.len() < 6));
    }

    #[test]
    fn one_number_and_none_have_an_axis() {
        for scale in [
            Scale::linear([0.5].into_iter()),
            Scale::linear(std::iter::empty()),
            Scale::linear([f64::NAN, 0.0].into_iter()),
            Scale::log([1.0].into_iter()),
            Scale::from_zero([0.0].into_iter()),
        ] {
            assert!(!scale.marks().is_empty(), "{scale:?}");
            assert!(scale.place(0.5).is_finite(), "{scale:?}");
        }
    }
}
