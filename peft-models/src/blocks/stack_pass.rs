//! Attention in an encoder-decoder, whose decoder reads itself and the encoder.

use std::ops::ControlFlow;

use burn::tensor::{Bool, Tensor};
use peft_core::{
    CrossInput, Error, LayerKeyValues, LayerProbe, Result, Side, Site, StackInput, StackOutput,
};

use super::{
    LayerAttention, Linear, SelfAttention,
    attention::attention,
    layer::{Recompute, run_layer},
};
use crate::{
    kernels::{Encoded, Heads, LayerInputs},
    named_tensors::named_tensors,
    weights::Weights,
};

/// An attention block with its four linear layers.
#[derive(Clone, Debug)]
pub struct MultiHeadAttention {
    heads: Heads,
    /// The factor of the scores.
    scale: f64,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
}

named_tensors!(MultiHeadAttention { query, key, value, output });

/// The names of the linear layers of an attention block, which differ between families.
#[derive(Clone, Copy, Debug)]
pub struct AttentionNames {
    /// Of query, key, value and output.
    pub layers: [&'static str; 4],
    /// Whether they have a bias.
    pub bias: bool,
}

impl MultiHeadAttention {
    /// Loads the layers below `name`, between hidden states of H = `width` and heads.
    ///
    /// # Errors
    ///
    /// [`Error::Tensor`] for a missing or misshapen tensor.
    pub fn load(
        weights: &mut Weights,
        name: &str,
        names: AttentionNames,
        width: usize,
        heads: Heads,
        scale: f64,
    ) -> Result<Self> {
        let inner = heads.query * heads.size;
        let mut linear = |layer: &str, sizes| {
            Linear::load(weights, &format!("{name}.{layer}"), sizes, names.bias)
        };
        let [query, key, value, output] = names.layers;
        Ok(Self {
            heads,
            scale,
            query: linear(query, [width, inner])?,
            key: linear(key, [width, inner])?,
            value: linear(value, [width, inner])?,
            output: linear(output, [inner, width])?,
        })
    }

    fn key_values(&self, read: Tensor<3>) -> LayerKeyValues {
        LayerKeyValues {
            key: self.heads.split_key_values(self.key.forward(read.clone())),
            value: self.heads.split_key_values(self.value.forward(read)),
        }
    }

    fn queries(&self, x: Tensor<3>) -> Tensor<4> {
        self.heads.split_queries(self.query.forward(x))
    }
}

/// A pass through the encoder or the decoder, layer after layer.
#[derive(Debug)]
pub struct StackPass<'a> {
    /// What a decoder reads from the encoder.
    cross: Option<CrossInput>,
    own: SelfAttention<'a>,
    cross_key_values: Vec<LayerKeyValues>,
}

