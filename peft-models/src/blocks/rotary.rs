//! Rotary position embedding (Su et al. 2021, arXiv 2104.09864), in the half-split layout.

mod scaling;

use std::sync::{Mutex, PoisonError};

use burn::tensor::{DType, Device, Int, Tensor, TensorData, module::embedding};
use peft_core::Result;

use crate::{config::ModelConfig, kernels};
use scaling::Scaling;

/// The rotation of a model: `angle(p, i) = p f_i`, where `f_i = base^(-2i / D)` unless it is scaled.
#[derive(Debug)]
pub struct Rotary {
    /// `[D / 2]`. These and the angles are f32 whatever the type of the model, as in transformers: at position 4000 the
    /// rounding of f32 shows in the logits, and that of f16 would leave nothing.
    frequencies: Vec<f32>,
    /// The factor of cosines and sines.
    scale: f64,
    /// Cosines and sines of the positions that passes have needed so far.
    known: Mutex<Option<Known>>,
}

/// Cosines and sines of the positions from 0 on, `[positions, D]` each.
#[derive(Clone, Debug)]
struct Known {
    positions: usize,
    cos: Tensor<2>,
    sin: Tensor<2>,
}

/// Cosines and sines for the positions of one pass, shared by its layers.
#[derive(Clone, Debug)]
pub struct RotaryTable {
    /// `[B, 1, S, D]`.
    cos: Tensor<4>,
    /// `[B, 1, S, D]`.
    sin: Tensor<4>,
}

impl Rotary {
    /// The rotation that a config describes, of heads of size D = `head_dim`.
    ///
    /// # Errors
    ///
    /// [`peft_core::Error::Config`] naming a kind of scaling that is not implemented, or a value that is not a
    /// number.
    pub fn from_config(config: &ModelConfig, head_dim: usize) -> Result<Self> {
        let (base, scaling) = scaling::read(config, head_dim / 2)?;
        Ok(Self::new(head_dim, base, &scaling))
    }

    fn new(head_dim: usize, base: f64, scaling: &Scaling) -> Self {
        let plain: Vec<f32> = (0..head_dim / 2)
            .map(|i| {
                let exponent = (2 * i) as f32 / head_dim as f32;
                1.0 / base.powf(f64::from(exponent)) as f32
            })
            .collect();
        let (frequencies, scale) = scaling.apply(&plain, base);
        Self { frequencies, scale, known: Mutex::new(None) }
    }

    /// Cosines and sines for `positions` `[B, S]`, all below `limit`, in the type `dtype`.
    pub fn table(&self, positions: Tensor<2, Int>, limit: usize, dtype: DType) -> RotaryTable {
        let (cos, sin) = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let known = match known.take().filter(|known| known.positions >= limit) {
                Some(enough) => known.insert(enough),
                None => {
                    let limit = limit.next_power_of_two();
                    known.insert(self.compute(limit, &positions.device(), dtype))
                }
            };
            (known.cos.clone(), known.sin.clone())
        };
        let [b, s] = positions.dims();
        // Not while the lock is held: a thread that waits for others in here may take up work that locks it again.
        let pick = |table: Tensor<2>| {
            let [_, d] = table.dims();
            embedding(table, positions.clone()).reshape([b, 1, s, d])
        };
        RotaryTable { cos: pick(cos), sin: pick(sin) }
    }

    /// On the host: GPUs compute the cosine of a large angle to a few digits only.
    fn compute(&self, positions: usize, device: &Device, dtype: DType) -> Known {
        let d = 2 * self.frequencies.len();
        let upload = |function: fn(f64) -> f64| {
            let values: Vec<f64> = (0..positions)
                .flat_map(|position| {
                    let angles = self.frequencies.iter().map(move |f| position as f32 * f);
                    angles.clone().chain(angles).map(|angle| self.scale * function(angle.into()))
                })
                .collect();
            let data = TensorData::new(values, [positions, d]).convert_dtype(dtype);
            Tensor::from_data(data, (device, dtype))
        };
        Known { positions, cos: upload(f64::cos), sin: upload(f64::sin) }
    }
}

