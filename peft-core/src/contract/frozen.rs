//! A frozen transformer: takes virtual tokens of any method and returns hidden states of the real
//! tokens.

use std::fmt::Debug;

use burn::tensor::{Device, Int, Tensor};

use super::{
    attention_probe::AttentionProbe,
    batch::{PaddingSide, TokenBatch},
    cache::Cache,
    context_budget::check_length,
    head::{Head, HeadLayout},
    lanes::{Lanes, OneLane},
    layer_tape::LayerTape,
    loss::{at_least_f32, smoothed_cross_entropy_sum},
    mask::Mask,
    spec::{ModelSpec, Side, Site},
    stack::{LayerStates, StackInput, StackOutput},
    task::Task,
    tensors::{NamedTensors, pick_columns, repeat_rows},
    token_cache::TokenCache,
    virtual_tokens::{Content, LayerKeyValues, SiteKeyValues, VirtualTokens},
};
use crate::error::{Error, Result};

mod infix;
mod pass;

use pass::{Layers, Reads, embed, kept};

/// Hidden states of the real tokens of a batch. Callers never count virtual tokens.
#[derive(Clone, Debug)]
pub struct Hidden {
    /// `[B, T, H]`: column i belongs to column i of the batch (of its decoder's rows for an
    /// encoder-decoder). Padded columns are undefined. For a batch
    /// [for a classifier](TokenBatch::for_classifier) of whole rows it may be `[B, 1, H]`: only the
    /// position that the classifier reads.
    pub tokens: Tensor<3>,
    /// `[B, 1, H]`, the first position of an encoder's sequence: a virtual token under prompt
    /// tuning, else the first real token. An encoder's pooler reads it.
    pub first: Option<Tensor<3>>,
    /// `[1 or B, 1, H]`, the last virtual token of a causal prompt. It predicts token 0.
    pub last_virtual: Option<Tensor<3>>,
    /// The cache to continue from, if it was requested.
    pub cache: Option<Cache>,
}

/// A pretrained transformer whose weights never change.
///
/// An implementation provides the geometry, the embedding table and the layers; the effect of
/// virtual tokens on positions, masks and lengths is the same for all models and provided here. The
/// first page of `peft-prompt` shows the required methods on a block of some 50 lines.
///
/// Weights stay on a plain device, so for autodiff they are constants; only a method's own tensors
/// are on [`Device::autodiff`].
pub trait FrozenModel: Debug + Send + Sync {
    /// The geometry of the model.
    fn spec(&self) -> &ModelSpec;

    /// The device of the weights.
    fn device(&self) -> Device;

    /// Returns the rows of the embedding table for `ids`; soft prompts live in the same space.
    ///
    /// # Shapes
    ///
    /// - ids: `[B, T]`
    /// - output: `[B, T, H]`
    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3>;

