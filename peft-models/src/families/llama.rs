//! Llama (Touvron et al. 2023, arXiv 2302.13971): a causal decoder with rotary positions, RMSNorm, SwiGLU and
//! grouped-query attention. Mistral, Qwen2 and Qwen3 are Llamas too: see [`config`].
//!
//! ```text
//! x'  = x  + W_o attention(rotate(RMS(x)))
//! x'' = x' + W_down (silu(W_gate RMS(x')) * W_up RMS(x'))
//! ```

mod config;

use burn::tensor::{DType, Int, Tensor};
use peft_core::{
    FrozenModel, Head, HeadLayout, ModelSpec, Result, Site, StackInput, StackOutput, Task, Topology,
};

use super::{
    answers::{answers_of_fields, answers_of_heads},
    heads::{Word, load_classifier},
    outline::{LmHead, Outline, Parameters},
    single_stack,
};
use crate::{
    blocks::{
        Activation, Heads, LayerAttention, Linear, RmsNorm, Rotary, RotaryTable, SelfAttention,
    },
    config::ModelConfig,
    named_tensors::named_tensors,
    options::LoadOptions,
    weights::{LoadReport, Matrix, Weights},
};
use config::LlamaConfig;

#[derive(Debug)]
struct Llama {
    spec: ModelSpec,
    config: LlamaConfig,
    rotary: Rotary,
    word: Matrix,
    layers: Vec<Layer>,
    norm: RmsNorm,
    head: Option<Linear>,
    classifier: Option<Head>,
    recompute: bool,
}

named_tensors!(Llama { word, norm, head, layers });

#[derive(Clone, Debug)]
struct Layer {
    heads: Heads,
    activation: Activation,
    attention_norm: RmsNorm,
    /// Queries, keys and values side by side, `[(N + 2 K) D, H]`.
    query_key_value: Linear,
    /// Norm of each head's queries, before they are rotated (Qwen3).
    query_norm: Option<RmsNorm>,
    /// Norm of each head's keys, before they are rotated (Qwen3).
    key_norm: Option<RmsNorm>,
    output: Linear,
    norm: RmsNorm,
    /// Side by side, `[2 F, H]`.
    gate_up: Linear,
    down: Linear,
}

named_tensors!(Layer {
    attention_norm,
    query_key_value,
    query_norm,
    key_norm,
    output,
    norm,
    gate_up,
    down,
});

const WORD: Word = Word { name: "embed_tokens.weight", tied_by_default: false };

/// The language-model head of a checkpoint.
pub fn head(config: &ModelConfig, weights: Weights) -> Result<LmHead> {
    WORD.lm_head_in(config, &names(weights))
}

fn names(weights: Weights) -> Weights {
    weights.with_optional_prefix("model.").with_optional_prefix("transformer.")
}

/// Loads a model of the Llama family.
pub fn load(
    config: &ModelConfig,
    weights: Weights,
    options: LoadOptions,
) -> Result<(Box<dyn FrozenModel>, LoadReport)> {
    let read = LlamaConfig::read(config)?;
    // For question answering, the backbone is called `transformer`, as in GPT-2, except in Mistral.
    let weights = &mut names(weights);
    let LlamaConfig { hidden_size: h, vocab_size: vocab, epsilon, .. } = read;
    let layers = (0..read.windows.len())
        .map(|index| Layer::load(&read, weights, &format!("layers.{index}.")))
        .collect::<Result<_>>()?;
    // Behind the layers, whose shapes say whether heads of this size are there: one that is not could be gigabytes.
    let rotary = Rotary::from_config(config, read.heads.size)?;
    let word = WORD.load(weights, config, [vocab, h])?;
    let layout = layout(config.task().unwrap_or(Task::SeqCls));
    let model = Llama {
        spec: spec(config, &read, weights.dtype())?,
        classifier: load_classifier(weights, layout, h)?,
        head: WORD.load_lm_head(weights, config, &word)?,
        norm: RmsNorm::load(weights, "norm", h, epsilon)?,
        config: read,
        rotary,
        word,
        layers,
        recompute: options.recompute,
    };
    let report = weights.finish(|_| false)?;
    Ok((Box::new(model), report))
}

fn spec(config: &ModelConfig, read: &LlamaConfig, dtype: DType) -> Result<ModelSpec> {
    Ok(single_stack::spec(
        config.model_type()?,
        Topology::DecoderOnly,
        [read.hidden_size, read.vocab_size, read.windows.len(), read.positions],
        read.heads,
        dtype,
    ))
}

/// The sizes of a model of the Llama family.
pub fn outline(config: &ModelConfig) -> Result<Outline> {
    let read = LlamaConfig::read(config)?;
    let LlamaConfig { hidden_size: h, inner_size: inner, vocab_size: vocab, heads, .. } = read;
    // What no head can be rotated by is refused as when it is loaded.
    Rotary::from_config(config, heads.size)?;
    let (queries, keys) = (heads.query * heads.size, heads.key_value * heads.size);
    let mut parameters = Parameters::of_embedding([vocab, h]);
    parameters.vector([1, h]);
    parameters.repeat(read.windows.len(), |layer| {
        layer.linear([h, queries], read.input_bias);
        layer.repeat(2, |key_or_value| key_or_value.linear([h, keys], read.input_bias));
        layer.linear([queries, h], read.output_bias);
        layer.repeat(2, |gate_or_up| gate_or_up.linear([h, inner], read.mlp_bias));
        layer.linear([inner, h], read.mlp_bias);
        layer.vector([2, h]);
        layer.vector([if read.head_norms { 2 } else { 0 }, heads.size]);
    });
    Ok(Outline {
        spec: spec(config, &read, DType::F32)?,
        inner: [inner; 2],
        gated: true,
        windows: read.windows,
        lm_head: WORD.lm_head_of(config)?,
        pooler: false,
        head_layout: layout,
        parameters,
    })
}

