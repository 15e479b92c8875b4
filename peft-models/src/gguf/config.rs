//! The metadata of a GGUF file as the `config.json` that transformers would have written.
//!
//! What the file says of a model's mathematics is used or refused; transformers itself passes over some of it
//! (`rope.scaling`, `rope_freqs.weight`, `attention.key_length` of Qwen3, T5 without gates).

use std::io::{Read, Seek, SeekFrom};

use peft_core::{
    Error, Result,
    formats::{
        gguf::{Array, Gguf, TensorType, Value, dequantise},
        read,
    },
};
use serde_json::{Map, Value as Json, json};

/// The architectures that are read, as llama.cpp names them.
const KNOWN: [&str; 6] = ["bert", "gpt2", "llama", "qwen2", "qwen3", "t5"];

const ARCHITECTURE: &str = "general.architecture";

/// The metadata as a `config.json`.
///
/// # Errors
///
/// [`Error::Config`] naming an architecture that is not read, or the metadata that is missing, of another kind, or says
/// something that is not implemented.
pub fn config(gguf: &Gguf) -> Result<Json> {
    let known = || format!("this version reads {}", KNOWN.join(", "));
    let Some(architecture) = gguf.text(ARCHITECTURE)? else {
        return Err(gguf.error(ARCHITECTURE, format!("is missing, {}", known())));
    };
    if !KNOWN.contains(&architecture) {
        return Err(gguf.error(ARCHITECTURE, format!("found {architecture:?}, {}", known())));
    }
    let metadata = Metadata { gguf, architecture };
    metadata.refuse_both_sides()?;
    let mut fields = match architecture {
        "bert" => metadata.bert()?,
        "gpt2" => metadata.gpt2()?,
        "t5" => metadata.t5()?,
        _ => metadata.llama()?,
    };
    fields.insert("tie_word_embeddings".into(), json!(!gguf.has_tensor("output.weight")));
    for (ours, key) in [
        ("bos_token_id", "tokenizer.ggml.bos_token_id"),
        ("pad_token_id", "tokenizer.ggml.padding_token_id"),
    ] {
        if let Some(id) = gguf.number(key)? {
            fields.insert(ours.into(), json!(id));
        }
    }
    // The end of a document, and that of a turn, where the file names both.
    let mut ends = Vec::new();
    for key in ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"] {
        ends.extend(gguf.number(key)?.filter(|id| !ends.contains(id)));
    }
    match ends[..] {
        [] => {}
        [end] => drop(fields.insert("eos_token_id".into(), json!(end))),
        _ => drop(fields.insert("eos_token_id".into(), json!(ends))),
    }
    Ok(Json::Object(fields))
}

/// A size that is the same in all layers: a number, or a list with one for each layer.
///
/// # Errors
///
/// [`Error::Config`] for a list of different numbers, and if it is neither.
pub(super) fn size_of_layers(gguf: &Gguf, key: &str) -> Result<Option<u64>> {
    let Some(Value::Array(list)) = gguf.get(key) else { return gguf.number(key) };
    let sizes: Option<Vec<u64>> = match list {
        Array::Unsigned(sizes) => Some(sizes.clone()),
        Array::Signed(sizes) => sizes.iter().map(|size| u64::try_from(*size).ok()).collect(),
        _ => None,
    };
    match sizes.as_deref() {
        Some([size, others @ ..]) => match others.iter().find(|other| *other != size) {
            None => Ok(Some(*size)),
            Some(other) => {
                let message = format!(
                    "found {size} and {other} in a list of {}, and this version only knows layers that are alike: use a \
                     model with one size for all its layers, such as the one that this was pruned from",
                    list.len()
                );
                Err(gguf.error(key, message))
            }
        },
        _ => gguf.number(key),
    }
}

struct Metadata<'a> {
    gguf: &'a Gguf,
    architecture: &'a str,
}

