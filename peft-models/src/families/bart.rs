//! BART (Lewis et al. 2019, arXiv 1910.13461): an encoder-decoder with learned positions, normalised after each block.
//!
//! ```text
//! x0  = LN(scale * word + position)      scale = sqrt(H) or 1; position p is row p + 2
//! x'  = LN(x  + W_o attention(x))
//! x'' = LN(x' + W_o attention(x', encoder))   decoder only
//! y   = LN(x'' + W_2 gelu(W_1 x''))
//! ```

use burn::tensor::{DType, Int, Tensor, module::embedding};
use peft_core::{FrozenModel, HeadLayout, ModelSpec, Result, Side, StackInput, StackOutput};
use serde_json::json;

use super::{
    answers::answers_of_fields,
    outline::{LmHead, Outline, Parameters},
    two_stacks::{Embedding, StackSize, is_copy, is_tied, lm_head_in, lm_head_of, spec},
};
use crate::{
    blocks::{
        Activation, AttentionNames, Heads, LayerNorm, LayerPass, Linear, MultiHeadAttention,
        StackPass,
    },
    class_defaults::{layers, size},
    config::ModelConfig,
    named_tensors::named_tensors,
    options::LoadOptions,
    weights::{LoadReport, Matrix, Weights},
};

/// Rows of the position table before the one of position 0.
const OFFSET: usize = 2;

const EPSILON: f64 = 1e-5;

#[derive(Debug)]
struct Bart {
    spec: ModelSpec,
    word: Matrix,
    /// The factor of embedded tokens. Virtual tokens stand among them unscaled.
    word_scale: f64,
    encoder: Stack,
    decoder: Stack,
    head: Linear,
    recompute: bool,
}

named_tensors!(Bart { word, encoder, decoder, head });

#[derive(Debug)]
struct Stack {
    /// `[positions + 2, H]`.
    position: Tensor<2>,
    norm: LayerNorm,
    layers: Vec<Layer>,
}

named_tensors!(Stack { position, norm, layers });

#[derive(Clone, Debug)]
struct Layer {
    attention: MultiHeadAttention,
    attention_norm: LayerNorm,
    cross: Option<Cross>,
    up: Linear,
    down: Linear,
    norm: LayerNorm,
    activation: Activation,
}

named_tensors!(Layer { attention, attention_norm, cross, up, down, norm });

#[derive(Clone, Debug)]
struct Cross {
    attention: MultiHeadAttention,
    norm: LayerNorm,
}

named_tensors!(Cross { attention, norm });

/// Sizes and choices of one stack.
#[derive(Clone, Copy, Debug)]
struct StackConfig {
    side: Side,
    name: &'static str,
    hidden_size: usize,
    inner_size: usize,
    positions: usize,
    size: StackSize,
    activation: Activation,
}

impl StackConfig {
    fn read(config: &ModelConfig, side: Side) -> Result<Self> {
        let name = match side {
            Side::Encoder => "encoder",
            Side::Decoder => "decoder",
        };
        let own = |part: &str| format!("{name}_{part}");
        let h = size(config, "d_model")?;
        let n = size(config, &own("attention_heads"))?;
        if h % n != 0 {
            let message = format!("{n} does not divide d_model = {h}");
            return Err(config.error(&own("attention_heads"), message));
        }
        Ok(Self {
            side,
            name,
            hidden_size: h,
            inner_size: size(config, &own("ffn_dim"))?,
            positions: size(config, "max_position_embeddings")?,
            size: StackSize {
                layers: layers(config, &own("layers"))?,
                heads: Heads { query: n, key_value: n, size: h / n },
            },
            activation: Activation::from_config(config, "activation_function", "gelu")?,
        })
    }
}

/// The language-model head of a checkpoint.
pub fn head(config: &ModelConfig, weights: Weights) -> Result<LmHead> {
    lm_head_in(&names(weights), is_tied(config)?)
}

fn names(weights: Weights) -> Weights {
    weights.with_optional_prefix("model.")
}

/// Loads a BART.
pub fn load(
    config: &ModelConfig,
    weights: Weights,
    options: LoadOptions,
) -> Result<(Box<dyn FrozenModel>, LoadReport)> {
    check(config)?;
    let weights = &mut names(weights);
    let encoder = StackConfig::read(config, Side::Encoder)?;
    let decoder = StackConfig::read(config, Side::Decoder)?;
    let (h, positions) = (encoder.hidden_size, Some(encoder.positions));
    let vocab = size(config, "vocab_size")?;
    let Embedding { word, own_head } = Embedding::load(weights, is_tied(config)?, [vocab, h])?;
    let scaled = config.flag("scale_embedding", false)?;
    let bias = weights.take_optional("final_logits_bias", [1, vocab])?;
    let bias = bias.map(|bias| bias.reshape([vocab]));
    let model = Bart {
        spec: spec("bart", [h, vocab], encoder.size, decoder.size, positions, weights.dtype()),
        word_scale: if scaled { (h as f64).sqrt() } else { 1.0 },
        encoder: Stack::load(&encoder, weights)?,
        decoder: Stack::load(&decoder, weights)?,
        head: own_head
            .unwrap_or_else(|| Linear::tied(word.clone(), weights.compute()))
            .with_bias(bias),
        word,
        recompute: options.recompute,
    };
    let report = weights.finish(is_copy)?;
    Ok((Box::new(model), report))
}

