//! Ways to stretch a rotation to rows longer than those that a model was first trained on, and their spellings in
//! configs.

use std::f64::consts::{PI, TAU};

use peft_core::Result;

use crate::{
    class_defaults::{refuse_null, size, text},
    config::ModelConfig,
};

/// The base of configs without one.
const BASE: f64 = 10_000.0;

/// The kinds that are known, as `rope_type` names them.
const KNOWN: &str = "default, linear, dynamic, llama3, yarn";

/// How the frequencies `f` of a rotation are changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Scaling {
    /// Not at all.
    None,
    /// `f / factor`.
    Linear { factor: f64 },
    /// That of Llama 3.1: wavelengths above `context / low` are stretched, those below `context / high` are not, and
    /// those between in part.
    Llama3 { factor: f64, low: f64, high: f64, context: f64 },
    /// YaRN (Peng et al. 2023, arXiv 2309.00071): frequencies with fewer than `slow` rotations in the context are
    /// stretched, those with more than `fast` are not; `scale` sharpens attention.
    Yarn { factor: f64, fast: f64, slow: f64, context: f64, truncate: bool, scale: f64 },
    /// Each `f / factor` with a factor of its own, as GGUF stores the scaling of Llama 3.1.
    Factors(Vec<f64>),
}

impl Scaling {
    /// The scaled frequencies, and the factor of cosines and sines.
    pub fn apply(&self, plain: &[f32], base: f64) -> (Vec<f32>, f64) {
        let each = |change: &dyn Fn(usize, f64) -> f64| {
            let pairs = plain.iter().enumerate();
            pairs.map(|(i, frequency)| change(i, f64::from(*frequency)) as f32).collect()
        };
        match self {
            Self::None => (plain.to_vec(), 1.0),
            Self::Linear { factor } => (each(&|_, f| f / factor), 1.0),
            Self::Factors(factors) => (each(&|i, f| f / factors[i]), 1.0),
            &Self::Llama3 { factor, low, high, context } => {
                let change = |_, f: f64| {
                    let wave = TAU / f;
                    if wave < context / high {
                        f
                    } else if wave > context / low {
                        f / factor
                    } else {
                        let kept = (context / wave - low) / (high - low);
                        (1.0 - kept) * f / factor + kept * f
                    }
                };
                (each(&change), 1.0)
            }
            &Self::Yarn { factor, fast, slow, context, truncate, scale } => {
                let dim = (2 * plain.len()) as f64;
                // The index of the frequency with `turns` rotations in the context.
                let index =
                    |turns: f64| dim * (context / (turns * 2.0 * PI)).ln() / (2.0 * base.ln());
                let (mut first, mut last) = (index(fast), index(slow));
                if truncate {
                    (first, last) = (first.floor(), last.ceil());
                }
                let (first, mut last) = (first.max(0.0), last.min(dim - 1.0));
                if first == last {
                    last += 0.001;
                }
                let change = |i, f: f64| {
                    let stretched = ((i as f64 - first) / (last - first)).clamp(0.0, 1.0);
                    f / factor * stretched + f * (1.0 - stretched)
                };
                (each(&change), scale)
            }
        }
    }
}

