//! A frozen transformer: takes virtual tokens of any method, gives hidden states of the real tokens.

use std::fmt::Debug;

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::{
    batch::{Mask, PaddingSide, TokenBatch},
    error::{Error, Result},
    head::{Head, HeadLayout},
    method::NamedTensors,
    sequence::{CrossInput, Run, Sequence, Side},
    spec::{ModelSpec, Site, Topology},
    task::Task,
    virtual_tokens::{Content, SiteKeyValues, VirtualTokens},
};

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
    /// Virtual tokens followed by the batch: the cache to continue from, where it was asked for.
    pub cache: Option<VirtualTokens>,
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
    /// `[past | rows]`.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] for a stack that the model does not have.
    fn layers(&self, sequence: Sequence) -> Result<Run>;

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
        HeadLayout { name: "classifier", bias: true }
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
        forward(self, batch, virtual_tokens, false)
    }

    /// As [`forward`](Self::forward) on a causal model, and gives the K/V cache to continue from.
    ///
    /// # Errors
    ///
    /// As [`forward`](Self::forward).
    fn forward_cached(&self, batch: &TokenBatch, past: &VirtualTokens) -> Result<Hidden> {
        forward(self, batch, past, true)
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
        sequence.keep_key_values = true;
        let run = self.layers(sequence)?;
        let last_hidden = pick_columns(run.hidden, &mask, |row| row.iter().rposition(|real| *real));
        let layers = run.key_values.into_iter().map(Some).collect();
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
    sequence.keep_key_values = true;
    let layers = model.layers(sequence)?.key_values.into_iter().map(Some).collect();
    Ok(VirtualTokens::key_values(vec![SiteKeyValues { site, layers }]))
}

/// Uploads `[B, T]` host numbers.
pub(crate) fn upload(values: &[u32], rows: usize, device: &Device) -> Tensor<2, Int> {
    let columns = values.len() / rows.max(1);
    let values: Vec<i64> = values.iter().map(|value| i64::from(*value)).collect();
    Tensor::from_data(TensorData::new(values, [rows, columns]), device)
}

fn check_length(limit: Option<usize>, virtual_tokens: usize, tokens: usize) -> Result<()> {
    match limit {
        Some(limit) if virtual_tokens.saturating_add(tokens) > limit => {
            Err(Error::TooLong { virtual_tokens, tokens, new_tokens: 0, limit })
        }
        _ => Ok(()),
    }
}

/// As [`check_length`] for each row of a batch, of which `past` may be shared by all.
fn check_rows(limit: Option<usize>, past: &Mask, tokens: &Mask) -> Result<()> {
    (0..tokens.rows()).try_for_each(|row| {
        check_length(limit, past.count(if past.rows() == 1 { 0 } else { row }), tokens.count(row))
    })
}

/// One column of each row of `hidden` `[B, S, H]`, chosen by its mask: `[B, 1, H]`.
fn pick_columns(
    hidden: Tensor<3>,
    mask: &Mask,
    choose: impl Fn(&[bool]) -> Option<usize>,
) -> Tensor<3> {
    let [b, s, h] = hidden.dims();
    let columns: Vec<usize> = (0..b).map(|row| choose(mask.row(row)).unwrap_or(0)).collect();
    if columns.iter().all(|column| *column == columns[0]) {
        return hidden.narrow(1, columns[0], 1);
    }
    let flat = columns.iter().enumerate().map(|(row, column)| row * s + column).collect::<Vec<_>>();
    select_rows(hidden.reshape([b * s, h]), &flat).reshape([b, 1, h])
}

/// Chosen rows of `[rows, H]`.
pub(crate) fn select_rows(rows: Tensor<2>, chosen: &[usize]) -> Tensor<2> {
    let index: Vec<i64> = chosen.iter().map(|row| *row as i64).collect();
    let device = rows.device().without_autodiff();
    rows.select(0, Tensor::from_data(TensorData::new(index, [chosen.len()]), &device))
}

/// `rows` `[1 or B, P, H]` repeated to B.
fn repeat_rows(rows: Tensor<3>, batch: usize) -> Tensor<3> {
    let [r, p, h] = rows.dims();
    if r == batch { rows } else { rows.expand([batch, p, h]) }
}