/// Refuses what relatives of BART do otherwise.
fn check(config: &ModelConfig) -> Result<()> {
    // Keys of early versions.
    for (key, only) in [
        ("is_encoder_decoder", true),
        ("normalize_before", false),
        ("add_final_layer_norm", false),
        ("normalize_embedding", true),
        ("static_position_embeddings", false),
    ] {
        config.require(key, &json!(only))?;
    }
    Ok(())
}

/// The sizes of a BART. A bias of its logits, which few checkpoints have, is not counted.
pub fn outline(config: &ModelConfig) -> Result<Outline> {
    check(config)?;
    let stacks =
        [StackConfig::read(config, Side::Encoder)?, StackConfig::read(config, Side::Decoder)?];
    let [encoder, decoder] = &stacks;
    let (h, vocab) = (encoder.hidden_size, size(config, "vocab_size")?);
    let mut parameters = Parameters::of_embedding([vocab, h]);
    for stack in &stacks {
        let (heads, inner) = (stack.size.heads, stack.inner_size);
        let width = heads.query * heads.size;
        let attentions = if stack.side == Side::Decoder { 2 } else { 1 };
        parameters.vector([stack.positions + OFFSET + 2, h]);
        parameters.repeat(stack.size.layers, |layer| {
            layer.repeat(attentions, |attention| {
                attention.repeat(3, |part| part.linear([h, width], true));
                attention.linear([width, h], true);
                attention.vector([2, h]);
            });
            layer.linear([h, inner], true);
            layer.linear([inner, h], true);
            layer.vector([2, h]);
        });
    }
    let positions = Some(encoder.positions);
    Ok(Outline {
        spec: spec("bart", [h, vocab], encoder.size, decoder.size, positions, DType::F32),
        inner: [encoder.inner_size, decoder.inner_size],
        gated: false,
        windows: Vec::new(),
        lm_head: lm_head_of(config)?,
        pooler: false,
        head_layout: |_| HeadLayout::linear("classifier", true),
        parameters,
    })
}

impl Stack {
    fn load(config: &StackConfig, weights: &mut Weights) -> Result<Self> {
        let StackConfig { name, hidden_size: h, positions, size, .. } = *config;
        let table = format!("{name}.embed_positions.weight");
        Ok(Self {
            position: weights.take(&table, [positions + OFFSET, h])?,
            norm: LayerNorm::load(weights, &format!("{name}.layernorm_embedding"), h, EPSILON)?,
            layers: (0..size.layers)
                .map(|index| Layer::load(config, weights, &format!("{name}.layers.{index}")))
                .collect::<Result<_>>()?,
        })
    }

    fn forward(&self, input: &mut StackInput, recompute: bool) -> Result<StackOutput> {
        let rows = input.positions.clone().add_scalar(OFFSET as i64);
        let positions = embedding(self.position.clone(), rows);
        let mut x = self.norm.forward(input.embeddings.clone() + positions);
        let mut pass = StackPass::new(input, recompute)?;
        for (index, layer) in self.layers.iter().cloned().enumerate() {
            let body = move |x, pass: &mut _| layer.forward(x, pass);
            x = pass.layer(index, x, body);
        }
        Ok(pass.finish(x))
    }
}

impl Layer {
    fn load(config: &StackConfig, weights: &mut Weights, name: &str) -> Result<Self> {
        const NAMES: AttentionNames =
            AttentionNames { layers: ["q_proj", "k_proj", "v_proj", "out_proj"], bias: true };
        let StackConfig { hidden_size: h, inner_size: inner, size, .. } = *config;
        let scale = size.heads.scale();
        let attention = |weights: &mut Weights, part: &str| {
            MultiHeadAttention::load(
                weights,
                &format!("{name}.{part}"),
                NAMES,
                h,
                size.heads,
                scale,
            )
        };
        let norm = |weights: &mut Weights, part: &str| {
            LayerNorm::load(weights, &format!("{name}.{part}"), h, EPSILON)
        };
        let cross = |weights: &mut Weights| -> Result<Cross> {
            Ok(Cross {
                attention: attention(weights, "encoder_attn")?,
                norm: norm(weights, "encoder_attn_layer_norm")?,
            })
        };
        Ok(Self {
            attention: attention(weights, "self_attn")?,
            attention_norm: norm(weights, "self_attn_layer_norm")?,
            cross: (config.side == Side::Decoder).then(|| cross(weights)).transpose()?,
            up: Linear::load(weights, &format!("{name}.fc1"), [h, inner], true)?,
            down: Linear::load(weights, &format!("{name}.fc2"), [inner, h], true)?,
            norm: norm(weights, "final_layer_norm")?,
            activation: config.activation,
        })
    }

    fn forward(&self, x: Tensor<3>, pass: &mut LayerPass) -> Tensor<3> {
        let read = pass.read_self(&self.attention, x.clone(), x, |_| None);
        let mut x = self.attention_norm.forward(read);
        if let Some(cross) = &self.cross {
            x = cross.norm.forward(pass.read_encoder(&cross.attention, x.clone(), x));
        }
        let inner = self.up.activated(x.clone(), self.activation);
        self.norm.forward(self.down.onto(x, inner))
    }
}

impl FrozenModel for Bart {
    answers_of_fields!();

    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        self.word.rows(ids, self.spec.dtype).mul_scalar(self.word_scale)
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
        Ok(self.head.forward(hidden))
    }

    fn lm_cross_entropy(
        &self,
        hidden: Tensor<2>,
        targets: &[usize],
        label_smoothing: f64,
    ) -> Result<Tensor<1>> {
        self.head.cross_entropy(hidden, targets, label_smoothing)
    }
}