    /// Runs embedded rows through the layers of one stack, each layer attending to
    /// `[virtual tokens | tokens read before | rows]`. [`StackInput::past`] returns the virtual
    /// tokens; [`StackInput::keep`] takes the rows' own keys and values and returns them after those
    /// of the tokens read before. Every layer must call `keep`, and the input's `tokens` must be
    /// returned in the [`StackOutput`]: otherwise neither prompts can be prefilled nor text
    /// generated, and an error says so. Optional: to stop before a layer ([`StackInput::until`]), to
    /// begin at one ([`StackInput::from`]), and to compute only what is read in the last
    /// ([`StackInput::read`]).
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] for a stack that the model does not have.
    fn layers(&self, input: StackInput) -> Result<StackOutput>;

    /// The token that takes no position in a row of an encoder, if there is one, such as RoBERTa's padding token: it is at
    /// position -1, and the tokens after it are counted as if it were not there. After a prompt, where the model is given
    /// embeddings, it counts like any other, as in transformers.
    fn uncounted_token(&self) -> Option<u32> {
        None
    }

    /// Whether the checkpoint has a language-model head. Override it together with
    /// [`lm_logits`](Self::lm_logits), which applies the head.
    fn has_lm_head(&self) -> bool {
        false
    }

    /// Applies the language-model head.
    ///
    /// # Shapes
    ///
    /// - hidden: `[M, H]`, selected positions only
    /// - output: `[M, V]`
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] if the checkpoint has no language-model head.
    fn lm_logits(&self, hidden: Tensor<2>) -> Result<Tensor<2>> {
        let _ = hidden;
        Err(Error::Mismatch(format!(
            "this {} checkpoint has no language-model head",
            self.spec().model_type
        )))
    }

    /// The cross entropy of the language-model head: the sum of the negative log-likelihoods of the
    /// targets, in nats, `[1]`. A model may compute it without ever holding all logits.
    ///
    /// With `label_smoothing` ε, a target counts `1 - ε + ε / V` and every other token `ε / V`
    /// ([`smoothed_cross_entropy_sum`]).
    ///
    /// # Shapes
    ///
    /// - hidden: `[M, H]`, selected positions only
    /// - targets: M token ids
    ///
    /// # Errors
    ///
    /// As for [`lm_logits`](Self::lm_logits); [`Error::Mismatch`] for a target that is not below V.
    fn lm_cross_entropy(
        &self,
        hidden: Tensor<2>,
        targets: &[usize],
        label_smoothing: f64,
    ) -> Result<Tensor<1>> {
        let logits = at_least_f32(self.lm_logits(hidden)?);
        smoothed_cross_entropy_sum(logits, targets, None, label_smoothing)
    }

    /// Applies the frozen pooler between the hidden state of a sequence `[B, H]` and its
    /// classifier.
    fn pool(&self, hidden: Tensor<2>) -> Tensor<2> {
        hidden
    }

    /// Returns the classifier in the checkpoint.
    fn classifier(&self) -> Option<&Head> {
        None
    }

    /// Returns the layout of a classifier for a task on this model. For a task without a classifier
    /// it is that of a classifier of whole rows.
    fn head_layout(&self, task: Task) -> HeadLayout {
        let _ = task;
        HeadLayout::linear("classifier", true)
    }

    /// Returns all weights by name, for checking that they never change. Optional: a model that
    /// returns none works all the same.
    fn tensors(&self) -> NamedTensors {
        NamedTensors::new()
    }

    /// The workers that compute slices of a batch in training and in prediction. Default one: the batch stays whole.
    fn lanes(&self) -> &dyn Lanes {
        &OneLane
    }

    /// Whether reading a value waits until the device has computed what it was given, as on a GPU. Training then reads the
    /// loss of a step only when the next one has been queued. Default no: a CPU has computed already.
    fn reads_wait(&self) -> bool {
        false
    }

    /// Whether the device compiles and tunes its kernels for each size of what they multiply, as a GPU does. Batches are
    /// then padded to few lengths ([`to_few_lengths`](super::length_multiple::to_few_lengths)), and causal rows that are
    /// padded on the right share one mask, which is made on the device. Default no.
    fn tunes_to_shapes(&self) -> bool {
        false
    }

    /// Whether gradients pass through f16 on their way back, in which small ones become zero. Training then scales the loss
    /// (Micikevicius et al. 2018, arXiv 1710.03740). Default no.
    fn scales_loss(&self) -> bool {
        false
    }

    /// Whether training is to run layers again in the backward pass (gradient checkpointing), with
    /// [`forward_taped`](Self::forward_taped). Default no, which is also right for a model that does so by itself.
    fn recomputes(&self) -> bool {
        false
    }

    /// Returns the hidden states of the real tokens, with `virtual_tokens` before them.
    ///
    /// A causal model prefills an embedding prompt once, whatever B is
    /// ([`prefill`](Self::prefill)); an encoder, whose prompt attends to the row, puts it in front
    /// of each row.
    ///
    /// # Errors
    ///
    /// [`Error::TooLong`] if P + T exceeds the model's positions, [`Error::Mismatch`] if the
    /// geometry of the virtual tokens differs from that of the model, for a token id outside the
    /// vocabulary, and for a decoder with another number of rows than its encoder.
    fn forward(&self, batch: &TokenBatch, virtual_tokens: &VirtualTokens) -> Result<Hidden> {
        pass::forward(self, batch, virtual_tokens, Layers::All)
    }

    /// As [`forward`](Self::forward), from the hidden states that enter a layer of the stack that reads `batch`, as
    /// [`states_below`](Self::states_below) returned them. No virtual tokens may enter a layer below it.
    ///
    /// # Errors
    ///
    /// As for [`forward`](Self::forward).
    fn forward_from(
        &self,
        batch: &TokenBatch,
        virtual_tokens: &VirtualTokens,
        from: LayerStates,
    ) -> Result<Hidden> {
        pass::forward(self, batch, virtual_tokens, Layers::From(from))
    }

    /// As [`forward`](Self::forward), recording in `probe` how much the real tokens attend to the virtual ones. A model
    /// whose layers do not use [`StackInput::probe`] records nothing.
    ///
    /// # Errors
    ///
    /// As for [`forward`](Self::forward).
    fn forward_probed(
        &self,
        batch: &TokenBatch,
        virtual_tokens: &VirtualTokens,
        probe: &AttentionProbe,
    ) -> Result<Hidden> {
        pass::forward(self, batch, virtual_tokens, Layers::Probed(probe.clone()))
    }

    /// As [`forward`](Self::forward), with the graph cut after each layer: gradients are those of
    /// [`LayerTape::backward`]. It has no effect on a model whose layers do not use [`StackInput::tape`], nor where the
    /// virtual tokens have a graph of their own, so that they are no leaves.
    ///
    /// # Errors
    ///
    /// As for [`forward`](Self::forward).
    fn forward_taped(
        &self,
        batch: &TokenBatch,
        virtual_tokens: &VirtualTokens,
        tape: &LayerTape,
    ) -> Result<Hidden> {
        let layers = match virtual_tokens.are_leaves() {
            true => Layers::Taped(tape.clone()),
            false => Layers::All,
        };
        pass::forward(self, batch, virtual_tokens, layers)
    }

    /// Returns the hidden states `[B, T, H]` that enter `layer` of the stack that reads `batch`; if `layer` is the number
    /// of layers, those that leave the last one, after the final norm. `virtual_tokens` enter no layer below it, so only
    /// the positions that they take matter. `None` if the model cannot stop there.
    ///
    /// # Errors
    ///
    /// As for [`forward`](Self::forward).
    fn states_below(
        &self,
        batch: &TokenBatch,
        virtual_tokens: &VirtualTokens,
        layer: usize,
    ) -> Result<Option<Tensor<3>>> {
        pass::states_below(self, batch, virtual_tokens, layer)
    }

    /// Returns the cache from which generation starts. A causal model has read only the virtual
    /// tokens, prefilled; the encoder of an encoder-decoder has read `batch`.
    ///
    /// # Errors
    ///
    /// As for [`forward`](Self::forward); [`Error::Mismatch`] for an encoder, which does not
    /// generate.
    fn begin(&self, batch: &TokenBatch, virtual_tokens: &VirtualTokens) -> Result<Cache> {
        pass::begin(self, batch, virtual_tokens)
    }

    /// Reads `batch` after a cache and returns the cache that includes it: the same cache, grown in
    /// place, if the caller kept no copy. If the model has two sides, the batch holds decoder
    /// tokens.
    ///
    /// # Errors
    ///
    /// As for [`forward`](Self::forward).
    fn forward_cached(&self, batch: &TokenBatch, cache: Cache) -> Result<Hidden> {
        pass::decode(self, batch, cache, Reads::Cached)
    }

    /// Prefills an embedding prompt: returns the keys and values it has in every layer,
    /// differentiably.
    ///
    /// On a causal model nothing that follows the prompt can change them, so they are computed once
    /// for the whole batch. Other kinds of virtual tokens are returned unchanged, as are those of
    /// an encoder, whose prompt attends to the row.
    ///
    /// # Errors
    ///
    /// As for [`forward`](Self::forward).
    fn prefill(&self, virtual_tokens: &VirtualTokens) -> Result<VirtualTokens> {
        let spec = self.spec();
        let virtual_tokens = virtual_tokens.clone().cast(spec.dtype);
        let rows = match &virtual_tokens.content {
            Content::Embeddings(rows) if spec.is_causal() => rows,
            _ => return Ok(virtual_tokens),
        };
        let r = virtual_tokens.rows();
        virtual_tokens.check(spec, r)?;
        let mask = virtual_tokens.mask().repeat(r);
        check_length(spec.max_positions, mask.max_count(), 0, 0)?;
        let rows = repeat_rows(rows.clone(), r);
        let mut input = StackInput::new(Side::Decoder, rows, &mask, VirtualTokens::none());
        input.tokens = Some(TokenCache::new());
        let output = self.layers(input)?;
        let last_hidden =
            pick_columns(output.hidden, &mask, |row| row.iter().rposition(|real| *real));
        let layers = layers_of(kept(output.tokens, &mask, spec, Site::DecoderSelf)?);
        let mut prefilled =
            VirtualTokens::key_values(vec![SiteKeyValues { site: Site::DecoderSelf, layers }]);
        if !virtual_tokens.mask().all() {
            prefilled = prefilled.with_mask(virtual_tokens.mask())?;
        }
        prefilled.last_hidden = Some(last_hidden);
        Ok(prefilled)
    }
}

