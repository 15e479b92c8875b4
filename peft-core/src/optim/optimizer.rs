//! An optimizer by name, its settings, and what it remembers of each parameter.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::{
    adafactor::{self, Adafactor},
    adamw::{self, AdamW},
    parameter_state::{ParameterState, require},
    sgd::{self, Sgd},
};
use crate::{
    contract::{params::Flat, readback::Readback, tensors::NamedTensors},
    error::{Error, Result},
};

/// An optimizer with its settings. In files: `name = "adamw"` beside the settings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "lowercase")]
pub enum OptimizerConfig {
    /// Adam with decoupled weight decay.
    AdamW(AdamW),
    /// Adafactor.
    Adafactor(Adafactor),
    /// Stochastic gradient descent.
    Sgd(Sgd),
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self::AdamW(AdamW::default())
    }
}

impl OptimizerConfig {
    /// The optimizer's name as flags spell it: `adamw`, `adafactor`, `sgd`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::AdamW(_) => "adamw",
            Self::Adafactor(_) => "adafactor",
            Self::Sgd(_) => "sgd",
        }
    }

    /// The numbers that it remembers for each number of a parameter, at most: Adafactor has fewer where it factors.
    pub fn moments(&self) -> usize {
        match self {
            Self::AdamW(_) => 2,
            Self::Adafactor(_) => 1,
            Self::Sgd(rule) => usize::from(rule.momentum > 0.0),
        }
    }

    /// Returns the optimizer of this name with its default settings.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] listing the known names.
    pub fn from_name(name: &str) -> Result<Self> {
        match name {
            "adamw" => Ok(Self::AdamW(AdamW::default())),
            "adafactor" => Ok(Self::Adafactor(Adafactor::default())),
            "sgd" => Ok(Self::Sgd(Sgd::default())),
            other => Err(Error::setting(
                "optimizer",
                format!("found `{other}`, expected one of adamw, adafactor, sgd"),
            )),
        }
    }

    /// Returns the same optimizer with another weight decay.
    #[must_use]
    pub fn with_weight_decay(mut self, weight_decay: f64) -> Self {
        match &mut self {
            Self::AdamW(rule) => rule.weight_decay = weight_decay,
            Self::Adafactor(rule) => rule.weight_decay = weight_decay,
            Self::Sgd(rule) => rule.weight_decay = weight_decay,
        }
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] naming the setting, its value and its range.
    pub fn validate(&self) -> Result<()> {
        let weight_decay = match self {
            Self::AdamW(rule) => {
                rule.validate()?;
                rule.weight_decay
            }
            Self::Adafactor(rule) => {
                rule.validate()?;
                rule.weight_decay
            }
            Self::Sgd(rule) => {
                rule.validate()?;
                rule.weight_decay
            }
        };
        require("weight_decay", weight_decay, weight_decay >= 0.0, "at least 0")
    }
}

/// An optimizer and its state for each parameter.
///
/// As in torch, each parameter has its own step count: a parameter without a gradient in a step is
/// unchanged, and so is its count.
#[derive(Clone, Debug)]
pub struct Optimizer {
    config: OptimizerConfig,
    states: BTreeMap<String, ParameterState>,
    on_host: bool,
}

/// The names of all moments in a stored state.
const MOMENTS: [&str; 6] = [
    adamw::MEAN,
    adamw::SQUARE,
    adafactor::FULL,
    adafactor::ROWS,
    adafactor::COLUMNS,
    sgd::MOMENTUM,
];
const STEPS: &str = "steps";

impl Optimizer {
    /// Creates an optimizer that has made no steps yet.
    pub fn new(config: OptimizerConfig) -> Self {
        Self { config, states: BTreeMap::new(), on_host: false }
    }

    /// Tells that tensors are in the memory of the host, as on a CPU. AdamW then passes once over a parameter and its moments,
    /// with the same bits as by operations of the device, which pass over all of them a dozen times.
    #[must_use]
    pub fn on_host(mut self) -> Self {
        self.on_host = true;
        self
    }

    /// Returns the settings.
    pub fn config(&self) -> &OptimizerConfig {
        &self.config
    }

    /// Returns the next value of each parameter, in the order of `params`.
    ///
    /// `grads` has one entry per parameter, in the same order; a parameter without a gradient keeps
    /// its value. Everything is on the plain device. `lr` is the learning rate of this step.
    pub fn step(
        &mut self,
        params: &[Flat],
        grads: Vec<Option<Tensor<1>>>,
        lr: f64,
    ) -> Vec<Tensor<1>> {
        self.step_each(params, grads, |_| lr)
    }

