//! T5 (Raffel et al. 2020, arXiv 1910.10683), T5 1.1 and its LM-adapted and Flan checkpoints, and mT5: encoder-decoders
//! with a relative position bias, normalised before each block.
//!
//! ```text
//! x'  = x  + W_o attention(RMS(x))            scores are not scaled, bias(distance) is added
//! x'' = x' + W_o attention(RMS(x'), encoder)  decoder only, no bias
//! y   = x'' + W_2 f(RMS(x''))                 f = relu(W_1 x), or gelu(W_1 x) * W_3 x
//! ```
//!
//! The head of T5 1.0 reads hidden states scaled by `H^-0.5`, that of T5 1.1 and mT5 reads them unscaled.

use burn::tensor::{DType, Int, Tensor};
use peft_core::{FrozenModel, HeadLayout, ModelSpec, Result, Side, StackInput, StackOutput};
use serde_json::json;

use super::{
    answers::answers_of_fields,
    outline::{LmHead, Outline, Parameters},
    two_stacks::{Embedding, HEAD, StackSize, is_copy, is_tied, lm_head_in, lm_head_of, spec},
};
use crate::{
    blocks::{
        Activation, AttentionNames, Buckets, Heads, LayerPass, Linear, MultiHeadAttention,
        PassBias, RelativeBias, RmsNorm, StackPass,
    },
    class_defaults::{layers, number, size, text},
    config::ModelConfig,
    named_tensors::named_tensors,
    options::LoadOptions,
    weights::{LoadReport, Matrix, Weights},
};

#[derive(Debug)]
struct T5 {
    spec: ModelSpec,
    word: Matrix,
    encoder: Stack,
    decoder: Stack,
    head: Linear,
    /// The factor of hidden states before the head.
    head_scale: f64,
    recompute: bool,
}

named_tensors!(T5 { word, encoder, decoder, head });

#[derive(Debug)]
struct Stack {
    bias: RelativeBias,
    layers: Vec<Layer>,
    norm: RmsNorm,
}

named_tensors!(Stack { bias, layers, norm });

#[derive(Clone, Debug)]
struct Layer {
    attention_norm: RmsNorm,
    attention: MultiHeadAttention,
    cross: Option<Cross>,
    norm: RmsNorm,
    gate: Option<Linear>,
    up: Linear,
    down: Linear,
    activation: Activation,
}

named_tensors!(Layer { attention_norm, attention, cross, norm, gate, up, down });

#[derive(Clone, Debug)]
struct Cross {
    norm: RmsNorm,
    attention: MultiHeadAttention,
}

named_tensors!(Cross { norm, attention });

/// The sizes and choices that both stacks share.
#[derive(Clone, Copy, Debug)]
struct T5Config {
    hidden_size: usize,
    inner_size: usize,
    vocab_size: usize,
    /// Layers of the encoder and of the decoder.
    num_layers: [usize; 2],
    heads: Heads,
    epsilon: f64,
    gated: bool,
    activation: Activation,
}

impl T5Config {
    fn read(config: &ModelConfig) -> Result<Self> {
        config.require("is_encoder_decoder", &json!(true))?;
        let is_mt5 = config.model_type()? == "mt5";
        let default_forward = if is_mt5 { "gated-gelu" } else { "relu" };
        let num_layers = layers(config, "num_layers")?;
        let decoder_layers = config.optional_size("num_decoder_layers")?.unwrap_or(num_layers);
        let n = size(config, "num_heads")?;
        let forward = text(config, "feed_forward_proj", default_forward)?;
        let (gated, name) = match forward.split_once('-') {
            None => (false, forward),
            Some(("gated", name)) => (true, name),
            Some(_) => {
                let message =
                    format!("found {forward:?}, expected an activation or gated-activation");
                return Err(config.error("feed_forward_proj", message));
            }
        };
        let name = if (gated, name) == (true, "gelu") { "gelu_new" } else { name };
        Ok(Self {
            hidden_size: size(config, "d_model")?,
            inner_size: size(config, "d_ff")?,
            vocab_size: size(config, "vocab_size")?,
            num_layers: [num_layers, decoder_layers],
            heads: Heads { query: n, key_value: n, size: size(config, "d_kv")? },
            epsilon: number(config, "layer_norm_epsilon", 1e-6)?,
            // As in transformers, where null is no gate.
            gated: !config.is_null("is_gated_act") && config.flag("is_gated_act", gated)?,
            activation: Activation::from_config(config, "dense_act_fn", name)?,
        })
    }

    /// The encoder and the decoder.
    fn stacks(&self) -> [StackSize; 2] {
        self.num_layers.map(|layers| StackSize { layers, heads: self.heads })
    }
}