impl<'a> StackPass<'a> {
    /// A pass of `input` through the stack that it names. With `recompute`, or a tape, by gradient checkpointing, see
    /// [`Recompute`].
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] for a decoder without the output of an encoder.
    pub fn new(input: &'a mut StackInput, recompute: bool) -> Result<Self> {
        let site = match input.side {
            Side::Encoder => Site::EncoderSelf,
            Side::Decoder if input.cross.is_some() => Site::DecoderSelf,
            Side::Decoder => {
                let message = "the decoder has no encoder output to read";
                return Err(Error::Mismatch(message.into()));
            }
        };
        let mut cross = input.cross.take().filter(|_| input.side == Side::Decoder);
        let own = SelfAttention::new(input, site, recompute);
        if let (Some(cross), Recompute::Taped(tape)) = (&mut cross, own.recompute()) {
            // Every layer reads it, and its graph is gone through once.
            cross.hidden = tape.cut(cross.hidden.clone());
        }
        Ok(Self { cross, own, cross_key_values: Vec::new() })
    }

    /// Runs one layer, `body`, on rows `[B, S, H]`.
    pub fn layer(
        &mut self,
        index: usize,
        x: Tensor<3>,
        body: impl Fn(Tensor<3>, &mut LayerPass) -> Tensor<3> + Send + Sync + 'static,
    ) -> Tensor<3> {
        let x = match self.own.enter(index, x) {
            ControlFlow::Continue(x) => x,
            ControlFlow::Break(x) => return x,
        };
        let own = self.own.of_layer(index, x.dims()[1], None);
        let cross = self.cross.as_ref();
        let made = cross.and_then(|cross| cross.key_values.get(index));
        let encoded = cross.map(|cross| Encoded {
            hidden: cross.hidden.clone(),
            past: cross.past(index).cloned(),
        });
        let hidden_of_encoder = cross.and_then(|cross| {
            let keys = made.map_or(cross.hidden.dims()[1], |made| made.key.dims()[2]);
            let past = cross.past(index).map_or(0, |past| past.key.dims()[2]);
            cross.hidden_keys(past + keys)
        });
        let probe_of_encoder = self.own.probe_at(Site::Cross, index);
        let keeps = own.has_tokens();
        if keeps || made.is_some() {
            let cross = encoded.map(|encoded| EncoderAttention {
                encoded,
                hidden: hidden_of_encoder,
                made: made.cloned(),
                probe: probe_of_encoder,
            });
            let mut pass = LayerPass { own, cross };
            let y = body(x, &mut pass);
            self.own.put_back(pass.own);
            if keeps {
                self.cross_key_values.extend(pass.cross.and_then(|cross| cross.made));
            }
            return y;
        }
        let (past, hidden, probe) = own.into_parts();
        run_layer(
            LayerInputs { x, past, encoded },
            self.own.recompute(),
            move |LayerInputs { x, past, encoded }| {
                let own = LayerAttention::new(past, hidden.clone(), probe.clone());
                let cross = encoded.map(|encoded| EncoderAttention {
                    encoded,
                    hidden: hidden_of_encoder.clone(),
                    made: None,
                    probe: probe_of_encoder.clone(),
                });
                body(x, &mut LayerPass { own, cross })
            },
        )
    }

    /// The end of the pass, with `hidden` `[B, S, H]` as its output.
    pub fn finish(self, hidden: Tensor<3>) -> StackOutput {
        StackOutput { cross_key_values: self.cross_key_values, ..self.own.finish(hidden) }
    }
}

/// What one layer of a pass reads.
#[derive(Debug)]
pub struct LayerPass {
    own: LayerAttention,
    /// What a decoder reads from the encoder.
    cross: Option<EncoderAttention>,
}

/// What one layer of a decoder reads from the encoder.
#[derive(Debug)]
struct EncoderAttention {
    encoded: Encoded,
    /// `[B, 1, 1, P + S]`.
    hidden: Option<Tensor<4, Bool>>,
    /// Keys and values of the encoder's output, once this or an earlier pass has computed them.
    made: Option<LayerKeyValues>,
    probe: Option<LayerProbe>,
}

impl LayerPass {
    /// `residual` plus the self-attention of the rows over the layer's virtual tokens, earlier tokens and one another.
    ///
    /// `bias` is called with the number of keys, see [`LayerAttention::attend`].
    ///
    /// # Shapes
    ///
    /// - x, residual: `[B, S, H]`
    /// - output: `[B, S, H]`
    pub fn read_self(
        &mut self,
        block: &MultiHeadAttention,
        x: Tensor<3>,
        residual: Tensor<3>,
        bias: impl FnOnce(usize) -> Option<Tensor<4>>,
    ) -> Tensor<3> {
        let own = block.key_values(x.clone());
        let read = self.own.attend(block.queries(x), own, block.scale, bias);
        block.output.onto(residual, read)
    }

    /// `residual` plus the cross-attention of the decoder's rows over the layer's virtual tokens and the encoder's
    /// output. Keys and values that an earlier pass computed are used again. In an encoder, `residual` alone.
    ///
    /// # Shapes
    ///
    /// - x, residual: `[B, S, H]`
    /// - output: `[B, S, H]`
    pub fn read_encoder(
        &mut self,
        block: &MultiHeadAttention,
        x: Tensor<3>,
        residual: Tensor<3>,
    ) -> Tensor<3> {
        let Some(EncoderAttention { encoded, hidden, made, probe }) = self.cross.as_mut() else {
            return residual;
        };
        let own = made.get_or_insert_with(|| block.key_values(encoded.hidden.clone())).clone();
        let past = encoded.past.as_ref();
        let scores = (block.scale, |_| None, hidden.clone());
        let read = attention(block.queries(x), own, past, scores, probe.as_ref());
        block.output.onto(residual, read)
    }
}