fn forward<M: FrozenModel + ?Sized>(
    model: &M,
    batch: &TokenBatch,
    virtual_tokens: &VirtualTokens,
    keep_cache: bool,
) -> Result<Hidden> {
    let spec = model.spec();
    if batch.is_empty() {
        return Err(Error::Mismatch("a batch without tokens".into()));
    }
    virtual_tokens.check(spec, batch.rows())?;
    let past = virtual_tokens.clone().cast(spec.dtype);
    match spec.topology {
        Topology::DecoderOnly => causal(model, batch, past, keep_cache),
        Topology::EncoderOnly => {
            let (run, p, mask) = encode(model, batch, past)?;
            let total = run.hidden.dims()[1];
            let first = pick_columns(run.hidden.clone(), &mask, |row| row.iter().position(|r| *r));
            Ok(Hidden {
                first: Some(first),
                last_virtual: None,
                tokens: run.hidden.narrow(1, p, total - p),
                cache: None,
            })
        }
        Topology::EncoderDecoder => {
            let decoder = batch.decoder().ok_or_else(|| {
                Error::Mismatch("an encoder-decoder needs decoder_input_ids".into())
            })?;
            let decoder_past = match past.content {
                Content::KeyValues(_) => past.clone(),
                _ => VirtualTokens::none(),
            };
            let (run, _, mask) = encode(model, batch, past)?;
            check_rows(spec.max_decoder_positions, &decoder_past.mask(), decoder.mask())?;
            let rows = embed(model, decoder);
            let mut sequence = Sequence::new(Side::Decoder, rows, decoder.mask(), decoder_past);
            sequence.cross = Some(CrossInput { hidden: run.hidden, mask });
            let run = model.layers(sequence)?;
            Ok(Hidden { tokens: run.hidden, first: None, last_virtual: None, cache: None })
        }
    }
}

fn embed<M: FrozenModel + ?Sized>(model: &M, batch: &TokenBatch) -> Tensor<3> {
    model.embed(upload(batch.ids(), batch.rows(), &model.device()))
}

fn causal<M: FrozenModel + ?Sized>(
    model: &M,
    batch: &TokenBatch,
    virtual_tokens: VirtualTokens,
    keep_cache: bool,
) -> Result<Hidden> {
    let mut past = model.compile(&virtual_tokens)?;
    let last_virtual = past.last_hidden.take();
    check_rows(model.spec().max_positions, &past.mask(), batch.mask())?;
    let rows = embed(model, batch);
    let mut sequence = Sequence::new(Side::Decoder, rows, batch.mask(), past.clone());
    sequence.keep_key_values = keep_cache;
    let run = model.layers(sequence)?;
    let cache = keep_cache
        .then(|| past.append(Site::DecoderSelf, run.key_values, batch.mask()))
        .transpose()?;
    Ok(Hidden { tokens: run.hidden, first: None, last_virtual, cache })
}

/// The encoder's pass: its run, the rows that stand before the tokens in it, and its mask.
fn encode<M: FrozenModel + ?Sized>(
    model: &M,
    batch: &TokenBatch,
    virtual_tokens: VirtualTokens,
) -> Result<(Run, usize, Mask)> {
    let limit = model.spec().max_positions;
    let virtual_mask = virtual_tokens.mask();
    check_rows(limit, &virtual_mask, batch.mask())?;
    let tokens = embed(model, batch);
    let (rows, in_front, mask, past) = match virtual_tokens.content {
        Content::Embeddings(prompt) => {
            let p = prompt.dims()[1];
            let rows = Tensor::cat(vec![repeat_rows(prompt, batch.rows()), tokens], 1);
            (rows, p, virtual_mask.concat(batch.mask()), VirtualTokens::none())
        }
        _ => (tokens, 0, batch.mask().clone(), virtual_tokens),
    };
    let mut sequence = Sequence::new(Side::Encoder, rows, &mask, past);
    sequence.token_types = batch.token_types().map(|types| {
        let own = upload(types, batch.rows(), &model.device());
        let front = Tensor::zeros([batch.rows(), in_front], &model.device());
        if in_front == 0 { own } else { Tensor::cat(vec![front, own], 1) }
    });
    Ok((model.layers(sequence)?, in_front, mask))
}
