//! BERT (Devlin et al. 2018, arXiv 1810.04805): a bidirectional encoder, normalised after each block.
//!
//! ```text
//! x0  = LN(word + position + segment)
//! x'  = LN(x  + W_o attention(x))
//! x'' = LN(x' + W_2 gelu(W_1 x'))
//! ```

use burn::tensor::{Device, Int, Tensor};
use peft_core::{
    FrozenModel, Head, HeadLayout, LayerKeyValues, ModelSpec, NamedTensors, Result, Run, Sequence,
    Site, Task, Topology,
};
use serde_json::json;

use super::{is_other_head, load_head, single_stack_spec};
use crate::{
    blocks::{Activation, Heads, LayerNorm, Linear, attention},
    config::ModelConfig,
    weights::{LoadReport, Weights},
};

#[derive(Debug)]
pub struct Bert {
    spec: ModelSpec,
    word: Tensor<2>,
    position: Tensor<2>,
    segment: Tensor<2>,
    norm: LayerNorm,
    layers: Vec<Layer>,
    pooler: Option<Linear>,
    classifier: Option<Head>,
}

#[derive(Debug)]
struct Layer {
    heads: Heads,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    attention_norm: LayerNorm,
    up: Linear,
    down: Linear,
    norm: LayerNorm,
    activation: Activation,
}

impl Bert {
    pub fn load(
        config: &ModelConfig,
        weights: Weights,
    ) -> Result<(Box<dyn FrozenModel>, LoadReport)> {
        config.require("position_embedding_type", &json!("absolute"))?;
        config.require("is_decoder", &json!(false))?;
        let weights = &mut weights.with_optional_prefix("bert.");
        let h = config.size("hidden_size")?;
        let inner = config.size("intermediate_size")?;
        let vocab = config.size("vocab_size")?;
        let positions = config.size("max_position_embeddings")?;
        let segments = config.optional_size("type_vocab_size")?.unwrap_or(2);
        let num_layers = config.size("num_hidden_layers")?;
        let n = config.size("num_attention_heads")?;
        if h % n != 0 {
            return Err(config.bad("num_attention_heads", format!("{n} does not divide {h}")));
        }
        let heads = Heads { query: n, key_value: n, size: h / n };
        let epsilon = config.number("layer_norm_eps", 1e-12)?;
        let activation = Activation::from_config(config, "hidden_act", "gelu")?;
        let layers = (0..num_layers)
            .map(|index| {
                let name = |part: &str| format!("encoder.layer.{index}.{part}");
                let mut square = |part: &str| Linear::load(weights, &name(part), [h, h], true);
                let query = square("attention.self.query")?;
                let key = square("attention.self.key")?;
                let value = square("attention.self.value")?;
                let output = square("attention.output.dense")?;
                Ok(Layer {
                    heads,
                    query,
                    key,
                    value,
                    output,
                    attention_norm: LayerNorm::load(
                        weights,
                        &name("attention.output.LayerNorm"),
                        h,
                        epsilon,
                    )?,
                    up: Linear::load(weights, &name("intermediate.dense"), [h, inner], true)?,
                    down: Linear::load(weights, &name("output.dense"), [inner, h], true)?,
                    norm: LayerNorm::load(weights, &name("output.LayerNorm"), h, epsilon)?,
                    activation,
                })
            })
            .collect::<Result<_>>()?;
        // Without it, a classifier of whole rows would read what it was not trained on.
        let has_pooler =
            weights.shape("pooler.dense.weight").is_some() || config.task() == Some(Task::SeqCls);
        let model = Self {
            spec: single_stack_spec(
                "bert",
                Topology::EncoderOnly,
                [h, vocab, num_layers, positions],
                heads,
                weights.dtype(),
            ),
            word: weights.take("embeddings.word_embeddings.weight", [vocab, h])?,
            position: weights.take("embeddings.position_embeddings.weight", [positions, h])?,
            segment: weights.take("embeddings.token_type_embeddings.weight", [segments, h])?,
            norm: LayerNorm::load(weights, "embeddings.LayerNorm", h, epsilon)?,
            layers,
            pooler: has_pooler
                .then(|| Linear::load(weights, "pooler.dense", [h, h], true))
                .transpose()?,
            classifier: load_head(weights, HeadLayout::linear("classifier", true), h)?,
        };
        let may_skip = |name: &str| {
            name == "embeddings.position_ids" || name.starts_with("cls.") || is_other_head(name)
        };
        let report = weights.finish(may_skip)?;
        Ok((Box::new(model), report))
    }
}

impl FrozenModel for Bert {
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
        all.insert("position".into(), self.position.to_data());
        all.insert("segment".into(), self.segment.to_data());
        self.norm.collect("norm", &mut all);
        if let Some(pooler) = &self.pooler {
            pooler.collect("pooler", &mut all);
        }
        for (index, layer) in self.layers.iter().enumerate() {
            let name = |part: &str| format!("layers.{index}.{part}");
            layer.query.collect(&name("query"), &mut all);
            layer.key.collect(&name("key"), &mut all);
            layer.value.collect(&name("value"), &mut all);
            layer.output.collect(&name("output"), &mut all);
            layer.attention_norm.collect(&name("attention_norm"), &mut all);
            layer.up.collect(&name("up"), &mut all);
            layer.down.collect(&name("down"), &mut all);
            layer.norm.collect(&name("norm"), &mut all);
        }
        all
    }

    fn layers(&self, sequence: Sequence) -> Result<Run> {
        use burn::tensor::module::embedding;
        let segments = match &sequence.token_types {
            Some(types) => embedding(self.segment.clone(), types.clone()),
            None => self.segment.clone().narrow(0, 0, 1).unsqueeze(),
        };
        let positions = embedding(self.position.clone(), sequence.positions.clone());
        let mut x = self.norm.forward(sequence.embeddings.clone() + positions + segments);
        let mut key_values = Vec::new();
        for (index, layer) in self.layers.iter().enumerate() {
            let own = LayerKeyValues {
                key: layer.heads.split_key_values(layer.key.forward(x.clone())),
                value: layer.heads.split_key_values(layer.value.forward(x.clone())),
            };
            if sequence.keep_key_values {
                key_values.push(own.clone());
            }
            let query = layer.heads.split_queries(layer.query.forward(x.clone()));
            let past = sequence.past(Site::EncoderSelf, index);
            let attended = attention(query, own, past, |columns| sequence.hidden_keys(columns));
            x = layer.attention_norm.forward(x + layer.output.forward(attended));
            let inner = layer.activation.forward(layer.up.forward(x.clone()));
            x = layer.norm.forward(x + layer.down.forward(inner));
        }
        Ok(Run { hidden: x, key_values, cross_key_values: Vec::new() })
    }

    /// `tanh(W x + b)`.
    fn pool(&self, hidden: Tensor<2>) -> Tensor<2> {
        match &self.pooler {
            Some(pooler) => pooler.forward(hidden).tanh(),
            None => hidden,
        }
    }

    fn classifier(&self) -> Option<&Head> {
        self.classifier.as_ref()
    }
}
