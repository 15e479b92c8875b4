//! Attention in a model with two stacks, whose decoder reads itself and the encoder.

use burn::tensor::{Bool, Tensor};
use peft_core::{CrossInput, Error, LayerKeyValues, Result, Run, Sequence, Side, Site};

use super::{
    Encoded, Heads, LayerAttention, LayerInputs, Linear, SelfAttention, attention, part::parts,
};
use crate::weights::Weights;

/// One attention block with its four maps.
#[derive(Clone, Debug)]
pub struct Attention {
    heads: Heads,
    /// What scores are multiplied with.
    scale: f64,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
}

parts!(Attention { query, key, value, output });

/// How a family calls the maps of an attention block.
#[derive(Clone, Copy, Debug)]
pub struct AttentionNames {
    /// Names of query, key, value and output.
    pub maps: [&'static str; 4],
    /// Whether they have a bias.
    pub bias: bool,
}

impl Attention {
    /// Loads the maps below `name`, between rows of H = `width` and heads.
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
        let mut map =
            |part: &str, sizes| Linear::load(weights, &format!("{name}.{part}"), sizes, names.bias);
        let [query, key, value, output] = names.maps;
        Ok(Self {
            heads,
            scale,
            query: map(query, [width, inner])?,
            key: map(key, [width, inner])?,
            value: map(value, [width, inner])?,
            output: map(output, [inner, width])?,
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

/// A pass through one of the stacks, layer after layer.
#[derive(Debug)]
pub struct SidePass<'a> {
    /// Of a decoder.
    cross: Option<CrossInput>,
    recompute: bool,
    own: SelfAttention<'a>,
    cross_key_values: Vec<LayerKeyValues>,
}

impl<'a> SidePass<'a> {
    /// Of the rows of `sequence` through the stack it names. With `recompute`, layers keep their inputs alone
    /// for the way back: see [`LayerInputs::run`].
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] for a decoder without an encoder's output.
    pub fn new(sequence: &'a mut Sequence, recompute: bool) -> Result<Self> {
        let site = match sequence.side {
            Side::Encoder => Site::EncoderSelf,
            Side::Decoder if sequence.cross.is_some() => Site::DecoderSelf,
            Side::Decoder => {
                let message = "the decoder has nothing to read: no encoder's output";
                return Err(Error::Mismatch(message.into()));
            }
        };
        let cross = sequence.cross.take().filter(|_| sequence.side == Side::Decoder);
        let own = SelfAttention::new(sequence, site, recompute);
        Ok(Self { cross, recompute, own, cross_key_values: Vec::new() })
    }

    /// One layer, `body`, of rows `[B, S, H]`.
    pub fn layer(
        &mut self,
        index: usize,
        x: Tensor<3>,
        body: impl Fn(Tensor<3>, &mut LayerPass) -> Tensor<3> + Send + Sync + 'static,
    ) -> Tensor<3> {
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
        let keeps = own.has_tokens();
        if keeps || made.is_some() {
            let cross = encoded.map(|encoded| EncoderAttention {
                encoded,
                hidden: hidden_of_encoder,
                made: made.cloned(),
            });
            let mut pass = LayerPass { own, cross };
            let y = body(x, &mut pass);
            self.own.put_back(pass.own);
            if keeps {
                self.cross_key_values.extend(pass.cross.and_then(|cross| cross.made));
            }
            return y;
        }
        let (past, hidden) = own.into_parts();
        LayerInputs { x, past, encoded }.run(
            self.recompute,
            move |LayerInputs { x, past, encoded }| {
                let own = LayerAttention::new(past, hidden.clone());
                let cross = encoded.map(|encoded| EncoderAttention {
                    encoded,
                    hidden: hidden_of_encoder.clone(),
                    made: None,
                });
                body(x, &mut LayerPass { own, cross })
            },
        )
    }

    /// The end of the pass, with `hidden` `[B, S, H]` as its output.
    pub fn finish(self, hidden: Tensor<3>) -> Run {
        Run { cross_key_values: self.cross_key_values, ..self.own.finish(hidden) }
    }
}

/// What one layer of a pass reads.
#[derive(Debug)]
pub struct LayerPass {
    own: LayerAttention,
    /// Of a decoder.
    cross: Option<EncoderAttention>,
}

/// What one layer of a decoder reads from the encoder.
#[derive(Debug)]
struct EncoderAttention {
    encoded: Encoded,
    /// `[B, 1, 1, P + S]`.
    hidden: Option<Tensor<4, Bool>>,
    /// Keys and values of the encoder's output, once this or an earlier pass has made them.
    made: Option<LayerKeyValues>,
}

impl LayerPass {
    /// `residual` and what the rows read from the layer's virtual tokens, the tokens before them and one another.
    ///
    /// `bias` is asked for with the number of keys, see [`LayerAttention::attend`].
    ///
    /// # Shapes
    ///
    /// - x, residual: `[B, S, H]`
    /// - output: `[B, S, H]`
    pub fn read_self(
        &mut self,
        block: &Attention,
        x: Tensor<3>,
        residual: Tensor<3>,
        bias: impl FnOnce(usize) -> Option<Tensor<4>>,
    ) -> Tensor<3> {
        let own = block.key_values(x.clone());
        let read = self.own.attend(block.queries(x), own, block.scale, bias);
        block.output.onto(residual, read)
    }

    /// `residual` and what the decoder's rows read from the layer's virtual tokens and from the encoder's output.
    /// Keys and values that an earlier pass made of it are used again. In an encoder there is nothing to read.
    ///
    /// # Shapes
    ///
    /// - x, residual: `[B, S, H]`
    /// - output: `[B, S, H]`
    pub fn read_encoder(
        &mut self,
        block: &Attention,
        x: Tensor<3>,
        residual: Tensor<3>,
    ) -> Tensor<3> {
        let Some(EncoderAttention { encoded, hidden, made }) = self.cross.as_mut() else {
            return residual;
        };
        let own = made.get_or_insert_with(|| block.key_values(encoded.hidden.clone())).clone();
        let past = encoded.past.as_ref();
        let read = attention(block.queries(x), own, past, block.scale, |_| None, hidden.clone());
        block.output.onto(residual, read)
    }
}