    /// As [`step`](Self::step), with a learning rate for each parameter, by its name.
    pub fn step_each(
        &mut self,
        params: &[Flat],
        grads: Vec<Option<Tensor<1>>>,
        lr: impl Fn(&str) -> f64,
    ) -> Vec<Tensor<1>> {
        params
            .iter()
            .zip(grads)
            .map(|(param, grad)| {
                let lr = lr(&param.name);
                let values = param.values.clone();
                let Some(grad) = grad else { return values };
                let state = self.states.entry(param.name.clone()).or_default();
                state.steps += 1;
                match &self.config {
                    OptimizerConfig::AdamW(rule) if self.on_host => {
                        rule.update_on_host(state, values, grad, lr)
                    }
                    OptimizerConfig::AdamW(rule) => rule.update(state, values, grad, lr),
                    OptimizerConfig::Adafactor(rule) => {
                        rule.update(state, &param.shape, values, grad, lr)
                    }
                    OptimizerConfig::Sgd(rule) => rule.update(state, values, grad, lr),
                }
            })
            .collect()
    }

    /// Returns everything needed to continue bit for bit: `PARAMETER/MOMENT`, unchanged, and
    /// `PARAMETER/steps`, a count as f64 `[1]`. All moments are read together.
    ///
    /// # Errors
    ///
    /// Those of [`Readback::read`].
    pub fn state(&self) -> Result<NamedTensors> {
        let mut tensors = NamedTensors::new();
        let (mut names, mut together) = (Vec::new(), Readback::default());
        for (name, state) in &self.states {
            let steps = TensorData::new(vec![state.steps as f64], [1]);
            tensors.insert(format!("{name}/{STEPS}"), steps);
            for (moment, values) in &state.moments {
                names.push(format!("{name}/{moment}"));
                together.add(values.clone());
            }
        }
        tensors.extend(names.into_iter().zip(together.read()?));
        Ok(tensors)
    }

