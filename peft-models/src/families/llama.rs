//! Llama (Touvron et al. 2023, arXiv 2302.13971): a causal decoder with rotary positions, RMSNorm,
//! SwiGLU and grouped keys and values.
//!
//! ```text
//! x'  = x  + W_o attention(rotate(RMS(x)))
//! x'' = x' + W_down (silu(W_gate RMS(x')) * W_up RMS(x'))
//! ```

use burn::tensor::{Device, Int, Tensor};
use peft_core::{
    FrozenModel, Head, HeadLayout, LayerKeyValues, ModelSpec, NamedTensors, Result, Run, Sequence,
    Site, Task, Topology,
};
use serde_json::json;

use super::{is_other_head, load_head, single_stack_spec};
use crate::{
    blocks::{Activation, Heads, Linear, RmsNorm, Rotary, attention},
    config::ModelConfig,
    weights::{LoadReport, Weights},
};

#[derive(Debug)]
pub struct Llama {
    spec: ModelSpec,
    word: Tensor<2>,
    rotary: Rotary,
    layers: Vec<Layer>,
    norm: RmsNorm,
    head: Option<Linear>,
    classifier: Option<Head>,
}

#[derive(Debug)]
struct Layer {
    heads: Heads,
    attention_norm: RmsNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    norm: RmsNorm,
    gate: Linear,
    up: Linear,
    down: Linear,
    activation: Activation,
}

impl Llama {
    pub fn load(
        config: &ModelConfig,
        weights: Weights,
    ) -> Result<(Box<dyn FrozenModel>, LoadReport)> {
        let rotary = rotary_base(config)?;
        let weights = &mut weights.with_optional_prefix("model.");
        let h = config.size("hidden_size")?;
        let inner = config.size("intermediate_size")?;
        let vocab = config.size("vocab_size")?;
        let positions = config.size("max_position_embeddings")?;
        let num_layers = config.size("num_hidden_layers")?;
        let n = config.size("num_attention_heads")?;
        let k = config.optional_size("num_key_value_heads")?.unwrap_or(n);
        if n % k != 0 {
            return Err(config.bad("num_key_value_heads", format!("{k} does not divide {n}")));
        }
        let d = match config.optional_size("head_dim")? {
            Some(d) => d,
            None if h % n == 0 => h / n,
            None => {
                return Err(config.bad("num_attention_heads", format!("{n} does not divide {h}")));
            }
        };
        if d % 2 != 0 {
            return Err(
                config.bad("head_dim", format!("found {d}, rotary heads have an even size"))
            );
        }
        let heads = Heads { query: n, key_value: k, size: d };
        let epsilon = config.number("rms_norm_eps", 1e-6)?;
        let activation = Activation::from_config(config, "hidden_act", "silu")?;
        let attention_bias = config.flag("attention_bias", false)?;
        let mlp_bias = config.flag("mlp_bias", false)?;
        let layers = (0..num_layers)
            .map(|index| {
                let name = |part: &str| format!("layers.{index}.{part}");
                let mut linear =
                    |part: &str, sizes, bias| Linear::load(weights, &name(part), sizes, bias);
                let query = linear("self_attn.q_proj", [h, n * d], attention_bias)?;
                let key = linear("self_attn.k_proj", [h, k * d], attention_bias)?;
                let value = linear("self_attn.v_proj", [h, k * d], attention_bias)?;
                let output = linear("self_attn.o_proj", [n * d, h], attention_bias)?;
                let gate = linear("mlp.gate_proj", [h, inner], mlp_bias)?;
                let up = linear("mlp.up_proj", [h, inner], mlp_bias)?;
                let down = linear("mlp.down_proj", [inner, h], mlp_bias)?;
                Ok(Layer {
                    heads,
                    attention_norm: RmsNorm::load(weights, &name("input_layernorm"), h, epsilon)?,
                    query,
                    key,
                    value,
                    output,
                    norm: RmsNorm::load(weights, &name("post_attention_layernorm"), h, epsilon)?,
                    gate,
                    up,
                    down,
                    activation,
                })
            })
            .collect::<Result<_>>()?;
        let word = weights.take("embed_tokens.weight", [vocab, h])?;
        let layout = layout(config.task().unwrap_or(Task::SeqCls));
        let classifier = load_head(weights, layout, h)?;
        // A head of its own wins over what the config says of tying. A classifier's checkpoint has none.
        let head = if weights.shape("lm_head.weight").is_some() {
            Some(Linear::load(weights, "lm_head", [h, vocab], false)?)
        } else if config.flag("tie_word_embeddings", false)? {
            Some(Linear::tied(word.clone()))
        } else if classifier.is_some() {
            None
        } else {
            Some(Linear::load(weights, "lm_head", [h, vocab], false)?)
        };
        let model = Self {
            spec: single_stack_spec(
                "llama",
                Topology::DecoderOnly,
                [h, vocab, num_layers, positions],
                heads,
                weights.dtype(),
            ),
            rotary: Rotary::new(d, rotary),
            norm: RmsNorm::load(weights, "norm", h, epsilon)?,
            word,
            layers,
            head,
            classifier,
        };
        let report =
            weights.finish(|name| name.ends_with("rotary_emb.inv_freq") || is_other_head(name))?;
        Ok((Box::new(model), report))
    }
}

