//! Numbers as people read them.

use crate::output::{bytes, grouped};

/// What stands where nothing is known.
pub const NOTHING: &str = "-";

/// A score.
pub fn score(value: f64) -> String {
    format!("{value:.4}")
}

/// A difference of scores, with its sign.
pub fn signed(value: f64) -> String {
    format!("{value:+.4}")
}

/// A number of parameters or steps, which seeds may differ by.
pub fn count(value: Option<f64>) -> String {
    value.map_or_else(|| NOTHING.to_string(), |value| grouped(value.round().max(0.0) as usize))
}

/// Seconds.
pub fn seconds(value: Option<f64>) -> String {
    value.map_or_else(|| NOTHING.to_string(), |value| format!("{value:.1}"))
}

/// Memory.
pub fn memory(value: Option<u64>) -> String {
    value.map_or_else(|| NOTHING.to_string(), bytes)
}

/// A probability; none is told to be below what was drawn.
pub fn probability(value: f64) -> String {
    match value {
        ..0.0001 => "< 0.0001".to_string(),
        ..0.001 => format!("{value:.4}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!([score(0.98431), signed(-0.002), signed(0.5)], ["0.9843", "-0.0020", "+0.5000"]);
        assert_eq!(
            [count(Some(76_423.2)), count(None), seconds(Some(21.06))],
            ["76 423", "-", "21.1"]
        );
        assert_eq!(
            [probability(0.03), probability(0.0002), probability(1e-9), probability(1.0)],
            ["0.030", "0.0002", "< 0.0001", "1.000"]
        );
    }
}
