//! Adafactor makes the steps that T5X's rule makes, for prompts of 100 rows and of 150, whose moments are factored.
//!
//! Vectors: `python/make_adafactor.py`, which says how they were made.

use std::fs;

use burn::tensor::{Tensor, TensorData};
use peft_core::{
    contract::params::Flat,
    optim::{Adafactor, Optimizer, OptimizerConfig},
};
use peft_tests::{device, vectors};
use serde_json::Value;

/// The closed forms that the script has, of a prompt's rows of `h` numbers.
#[derive(Clone, Copy)]
struct Forms {
    rows: usize,
    h: usize,
}

impl Forms {
    fn each(self, value: impl Fn(f64, f64) -> f64) -> Vec<f64> {
        (0..self.rows * self.h)
            .map(|at| value((at / self.h) as f64, (at % self.h) as f64))
            .collect()
    }

    fn start(self) -> Vec<f32> {
        self.each(|i, j| 0.5 * (0.7 * i + 0.13 * j).cos()).into_iter().map(|x| x as f32).collect()
    }

    fn gradient(self, step: usize, parameter: &[f32]) -> Vec<f32> {
        let target = self.each(|i, j| 20.0 * (0.31 * i - 0.17 * j).sin());
        let size = self.each(|_, j| 10f64.powf(-3.0 * j / self.h as f64));
        let wave = self.each(|i, j| 0.3 * (0.9 * i + 0.37 * j + 1.7 * step as f64).sin());
        let pull = parameter.iter().zip(target).map(|(p, t)| ((f64::from(*p) - t) / 8.0).tanh());
        pull.zip(size).zip(wave).map(|((pull, size), wave)| (size * (pull + wave)) as f32).collect()
    }
}

fn tensor(values: Vec<f32>) -> Tensor<1> {
    let len = values.len();
    Tensor::from_data(TensorData::new(values, [len]), &device())
}

fn rms(values: &[f32]) -> f64 {
    let squares: f64 = values.iter().map(|x| f64::from(*x).powi(2)).sum();
    (squares / values.len() as f64).sqrt()
}

#[test]
fn fifty_steps_are_those_of_t5x() {
    let text = fs::read_to_string(vectors("training/adafactor.json")).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    let h = json["hidden_size"].as_u64().unwrap() as usize;
    let places: Vec<usize> = json["places"]
        .as_array()
        .unwrap()
        .iter()
        .map(|place| {
            (place[0].as_u64().unwrap() as usize) * h + place[1].as_u64().unwrap() as usize
        })
        .collect();
    let runs = json["runs"].as_array().unwrap();
    let mut kinds: Vec<(u64, bool)> = Vec::new();
    for run in runs {
        let rows = run["rows"].as_u64().unwrap();
        let scaled = run["multiply_by_parameter_scale"].as_bool().unwrap();
        let lr = run["lr"].as_f64().unwrap();
        let forms = Forms { rows: rows as usize, h };
        let rule = Adafactor {
            weight_decay: json["weight_decay"].as_f64().unwrap(),
            multiply_by_parameter_scale: scaled,
            ..Adafactor::default()
        };
        let mut optimizer = Optimizer::new(OptimizerConfig::Adafactor(rule));
        let mut prompt = Flat {
            name: "prompt".into(),
            shape: vec![forms.rows, h],
            values: tensor(forms.start()),
        };
        let steps = run["steps"].as_array().unwrap();
        assert_eq!(steps.len(), 50);
        let mut largest = 0f64;
        for (step, expected) in steps.iter().enumerate() {
            let values = prompt.values.to_data().try_to_vec::<f32>().unwrap();
            let gradient = tensor(forms.gradient(step, &values));
            prompt.values =
                optimizer.step(std::slice::from_ref(&prompt), vec![Some(gradient)], lr).remove(0);
            let values = prompt.values.to_data().try_to_vec::<f32>().unwrap();
            let of_places = places.iter().map(|place| f64::from(values[*place]));
            let found: Vec<f64> = std::iter::once(rms(&values)).chain(of_places).collect();
            let places = expected["values"].as_array().unwrap().iter();
            let expected: Vec<f64> = std::iter::once(&expected["rms"])
                .chain(places)
                .map(|x| x.as_f64().unwrap())
                .collect();
            for (found, expected) in found.iter().zip(&expected) {
                // A step is lr or less: so much of a single one is what f32 may lose in fifty.
                let difference = (found - expected).abs() / expected.abs().max(1.0);
                assert!(
                    difference < 2e-5,
                    "P {rows}, scaled {scaled}, step {step}: {found}, not {expected}"
                );
                largest = largest.max(difference);
            }
        }
        println!("P {rows}, scaled {scaled}: within {largest:.1e} after 50 steps");
        // Row and column means, or one moment for each number.
        let state = optimizer.state().unwrap();
        let moments: Vec<usize> = ["v", "v_row", "v_col"]
            .iter()
            .map(|moment| {
                state.get(&format!("prompt/{moment}")).map_or(0, TensorData::num_elements)
            })
            .collect();
        let factored = run["factored"].as_bool().unwrap();
        assert_eq!(factored, rows == 150);
        assert_eq!(moments, if factored { [0, 150, h] } else { [100 * h, 0, 0] });
        kinds.push((rows, scaled));
    }
    assert_eq!(kinds, [(100, false), (100, true), (150, false), (150, true)]);
}
