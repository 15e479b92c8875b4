//! How virtual tokens pass through a model: the same for all models.

use std::ops::Range;

use burn::tensor::Tensor;

use super::{FrozenModel, Hidden, infix::placed};
use crate::{
    contract::{
        attention_probe::AttentionProbe,
        batch::TokenBatch,
        block::Block,
        cache::Cache,
        context_budget::check_length,
        cross_input::CrossInput,
        layer_tape::LayerTape,
        mask::Mask,
        pooling::Pooling,
        spec::{ModelSpec, Side, Site, Topology},
        stack::{LayerStates, READ_COLUMNS, StackInput, StackOutput},
        tensors::{pick_columns, repeat_rows, upload},
        token_cache::TokenCache,
        virtual_tokens::{Content, VirtualTokens},
    },
    error::{Error, Result},
};

/// The layers that a pass runs.
// There is one of these per forward pass: a box would save nothing.
#[allow(clippy::large_enum_variant)]
pub(super) enum Layers {
    /// All of them.
    All,
    /// All of them, recording what they attend to.
    Probed(AttentionProbe),
    /// All of them, cutting the graph behind each.
    Taped(LayerTape),
    /// From one on, with what enters it.
    From(LayerStates),
    /// Those below one.
    Until(usize),
}

/// What the rows of a decoder read beside the virtual tokens and themselves, and what is kept of them.
// As above.
#[allow(clippy::large_enum_variant)]
pub(super) enum Reads {
    /// The tokens of a cache, to which they are appended.
    Cached,
    /// Nothing; these layers run.
    Nothing(Layers),
}

/// See [`FrozenModel::forward`], [`FrozenModel::forward_from`], [`FrozenModel::forward_probed`] and
/// [`FrozenModel::forward_taped`].
pub(super) fn forward<M: FrozenModel + ?Sized>(
    model: &M,
    batch: &TokenBatch,
    virtual_tokens: &VirtualTokens,
    layers: Layers,
) -> Result<Hidden> {
    match model.spec().topology {
        Topology::EncoderOnly => {
            let (output, p, mask) = encode(model, batch, virtual_tokens, layers)?;
            let total = output.hidden.dims()[1];
            if let Some((column, read)) = column_read(batch, &mask, p)
                && total < mask.len()
            {
                let only = output.hidden.narrow(1, column - read.start, 1);
                let first = (batch.pooling() == Some(Pooling::First)).then(|| only.clone());
                return Ok(Hidden { first, last_virtual: None, tokens: only, cache: None });
            }
            let first =
                pick_columns(output.hidden.clone(), &mask, |row| row.iter().position(|r| *r));
            Ok(Hidden {
                first: Some(first),
                last_virtual: None,
                tokens: output.hidden.narrow(1, p, total - p),
                cache: None,
            })
        }
        Topology::DecoderOnly => {
            decode(model, batch, begin(model, batch, virtual_tokens)?, Reads::Nothing(layers))
        }
        Topology::EncoderDecoder => {
            let decoder = batch.decoder().ok_or_else(|| {
                Error::Mismatch("an encoder-decoder needs decoder_input_ids".into())
            })?;
            let of_decoder = match &layers {
                Layers::Probed(probe) => Layers::Probed(probe.clone()),
                Layers::Taped(tape) => Layers::Taped(tape.clone()),
                _ => Layers::All,
            };
            let encoded = begin_from(model, batch, virtual_tokens, layers)?;
            decode(model, decoder, encoded, Reads::Nothing(of_decoder))
        }
    }
}

/// See [`FrozenModel::states_below`].
pub(super) fn states_below<M: FrozenModel + ?Sized>(
    model: &M,
    batch: &TokenBatch,
    virtual_tokens: &VirtualTokens,
    layer: usize,
) -> Result<Option<Tensor<3>>> {
    let spec = model.spec();
    if !spec.is_causal() {
        return Ok(encode(model, batch, virtual_tokens, Layers::Until(layer))?.0.below);
    }
    virtual_tokens.check(spec, batch.rows())?;
    let taken = virtual_tokens.positions_taken(Side::Decoder, false);
    check_rows(spec.positions(Side::Decoder), &taken, &counts(batch.mask()))?;
    let rows = embed(model, batch)?;
    let tokens = placed(TokenCache::new(), batch, virtual_tokens)?;
    let mut input = StackInput::after(tokens, rows, batch.mask(), virtual_tokens.clone());
    input.tokens = None;
    Ok(run(model, input, Layers::Until(layer))?.below)
}