/// Returns the keys and values that real tokens have in every self-attention layer of a
/// single-stack model: a prefix made of real words. On a causal model it acts as those words would.
///
/// # Errors
///
/// [`Error::Mismatch`] for an encoder-decoder and for an id outside the vocabulary, [`Error::TooLong`] if the words
/// do not fit.
pub fn activations<M: FrozenModel + ?Sized>(model: &M, ids: &[u32]) -> Result<VirtualTokens> {
    let spec = model.spec();
    let site = spec.self_site()?.site;
    let batch = TokenBatch::new(&[ids], PaddingSide::Right);
    if batch.is_empty() {
        return Err(Error::Mismatch("there are no words to take activations of".into()));
    }
    let counted = ids.iter().filter(|id| Some(**id) != model.uncounted_token()).count();
    check_length(spec.max_positions, 0, counted, 0)?;
    let side = if spec.is_causal() { Side::Decoder } else { Side::Encoder };
    let mut input =
        StackInput::new(side, embed(model, &batch)?, batch.mask(), VirtualTokens::none());
    if let Some(token) = model.uncounted_token() {
        input.leave_uncounted(token, &batch, &Mask::full(1, 0));
    }
    input.tokens = Some(TokenCache::new());
    let layers = layers_of(kept(model.layers(input)?.tokens, batch.mask(), spec, site)?);
    Ok(VirtualTokens::key_values(vec![SiteKeyValues { site, layers }]))
}

/// Returns the content of a cache, as keys and values of virtual tokens.
fn layers_of(tokens: TokenCache) -> Vec<Option<LayerKeyValues>> {
    tokens.into_layers().into_iter().map(Some).collect()
}