    /// Loads what [`state`](Self::state) returns to the plain `device`.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] naming a tensor that does not belong to an optimizer's state, or moments that are no list of
    /// floats.
    pub fn load_state(&mut self, tensors: &NamedTensors, device: &Device) -> Result<()> {
        let mut states: BTreeMap<String, ParameterState> = BTreeMap::new();
        for (key, data) in tensors {
            let unknown =
                || Error::Mismatch(format!("`{key}` is not a tensor of an optimizer's state"));
            let (name, part) = key.rsplit_once('/').ok_or_else(unknown)?;
            let state = states.entry(name.to_string()).or_default();
            if part == STEPS {
                let steps = data.iter::<f64>().next().ok_or_else(unknown)?;
                state.steps = steps as u64;
            } else {
                let moment = MOMENTS.iter().find(|known| **known == part).ok_or_else(unknown)?;
                let shape = data.shape().as_slice();
                if shape.len() != 1 || !data.dtype().is_float() {
                    let found = format!("{:?} of the shape {shape:?}", data.dtype());
                    let message = format!("`{key}`: found {found}, expected floats of one size");
                    return Err(Error::Mismatch(message));
                }
                let values = Tensor::from_data(data.clone(), (device, data.dtype()));
                state.put(moment, values);
            }
        }
        self.states = states;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn flat(name: &str, shape: &[usize], values: Vec<f32>) -> Flat {
        let len = values.len();
        let values = Tensor::from_data(TensorData::new(values, [len]), &Device::default());
        Flat { name: name.into(), shape: shape.to_vec(), values }
    }

    /// Runs an optimizer over given gradients and learning rates; one parameter.
    pub(crate) fn run(
        config: OptimizerConfig,
        shape: &[usize],
        start: Vec<f32>,
        steps: &[(Vec<f32>, f64)],
    ) -> Vec<f32> {
        let mut optimizer = Optimizer::new(config);
        let mut param = flat("p", shape, start);
        for (grad, lr) in steps {
            let grad = flat("g", shape, grad.clone()).values;
            param.values =
                optimizer.step(std::slice::from_ref(&param), vec![Some(grad)], *lr).remove(0);
        }
        param.values.into_data().try_to_vec::<f32>().unwrap()
    }

    /// The three gradients and learning rates that all reference values in this folder use.
    pub(crate) fn three_steps() -> Vec<(Vec<f32>, f64)> {
        vec![
            (vec![0.1, -0.2, 0.0], 0.1),
            (vec![0.3, 0.1, -1e-4], 0.05),
            (vec![-0.5, 0.05, 2.0], 0.2),
        ]
    }

    pub(crate) fn assert_near(found: &[f32], expected: &[f64], tolerance: f64) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() <= tolerance, "{found} {expected}");
        }
    }

    fn all() -> [OptimizerConfig; 3] {
        [
            OptimizerConfig::AdamW(AdamW { weight_decay: 0.01, ..AdamW::default() }),
            OptimizerConfig::Adafactor(Adafactor {
                min_dim_size_to_factor: 2,
                ..Adafactor::default()
            }),
            OptimizerConfig::Sgd(Sgd { momentum: 0.9, weight_decay: 0.01 }),
        ]
    }

    #[test]
    fn a_restored_optimizer_goes_on_bit_for_bit() {
        let device = Device::default();
        for config in all() {
            let grad = |k: usize| {
                let values = (0..6).map(|i| ((i * 7 + k * 3) as f32).sin()).collect();
                flat("g", &[2, 3], values).values
            };
            let params = |optimizer: &mut Optimizer, from: Vec<Tensor<1>>, step: usize| {
                let mut a = flat("a", &[2, 3], vec![0.0; 6]);
                let mut b = flat("b", &[6], vec![0.0; 6]);
                a.values = from[0].clone();
                b.values = from[1].clone();
                optimizer.step(&[a, b], vec![Some(grad(step)), Some(grad(step + 50))], 0.1)
            };
            let start = vec![grad(100), grad(101)];
            let mut whole = Optimizer::new(config);
            let two = (0..2).fold(start, |values, step| params(&mut whole, values, step));
            let mut resumed = Optimizer::new(config);
            resumed.load_state(&whole.state().unwrap(), &device).unwrap();
            assert_eq!(resumed.state().unwrap(), whole.state().unwrap());
            let bits = |values: Vec<Tensor<1>>| {
                values.into_iter().map(Tensor::into_data).collect::<Vec<_>>()
            };
            let expected = bits(params(&mut whole, two.clone(), 2));
            assert_eq!(bits(params(&mut resumed, two, 2)), expected, "{config:?}");
        }
    }

    #[test]
    fn a_parameter_without_gradient_keeps_its_value() {
        for config in all() {
            let mut optimizer = Optimizer::new(config);
            let param = flat("p", &[2], vec![1.0, 2.0]);
            let next = optimizer.step(&[param], vec![None], 0.1).remove(0);
            assert_eq!(next.into_data().try_to_vec::<f32>().unwrap(), [1.0, 2.0]);
            assert!(optimizer.state().unwrap().is_empty());
        }
    }

    #[test]
    fn configs_come_back_from_json_and_default_what_is_not_there() {
        for config in all() {
            let json = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::from_str::<OptimizerConfig>(&json).unwrap(), config);
            assert_eq!(OptimizerConfig::from_name(config.name()).unwrap().name(), config.name());
        }
        let parse = serde_json::from_str::<OptimizerConfig>;
        assert_eq!(parse(r#"{"name": "adamw"}"#).unwrap(), OptimizerConfig::default());
        assert!(parse(r#"{"name": "adamw", "beta": 1}"#).is_err());
        assert!(parse(r#"{"name": "lion"}"#).is_err());
        let error = OptimizerConfig::from_name("lion").unwrap_err().to_string();
        assert!(error.contains("optimizer") && error.contains("adafactor"), "{error}");
    }

    #[test]
    fn unusable_settings_are_named() {
        let error = OptimizerConfig::default().with_weight_decay(-1.0).validate().unwrap_err();
        assert!(error.to_string().starts_with("weight_decay: found -1"), "{error}");
        let adamw = AdamW { betas: (1.0, 0.999), ..AdamW::default() };
        assert!(OptimizerConfig::AdamW(adamw).validate().is_err());
        let sgd = Sgd { momentum: f64::NAN, ..Sgd::default() };
        assert!(OptimizerConfig::Sgd(sgd).validate().is_err());
        let adafactor = Adafactor { clip_threshold: 0.0, ..Adafactor::default() };
        assert!(OptimizerConfig::Adafactor(adafactor).validate().is_err());
        for config in all() {
            config.validate().unwrap();
        }
    }

    #[test]
    fn a_foreign_state_is_refused() {
        let mut state = NamedTensors::new();
        state.insert("p/nonsense".into(), TensorData::new(vec![0.0f32], [1]));
        let error = Optimizer::new(OptimizerConfig::default())
            .load_state(&state, &Device::default())
            .unwrap_err();
        assert!(error.to_string().contains("p/nonsense"), "{error}");
        for data in [TensorData::new(vec![0.0f32; 4], [2, 2]), TensorData::new(vec![0i32; 4], [4])]
        {
            let key = format!("p/{}", sgd::MOMENTUM);
            let state = NamedTensors::from([(key.clone(), data)]);
            let found = Optimizer::new(OptimizerConfig::default())
                .load_state(&state, &Device::default())
                .unwrap_err()
                .to_string();
            assert!(found.starts_with(&format!("`{key}`: found ")), "{found}");
            assert!(found.ends_with("expected floats of one size"), "{found}");
        }
    }
}
