//! RoBERTa (Liu et al. 2019, arXiv 1907.11692), XLM-RoBERTa and CamemBERT.
//!
//! The layers are those of BERT. Positions count from the id of the padding token, there is no pooler, and a classifier
//! of whole rows has a hidden layer of its own.

use peft_core::{FrozenModel, HeadLayout, Result, Task};

use super::{
    bert::{Bert, Variant},
    outline::Outline,
};
use crate::{
    class_defaults::{refuse_null, special_tokens},
    config::ModelConfig,
    options::LoadOptions,
    weights::{LoadReport, Weights},
};

/// Loads a RoBERTa.
pub fn load(
    config: &ModelConfig,
    weights: Weights,
    options: LoadOptions,
) -> Result<(Box<dyn FrozenModel>, LoadReport)> {
    Bert::load(config, weights, options, variant(config)?)
}

/// The sizes of a RoBERTa.
pub fn outline(config: &ModelConfig) -> Result<Outline> {
    Bert::outline(config, variant(config)?)
}

fn variant(config: &ModelConfig) -> Result<Variant> {
    config.check_token_ids("pad_token_id")?;
    refuse_null(config, "pad_token_id", 1)?;
    let padding = special_tokens(config, "pad_token_id").first().map_or(1, |id| *id as usize);
    Ok(Variant {
        prefix: "roberta.",
        lm_head: "lm_head.",
        first_position: padding + 1,
        has_pooler: false,
        layout,
    })
}

/// As RobertaForSequenceClassification, -TokenClassification and -QuestionAnswering have it.
fn layout(task: Task) -> HeadLayout {
    match task {
        Task::QuestionAns => HeadLayout::linear("qa_outputs", true),
        Task::TokenCls => HeadLayout::linear("classifier", true),
        // A language model has no such head: it is that of whole rows.
        Task::SeqCls | Task::CausalLm | Task::Seq2SeqLm => HeadLayout::with_hidden("classifier"),
    }
}