impl Layer {
    fn load(config: &LlamaConfig, weights: &mut Weights, prefix: &str) -> Result<Self> {
        let LlamaConfig { hidden_size: h, inner_size: inner, heads, epsilon, .. } = *config;
        let (queries, keys) = (heads.query * heads.size, heads.key_value * heads.size);
        let name = |part: &str| format!("{prefix}{part}");
        let mut linear = |part: &str, sizes, bias| Linear::load(weights, &name(part), sizes, bias);
        let query = linear("self_attn.q_proj", [h, queries], config.input_bias)?;
        let key = linear("self_attn.k_proj", [h, keys], config.input_bias)?;
        let value = linear("self_attn.v_proj", [h, keys], config.input_bias)?;
        let output = linear("self_attn.o_proj", [queries, h], config.output_bias)?;
        let gate = linear("mlp.gate_proj", [h, inner], config.mlp_bias)?;
        let up = linear("mlp.up_proj", [h, inner], config.mlp_bias)?;
        let down = linear("mlp.down_proj", [inner, h], config.mlp_bias)?;
        let mut norm = |part: &str, size| RmsNorm::load(weights, &name(part), size, epsilon);
        let attention_norm = norm("input_layernorm", h)?;
        let mut head_norm =
            |part: &str| config.head_norms.then(|| norm(part, heads.size)).transpose();
        let query_norm = head_norm("self_attn.q_norm")?;
        let key_norm = head_norm("self_attn.k_norm")?;
        let norm = norm("post_attention_layernorm", h)?;
        Ok(Self {
            heads,
            activation: config.activation,
            attention_norm,
            query_key_value: Linear::side_by_side(vec![query, key, value]),
            query_norm,
            key_norm,
            output,
            norm,
            gate_up: Linear::side_by_side(vec![gate, up]),
            down,
        })
    }
}

impl Layer {
    fn forward(
        &self,
        x: Tensor<3>,
        rotary: &RotaryTable,
        attention: &mut LayerAttention,
    ) -> Tensor<3> {
        let heads = self.heads;
        let joined = self.query_key_value.forward(self.attention_norm.forward(x.clone()));
        let joined = rotary.rotate_joined(self.normed_heads(joined), heads.query + heads.key_value);
        let attended = attention.attend_joined(joined, heads, heads.scale());
        let x = self.output.onto(x, attended);
        let gate_up = self.gate_up.forward(self.norm.forward(x.clone()));
        self.down.onto(x, self.activation.gated(gate_up))
    }

    /// Normalises each head's queries and keys in rows `[B, S, (N + 2 K) D]`, if the model does that.
    fn normed_heads(&self, joined: Tensor<3>) -> Tensor<3> {
        let (Some(query_norm), Some(key_norm)) = (&self.query_norm, &self.key_norm) else {
            return joined;
        };
        let [b, s, _] = joined.dims();
        let Heads { query: n, key_value: k, size: d } = self.heads;
        let normed = |norm: &RmsNorm, start: usize, count: usize| {
            let own = joined.clone().narrow(2, start * d, count * d);
            norm.forward(own.reshape([b, s, count, d])).reshape([b, s, count * d])
        };
        let value = joined.clone().narrow(2, (n + k) * d, k * d);
        Tensor::cat(vec![normed(query_norm, 0, n), normed(key_norm, n, k), value], 2)
    }
}

/// As LlamaForSequenceClassification, -TokenClassification and -QuestionAnswering have it.
fn layout(task: Task) -> HeadLayout {
    match task {
        Task::QuestionAns => HeadLayout::linear("qa_outputs", true),
        Task::TokenCls => HeadLayout::linear("score", true),
        // A language model has no such head: it is that of whole rows.
        Task::SeqCls | Task::CausalLm | Task::Seq2SeqLm => HeadLayout::linear("score", false),
    }
}

impl FrozenModel for Llama {
    answers_of_fields!();
    answers_of_heads!(layout);

    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        self.word.rows(ids, self.spec.dtype)
    }

    fn layers(&self, mut input: StackInput) -> Result<StackOutput> {
        let mut x = input.embeddings.clone();
        let columns = input.columns();
        let rotary = self.rotary.table(input.positions.clone(), columns, self.spec.dtype);
        let mut attention = SelfAttention::new(&mut input, Site::DecoderSelf, self.recompute);
        for (index, (layer, window)) in self.layers.iter().zip(&self.config.windows).enumerate() {
            let (layer, rotary) = (layer.clone(), rotary.clone());
            let body = move |x, attention: &mut _| layer.forward(x, &rotary, attention);
            x = attention.layer(index, x, *window, body);
        }
        Ok(attention.finish(self.norm.forward(x)))
    }
}