/// Runs the layers of a stack that are asked for.
fn run<M: FrozenModel + ?Sized>(
    model: &M,
    mut input: StackInput,
    layers: Layers,
) -> Result<StackOutput> {
    let site = if input.side == Side::Encoder { Site::EncoderSelf } else { Site::DecoderSelf };
    let all = model.spec().site(site).map(|site| site.num_layers);
    match layers {
        Layers::All | Layers::Probed(_) => {}
        Layers::Taped(tape) => input.tape = Some(tape),
        // What leaves the last layer.
        Layers::From(LayerStates { layer, states }) if all == Some(layer) => {
            return Ok(StackOutput {
                hidden: states,
                tokens: None,
                cross_key_values: Vec::new(),
                below: None,
            });
        }
        Layers::Until(layer) if all == Some(layer) => {
            let output = model.layers(input)?;
            return Ok(StackOutput { below: Some(output.hidden.clone()), ..output });
        }
        Layers::From(from) => input.from = Some(from),
        Layers::Until(layer) => input.until = Some(layer),
    }
    model.layers(input)
}

/// See [`FrozenModel::begin`].
pub(super) fn begin<M: FrozenModel + ?Sized>(
    model: &M,
    batch: &TokenBatch,
    virtual_tokens: &VirtualTokens,
) -> Result<Cache> {
    begin_from(model, batch, virtual_tokens, Layers::All)
}

/// As [`begin`], with these layers of an encoder.
fn begin_from<M: FrozenModel + ?Sized>(
    model: &M,
    batch: &TokenBatch,
    virtual_tokens: &VirtualTokens,
    layers: Layers,
) -> Result<Cache> {
    let spec = model.spec();
    match spec.topology {
        Topology::EncoderOnly => {
            Err(Error::Mismatch(format!("a {} model does not generate text", spec.model_type)))
        }
        Topology::DecoderOnly => {
            virtual_tokens.check(spec, batch.rows())?;
            let virtual_tokens = model.prefill(virtual_tokens)?;
            Ok(Cache { virtual_tokens, tokens: TokenCache::new(), cross: None })
        }
        Topology::EncoderDecoder => {
            let (output, _, mask) = encode(model, batch, virtual_tokens, layers)?;
            let virtual_tokens = virtual_tokens.clone().cast(spec.dtype);
            let cross = CrossInput::new(output.hidden, &mask, &virtual_tokens);
            let virtual_tokens = virtual_tokens.at(Site::DecoderSelf);
            Ok(Cache { virtual_tokens, tokens: TokenCache::new(), cross: Some(cross) })
        }
    }
}

/// Runs the rows of `batch` after a cache.
pub(super) fn decode<M: FrozenModel + ?Sized>(
    model: &M,
    batch: &TokenBatch,
    cache: Cache,
    reads: Reads,
) -> Result<Hidden> {
    let spec = model.spec();
    let (keep_cache, layers) = match reads {
        Reads::Cached => (true, Layers::All),
        Reads::Nothing(layers) => (false, layers),
    };
    if batch.is_empty() {
        return Err(Error::Mismatch("the batch has no tokens".into()));
    }
    if batch.blocks().is_some() && (keep_cache || spec.is_encoder_decoder()) {
        return refuse_packed(spec);
    }
    let Cache { mut virtual_tokens, tokens, mut cross } = cache;
    virtual_tokens.check(spec, batch.rows())?;
    tokens.check(batch.rows(), batch.len())?;
    if let Some(read) = cross.as_ref().map(|cross| cross.hidden.dims()[0])
        && read != batch.rows()
    {
        let rows = batch.rows();
        let message = format!("{rows} rows of a decoder for {read} rows that the encoder has read");
        return Err(Error::Mismatch(message));
    }
    let tokens = placed(tokens, batch, &virtual_tokens)?;
    let last_virtual = virtual_tokens.last_hidden.take();
    let taken = virtual_tokens.positions_taken(Side::Decoder, spec.is_encoder_decoder());
    let rows = rows_of(model, batch, &layers)?;
    let positions = spec.positions(Side::Decoder);
    let mut input = match batch.blocks() {
        Some(blocks) => {
            check_blocks(positions, &taken, blocks)?;
            StackInput::packed(rows, batch.mask(), blocks, virtual_tokens.clone())
        }
        None => {
            check_rows(positions, &taken, &counts(&tokens.mask().concat(batch.mask())))?;
            StackInput::after(tokens, rows, batch.mask(), virtual_tokens.clone())
        }
    };
    input.cross.clone_from(&cross);
    if model.tunes_to_shapes() {
        input.share_mask();
    }
    if !keep_cache {
        input.tokens = None;
    }
    if let Layers::Probed(probe) = &layers {
        input.probe = Some(probe.pass(batch.mask().clone(), 0));
    }
    let output = run(model, input, layers)?;
    let cache = if keep_cache {
        let tokens = kept(output.tokens, batch.mask(), spec, Site::DecoderSelf)?;
        if let Some(cross) = &mut cross {
            cross.key_values = output.cross_key_values;
        }
        Some(Cache { virtual_tokens, tokens, cross })
    } else {
        None
    };
    Ok(Hidden { tokens: output.hidden, first: None, last_virtual, cache })
}

