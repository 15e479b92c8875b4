//! The names of a GGUF file's tensors in transformers, and what llama.cpp changes in their values.

use peft_core::{Result, formats::gguf::Gguf};

use super::config::size_of_layers;

/// What llama.cpp changed in a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// The rows of each of so many heads: the two halves of a head, which transformers rotates against each other, are
    /// interleaved.
    Interleaved {
        /// N or K.
        heads: usize,
    },
    /// Rows and columns are swapped: `[out, in]` where GPT-2 has `[in, out]`.
    Transposed,
}

/// Names of llama.cpp and of transformers, without `.weight` and `.bias`; `{}` is the number of a layer.
type Names = &'static [(&'static str, &'static str)];

const LLAMA: Names = &[
    ("token_embd", "model.embed_tokens"),
    ("output_norm", "model.norm"),
    ("output", "lm_head"),
    ("blk.{}.attn_norm", "model.layers.{}.input_layernorm"),
    ("blk.{}.attn_q", "model.layers.{}.self_attn.q_proj"),
    ("blk.{}.attn_k", "model.layers.{}.self_attn.k_proj"),
    ("blk.{}.attn_v", "model.layers.{}.self_attn.v_proj"),
    ("blk.{}.attn_output", "model.layers.{}.self_attn.o_proj"),
    ("blk.{}.attn_q_norm", "model.layers.{}.self_attn.q_norm"),
    ("blk.{}.attn_k_norm", "model.layers.{}.self_attn.k_norm"),
    ("blk.{}.ffn_norm", "model.layers.{}.post_attention_layernorm"),
    ("blk.{}.ffn_gate", "model.layers.{}.mlp.gate_proj"),
    ("blk.{}.ffn_up", "model.layers.{}.mlp.up_proj"),
    ("blk.{}.ffn_down", "model.layers.{}.mlp.down_proj"),
];

const GPT2: Names = &[
    ("token_embd", "transformer.wte"),
    ("position_embd", "transformer.wpe"),
    ("output_norm", "transformer.ln_f"),
    ("output", "lm_head"),
    ("blk.{}.attn_norm", "transformer.h.{}.ln_1"),
    ("blk.{}.attn_qkv", "transformer.h.{}.attn.c_attn"),
    ("blk.{}.attn_output", "transformer.h.{}.attn.c_proj"),
    ("blk.{}.ffn_norm", "transformer.h.{}.ln_2"),
    ("blk.{}.ffn_up", "transformer.h.{}.mlp.c_fc"),
    ("blk.{}.ffn_down", "transformer.h.{}.mlp.c_proj"),
];

const BERT: Names = &[
    ("token_embd", "bert.embeddings.word_embeddings"),
    ("position_embd", "bert.embeddings.position_embeddings"),
    ("token_types", "bert.embeddings.token_type_embeddings"),
    ("token_embd_norm", "bert.embeddings.LayerNorm"),
    ("blk.{}.attn_q", "bert.encoder.layer.{}.attention.self.query"),
    ("blk.{}.attn_k", "bert.encoder.layer.{}.attention.self.key"),
    ("blk.{}.attn_v", "bert.encoder.layer.{}.attention.self.value"),
    ("blk.{}.attn_output", "bert.encoder.layer.{}.attention.output.dense"),
    ("blk.{}.attn_output_norm", "bert.encoder.layer.{}.attention.output.LayerNorm"),
    ("blk.{}.ffn_up", "bert.encoder.layer.{}.intermediate.dense"),
    ("blk.{}.ffn_down", "bert.encoder.layer.{}.output.dense"),
    ("blk.{}.layer_output_norm", "bert.encoder.layer.{}.output.LayerNorm"),
];

