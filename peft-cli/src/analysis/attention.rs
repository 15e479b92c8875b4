//! How much real tokens attend to virtual tokens, on rows.

use std::path::PathBuf;

use peft_core::{
    AttentionMass, AttentionProbe, Error, FrozenModel, PaddingSide, Result, Task, VirtualTokens,
    data::{Example, eval_batches, token_batch},
    text::Encoded,
};
use serde_json::{Value, json};

use crate::{output, session::Session, text_settings::TextArgs};

/// Rows that the model reads at once.
const BATCH: usize = 8;

/// The attention mass of virtual tokens in each layer, on rows.
#[derive(Clone, Debug)]
pub struct Attention {
    /// The number of rows.
    pub rows: usize,
    /// What was found, by site and layer.
    pub masses: Vec<AttentionMass>,
}

/// Reads rows as in training, with the targets of a language model where they have some.
///
/// # Errors
///
/// Returns an error naming the file and line that is wrong.
pub fn rows(session: &Session, files: &[PathBuf]) -> Result<Encoded> {
    let text = TextArgs::default();
    let task = session.task()?;
    if !task.is_language_model() {
        return session.encode(files, &text, false);
    }
    match session.encode(files, &text, true) {
        Ok(found) => Ok(found),
        // The decoder of an encoder-decoder reads targets, and an infix stands in front of one.
        Err(error) if task == Task::Seq2SeqLm || session.virtual_tokens.infix => Err(error),
        Err(error) => {
            let found = session.encode(files, &text, false).map_err(|_| error)?;
            output::note(
                "note: the rows have no targets, or none that can be read: attention is that of their sources",
            );
            Ok(found)
        }
    }
}

/// The attention mass of virtual tokens, as they are deployed, on examples.
///
/// # Errors
///
/// As for [`FrozenModel::forward`]; [`Error::Mismatch`] if nothing was recorded.
pub fn attention(
    model: &dyn FrozenModel,
    virtual_tokens: &VirtualTokens,
    examples: &[Example],
) -> Result<Attention> {
    let probe = AttentionProbe::default();
    let lengths: Vec<usize> = examples.iter().map(Example::num_tokens).collect();
    for indices in eval_batches(&lengths, BATCH) {
        let chosen: Vec<&Example> = indices.iter().map(|index| &examples[*index]).collect();
        let batch = token_batch(&chosen, PaddingSide::Right);
        model.forward_probed(&batch, virtual_tokens, &probe)?;
    }
    let masses = probe.masses();
    if masses.is_empty() {
        return Err(Error::Mismatch("no row attends to a virtual token".into()));
    }
    Ok(Attention { rows: examples.len(), masses })
}

impl Attention {
    /// All of it: the mass of each virtual token in each head of each layer.
    pub fn to_json(&self) -> Value {
        let layer = |mass: &AttentionMass| {
            json!({
                "site": mass.site,
                "layer": mass.layer,
                "queries": mass.queries,
                "mass": mean(&totals(mass)),
                "uniform": mass.uniform,
                "heads": mass.heads,
            })
        };
        let layers: Vec<Value> = self.masses.iter().map(layer).collect();
        json!({"rows": self.rows, "layers": layers})
    }
}

/// The mass of all virtual tokens together in each head of a layer.
pub fn totals(mass: &AttentionMass) -> Vec<f64> {
    mass.heads.iter().map(|head| head.iter().sum()).collect()
}

/// The mass of each virtual token in a layer: the mean over its heads.
pub fn of_tokens(mass: &AttentionMass) -> Vec<f64> {
    let p = mass.heads.first().map_or(0, Vec::len);
    (0..p)
        .map(|token| mean(&mass.heads.iter().map(|head| head[token]).collect::<Vec<_>>()))
        .collect()
}

/// The mean of some numbers; 0 of none.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}