/// The sizes of a T5 or an mT5.
pub fn outline(config: &ModelConfig) -> Result<Outline> {
    let read = T5Config::read(config)?;
    let T5Config { hidden_size: h, inner_size: inner, vocab_size: vocab, heads, .. } = read;
    let [encoder, decoder] = read.stacks();
    let width = heads.query * heads.size;
    let mut parameters = Parameters::of_embedding([vocab, h]);
    for (side, stack, attentions) in [(Side::Encoder, encoder, 1), (Side::Decoder, decoder, 2)] {
        let buckets = Buckets::from_config(config, side == Side::Encoder)?;
        parameters.vector([buckets.count(), heads.query]);
        parameters.vector([1, h]);
        parameters.repeat(stack.layers, |layer| {
            layer.repeat(attentions, |attention| {
                attention.repeat(3, |part| part.linear([h, width], false));
                attention.linear([width, h], false);
                attention.vector([1, h]);
            });
            layer.repeat(if read.gated { 2 } else { 1 }, |up| up.linear([h, inner], false));
            layer.linear([inner, h], false);
            layer.vector([1, h]);
        });
    }
    Ok(Outline {
        spec: spec(config.model_type()?, [h, vocab], encoder, decoder, None, DType::F32),
        inner: [inner; 2],
        gated: read.gated,
        windows: Vec::new(),
        lm_head: lm_head_of(config)?,
        pooler: false,
        head_layout: |_| HeadLayout::linear("classifier", true),
        parameters,
    })
}

/// The language-model head of a checkpoint of a T5 or an mT5.
pub fn head(config: &ModelConfig, weights: Weights) -> Result<LmHead> {
    let weights = names(weights);
    let is_head = is_head(&weights, is_tied(config)?);
    lm_head_in(&weights, is_head)
}

fn names(weights: Weights) -> Weights {
    weights.with_optional_prefix("transformer.")
}

/// Whether the embedding is the head, where a file has no other: what transformers 4 wrote as untied is T5 1.1, which does
/// not scale; transformers 5 takes the key for that alone, and the embedding for a head that the file lacks.
fn is_head(weights: &Weights, tied: bool) -> bool {
    tied || !weights.contains(HEAD)
}

/// Loads a T5 or an mT5.
pub fn load(
    config: &ModelConfig,
    weights: Weights,
    options: LoadOptions,
) -> Result<(Box<dyn FrozenModel>, LoadReport)> {
    let is_mt5 = config.model_type()? == "mt5";
    let weights = &mut names(weights);
    let read = T5Config::read(config)?;
    let [of_encoder, of_decoder] = ["encoder", "decoder"]
        .map(|stack| format!("{stack}.block.0.layer.0.SelfAttention.q.weight"));
    if weights.shape(&of_encoder).is_some() && weights.shape(&of_decoder).is_none() {
        let message = "is missing, as in a checkpoint of the encoder alone (T5EncoderModel): give the whole model that it was \
                       made from";
        return Err(weights.error(&of_decoder, message));
    }
    let (h, vocab) = (read.hidden_size, read.vocab_size);
    let [encoder, decoder] = read.stacks();
    let tied = is_tied(config)?;
    let is_head = is_head(weights, tied);
    let Embedding { word, own_head } = Embedding::load(weights, is_head, [vocab, h])?;
    let key = "scale_decoder_outputs";
    let scaled = !is_mt5 && !config.is_null(key) && config.flag(key, tied)?;
    let model = T5 {
        spec: spec(config.model_type()?, [h, vocab], encoder, decoder, None, weights.dtype()),
        encoder: Stack::load(config, &read, weights, Side::Encoder, encoder.layers)?,
        decoder: Stack::load(config, &read, weights, Side::Decoder, decoder.layers)?,
        head: own_head.unwrap_or_else(|| Linear::tied(word.clone(), weights.compute())),
        head_scale: if scaled { (h as f64).powf(-0.5) } else { 1.0 },
        word,
        recompute: options.recompute,
    };
    // Old checkpoints have a bias of the cross-attention, which no model reads.
    let may_skip = |name: &str| {
        name.ends_with(".EncDecAttention.relative_attention_bias.weight") || is_copy(name)
    };
    let report = weights.finish(may_skip)?;
    Ok((Box::new(model), report))
}

