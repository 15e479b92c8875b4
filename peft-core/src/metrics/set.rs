//! Named scores in display order.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Scores by name, in insertion order. Serialises as a JSON object; values that JSON lacks (an
/// infinite perplexity) become `null`, and `null` is read back as NaN.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics(Vec<(String, f64)>);

impl Metrics {
    /// Creates an empty set of scores.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a score, or replaces the score of that name without moving it.
    pub fn insert(&mut self, name: impl Into<String>, value: f64) {
        let name = name.into();
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    /// Returns the score of that name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|(known, _)| known == name).map(|&(_, value)| value)
    }

    /// Returns names and scores in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// The number of scores.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no scores.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<N: Into<String>> FromIterator<(N, f64)> for Metrics {
    fn from_iter<I: IntoIterator<Item = (N, f64)>>(scores: I) -> Self {
        let mut metrics = Self::new();
        metrics.extend(scores);
        metrics
    }
}

impl<N: Into<String>> Extend<(N, f64)> for Metrics {
    fn extend<I: IntoIterator<Item = (N, f64)>>(&mut self, scores: I) {
        scores.into_iter().for_each(|(name, value)| self.insert(name, value));
    }
}

impl Serialize for Metrics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Metrics {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// Keeps the order of the file, which a map type would lose.
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Metrics;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of numbers")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metrics, A::Error> {
                let mut metrics = Metrics::new();
                while let Some((name, value)) = map.next_entry::<String, Option<f64>>()? {
                    metrics.insert(name, value.unwrap_or(f64::NAN));
                }
                Ok(metrics)
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_insertion_is_kept() {
        let mut metrics: Metrics = [("z", 1.0), ("a", 0.5)].into_iter().collect();
        metrics.insert("m", 0.1 + 0.2);
        metrics.insert("z", 2.0);
        let json = serde_json::to_string(&metrics).unwrap();
        assert_eq!(json, r#"{"z":2.0,"a":0.5,"m":0.30000000000000004}"#);
        assert_eq!(serde_json::from_str::<Metrics>(&json).unwrap(), metrics);
        assert_eq!((metrics.get("a"), metrics.get("b"), metrics.len()), (Some(0.5), None, 3));
        assert!(Metrics::new().is_empty());
    }

    #[test]
    fn numbers_that_json_lacks_become_null() {
        let metrics: Metrics = [("perplexity", f64::INFINITY)].into_iter().collect();
        let json = serde_json::to_string(&metrics).unwrap();
        assert_eq!(json, r#"{"perplexity":null}"#);
        let back: Metrics = serde_json::from_str(&json).unwrap();
        assert!(back.get("perplexity").unwrap().is_nan());
    }

    #[test]
    fn other_json_is_refused() {
        assert!(serde_json::from_str::<Metrics>("[1]").is_err());
        assert!(serde_json::from_str::<Metrics>(r#"{"a": "b"}"#).is_err());
    }
}
