//! Points of a curve, few enough to be drawn, pointed at and walked through.

use serde_json::Value;

use crate::compare::Point;

/// The values of a score by step, at most so many: of more, the mean of as many neighbours as it takes, at the last of
/// them. Also how many are taken together.
pub fn curve(points: &[Point], name: &str, most: usize) -> (Vec<(usize, f64)>, usize) {
    let known: Vec<(usize, f64)> = points
        .iter()
        .filter_map(|point| {
            let value = point.scores.get(name).and_then(Value::as_f64)?;
            value.is_finite().then_some((point.step, value))
        })
        .collect();
    let together = known.len().div_ceil(most.max(1)).max(1);
    let mean = |part: &[(usize, f64)]| {
        let sum: f64 = part.iter().map(|(_, value)| value).sum();
        part.last().map(|(step, _)| (*step, sum / part.len() as f64))
    };
    (known.chunks(together).filter_map(mean).collect(), together)
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;

    #[test]
    fn neighbours_are_taken_together() {
        let point = |step: usize| Point {
            step,
            scores: Map::from_iter([("loss".to_string(), (step as f64).into())]),
        };
        let points: Vec<Point> = (1..=5).map(point).collect();
        assert_eq!(curve(&points, "loss", 5), ((1..=5).map(|s| (s, s as f64)).collect(), 1));
        assert_eq!(curve(&points, "loss", 3), (vec![(2, 1.5), (4, 3.5), (5, 5.0)], 2));
        assert_eq!(curve(&points, "f1", 3), (vec![], 1));
    }
}