impl Metadata<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.architecture)
    }

    fn optional_size(&self, name: &str) -> Result<Option<u64>> {
        self.gguf.number(&self.key(name))
    }

    fn size(&self, name: &str) -> Result<u64> {
        let key = self.key(name);
        self.gguf.number(&key)?.ok_or_else(|| self.gguf.error(&key, "is missing"))
    }

    /// A size that the file may name for each layer.
    fn size_of_layers(&self, name: &str) -> Result<u64> {
        let key = self.key(name);
        size_of_layers(self.gguf, &key)?.ok_or_else(|| self.gguf.error(&key, "is missing"))
    }

    fn optional_number(&self, name: &str) -> Result<Option<f64>> {
        self.gguf.read(&self.key(name), "a number", Value::as_f64)
    }

    fn number(&self, name: &str) -> Result<f64> {
        let missing = || self.gguf.error(&self.key(name), "is missing");
        self.optional_number(name)?.ok_or_else(missing)
    }

    /// The rows of a matrix that the file must have.
    fn rows(&self, tensor: &str) -> Result<usize> {
        let found = self.gguf.tensors().iter().find(|found| found.name == tensor);
        match found.and_then(|found| found.shape.first()) {
            Some(rows) => Ok(*rows),
            None => Err(Error::tensor(self.gguf.path(), tensor, "is missing")),
        }
    }

    fn object(&self, fields: Json) -> Map<String, Json> {
        match fields {
            Json::Object(fields) => fields,
            _ => Map::new(),
        }
    }

    /// Refuses decoders whose tokens see those behind them, as those of embedding models do.
    fn refuse_both_sides(&self) -> Result<()> {
        let key = self.key("attention.causal");
        let causal = self.gguf.read(&key, "true or false", Value::as_bool)?;
        if causal == Some(false) && self.architecture != "bert" {
            let message = format!(
                "found false (tokens see those behind them, as in models that embed texts); this version computes a {} \
                 with a causal mask alone: use a model that generates text, or a bert",
                self.architecture
            );
            return Err(self.gguf.error(&key, message));
        }
        Ok(())
    }

    /// Llama, and Mistral, which llama.cpp calls so too and runs without a window; Qwen2 and Qwen3.
    fn llama(&self) -> Result<Map<String, Json>> {
        if let Some(experts @ 1..) = self.optional_size("expert_count")? {
            let message = format!("found {experts}, this version has no mixtures of experts");
            return Err(self.gguf.error(&self.key("expert_count"), message));
        }
        let has = |tensor: &str| self.gguf.has_tensor(tensor);
        let mut fields = self.object(json!({
            "model_type": self.architecture,
            "hidden_size": self.size("embedding_length")?,
            "intermediate_size": self.size_of_layers("feed_forward_length")?,
            "num_hidden_layers": self.size("block_count")?,
            "num_attention_heads": self.size_of_layers("attention.head_count")?,
            "max_position_embeddings": self.size("context_length")?,
            "rms_norm_eps": self.number("attention.layer_norm_rms_epsilon")?,
            "vocab_size": self.rows("token_embd.weight")?,
        }));
        let heads = match size_of_layers(self.gguf, &self.key("attention.head_count_kv"))? {
            Some(heads) => heads,
            None => self.size_of_layers("attention.head_count")?,
        };
        fields.insert("num_key_value_heads".into(), json!(heads));
        if let Some(size) = self.head_size()? {
            fields.insert("head_dim".into(), json!(size));
        }
        if let Some(base) = self.optional_number("rope.freq_base")? {
            fields.insert("rope_theta".into(), json!(base));
        }
        if let Some(scaling) = self.rope_scaling()? {
            fields.insert("rope_scaling".into(), scaling);
        }
        let class = match self.architecture {
            "qwen2" => "Qwen2ForCausalLM",
            "qwen3" => "Qwen3ForCausalLM",
            _ => "LlamaForCausalLM",
        };
        fields.insert("architectures".into(), json!([class]));
        if self.architecture != "qwen2" {
            fields.insert("attention_bias".into(), json!(has("blk.0.attn_q.bias")));
        }
        if self.architecture == "llama" {
            fields.insert("mlp_bias".into(), json!(has("blk.0.ffn_up.bias")));
        }
        if let Some(window @ 1..) = self.optional_size("attention.sliding_window")? {
            // That of a `llama`, a Mistral's, is used neither by llama.cpp nor by transformers.
            if self.architecture != "llama" {
                let message = format!(
                    "found {window}, this version has no windows of a {} in GGUF",
                    self.architecture
                );
                return Err(self.gguf.error(&self.key("attention.sliding_window"), message));
            }
        }
        Ok(fields)
    }

    /// D, which must be that of keys, of values and of the rotation.
    fn head_size(&self) -> Result<Option<u64>> {
        let mut found: Option<(&str, u64)> = None;
        for name in ["attention.key_length", "attention.value_length", "rope.dimension_count"] {
            match (self.optional_size(name)?, found) {
                (Some(size), Some((other, known))) if size != known => {
                    let other = self.key(other);
                    let message = format!("found {size}, expected {known} as in `{other}`");
                    return Err(self.gguf.error(&self.key(name), message));
                }
                (Some(size), None) => found = Some((name, size)),
                _ => {}
            }
        }
        Ok(found.map(|(_, size)| size))
    }

    fn rope_scaling(&self) -> Result<Option<Json>> {
        let factors = self.rope_factors()?;
        let kind = self.gguf.text(&self.key("rope.scaling.type"))?;
        let factor = match self.optional_number("rope.scaling.factor")? {
            Some(factor) => Some(factor),
            None => self.optional_number("rope.scale_linear")?,
        };
        // As in llama.cpp, a factor without a type scales, and one beside `none` does not.
        let scales = factor.is_some_and(|x| x != 1.0);
        let kind = kind.unwrap_or(if scales { "linear" } else { "none" });
        match (kind, factors) {
            ("none", None) => Ok(None),
            ("none", Some(factors)) => {
                Ok(Some(json!({ "rope_type": "factors", "factors": factors })))
            }
            (kind, None) => {
                let mut scaling = self.object(json!({ "rope_type": kind, "factor": factor }));
                for (name, ours) in [
                    ("original_context_length", "original_max_position_embeddings"),
                    ("yarn_beta_fast", "beta_fast"),
                    ("yarn_beta_slow", "beta_slow"),
                ] {
                    if let Some(value) = self.optional_number(&format!("rope.scaling.{name}"))? {
                        scaling.insert(ours.into(), json!(value));
                    }
                }
                for name in ["attn_factor", "yarn_attn_factor", "yarn_ext_factor"] {
                    let name = format!("rope.scaling.{name}");
                    if let Some(value) = self.optional_number(&name)?.filter(|x| *x != 1.0) {
                        let message = format!("found {value}, this version only knows 1");
                        return Err(self.gguf.error(&self.key(&name), message));
                    }
                }
                Ok(Some(Json::Object(scaling)))
            }
            (kind, Some(_)) => {
                let message = format!("found {kind:?} beside the tensor `rope_freqs.weight`");
                Err(self.gguf.error(&self.key("rope.scaling.type"), message))
            }
        }
    }

    /// What each frequency is divided by, with which llama.cpp stores the scaling of Llama 3.1.
    fn rope_factors(&self) -> Result<Option<Vec<f32>>> {
        const NAME: &str = "rope_freqs.weight";
        let Some(tensor) = self.gguf.tensors().iter().find(|tensor| tensor.name == NAME) else {
            return Ok(None);
        };
        let path = &self.gguf.parts()[tensor.part];
        if tensor.kind != TensorType::F32 || tensor.shape.len() != 1 {
            return Err(Error::tensor(path, NAME, "expected a list in F32"));
        }
        let mut bytes = vec![0; tensor.bytes];
        let mut file = read::open(path)?;
        file.seek(SeekFrom::Start(tensor.offset))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(Error::read(path))?;
        let mut factors = vec![0.0; tensor.shape[0]];
        dequantise(tensor.kind, &bytes, &mut factors);
        if !factors.iter().all(|factor| factor.is_finite() && *factor > 0.0) {
            return Err(Error::tensor(path, NAME, "expected numbers above 0"));
        }
        Ok(factors.iter().any(|factor| *factor != 1.0).then_some(factors))
    }

    fn gpt2(&self) -> Result<Map<String, Json>> {
        Ok(self.object(json!({
            "model_type": "gpt2",
            "architectures": ["GPT2LMHeadModel"],
            "n_embd": self.size("embedding_length")?,
            "n_inner": self.size_of_layers("feed_forward_length")?,
            "n_layer": self.size("block_count")?,
            "n_head": self.size_of_layers("attention.head_count")?,
            "n_positions": self.size("context_length")?,
            "layer_norm_epsilon": self.number("attention.layer_norm_epsilon")?,
            "vocab_size": self.rows("token_embd.weight")?,
        })))
    }

    fn bert(&self) -> Result<Map<String, Json>> {
        Ok(self.object(json!({
            "model_type": "bert",
            "architectures": ["BertModel"],
            "hidden_size": self.size("embedding_length")?,
            "intermediate_size": self.size_of_layers("feed_forward_length")?,
            "num_hidden_layers": self.size("block_count")?,
            "num_attention_heads": self.size_of_layers("attention.head_count")?,
            "max_position_embeddings": self.size("context_length")?,
            "layer_norm_eps": self.number("attention.layer_norm_epsilon")?,
            "type_vocab_size": self.rows("token_types.weight")?,
            "vocab_size": self.rows("token_embd.weight")?,
        })))
    }

    fn t5(&self) -> Result<Map<String, Json>> {
        let heads = self.size_of_layers("attention.head_count")?;
        let gated = self.gguf.has_tensor("enc.blk.0.ffn_gate.weight");
        let epsilon = match self.optional_number("attention.layer_norm_epsilon")? {
            Some(epsilon) => epsilon,
            None => self.number("attention.layer_norm_rms_epsilon")?,
        };
        let layers = self.size("block_count")?;
        Ok(self.object(json!({
            "model_type": "t5",
            "architectures": ["T5ForConditionalGeneration"],
            "is_encoder_decoder": true,
            "d_model": self.size("embedding_length")?,
            "d_ff": self.size_of_layers("feed_forward_length")?,
            "d_kv": self.size("attention.key_length")?,
            "num_heads": heads,
            "num_layers": layers,
            "num_decoder_layers": self.optional_size("decoder_block_count")?.unwrap_or(layers),
            "n_positions": self.size("context_length")?,
            "relative_attention_num_buckets": self.size("attention.relative_buckets_count")?,
            "layer_norm_epsilon": epsilon,
            "feed_forward_proj": if gated { "gated-gelu" } else { "relu" },
            "decoder_start_token_id": self.optional_size("decoder_start_token_id")?,
            "vocab_size": self.rows("token_embd.weight")?,
        })))
    }
}