impl RotaryTable {
    /// Rotates the first `heads` heads of rows `[B, S, any * D]`; the others stay as they are.
    pub fn rotate_joined(&self, x: Tensor<3>, heads: usize) -> Tensor<3> {
        if let Some(y) = kernels::rotate_heads(&x, &self.cos, &self.sin, heads) {
            return y;
        }
        let ([b, s, width], d) = (x.dims(), self.cos.dims()[3]);
        let own = x.clone().narrow(2, 0, heads * d).reshape([b, s, heads, d]).swap_dims(1, 2);
        let rotated = self.rotate(own).swap_dims(1, 2).reshape([b, s, heads * d]);
        Tensor::cat(vec![rotated, x.narrow(2, heads * d, width - heads * d)], 2)
    }

    /// Rotates queries or keys `[B, heads, S, D]`.
    pub fn rotate(&self, x: Tensor<4>) -> Tensor<4> {
        let half = x.dims()[3] / 2;
        let rotated_half = Tensor::cat(
            vec![x.clone().narrow(3, half, half).neg(), x.clone().narrow(3, 0, half)],
            3,
        );
        x * self.cos.clone() + rotated_half * self.sin.clone()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use serde_json::{Value, json};

    use super::*;

    fn rotary(config: Value) -> Result<Rotary> {
        let config = ModelConfig::from_value(config, Path::new("config.json")).unwrap();
        Rotary::from_config(&config, 16)
    }

    /// Checks against LlamaRotaryEmbedding: frequencies, factor, cosines at position 4000.
    fn check(config: Value, frequencies: [f32; 8], scale: f64, cosines: [f32; 8]) {
        let found = rotary(config).unwrap();
        for (found, expected) in found.frequencies.iter().zip(frequencies) {
            assert!((found / expected - 1.0).abs() < 2e-7, "{found} {expected}");
        }
        assert!((found.scale - scale).abs() < 1e-12, "{}", found.scale);
        let positions = Tensor::from_data([[4000i64]], &Device::default());
        let table = found.table(positions, 4001, DType::F32).cos.into_data();
        let table: Vec<f32> = table.try_to_vec().unwrap();
        for (found, expected) in table.iter().zip(cosines) {
            // One unit in the last place of a frequency makes this difference at that position.
            assert!((found - expected).abs() < 3e-4, "{found} {expected}");
        }
    }

    const PLAIN: [f32; 8] =
        [1.0, 0.316_227_76, 0.1, 0.031_622_78, 0.01, 0.003_162_277_9, 0.001, 0.000_316_227_8];
    const PLAIN_COSINES: [f32; 8] = [
        -0.729_947,
        -0.407_730_94,
        -0.525_296_33,
        0.676_788,
        -0.666_938_07,
        0.996_578_9,
        -0.653_643_6,
        0.301_137_36,
    ];

    #[test]
    fn unscaled_frequencies_in_both_spellings() {
        for config in [
            json!({}),
            json!({ "rope_theta": 10000 }),
            json!({ "rope_theta": 5.0, "rope_parameters": { "rope_theta": 10000.0 } }),
            json!({ "rope_scaling": null, "rope_parameters": { "rope_type": "default" } }),
            json!({ "rope_scaling": { "type": "dynamic", "factor": 4.0 } }),
        ] {
            check(config, PLAIN, 1.0, PLAIN_COSINES);
        }
    }

    #[test]
    fn linear_scaling_divides_all_frequencies() {
        for config in [
            json!({ "rope_scaling": { "type": "linear", "factor": 4 } }),
            json!({ "rope_parameters": { "rope_type": "linear", "factor": 4.0 } }),
        ] {
            let cosines = [
                0.562_379_06,
                -0.477_397_92,
                0.862_318_9,
                0.978_682_4,
                -0.839_071_5,
                -0.999_786_1,
                0.540_302_34,
                0.950_415_25,
            ];
            check(config, PLAIN.map(|frequency| frequency / 4.0), 1.0, cosines);
        }
    }

    #[test]
    fn llama3_scaling_keeps_short_waves() {
        let parameters = json!({
            "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 512,
        });
        for key in ["rope_scaling", "rope_parameters"] {
            check(
                json!({ key: parameters, "rope_theta": 10000.0 }),
                [
                    1.0,
                    0.316_227_76,
                    0.1,
                    0.018_496_677,
                    0.001_25,
                    0.000_395_284_73,
                    0.000_125,
                    3.952_847_3e-5,
                ],
                1.0,
                [
                    -0.729_947,
                    -0.407_730_94,
                    -0.525_296_33,
                    0.158_609_57,
                    0.283_662_2,
                    -0.010_342_457,
                    0.877_582_55,
                    0.987_526,
                ],
            );
        }
    }

    #[test]
    fn yarn_scaling_ramps_and_sharpens() {
        let mut parameters =
            json!({ "type": "yarn", "factor": 4.0, "original_max_position_embeddings": 1024 });
        check(
            json!({ "rope_scaling": parameters }),
            [
                1.0,
                0.316_227_76,
                0.081_25,
                0.019_764_237,
                0.004_375,
                0.000_790_569_47,
                0.000_25,
                7.905_695e-5,
            ],
            1.138_629_436_111_989,
            [
                -0.831_139_1,
                -0.464_254_44,
                -0.175_566_97,
                -0.989_744_4,
                0.249_860_81,
                -1.138_385_9,
                0.615_204_16,
                1.082_170_8,
            ],
        );
        parameters["beta_fast"] = json!(16);
        parameters["beta_slow"] = json!(2.0);
        parameters["mscale"] = json!(0.7);
        parameters["mscale_all_dim"] = json!(1.2);
        parameters["truncate"] = json!(false);
        check(
            json!({ "rope_scaling": parameters }),
            [
                1.0,
                0.316_227_76,
                0.1,
                0.018_701_805,
                0.002_5,
                0.000_790_569_47,
                0.000_25,
                7.905_695e-5,
            ],
            0.940_571_525_101_084_1,
            [
                -0.686_567_37,
                -0.383_500_13,
                -0.494_078_8,
                0.781_033_8,
                -0.789_206_8,
                -0.940_370_3,
                0.508_193,
                0.893_933_5,
            ],
        );
    }

    /// As in transformers 5.23, where 0 and null say nothing.
    #[test]
    fn yarn_passes_over_what_says_nothing() {
        let of = |more: Value| {
            let mut parameters =
                json!({ "type": "yarn", "original_max_position_embeddings": 1024 });
            for (key, value) in more.as_object().unwrap() {
                parameters[key] = value.clone();
            }
            let config = json!({ "rope_scaling": parameters, "max_position_embeddings": 4096 });
            let found = rotary(config).unwrap();
            (found.frequencies, found.scale)
        };
        let plain = of(json!({ "factor": 4.0 }));
        for more in [
            json!({ "factor": 4.0, "beta_fast": 0, "beta_slow": 0.0 }),
            json!({ "factor": 4.0, "beta_fast": null, "mscale": 0.7, "mscale_all_dim": 0 }),
            json!({ "factor": 4.0, "mscale": 0.7 }),
            json!({ "factor": null }),
        ] {
            assert_eq!(of(more.clone()), plain, "{more}");
        }
        assert_ne!(of(json!({ "factor": 4.0, "mscale": 0.7, "mscale_all_dim": 0.1 })), plain);
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        for (config, parts) in [
            (json!({ "rope_scaling": { "type": "longrope" } }), ["rope_scaling.type", "longrope"]),
            (json!({ "rope_parameters": { "rope_type": 3 } }), ["rope_parameters.rope_type", "3"]),
            (json!({ "rope_scaling": { "type": "linear" } }), ["rope_scaling.factor", "missing"]),
            (
                json!({ "rope_scaling": { "type": "linear", "factor": 0 } }),
                ["rope_scaling.factor", "above 0"],
            ),
            (json!({ "rope_scaling": 4 }), ["rope_scaling", "object"]),
            (json!({ "rope_theta": -1 }), ["rope_theta", "-1"]),
            (json!({ "partial_rotary_factor": 0.5 }), ["partial_rotary_factor", "0.5"]),
            (
                json!({ "rope_parameters": { "full_attention": { "rope_type": "default" } } }),
                ["rope_parameters.full_attention", "one rotation"],
            ),
        ] {
            let error = rotary(config).unwrap_err().to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        }
    }
}
