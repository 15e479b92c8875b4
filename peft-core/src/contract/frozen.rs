//! A frozen transformer: takes virtual tokens of any method, gives hidden states of the real tokens.

use std::fmt::Debug;

use burn::tensor::{Device, Int, Tensor};

use super::{
    batch::{PaddingSide, TokenBatch},
    cache::Cache,
    head::{Head, HeadLayout},
    loss::{at_least_f32, cross_entropy_sum},
    spec::{ModelSpec, Side, Site},
    stack::{Run, Sequence},
    task::Task,
    tensors::{NamedTensors, pick_columns, repeat_rows},
    token_cache::TokenCache,
    virtual_tokens::{Content, LayerKeyValues, SiteKeyValues, VirtualTokens},
};
use crate::error::{Error, Result};

mod pass;

use pass::{check_length, embed, kept};

/// Hidden states of the real tokens of a batch. No caller counts virtual tokens.
#[derive(Clone, Debug)]
pub struct Hidden {
    /// `[B, T, H]`: column i belongs to column i of the batch that went in (of its decoder's rows for
    /// an encoder-decoder). What stands in padded columns means nothing.
    pub tokens: Tensor<3>,
    /// `[B, 1, H]`, the first position of an encoder's sequence: a virtual token under prompt tuning,
    /// else the first real one. This is what an encoder's pooler reads.
    pub first: Option<Tensor<3>>,
    /// `[1 or B, 1, H]`, the last virtual token of a causal prompt. It predicts token 0.
    pub last_virtual: Option<Tensor<3>>,
    /// What to continue from, where it was asked for.
    pub cache: Option<Cache>,
}

/// A pretrained transformer whose weights never change.
///
/// An implementation gives the geometry, the embedding table and the layers; what virtual tokens do
/// to positions, masks and lengths is the same for all and provided here. The required methods are
/// what the first page of `peft-prompt` shows on a block of some 50 lines.
///
/// Weights stay on a plain device, so to autodiff they are constants; only a method's own tensors are
/// on [`Device::autodiff`].
pub trait FrozenModel: Debug + Send + Sync {
    /// Geometry.
    fn spec(&self) -> &ModelSpec;

    /// Where the weights are.
    fn device(&self) -> Device;

    /// Rows of the embedding table for `ids`, among which soft prompts live.
    ///
    /// # Shapes
    ///
    /// - ids: `[B, T]`
    /// - output: `[B, T, H]`
    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3>;

    /// Runs embedded rows through the layers of one stack, each layer attending to
    /// `[virtual tokens | tokens read before | rows]`: [`Sequence::past`] gives the first,
    /// [`Sequence::keep`] takes the rows' own keys and values and gives these behind the second. Every layer has to
    /// call it, and the sequence's `tokens` belong in the [`Run`]: without them there is neither a compiled prompt nor
    /// generation, and an error says so.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] for a stack that the model does not have.
    fn layers(&self, sequence: Sequence) -> Result<Run>;

    /// Whether the checkpoint has a language-model head, which [`lm_logits`](Self::lm_logits) applies.
    fn has_lm_head(&self) -> bool {
        false
    }

