//! BERT (Devlin et al. 2018, arXiv 1810.04805): a bidirectional encoder, normalised after each block.
//!
//! ```text
//! x0  = LN(word + position + segment)
//! x'  = LN(x  + W_o attention(x))
//! x'' = LN(x' + W_2 gelu(W_1 x'))
//! ```

use burn::tensor::{DType, Int, Tensor, module::embedding};
use peft_core::{
    FrozenModel, Head, HeadLayout, ModelSpec, Result, Site, StackInput, StackOutput, Task, Topology,
};
use serde_json::json;

use super::{
    answers::answers_of_fields,
    heads::load_classifier,
    outline::{LmHead, Outline, Parameters},
    single_stack,
};
use crate::{
    blocks::{Activation, Heads, LayerAttention, LayerNorm, Linear, SelfAttention},
    class_defaults::{layers, number, size},
    config::ModelConfig,
    named_tensors::named_tensors,
    options::LoadOptions,
    weights::{LoadReport, Matrix, Weights},
};

/// An encoder with the layers of BERT.
#[derive(Debug)]
pub struct Bert {
    spec: ModelSpec,
    word: Matrix,
    position: Tensor<2>,
    segment: Tensor<2>,
    norm: LayerNorm,
    layers: Vec<Layer>,
    pooler: Option<Linear>,
    classifier: Option<Head>,
    variant: Variant,
    recompute: bool,
}

named_tensors!(Bert { word, position, segment, norm, pooler, layers });

/// How models with the layers of BERT differ.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    /// The prefix that a checkpoint may put before all names of the backbone.
    pub prefix: &'static str,
    /// The prefix of the names of the language-model head, which no task here uses.
    pub lm_head: &'static str,
    /// The row of the position table of the first token: 0, or the id of the padding token and 1.
    pub first_position: usize,
    /// Whether classifiers of whole rows read the pooler's output.
    pub has_pooler: bool,
    /// The head of each task.
    pub layout: fn(Task) -> HeadLayout,
}

#[derive(Clone, Debug)]
struct Layer {
    heads: Heads,
    /// Queries, keys and values side by side, `[3 H, H]`.
    query_key_value: Linear,
    output: Linear,
    attention_norm: LayerNorm,
    up: Linear,
    down: Linear,
    norm: LayerNorm,
    activation: Activation,
}

named_tensors!(Layer { query_key_value, output, attention_norm, up, down, norm });

/// BERT itself.
const BERT: Variant =
    Variant { prefix: "bert.", lm_head: "cls.", first_position: 0, has_pooler: true, layout };

/// Loads a BERT.
pub fn load(
    config: &ModelConfig,
    weights: Weights,
    options: LoadOptions,
) -> Result<(Box<dyn FrozenModel>, LoadReport)> {
    Bert::load(config, weights, options, BERT)
}

/// The sizes of a BERT.
pub fn outline(config: &ModelConfig) -> Result<Outline> {
    Bert::outline(config, BERT)
}

/// As BertForSequenceClassification, -TokenClassification and -QuestionAnswering have it.
fn layout(task: Task) -> HeadLayout {
    let name = if task == Task::QuestionAns { "qa_outputs" } else { "classifier" };
    HeadLayout::linear(name, true)
}

impl Bert {
    pub fn load(
        config: &ModelConfig,
        weights: Weights,
        options: LoadOptions,
        variant: Variant,
    ) -> Result<(Box<dyn FrozenModel>, LoadReport)> {
        let read = BertConfig::read(config, &variant)?;
        let spec = read.spec(config, &variant, weights.dtype())?;
        let BertConfig { vocab_size: vocab, positions, segments, num_layers, layer } = read;
        let LayerConfig { hidden_size: h, epsilon, .. } = layer;
        let weights = &mut weights.with_optional_prefix(variant.prefix);
        let layers = (0..num_layers)
            .map(|index| Layer::load(&layer, weights, &format!("encoder.layer.{index}")))
            .collect::<Result<_>>()?;
        let task = config.task().unwrap_or(Task::SeqCls);
        // Without the pooler, a classifier of whole rows would read what it was not trained on.
        let has_pooler = variant.has_pooler
            && (weights.shape("pooler.dense.weight").is_some()
                || config.task() == Some(Task::SeqCls));
        let model = Self {
            spec,
            word: weights.take_matrix("embeddings.word_embeddings.weight", [vocab, h])?,
            position: weights.take("embeddings.position_embeddings.weight", [positions, h])?,
            segment: weights.take("embeddings.token_type_embeddings.weight", [segments, h])?,
            norm: LayerNorm::load(weights, "embeddings.LayerNorm", h, epsilon)?,
            layers,
            pooler: has_pooler
                .then(|| Linear::load(weights, "pooler.dense", [h, h], true))
                .transpose()?,
            classifier: load_classifier(weights, (variant.layout)(task), h)?,
            variant,
            recompute: options.recompute,
        };
        let may_skip = |name: &str| {
            name.starts_with(variant.lm_head) || !variant.has_pooler && name.starts_with("pooler.")
        };
        let report = weights.finish(may_skip)?;
        Ok((Box::new(model), report))
    }