/// Checks the tokens that a model returned after a pass over rows `mask` `[B, S]`.
///
/// # Errors
///
/// [`Error::Mismatch`] if the model has no such site, or has not kept the rows in each layer.
pub(super) fn kept(
    tokens: Option<TokenCache>,
    mask: &Mask,
    spec: &ModelSpec,
    site: Site,
) -> Result<TokenCache> {
    let Some(site) = spec.sites.iter().find(|found| found.site == site) else {
        let message = format!("the {} model has no attention site {site:?}", spec.model_type);
        return Err(Error::Mismatch(message));
    };
    let mut tokens = tokens.unwrap_or_default();
    tokens.end_pass(mask, site)?;
    Ok(tokens)
}

/// The column that a classifier of whole rows reads, if nothing else is read and it is the same in all rows, and the columns
/// that the last layer computes for it.
fn column_read(batch: &TokenBatch, mask: &Mask, in_front: usize) -> Option<(usize, Range<usize>)> {
    let pooling = batch.pooling()?;
    let column = |row: usize| match pooling {
        Pooling::First => mask.row(row).iter().position(|real| *real),
        Pooling::FirstToken => (batch.row_len(row) > 0).then(|| in_front + batch.column(row, 0)),
        Pooling::LastNot(_) => None,
    };
    let first = column(0)?;
    let is_shared = (1..batch.rows()).all(|row| column(row) == Some(first));
    let start = first.min(mask.len().checked_sub(READ_COLUMNS)?);
    (is_shared && mask.len() > READ_COLUMNS).then(|| (first, start..start + READ_COLUMNS))
}

/// Runs the encoder: returns its output, the number of prompt rows before the tokens, and its mask.
fn encode<M: FrozenModel + ?Sized>(
    model: &M,
    batch: &TokenBatch,
    virtual_tokens: &VirtualTokens,
    layers: Layers,
) -> Result<(StackOutput, usize, Mask)> {
    let spec = model.spec();
    if batch.is_empty() {
        return Err(Error::Mismatch("the batch has no tokens".into()));
    }
    if batch.blocks().is_some() {
        return refuse_packed(spec);
    }
    virtual_tokens.check(spec, batch.rows())?;
    let own = virtual_tokens.at(Site::EncoderSelf).cast(spec.dtype);
    let taken = own.positions_taken(Side::Encoder, spec.is_encoder_decoder());
    let prompt = match own.content {
        Content::Embeddings(_) => own.mask(),
        _ => Mask::full(1, 0),
    };
    let uncounted = model.uncounted_token();
    check_rows(spec.positions(Side::Encoder), &taken, &counted(batch, uncounted, &prompt))?;
    let tokens = rows_of(model, batch, &layers)?;
    let (rows, in_front, mask, past) = match own.content {
        Content::Embeddings(rows) => {
            let p = rows.dims()[1];
            let rows = Tensor::cat(vec![repeat_rows(rows, batch.rows()), tokens], 1);
            (rows, p, prompt.concat(batch.mask()), VirtualTokens::none())
        }
        _ => (tokens, 0, batch.mask().clone(), own),
    };
    let mut input = StackInput::new(Side::Encoder, rows, &mask, past);
    if let Some(token) = uncounted {
        input.leave_uncounted(token, batch, &prompt);
    }
    if let Layers::Probed(probe) = &layers {
        // The rows of a prompt are no real tokens.
        let of_prompt = Mask::empty(1, in_front);
        input.probe = Some(probe.pass(of_prompt.concat(batch.mask()), in_front));
    }
    if spec.topology == Topology::EncoderOnly
        && matches!(layers, Layers::All | Layers::Taped(_) | Layers::From(_))
    {
        input.read = column_read(batch, &mask, in_front).map(|(_, read)| read);
    }
    let types = batch.token_types().filter(|_| !virtual_tokens.ignores_token_types);
    input.token_types = types.map(|types| {
        let own = upload(types, batch.rows(), &model.device());
        let front = Tensor::zeros([batch.rows(), in_front], &model.device());
        if in_front == 0 { own } else { Tensor::cat(vec![front, own], 1) }
    });
    Ok((run(model, input, layers)?, in_front, mask))
}

