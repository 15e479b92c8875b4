//! GPT-2 (Radford et al. 2019): a causal decoder, normalised before each block.
//!
//! ```text
//! x0  = word + position
//! x'  = x  + W_o attention(LN(x))
//! x'' = x' + W_2 gelu(W_1 LN(x'))
//! ```

use burn::tensor::{DType, Int, Tensor, module::embedding};
use peft_core::{
    FrozenModel, Head, HeadLayout, ModelSpec, Result, Site, StackInput, StackOutput, Task, Topology,
};
use serde_json::json;

use super::{
    answers::{answers_of_fields, answers_of_heads},
    heads::{Word, load_classifier},
    outline::{LmHead, Outline, Parameters},
    single_stack,
};
use crate::{
    blocks::{Activation, Heads, LayerAttention, LayerNorm, Linear, SelfAttention},
    class_defaults::{flag, layers, number, size},
    config::ModelConfig,
    named_tensors::named_tensors,
    options::LoadOptions,
    weights::{LoadReport, Matrix, Weights},
};

#[derive(Debug)]
struct Gpt2 {
    spec: ModelSpec,
    word: Matrix,
    position: Tensor<2>,
    layers: Vec<Layer>,
    norm: LayerNorm,
    head: Option<Linear>,
    classifier: Option<Head>,
    recompute: bool,
}

named_tensors!(Gpt2 { word, position, norm, head, layers });

#[derive(Clone, Debug)]
struct Layer {
    heads: Heads,
    /// The factor of the scores.
    scale: f64,
    attention_norm: LayerNorm,
    /// Queries, keys and values side by side, `[3 H, H]`.
    query_key_value: Linear,
    output: Linear,
    norm: LayerNorm,
    up: Linear,
    down: Linear,
    activation: Activation,
}

named_tensors!(Layer { attention_norm, query_key_value, output, norm, up, down });

const WORD: Word = Word { name: "wte.weight", tied_by_default: true };

/// The language-model head of a checkpoint.
pub fn head(config: &ModelConfig, weights: Weights) -> Result<LmHead> {
    WORD.lm_head_in(config, &names(weights))
}

fn names(weights: Weights) -> Weights {
    weights.with_optional_prefix("transformer.")
}

/// Loads a GPT-2.
pub fn load(
    config: &ModelConfig,
    weights: Weights,
    options: LoadOptions,
) -> Result<(Box<dyn FrozenModel>, LoadReport)> {
    let read = Gpt2Config::read(config)?;
    let spec = read.spec(weights.dtype());
    let Gpt2Config { hidden_size: h, inner_size: inner, .. } = read;
    let Gpt2Config { vocab_size: vocab, positions, num_layers, heads, .. } = read;
    let weights = &mut names(weights);
    let epsilon = number(config, "layer_norm_epsilon", 1e-5)?;
    let activation = Activation::from_config(config, "activation_function", "gelu_new")?;
    let scaled = flag(config, "scale_attn_weights", true)?;
    let scaled_by_layer = flag(config, "scale_attn_by_inverse_layer_idx", false)?;
    let scale = |index: usize| {
        let scale = if scaled { heads.scale() } else { 1.0 };
        if scaled_by_layer { scale / (index + 1) as f64 } else { scale }
    };
    let layers = (0..num_layers)
        .map(|index| {
            let name = |part: &str| format!("h.{index}.{part}");
            Ok(Layer {
                heads,
                scale: scale(index),
                attention_norm: LayerNorm::load(weights, &name("ln_1"), h, epsilon)?,
                query_key_value: Linear::load_conv1d(weights, &name("attn.c_attn"), [h, 3 * h])?,
                output: Linear::load_conv1d(weights, &name("attn.c_proj"), [h, h])?,
                norm: LayerNorm::load(weights, &name("ln_2"), h, epsilon)?,
                up: Linear::load_conv1d(weights, &name("mlp.c_fc"), [h, inner])?,
                down: Linear::load_conv1d(weights, &name("mlp.c_proj"), [inner, h])?,
                activation,
            })
        })
        .collect::<Result<_>>()?;
    let word = WORD.load(weights, config, [vocab, h])?;
    let layout = layout(config.task().unwrap_or(Task::SeqCls));
    let classifier = load_classifier(weights, layout, h)?;
    let head = WORD.load_lm_head(weights, config, &word)?;
    let model = Gpt2 {
        spec,
        position: weights.take("wpe.weight", [positions, h])?,
        norm: LayerNorm::load(weights, "ln_f", h, epsilon)?,
        word,
        layers,
        head,
        classifier,
        recompute: options.recompute,
    };
    // Causal masks, kept as buffers by old versions.
    const MASKS: [&str; 4] =
        [".attn.bias", ".attn.masked_bias", ".crossattention.bias", ".crossattention.masked_bias"];
    let may_skip = |name: &str| MASKS.iter().any(|mask| name.ends_with(mask));
    let report = weights.finish(may_skip)?;
    Ok((Box::new(model), report))
}