impl Stack {
    fn load(
        config: &ModelConfig,
        read: &T5Config,
        weights: &mut Weights,
        side: Side,
        num_layers: usize,
    ) -> Result<Self> {
        let (name, has_cross) = match side {
            Side::Encoder => ("encoder", false),
            Side::Decoder => ("decoder", true),
        };
        let T5Config { hidden_size: h, epsilon, heads, .. } = *read;
        let bias = format!("{name}.block.0.layer.0.SelfAttention.relative_attention_bias");
        let buckets = Buckets::from_config(config, side == Side::Encoder)?;
        Ok(Self {
            bias: RelativeBias::load(weights, &bias, buckets, heads.query)?,
            layers: (0..num_layers)
                .map(|index| {
                    Layer::load(read, weights, &format!("{name}.block.{index}"), has_cross)
                })
                .collect::<Result<_>>()?,
            norm: RmsNorm::load(weights, &format!("{name}.final_layer_norm"), h, epsilon)?,
        })
    }

    fn forward(&self, input: &mut StackInput, recompute: bool) -> Result<StackOutput> {
        let bias = self.bias.of_pass(input);
        let mut x = input.embeddings.clone();
        let mut pass = StackPass::new(input, recompute)?;
        for (index, layer) in self.layers.iter().cloned().enumerate() {
            let bias = bias.clone();
            let body = move |x, pass: &mut _| layer.forward(x, &bias, pass);
            x = pass.layer(index, x, body);
        }
        Ok(pass.finish(self.norm.forward(x)))
    }
}

impl Layer {
    fn load(config: &T5Config, weights: &mut Weights, name: &str, has_cross: bool) -> Result<Self> {
        const NAMES: AttentionNames = AttentionNames { layers: ["q", "k", "v", "o"], bias: false };
        let T5Config { hidden_size: h, inner_size: inner, heads, epsilon, .. } = *config;
        let attention = |weights: &mut Weights, part: &str| {
            MultiHeadAttention::load(weights, &format!("{name}.layer.{part}"), NAMES, h, heads, 1.0)
        };
        let norm = |weights: &mut Weights, layer: usize| {
            RmsNorm::load(weights, &format!("{name}.layer.{layer}.layer_norm"), h, epsilon)
        };
        let last = 1 + usize::from(has_cross);
        let linear = |weights: &mut Weights, part: &str, sizes| {
            Linear::load(
                weights,
                &format!("{name}.layer.{last}.DenseReluDense.{part}"),
                sizes,
                false,
            )
        };
        let cross = |weights: &mut Weights| -> Result<Cross> {
            Ok(Cross {
                norm: norm(weights, 1)?,
                attention: attention(weights, "1.EncDecAttention")?,
            })
        };
        let (gate, up) = if config.gated { (Some("wi_0"), "wi_1") } else { (None, "wi") };
        Ok(Self {
            attention_norm: norm(weights, 0)?,
            attention: attention(weights, "0.SelfAttention")?,
            cross: has_cross.then(|| cross(weights)).transpose()?,
            norm: norm(weights, last)?,
            gate: gate.map(|part| linear(weights, part, [h, inner])).transpose()?,
            up: linear(weights, up, [h, inner])?,
            down: linear(weights, "wo", [inner, h])?,
            activation: config.activation,
        })
    }

    fn forward(&self, mut x: Tensor<3>, bias: &PassBias, pass: &mut LayerPass) -> Tensor<3> {
        let normed = self.attention_norm.forward(x.clone());
        let bias = |columns| Some(bias.rightmost(columns));
        x = pass.read_self(&self.attention, normed, x, bias);
        if let Some(cross) = &self.cross {
            x = pass.read_encoder(&cross.attention, cross.norm.forward(x.clone()), x);
        }
        let normed = self.norm.forward(x.clone());
        self.feed_forward(x, normed)
    }

    fn feed_forward(&self, residual: Tensor<3>, x: Tensor<3>) -> Tensor<3> {
        let inner = match &self.gate {
            Some(gate) => gate.activated(x.clone(), self.activation) * self.up.forward(x),
            None => self.up.activated(x, self.activation),
        };
        self.down.onto(residual, inner)
    }
}

impl FrozenModel for T5 {
    answers_of_fields!();

    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        self.word.rows(ids, self.spec.dtype)
    }

    fn layers(&self, mut input: StackInput) -> Result<StackOutput> {
        match input.side {
            Side::Encoder => self.encoder.forward(&mut input, self.recompute),
            Side::Decoder => self.decoder.forward(&mut input, self.recompute),
        }
    }

    fn has_lm_head(&self) -> bool {
        true
    }

    fn lm_logits(&self, hidden: Tensor<2>) -> Result<Tensor<2>> {
        Ok(self.head.forward(hidden.mul_scalar(self.head_scale)))
    }

    fn lm_cross_entropy(
        &self,
        hidden: Tensor<2>,
        targets: &[usize],
        label_smoothing: f64,
    ) -> Result<Tensor<1>> {
        self.head.cross_entropy(hidden.mul_scalar(self.head_scale), targets, label_smoothing)
    }
}