/// The rows that enter a stack. Where a layer's states are given, nothing reads the embeddings: the states stand for
/// them.
fn rows_of<M: FrozenModel + ?Sized>(
    model: &M,
    batch: &TokenBatch,
    layers: &Layers,
) -> Result<Tensor<3>> {
    match layers {
        Layers::From(from) => Ok(from.states.clone()),
        _ => embed(model, batch),
    }
}

/// The embedded tokens of a batch.
///
/// # Errors
///
/// [`Error::Mismatch`] for an id outside the vocabulary, with which a device may read what stands behind the table.
pub(super) fn embed<M: FrozenModel + ?Sized>(model: &M, batch: &TokenBatch) -> Result<Tensor<3>> {
    let vocabulary = model.spec().vocab_size;
    let mut ids = batch.ids().iter().enumerate();
    if let Some((place, id)) = ids.find(|(_, id)| **id as usize >= vocabulary) {
        return Err(Error::Mismatch(format!(
            "row {} has the token id {id}, outside the vocabulary of {vocabulary}",
            place / batch.len()
        )));
    }
    Ok(model.embed(upload(batch.ids(), batch.rows(), &model.device())))
}

fn refuse_packed<T>(spec: &ModelSpec) -> Result<T> {
    Err(Error::Mismatch(format!(
        "packed rows are read by decoder-only models, and not continued; this is a pass of {}: give \
         each example a row of its own",
        spec.model_type
    )))
}

/// As [`check_rows`], for the blocks of packed rows: none of them counts the others.
fn check_blocks(positions: Option<usize>, taken: &[usize], blocks: &[Block]) -> Result<()> {
    blocks.iter().try_for_each(|block| {
        let virtual_tokens = taken[if taken.len() == 1 { 0 } else { block.row }];
        check_length(positions, virtual_tokens, block.len, 0)
    })
}

/// The tokens of each row of a mask.
fn counts(mask: &Mask) -> Vec<usize> {
    (0..mask.rows()).map(|row| mask.count(row)).collect()
}

/// The tokens of each row that take a position: all but `uncounted`, which takes one in rows with real entries of `prompt`
/// `[1 or B, P]` in front.
fn counted(batch: &TokenBatch, uncounted: Option<u32>, prompt: &Mask) -> Vec<usize> {
    let Some(token) = uncounted else { return counts(batch.mask()) };
    let of_row = |row: usize| {
        if prompt.count(if prompt.rows() == 1 { 0 } else { row }) > 0 {
            return batch.row_len(row);
        }
        let ids = &batch.ids()[row * batch.len()..(row + 1) * batch.len()];
        let is_counted = |(id, real): &(&u32, &bool)| **real && **id != token;
        ids.iter().zip(batch.mask().row(row)).filter(is_counted).count()
    };
    (0..batch.rows()).map(of_row).collect()
}

/// As [`check_length`], for each row of a batch with so many `tokens`; a single entry of `taken` is shared by all.
fn check_rows(positions: Option<usize>, taken: &[usize], tokens: &[usize]) -> Result<()> {
    tokens.iter().enumerate().try_for_each(|(row, tokens)| {
        let virtual_tokens = taken[if taken.len() == 1 { 0 } else { row }];
        check_length(positions, virtual_tokens, *tokens, 0)
    })
}