const T5: Names = &[
    ("token_embd", "shared"),
    ("output", "lm_head"),
    ("enc.output_norm", "encoder.final_layer_norm"),
    ("enc.blk.{}.attn_norm", "encoder.block.{}.layer.0.layer_norm"),
    ("enc.blk.{}.attn_q", "encoder.block.{}.layer.0.SelfAttention.q"),
    ("enc.blk.{}.attn_k", "encoder.block.{}.layer.0.SelfAttention.k"),
    ("enc.blk.{}.attn_v", "encoder.block.{}.layer.0.SelfAttention.v"),
    ("enc.blk.{}.attn_o", "encoder.block.{}.layer.0.SelfAttention.o"),
    ("enc.blk.{}.attn_rel_b", "encoder.block.{}.layer.0.SelfAttention.relative_attention_bias"),
    ("enc.blk.{}.ffn_norm", "encoder.block.{}.layer.1.layer_norm"),
    ("enc.blk.{}.ffn_gate", "encoder.block.{}.layer.1.DenseReluDense.wi_0"),
    ("enc.blk.{}.ffn_up", "encoder.block.{}.layer.1.DenseReluDense.wi"),
    ("enc.blk.{}.ffn_down", "encoder.block.{}.layer.1.DenseReluDense.wo"),
    ("dec.output_norm", "decoder.final_layer_norm"),
    ("dec.blk.{}.attn_norm", "decoder.block.{}.layer.0.layer_norm"),
    ("dec.blk.{}.attn_q", "decoder.block.{}.layer.0.SelfAttention.q"),
    ("dec.blk.{}.attn_k", "decoder.block.{}.layer.0.SelfAttention.k"),
    ("dec.blk.{}.attn_v", "decoder.block.{}.layer.0.SelfAttention.v"),
    ("dec.blk.{}.attn_o", "decoder.block.{}.layer.0.SelfAttention.o"),
    ("dec.blk.{}.attn_rel_b", "decoder.block.{}.layer.0.SelfAttention.relative_attention_bias"),
    ("dec.blk.{}.cross_attn_norm", "decoder.block.{}.layer.1.layer_norm"),
    ("dec.blk.{}.cross_attn_q", "decoder.block.{}.layer.1.EncDecAttention.q"),
    ("dec.blk.{}.cross_attn_k", "decoder.block.{}.layer.1.EncDecAttention.k"),
    ("dec.blk.{}.cross_attn_v", "decoder.block.{}.layer.1.EncDecAttention.v"),
    ("dec.blk.{}.cross_attn_o", "decoder.block.{}.layer.1.EncDecAttention.o"),
    (
        "dec.blk.{}.cross_attn_rel_b",
        "decoder.block.{}.layer.1.EncDecAttention.relative_attention_bias",
    ),
    ("dec.blk.{}.ffn_norm", "decoder.block.{}.layer.2.layer_norm"),
    ("dec.blk.{}.ffn_gate", "decoder.block.{}.layer.2.DenseReluDense.wi_0"),
    ("dec.blk.{}.ffn_up", "decoder.block.{}.layer.2.DenseReluDense.wi"),
    ("dec.blk.{}.ffn_down", "decoder.block.{}.layer.2.DenseReluDense.wo"),
];

/// The naming of one file.
#[derive(Clone, Debug)]
pub struct Naming {
    names: Names,
    /// N and K of a Llama, whose queries and keys are interleaved.
    interleaved: Option<[usize; 2]>,
    transposed: bool,
    /// Whether a T5 has gates.
    gated: bool,
}

impl Naming {
    /// The naming of a file whose metadata [`config`](super::config) accepts.
    ///
    /// # Errors
    ///
    /// [`peft_core::Error::Config`] for metadata of another kind.
    pub fn of(gguf: &Gguf) -> Result<Self> {
        let architecture = gguf.text("general.architecture")?.unwrap_or_default();
        let heads = |name: &str| -> Result<Option<usize>> {
            let key = format!("{architecture}.attention.{name}");
            let number = size_of_layers(gguf, &key)?;
            Ok(number.and_then(|number| usize::try_from(number).ok()))
        };
        let interleaved = match architecture {
            "llama" => {
                let queries = heads("head_count")?.unwrap_or(1);
                Some([queries, heads("head_count_kv")?.unwrap_or(queries)])
            }
            _ => None,
        };
        Ok(Self {
            names: match architecture {
                "bert" => BERT,
                "gpt2" => GPT2,
                "t5" => T5,
                _ => LLAMA,
            },
            interleaved,
            transposed: architecture == "gpt2",
            gated: gguf.has_tensor("enc.blk.0.ffn_gate.weight"),
        })
    }