/// The sizes of a model.
#[derive(Clone, Copy, Debug)]
struct Gpt2Config {
    hidden_size: usize,
    inner_size: usize,
    vocab_size: usize,
    positions: usize,
    num_layers: usize,
    heads: Heads,
}

impl Gpt2Config {
    fn read(config: &ModelConfig) -> Result<Self> {
        // `reorder_and_upcast_attn` only changes the order of roundings.
        config.require("add_cross_attention", &json!(false))?;
        let h = size(config, "n_embd")?;
        let inner = config.optional_size("n_inner")?.unwrap_or(4 * h);
        let vocab = size(config, "vocab_size")?;
        let positions = size(config, "n_positions")?;
        let num_layers = layers(config, "n_layer")?;
        let n = size(config, "n_head")?;
        if h % n != 0 {
            return Err(config.error("n_head", format!("{n} does not divide n_embd = {h}")));
        }
        Ok(Self {
            hidden_size: h,
            inner_size: inner,
            vocab_size: vocab,
            positions,
            num_layers,
            heads: Heads { query: n, key_value: n, size: h / n },
        })
    }

    fn spec(&self, dtype: DType) -> ModelSpec {
        let Self { hidden_size, vocab_size, num_layers, positions, heads, .. } = *self;
        let sizes = [hidden_size, vocab_size, num_layers, positions];
        single_stack::spec("gpt2", Topology::DecoderOnly, sizes, heads, dtype)
    }
}

/// The sizes of a GPT-2.
pub fn outline(config: &ModelConfig) -> Result<Outline> {
    let read = Gpt2Config::read(config)?;
    let Gpt2Config { hidden_size: h, inner_size: inner, vocab_size: vocab, .. } = read;
    let mut parameters = Parameters::of_embedding([vocab, h]);
    parameters.vector([read.positions + 2, h]);
    parameters.repeat(read.num_layers, |layer| {
        layer.linear([h, 3 * h], true);
        layer.linear([h, h], true);
        layer.linear([h, inner], true);
        layer.linear([inner, h], true);
        layer.vector([4, h]);
    });
    Ok(Outline {
        spec: read.spec(DType::F32),
        inner: [inner; 2],
        gated: false,
        windows: Vec::new(),
        lm_head: WORD.lm_head_of(config)?,
        pooler: false,
        head_layout: layout,
        parameters,
    })
}

impl Layer {
    fn forward(&self, x: Tensor<3>, attention: &mut LayerAttention) -> Tensor<3> {
        let joined = self.query_key_value.forward(self.attention_norm.forward(x.clone()));
        let attended = attention.attend_joined(joined, self.heads, self.scale);
        let x = self.output.onto(x, attended);
        let inner = self.up.activated(self.norm.forward(x.clone()), self.activation);
        self.down.onto(x, inner)
    }
}

/// As GPT2ForSequenceClassification, -TokenClassification and -QuestionAnswering have it.
fn layout(task: Task) -> HeadLayout {
    match task {
        Task::QuestionAns => HeadLayout::linear("qa_outputs", true),
        Task::TokenCls => HeadLayout::linear("classifier", true),
        // A language model has no such head: it is that of whole rows.
        Task::SeqCls | Task::CausalLm | Task::Seq2SeqLm => HeadLayout::linear("score", false),
    }
}

impl FrozenModel for Gpt2 {
    answers_of_fields!();
    answers_of_heads!(layout);

    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        self.word.rows(ids, self.spec.dtype)
    }

    fn layers(&self, mut input: StackInput) -> Result<StackOutput> {
        let positions = embedding(self.position.clone(), input.positions.clone());
        let mut x = input.embeddings.clone() + positions;
        let mut attention = SelfAttention::new(&mut input, Site::DecoderSelf, self.recompute);
        for (index, layer) in self.layers.iter().cloned().enumerate() {
            let body = move |x, attention: &mut _| layer.forward(x, attention);
            x = attention.layer(index, x, None, body);
        }
        Ok(attention.finish(self.norm.forward(x)))
    }
}