    /// The sizes. Whether a checkpoint of the backbone alone has a pooler, only its file says: none is counted.
    pub fn outline(config: &ModelConfig, variant: Variant) -> Result<Outline> {
        let read = BertConfig::read(config, &variant)?;
        let LayerConfig { hidden_size: h, inner_size: inner, .. } = read.layer;
        let pooler = variant.has_pooler && config.task() == Some(Task::SeqCls);
        let mut parameters = Parameters::of_embedding([read.vocab_size, h]);
        parameters.vector([read.positions + read.segments + 2, h]);
        parameters.repeat(read.num_layers, |layer| {
            layer.repeat(4, |square| square.linear([h, h], true));
            layer.linear([h, inner], true);
            layer.linear([inner, h], true);
            layer.vector([4, h]);
        });
        if pooler {
            parameters.linear([h, h], true);
        }
        Ok(Outline {
            spec: read.spec(config, &variant, DType::F32)?,
            inner: [inner; 2],
            gated: false,
            windows: Vec::new(),
            lm_head: LmHead::None,
            pooler,
            head_layout: variant.layout,
            parameters,
        })
    }
}

/// Sizes and choices of a model.
struct BertConfig {
    vocab_size: usize,
    /// Rows of the table of positions.
    positions: usize,
    /// Rows of the table of segments.
    segments: usize,
    num_layers: usize,
    layer: LayerConfig,
}

impl BertConfig {
    fn read(config: &ModelConfig, variant: &Variant) -> Result<Self> {
        config.require("position_embedding_type", &json!("absolute"))?;
        config.require("is_decoder", &json!(false))?;
        let h = size(config, "hidden_size")?;
        let inner = size(config, "intermediate_size")?;
        let vocab = size(config, "vocab_size")?;
        let positions = size(config, "max_position_embeddings")?;
        let segments = size(config, "type_vocab_size")?;
        let num_layers = layers(config, "num_hidden_layers")?;
        let n = size(config, "num_attention_heads")?;
        if h % n != 0 {
            return Err(config.error("num_attention_heads", format!("{n} does not divide {h}")));
        }
        if positions <= variant.first_position {
            let message = format!(
                "found {positions}, the first token takes position {}",
                variant.first_position
            );
            return Err(config.error("max_position_embeddings", message));
        }
        let heads = Heads { query: n, key_value: n, size: h / n };
        let epsilon = number(config, "layer_norm_eps", 1e-12)?;
        let activation = Activation::from_config(config, "hidden_act", "gelu")?;
        let layer = LayerConfig { hidden_size: h, inner_size: inner, heads, epsilon, activation };
        Ok(Self { vocab_size: vocab, positions, segments, num_layers, layer })
    }

    fn spec(&self, config: &ModelConfig, variant: &Variant, dtype: DType) -> Result<ModelSpec> {
        let positions = self.positions - variant.first_position;
        Ok(single_stack::spec(
            config.model_type()?,
            Topology::EncoderOnly,
            [self.layer.hidden_size, self.vocab_size, self.num_layers, positions],
            self.layer.heads,
            dtype,
        ))
    }
}

/// Sizes and choices of the layers.
#[derive(Clone, Copy, Debug)]
struct LayerConfig {
    hidden_size: usize,
    inner_size: usize,
    heads: Heads,
    epsilon: f64,
    activation: Activation,
}

impl Layer {
    fn load(config: &LayerConfig, weights: &mut Weights, name: &str) -> Result<Self> {
        let LayerConfig { hidden_size: h, inner_size: inner, heads, epsilon, activation } = *config;
        let name = |part: &str| format!("{name}.{part}");
        let mut square = |part: &str| Linear::load(weights, &name(part), [h, h], true);
        let query = square("attention.self.query")?;
        let key = square("attention.self.key")?;
        let value = square("attention.self.value")?;
        let output = square("attention.output.dense")?;
        let mut norm = |part: &str| LayerNorm::load(weights, &name(part), h, epsilon);
        let attention_norm = norm("attention.output.LayerNorm")?;
        let norm = norm("output.LayerNorm")?;
        Ok(Self {
            heads,
            query_key_value: Linear::side_by_side(vec![query, key, value]),
            output,
            attention_norm,
            up: Linear::load(weights, &name("intermediate.dense"), [h, inner], true)?,
            down: Linear::load(weights, &name("output.dense"), [inner, h], true)?,
            norm,
            activation,
        })
    }

    fn forward(&self, x: Tensor<3>, attention: &mut LayerAttention) -> Tensor<3> {
        let joined = self.query_key_value.forward(x.clone());
        let attended = attention.attend_joined(joined, self.heads, self.heads.scale());
        let x = self.attention_norm.forward(self.output.onto(attention.read_of(x), attended));
        let inner = self.up.activated(x.clone(), self.activation);
        self.norm.forward(self.down.onto(x, inner))
    }
}

impl FrozenModel for Bert {
    answers_of_fields!();

    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        self.word.rows(ids, self.spec.dtype)
    }

    /// Where positions count from the padding token, it has the row before the first.
    fn uncounted_token(&self) -> Option<u32> {
        self.variant.first_position.checked_sub(1).and_then(|id| u32::try_from(id).ok())
    }

    fn layers(&self, mut input: StackInput) -> Result<StackOutput> {
        let segments = match &input.token_types {
            Some(types) => embedding(self.segment.clone(), types.clone()),
            None => self.segment.clone().narrow(0, 0, 1).unsqueeze(),
        };
        let rows = input.positions.clone().add_scalar(self.variant.first_position as i64);
        let positions = embedding(self.position.clone(), rows);
        let mut x = self.norm.forward(input.embeddings.clone() + positions + segments);
        let mut attention = SelfAttention::new(&mut input, Site::EncoderSelf, self.recompute)
            .of_layers(self.layers.len());
        for (index, layer) in self.layers.iter().cloned().enumerate() {
            let body = move |x, attention: &mut _| layer.forward(x, attention);
            x = attention.layer(index, x, None, body);
        }
        Ok(attention.finish(x))
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

    fn head_layout(&self, task: Task) -> HeadLayout {
        (self.variant.layout)(task)
    }
}
