//! Heads that a checkpoint may hold.

use burn::module::Param;
use peft_core::{Error, Head, HeadLayout, ModelSpec, Result, Task, contract::head::Dense};

use super::outline::LmHead;
use crate::{
    blocks::Linear,
    class_defaults::flag,
    config::ModelConfig,
    weights::{LM_HEAD, Matrix, Weights},
};

/// The matrix of the language-model head.
const HEAD: &str = "lm_head.weight";

/// The classifier that a checkpoint may hold, with a bias if the file has one; if the `layout` has a bias, the
/// file must have it.
pub fn load_classifier(
    weights: &mut Weights,
    layout: HeadLayout,
    hidden_size: usize,
) -> Result<Option<Head>> {
    let [key, rest @ ..] = &layout.names()[..] else { return Ok(None) };
    let Some(shape) = weights.shape(key) else { return Ok(None) };
    let [classes, _] = shape[..] else {
        return Err(
            weights.error(key, &format!("has the shape {shape:?}, a head has two dimensions"))
        );
    };
    if classes == 0 {
        return Err(weights.error(key, "is a head without classes"));
    }
    if layout.name == "qa_outputs" && classes != 2 {
        let message = format!("is a head of {classes} rows, answers have a start and an end");
        return Err(weights.error(key, &message));
    }
    let Some(weight) = weights.take_optional(key, [classes, hidden_size])? else {
        return Ok(None);
    };
    let bias = match rest.first() {
        Some(key) => Some(weights.take(key, [classes])?),
        None => weights.take_optional(&format!("{}.bias", layout.name), [classes])?,
    };
    let dense = match rest {
        [_, weight, bias] => Some(Dense {
            weight: Param::from_tensor(weights.take(weight, [hidden_size, hidden_size])?),
            bias: Param::from_tensor(weights.take(bias, [hidden_size])?),
        }),
        _ => None,
    };
    Ok(Some(Head { dense, weight: Param::from_tensor(weight), bias: bias.map(Param::from_tensor) }))
}

/// The embedding of a decoder, which may be the language-model head, too.
#[derive(Clone, Copy, Debug)]
pub struct Word {
    /// What the family calls it.
    pub name: &'static str,
    /// Whether it is the head where the config says nothing.
    pub tied_by_default: bool,
}

impl Word {
    /// The embedding `[V, H]`: its own or, where the config ties the two and the file has only a language-model head, that
    /// one.
    ///
    /// # Errors
    ///
    /// [`Error::Tensor`] if it is missing or misshapen, [`Error::Config`] for what is no flag.
    pub fn load(
        self,
        weights: &mut Weights,
        config: &ModelConfig,
        shape: [usize; 2],
    ) -> Result<Matrix> {
        match self.is_head_alone(config, weights)? {
            true => weights.take_matrix_of([self.name, HEAD, HEAD], shape),
            false => weights.take_matrix(self.name, shape),
        }
    }

    /// The language-model head `[V, H]`, if there is one.
    ///
    /// # Errors
    ///
    /// Those of [`lm_head_in`](Self::lm_head_in) and [`load_own_lm_head`].
    pub fn load_lm_head(
        self,
        weights: &mut Weights,
        config: &ModelConfig,
        word: &Matrix,
    ) -> Result<Option<Linear>> {
        match self.lm_head_in(config, weights)? {
            LmHead::Tied => Ok(Some(Linear::tied(word.clone(), weights.compute()))),
            LmHead::None => Ok(None),
            LmHead::Own => load_own_lm_head(weights, word.dims()).map(Some),
        }
    }

    /// The head of a checkpoint: its own, which takes precedence over what the config says about tying, else the
    /// embedding. A checkpoint without a language model has none.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for what is no flag.
    pub fn lm_head_in(self, config: &ModelConfig, weights: &Weights) -> Result<LmHead> {
        match weights.shape(HEAD).is_some() && !self.is_head_alone(config, weights)? {
            true => Ok(LmHead::Own),
            false => self.lm_head_of(config),
        }
    }

    /// The head, as the config says.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for what is no flag.
    pub fn lm_head_of(self, config: &ModelConfig) -> Result<LmHead> {
        let is_other = match config.task() {
            Some(task) => task != Task::CausalLm,
            None => config.has("architectures"),
        };
        Ok(match self.is_tied(config)? {
            true => LmHead::Tied,
            false if is_other => LmHead::None,
            false => LmHead::Own,
        })
    }

    /// Whether the file has the head and no embedding, and the two are one.
    fn is_head_alone(self, config: &ModelConfig, weights: &Weights) -> Result<bool> {
        let is_lm = config.task().is_none_or(|task| task == Task::CausalLm);
        let is_alone = weights.shape(self.name).is_none() && weights.shape(HEAD).is_some();
        Ok(is_lm && is_alone && self.is_tied(config)?)
    }

    fn is_tied(self, config: &ModelConfig) -> Result<bool> {
        flag(config, "tie_word_embeddings", self.tied_by_default)
    }
}

/// A language-model head `[V, H]` that is not the embedding.
///
/// # Errors
///
/// [`Error::Tensor`] if it is missing or misshapen; the former says how a config ties it to the embedding.
pub fn load_own_lm_head(weights: &mut Weights, [vocab, h]: [usize; 2]) -> Result<Linear> {
    let is_missing = weights.shape(HEAD).is_none();
    Linear::load(weights, LM_HEAD, [h, vocab], false).map_err(|error| match error {
        Error::Tensor { path, name, message } if is_missing => {
            let message = format!(
                "{message}: by `tie_word_embeddings` the head is a matrix of its own; if the embedding is the head, too, \
                 write \"tie_word_embeddings\": true into config.json"
            );
            Error::Tensor { path, name, message }
        }
        other => other,
    })
}

/// The language-model head of a checkpoint that must have one.
pub fn lm_head<'a>(head: &'a Option<Linear>, spec: &ModelSpec) -> Result<&'a Linear> {
    head.as_ref().ok_or_else(|| {
        Error::Mismatch(format!("this {} checkpoint has no language-model head", spec.model_type))
    })
}