    /// The language-model head.
    ///
    /// # Shapes
    ///
    /// - hidden: `[M, H]`, chosen positions only
    /// - output: `[M, V]`
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] where the checkpoint has no such head.
    fn lm_logits(&self, hidden: Tensor<2>) -> Result<Tensor<2>> {
        let _ = hidden;
        Err(Error::Mismatch(format!(
            "this {} checkpoint has no language-model head",
            self.spec().model_type
        )))
    }

    /// The cross entropy of the language-model head: the sum of the negative log-likelihoods of the targets,
    /// in nats, `[1]`. A model may do it without ever holding all logits.
    ///
    /// # Shapes
    ///
    /// - hidden: `[M, H]`, chosen positions only
    /// - targets: M token ids
    ///
    /// # Errors
    ///
    /// As [`lm_logits`](Self::lm_logits); [`Error::Mismatch`] for a target that is not below V.
    fn lm_cross_entropy(&self, hidden: Tensor<2>, targets: &[usize]) -> Result<Tensor<1>> {
        let logits = self.lm_logits(hidden)?;
        cross_entropy_sum(at_least_f32(logits), targets)
    }

    /// The frozen pooler between the hidden state of a sequence `[B, H]` and its classifier.
    fn pool(&self, hidden: Tensor<2>) -> Tensor<2> {
        hidden
    }

    /// The classifier found in the checkpoint.
    fn classifier(&self) -> Option<&Head> {
        None
    }

    /// What a classifier for a task looks like on this model. For a task without a classifier it is
    /// that of whole rows.
    fn head_layout(&self, task: Task) -> HeadLayout {
        let _ = task;
        HeadLayout::linear("classifier", true)
    }

    /// All weights under names of their own, for checking that they never change. A model that gives
    /// none works all the same.
    fn tensors(&self) -> NamedTensors {
        NamedTensors::new()
    }

    /// Hidden states of the real tokens, with `virtual_tokens` before them.
    ///
    /// A causal model runs an embedding prompt through its layers once, whatever B is
    /// ([`compile`](Self::compile)); an encoder, whose prompt attends to the row, puts it in front of
    /// each row.
    ///
    /// # Errors
    ///
    /// [`Error::TooLong`] where P + T exceeds the model's positions, [`Error::Mismatch`] where the
    /// virtual tokens have another geometry than the model.
    fn forward(&self, batch: &TokenBatch, virtual_tokens: &VirtualTokens) -> Result<Hidden> {
        pass::forward(self, batch, virtual_tokens)
    }

    /// The cache that generation starts from. A causal model has read nothing but the virtual tokens,
    /// compiled; the encoder of an encoder-decoder has read `batch`.
    ///
    /// # Errors
    ///
    /// As [`forward`](Self::forward); [`Error::Mismatch`] for an encoder, which does not generate.
    fn begin(&self, batch: &TokenBatch, virtual_tokens: &VirtualTokens) -> Result<Cache> {
        pass::begin(self, batch, virtual_tokens)
    }

    /// Reads `batch` behind a cache and gives the cache that holds it too: the same, grown in place, where the
    /// caller kept no copy. The batch is one of decoder tokens where the model has two sides.
    ///
    /// # Errors
    ///
    /// As [`forward`](Self::forward).
    fn forward_cached(&self, batch: &TokenBatch, cache: Cache) -> Result<Hidden> {
        pass::decode(self, batch, cache, true)
    }

    /// Turns an embedding prompt into the keys and values it has in every layer, differentiably.
    ///
    /// On a causal model nothing that follows the prompt can change these, so they are computed once
    /// for the whole batch. Virtual tokens of another kind are given back as they are; so are those of
    /// an encoder, whose prompt sees the row.
    ///
    /// # Errors
    ///
    /// As [`forward`](Self::forward).
    fn compile(&self, virtual_tokens: &VirtualTokens) -> Result<VirtualTokens> {
        let spec = self.spec();
        let virtual_tokens = virtual_tokens.clone().cast(spec.dtype);
        let rows = match &virtual_tokens.content {
            Content::Embeddings(rows) if spec.is_causal() => rows,
            _ => return Ok(virtual_tokens),
        };
        let r = virtual_tokens.rows();
        virtual_tokens.check(spec, r)?;
        let mask = virtual_tokens.mask().repeat(r);
        check_length(spec.max_positions, mask.max_count(), 0)?;
        let rows = repeat_rows(rows.clone(), r);
        let mut sequence = Sequence::new(Side::Decoder, rows, &mask, VirtualTokens::none());
        sequence.tokens = Some(TokenCache::new());
        let run = self.layers(sequence)?;
        let last_hidden = pick_columns(run.hidden, &mask, |row| row.iter().rposition(|real| *real));
        let layers = layers_of(kept(run.tokens, &mask, spec, Site::DecoderSelf)?);
        let mut compiled =
            VirtualTokens::key_values(vec![SiteKeyValues { site: Site::DecoderSelf, layers }]);
        if !virtual_tokens.mask().all() {
            compiled = compiled.with_mask(virtual_tokens.mask())?;
        }
        compiled.last_hidden = Some(last_hidden);
        Ok(compiled)
    }
}

/// The keys and values that real tokens have in every self-attention layer of a single-stack model:
/// what a prefix made of real words is. On a causal model it acts as those words would.
///
/// # Errors
///
/// [`Error::Mismatch`] for an encoder-decoder, [`Error::TooLong`] where the words do not fit.
pub fn activations<M: FrozenModel + ?Sized>(model: &M, ids: &[u32]) -> Result<VirtualTokens> {
    let spec = model.spec();
    let site = spec.self_site()?.site;
    let batch = TokenBatch::new(&[ids], PaddingSide::Right);
    if batch.is_empty() {
        return Err(Error::Mismatch("no words to take activations of".into()));
    }
    check_length(spec.max_positions, 0, ids.len())?;
    let side = if spec.is_causal() { Side::Decoder } else { Side::Encoder };
    let mut sequence =
        Sequence::new(side, embed(model, &batch), batch.mask(), VirtualTokens::none());
    sequence.tokens = Some(TokenCache::new());
    let layers = layers_of(kept(model.layers(sequence)?.tokens, batch.mask(), spec, site)?);
    Ok(VirtualTokens::key_values(vec![SiteKeyValues { site, layers }]))
}

/// What a cache holds, as keys and values of virtual tokens.
fn layers_of(tokens: TokenCache) -> Vec<Option<LayerKeyValues>> {
    tokens.into_layers().into_iter().map(Some).collect()
}
