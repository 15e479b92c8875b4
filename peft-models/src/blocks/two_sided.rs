//! Attention in a model with two stacks, whose decoder reads itself and the encoder.

use burn::tensor::Tensor;
use peft_core::{CrossInput, Error, LayerKeyValues, Result, Run, Sequence, Side, Site};

use super::{Heads, Linear, SelfAttention, attention, part::parts};
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
    sequence: &'a Sequence,
    own: SelfAttention<'a>,
    cross_key_values: Vec<LayerKeyValues>,
}

impl<'a> SidePass<'a> {
    /// Of the rows of `sequence` through the stack it names.
    pub fn new(sequence: &'a Sequence) -> Self {
        let site = match sequence.side {
            Side::Encoder => Site::EncoderSelf,
            Side::Decoder => Site::DecoderSelf,
        };
        Self { sequence, own: SelfAttention::new(sequence, site), cross_key_values: Vec::new() }
    }

    /// What the rows read from the layer's virtual tokens and from one another.
    ///
    /// `bias` is asked for with the number of keys, see [`SelfAttention::attend_with_bias`].
    ///
    /// # Shapes
    ///
    /// - x: `[B, S, H]`
    /// - output: `[B, S, H]`
    pub fn read_self(
        &mut self,
        layer: usize,
        block: &Attention,
        x: Tensor<3>,
        bias: impl FnOnce(usize) -> Option<Tensor<4>>,
    ) -> Tensor<3> {
        let own = block.key_values(x.clone());
        let read = self.own.attend_with_bias(layer, block.queries(x), own, block.scale, bias);
        block.output.forward(read)
    }

    /// What the decoder's rows read from the layer's virtual tokens and from the encoder's output. Keys
    /// and values that an earlier pass made of it are used again.
    ///
    /// # Shapes
    ///
    /// - x: `[B, S, H]`
    /// - output: `[B, S, H]`
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] where there is no encoder's output.
    pub fn read_encoder(
        &mut self,
        layer: usize,
        block: &Attention,
        x: Tensor<3>,
    ) -> Result<Tensor<3>> {
        let cross: &CrossInput = self.sequence.cross.as_ref().ok_or_else(|| {
            Error::Mismatch("the decoder has nothing to read: no encoder's output".into())
        })?;
        let own = match cross.key_values.get(layer) {
            Some(made) => made.clone(),
            None => block.key_values(cross.hidden.clone()),
        };
        if self.sequence.keep_key_values {
            self.cross_key_values.push(own.clone());
        }
        let hidden = |columns| cross.hidden_keys(columns);
        let read = attention(block.queries(x), own, cross.past(layer), block.scale, hidden);
        Ok(block.output.forward(read))
    }

    /// The end of the pass, with `hidden` `[B, S, H]` as its output.
    pub fn finish(self, hidden: Tensor<3>) -> Run {
        Run { cross_key_values: self.cross_key_values, ..self.own.finish(hidden) }
    }
}