/// As LlamaForSequenceClassification and LlamaForTokenClassification have it.
fn layout(task: Task) -> HeadLayout {
    HeadLayout::linear("score", task == Task::TokenCls)
}

/// `rope_theta`, or transformers 5's `rope_parameters.rope_theta`.
fn rotary_base(config: &ModelConfig) -> Result<f64> {
    config.require("rope_parameters.rope_type", &json!("default"))?;
    config.require("rope_scaling.rope_type", &json!("default"))?;
    config.require("rope_scaling.type", &json!("default"))?;
    config.require("rope_parameters.partial_rotary_factor", &json!(1.0))?;
    let base = config.number("rope_theta", 10_000.0)?;
    config.number("rope_parameters.rope_theta", base)
}

impl FrozenModel for Llama {
    fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    fn device(&self) -> Device {
        self.word.device()
    }

    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        burn::tensor::module::embedding(self.word.clone(), ids)
    }

    fn tensors(&self) -> NamedTensors {
        let mut all = NamedTensors::new();
        all.insert("word".into(), self.word.to_data());
        self.norm.collect("norm", &mut all);
        if let Some(head) = &self.head {
            head.collect("head", &mut all);
        }
        for (index, layer) in self.layers.iter().enumerate() {
            let name = |part: &str| format!("layers.{index}.{part}");
            layer.attention_norm.collect(&name("attention_norm"), &mut all);
            layer.query.collect(&name("query"), &mut all);
            layer.key.collect(&name("key"), &mut all);
            layer.value.collect(&name("value"), &mut all);
            layer.output.collect(&name("output"), &mut all);
            layer.norm.collect(&name("norm"), &mut all);
            layer.gate.collect(&name("gate"), &mut all);
            layer.up.collect(&name("up"), &mut all);
            layer.down.collect(&name("down"), &mut all);
        }
        all
    }

    fn layers(&self, sequence: Sequence) -> Result<Run> {
        let rotary = self.rotary.table(sequence.positions.clone(), &sequence.embeddings);
        let mut x = sequence.embeddings.clone();
        let mut key_values = Vec::new();
        for (index, layer) in self.layers.iter().enumerate() {
            let normed = layer.attention_norm.forward(x.clone());
            let own = LayerKeyValues {
                key: rotary.rotate(layer.heads.split_key_values(layer.key.forward(normed.clone()))),
                value: layer.heads.split_key_values(layer.value.forward(normed.clone())),
            };
            if sequence.keep_key_values {
                key_values.push(own.clone());
            }
            let query = rotary.rotate(layer.heads.split_queries(layer.query.forward(normed)));
            let past = sequence.past(Site::DecoderSelf, index);
            let attended = attention(query, own, past, |columns| sequence.hidden_keys(columns));
            x = x + layer.output.forward(attended);
            let normed = layer.norm.forward(x.clone());
            let gate = layer.activation.forward(layer.gate.forward(normed.clone()));
            x = x + layer.down.forward(gate * layer.up.forward(normed));
        }
        Ok(Run { hidden: self.norm.forward(x), key_values, cross_key_values: Vec::new() })
    }

    fn lm_logits(&self, hidden: Tensor<2>) -> Result<Tensor<2>> {
        match &self.head {
            Some(head) => Ok(head.forward(hidden)),
            None => Err(peft_core::Error::Mismatch(
                "this llama checkpoint has no language-model head".into(),
            )),
        }
    }

    fn classifier(&self) -> Option<&Head> {
        self.classifier.as_ref()
    }

    fn head_layout(&self, task: Task) -> HeadLayout {
        layout(task)
    }
}
