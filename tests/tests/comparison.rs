//! Comparing tensors with their reference, and reporting on all vectors of a loop at once.

use burn::tensor::TensorData;
use peft_core::NamedTensors;

/// The largest difference of two tensors, relative to the largest expected value.
pub fn difference(found: &TensorData, expected: &TensorData) -> f64 {
    assert_eq!(found.shape().as_slice(), expected.shape().as_slice());
    let scale = expected.iter::<f64>().fold(0f64, |scale, x| scale.max(x.abs())).max(1e-12);
    let pairs = found.iter::<f64>().zip(expected.iter::<f64>());
    pairs.map(|(a, b)| (a - b).abs() / scale).fold(0.0, nan_or_larger)
}

/// The larger of two values; NaN if one of them is.
fn nan_or_larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
}

/// Checks that two sets of tensors have the same names and shapes, and values within `tolerance` of their scale.
/// Gives the largest difference, or says where it is too large.
pub fn compare(
    found: &NamedTensors,
    expected: &NamedTensors,
    tolerance: f64,
) -> Result<f64, String> {
    let names = |tensors: &NamedTensors| tensors.keys().cloned().collect::<Vec<_>>();
    if names(found) != names(expected) {
        return Err(format!("found {:?}, expected {:?}", names(found), names(expected)));
    }
    let (mut largest, mut wrong) = (0f64, Vec::new());
    for (name, expected) in expected {
        let found = &found[name];
        if found.shape() != expected.shape() {
            wrong.push(format!("{name}: {:?}, expected {:?}", found.shape(), expected.shape()));
            continue;
        }
        let difference = difference(found, expected);
        if difference.is_nan() || difference >= tolerance {
            wrong.push(format!("{name}: {difference:.1e}"));
        }
        largest = nan_or_larger(largest, difference);
    }
    if wrong.is_empty() { Ok(largest) } else { Err(wrong.join(", ")) }
}

/// Like [`compare`], for a test of a single set of tensors.
pub fn assert_tensors_near(found: &NamedTensors, expected: &NamedTensors, tolerance: f64) -> f64 {
    compare(found, expected, tolerance).unwrap_or_else(|wrong| panic!("{wrong}"))
}

/// The results of a loop over vectors: all failures, for one table at its end.
#[derive(Debug, Default)]
pub struct Report {
    checked: usize,
    failures: Vec<[String; 3]>,
}

impl Report {
    /// Notes how a model with a method, or whatever the two columns name, compares with its vector.
    pub fn note<T>(&mut self, model: &str, method: &str, result: Result<T, String>) -> Option<T> {
        self.checked += 1;
        result
            .map_err(|what| self.failures.push([model.to_string(), method.to_string(), what]))
            .ok()
    }

    /// Fails with a table of all failures, by model and method, if there are any. Gives how many vectors were
    /// checked.
    pub fn finish(mut self) -> usize {
        self.failures.sort();
        let width = |column: usize| {
            self.failures.iter().map(|row| row[column].len()).max().unwrap_or_default()
        };
        let (first, second) = (width(0), width(1));
        let line = |[model, method, what]: &[String; 3]| {
            format!("{model:<first$}  {method:<second$}  {what}\n")
        };
        let table: String = self.failures.iter().map(line).collect();
        let (failed, checked) = (self.failures.len(), self.checked);
        assert!(self.failures.is_empty(), "{failed} of {checked} vectors differ:\n{table}");
        checked
    }
}