    /// The name of a tensor in transformers and what llama.cpp changed in it. A name that is not known stays as it is,
    /// to be told as surplus; `None` for what the config has read already, and for constants.
    pub fn rename(&self, name: &str) -> Option<(String, Change)> {
        // `attn_rot_embd`, which old files of llama.cpp have in each layer, is the table of rotations, computed here.
        if name == "rope_freqs.weight" || name.contains(".attn_rot_embd") {
            return None;
        }
        let parts: Vec<&str> = name.split('.').collect();
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        // `blk.7.attn_q.weight`: the number stands after `blk`.
        let layer = parts.windows(2).find(|pair| pair[0] == "blk" && is_number(pair[1]));
        let layer = layer.map(|pair| pair[1]);
        let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
        let pattern = match layer {
            Some(layer) => stem.replacen(&format!("blk.{layer}."), "blk.{}.", 1),
            None => stem.to_string(),
        };
        let known = self.names.iter().find(|(theirs, _)| *theirs == pattern);
        let Some((_, ours)) = known.filter(|_| matches!(ending, "weight" | "bias")) else {
            return Some((name.to_string(), Change::None));
        };
        let gated = if self.gated && ours.ends_with(".wi") { "_1" } else { "" };
        let stem = ours.replacen("{}", layer.unwrap_or_default(), 1);
        Some((format!("{stem}{gated}.{ending}"), self.change(&pattern, ending)))
    }

    fn change(&self, pattern: &str, ending: &str) -> Change {
        let is_linear = ["attn_qkv", "attn_output", "ffn_up", "ffn_down"]
            .iter()
            .any(|part| pattern.strip_prefix("blk.{}.") == Some(part));
        match (pattern, self.interleaved) {
            ("blk.{}.attn_q", Some([heads, _])) | ("blk.{}.attn_k", Some([_, heads])) => {
                Change::Interleaved { heads }
            }
            _ if self.transposed && is_linear && ending == "weight" => Change::Transposed,
            _ => Change::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_have_their_names_of_transformers() {
        let llama =
            Naming { names: LLAMA, interleaved: Some([4, 2]), transposed: false, gated: false };
        let named = |naming: &Naming, name: &str| naming.rename(name);
        let plain = |name: &str| Some((name.to_string(), Change::None));
        let keys = Change::Interleaved { heads: 2 };
        assert_eq!(named(&llama, "token_embd.weight"), plain("model.embed_tokens.weight"));
        assert_eq!(
            named(&llama, "blk.12.attn_k.weight"),
            Some(("model.layers.12.self_attn.k_proj.weight".into(), keys))
        );
        assert_eq!(named(&llama, "blk.x.attn_k.weight"), plain("blk.x.attn_k.weight"));
        assert_eq!(named(&llama, "blk.1.attn_k.scale"), plain("blk.1.attn_k.scale"));
        assert_eq!(named(&llama, "strange"), plain("strange"));
        for constant in ["rope_freqs.weight", "blk.0.attn_rot_embd.weight", "blk.0.attn_rot_embd"] {
            assert_eq!(named(&llama, constant), None, "{constant}");
        }
        let t5 = Naming { names: T5, interleaved: None, transposed: false, gated: true };
        let up = "encoder.block.3.layer.1.DenseReluDense.wi_1.weight";
        assert_eq!(named(&t5, "enc.blk.3.ffn_up.weight"), plain(up));
        let gpt2 = Naming { names: GPT2, interleaved: None, transposed: true, gated: false };
        assert_eq!(
            named(&gpt2, "blk.0.ffn_up.weight"),
            Some(("transformer.h.0.mlp.c_fc.weight".into(), Change::Transposed))
        );
        assert_eq!(named(&gpt2, "blk.0.ffn_up.bias"), plain("transformer.h.0.mlp.c_fc.bias"));
    }
}