/// The base of a model's rotation and its scaling, of so many `pairs` of dimensions.
///
/// transformers 4 writes `rope_theta` and `rope_scaling`, transformers 5 puts both into
/// `rope_parameters`; if a config has both, the older one counts, as it does there.
pub fn read(config: &ModelConfig, pairs: usize) -> Result<(f64, Scaling)> {
    let base = positive(config, "rope_theta", Some(BASE))?;
    whole(config, "partial_rotary_factor")?;
    let Some(object) = config.first_object(&["rope_scaling", "rope_parameters"])? else {
        refuse_null(config, "rope_theta", BASE)?;
        return Ok((base, Scaling::None));
    };
    let key = |name: &str| format!("{object}.{name}");
    for layers in ["full_attention", "sliding_attention"] {
        if config.has(&key(layers)) {
            return Err(config.error(&key(layers), "this family has one rotation for all layers"));
        }
    }
    refuse_null(config, &key("rope_theta"), base)?;
    if !config.has(&key("rope_theta")) {
        refuse_null(config, "rope_theta", BASE)?;
    }
    let base = positive(config, &key("rope_theta"), Some(base))?;
    whole(config, &key("partial_rotary_factor"))?;
    let kind = key("rope_type");
    let kind = if config.has(&kind) || config.is_null(&kind) { kind } else { key("type") };
    let number = |name: &str, default| positive(config, &key(name), default);
    // The context length of training before it was stretched, wherever the config has it.
    let context = || {
        const ORIGINAL: &str = "original_max_position_embeddings";
        let nested = key(ORIGINAL);
        for name in [ORIGINAL, &nested] {
            refuse_null(config, name, "max_position_embeddings")?;
        }
        match [ORIGINAL, &nested].into_iter().find(|name| config.has(name)) {
            Some(name) => positive(config, name, None),
            None => Ok(size(config, "max_position_embeddings")? as f64),
        }
    };
    let scaling = match text(config, &kind, config.text(&key("type"), "default")?)? {
        // `dynamic` changes the base for rows beyond the model's limit, which are refused.
        "default" | "dynamic" => Scaling::None,
        "linear" => Scaling::Linear { factor: number("factor", None)? },
        "llama3" => Scaling::Llama3 {
            factor: number("factor", None)?,
            low: number("low_freq_factor", None)?,
            high: number("high_freq_factor", None)?,
            context: context()?,
        },
        "yarn" => {
            let factor = match config.is_null(&key("factor")) {
                true => size(config, "max_position_embeddings")? as f64 / context()?,
                false => number("factor", None)?,
            };
            let grown = |by: f64| if factor <= 1.0 { 1.0 } else { 0.1 * by * factor.ln() + 1.0 };
            // As in transformers, 0 says nothing there.
            let said = |name: &str| match config.number(&key(name), 0.0)? {
                0.0 => Ok(None),
                _ => number(name, None).map(Some),
            };
            let scale = match (said("mscale")?, said("mscale_all_dim")?) {
                (Some(scale), Some(of_all)) => grown(scale) / grown(of_all),
                _ => grown(1.0),
            };
            Scaling::Yarn {
                factor,
                fast: said("beta_fast")?.unwrap_or(32.0),
                slow: said("beta_slow")?.unwrap_or(1.0),
                context: context()?,
                // As in transformers, where null is not the default.
                truncate: !config.is_null(&key("truncate"))
                    && config.flag(&key("truncate"), true)?,
                scale: number("attention_factor", Some(scale))?,
            }
        }
        "factors" => {
            let factors = config.numbers(&key("factors"))?;
            if factors.len() != pairs || !factors.iter().all(|factor| *factor > 0.0) {
                let message = format!("expected {pairs} numbers above 0");
                return Err(config.error(&key("factors"), message));
            }
            Scaling::Factors(factors)
        }
        other => {
            let message = format!("found {other:?}, this version knows {KNOWN}");
            return Err(config.error(&kind, message));
        }
    };
    Ok((base, scaling))
}

/// A number above 0; without a default, the key must be there.
fn positive(config: &ModelConfig, key: &str, default: Option<f64>) -> Result<f64> {
    if default.is_none() && !config.has(key) {
        return Err(config.error(key, "is missing"));
    }
    let value = config.number(key, default.unwrap_or_default())?;
    if value > 0.0 && value.is_finite() {
        return Ok(value);
    }
    Err(config.error(key, format!("expected a number above 0, found {value}")))
}

/// Refuses a rotation of only a part of each head.
fn whole(config: &ModelConfig, key: &str) -> Result<()> {
    match config.number(key, 1.0)? {
        1.0 => Ok(()),
        part => Err(config.error(key, format!("found {part}, this version rotates whole heads"))),
    }
}
