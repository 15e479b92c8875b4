//! What checkpoints hold beside a model: heads of other tasks, and constants that old versions of transformers saved.

use std::collections::{BTreeMap, BTreeSet};

use super::head_names::{LM_HEAD, is_classifier};

/// Modules of heads whose names do not end in `_head`: those of BERT's pretraining, and of transformers' general
/// ones.
const HEADS: [&str; 4] = ["cls", "sequence_summary", "logits_proj", "regressor"];

/// What the names of constants end in: positions and segments of BERT, positions and versions of BART, tables of rotary
/// positions.
const CONSTANTS: [&str; 8] = [
    "embeddings.position_ids",
    "embed_positions.position_ids",
    "embeddings.token_type_ids",
    "rotary_emb.inv_freq",
    "rotary_emb.cos_cached",
    "rotary_emb.sin_cached",
    "encoder.version",
    "decoder.version",
];

/// Whether a tensor is the head of another task, such as TRL's `v_head.summary.weight`.
pub fn is_other_head(name: &str) -> bool {
    let module = name.split('.').next().unwrap_or(name);
    is_classifier(name) || HEADS.contains(&module) || module.ends_with("_head") && module != LM_HEAD
}

/// Whether a tensor holds a constant that is computed here.
pub fn is_constant(name: &str) -> bool {
    CONSTANTS.iter().any(|end| name.ends_with(end))
}

/// The layer that a tensor belongs to, `model.layers.2`, if its number is higher than that of all layers `used`.
pub fn layer_beyond(name: &str, used: &BTreeSet<&String>) -> Option<String> {
    let (stack, layer) = layer(name)?;
    let last = used.iter().filter_map(|name| layer_of(name, stack)).max()?;
    (layer > last).then(|| format!("{stack}{layer}"))
}

/// The name up to its first number, and this number: that of a layer.
fn layer(name: &str) -> Option<(&str, usize)> {
    let mut start = 0;
    for part in name.split('.') {
        if let Ok(number) = part.parse() {
            return Some((&name[..start], number));
        }
        start += part.len() + 1;
    }
    None
}

fn layer_of(name: &str, stack: &str) -> Option<usize> {
    layer(name).filter(|(own, _)| *own == stack).map(|(_, number)| number)
}

/// The modules among the names of tensors, each with the number of its tensors.
pub fn modules<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<String, usize> {
    let mut modules = BTreeMap::new();
    for name in names {
        let module = name.split('.').next().unwrap_or(name);
        *modules.entry(module.to_string()).or_default() += 1;
    }
    modules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_and_constants_are_told_from_backbones() {
        for name in [
            "v_head.summary.weight",
            "score.weight",
            "classifier.out_proj.bias",
            "qa_outputs.bias",
            "classification_head.dense.weight",
            "cls.seq_relationship.bias",
            "multiple_choice_head.summary.weight",
            "reward_head.weight",
        ] {
            assert!(is_other_head(name) && !is_constant(name), "{name}");
        }
        for name in [
            "embeddings.position_ids",
            "encoder.embed_positions.position_ids",
            "model.layers.0.self_attn.rotary_emb.inv_freq",
            "layers.3.self_attn.rotary_emb.cos_cached",
            "encoder.version",
        ] {
            assert!(is_constant(name) && !is_other_head(name), "{name}");
        }
        for name in [
            "lm_head.weight",
            "lm_head.bias",
            "h.0.attn.c_attn.weight",
            "layers.9.mlp.up_proj.weight",
            "embeddings.position_embeddings.weight",
            "heads.0.weight",
        ] {
            assert!(!is_constant(name) && !is_other_head(name), "{name}");
        }
    }

    #[test]
    fn layers_beyond_the_last_are_told_from_parts_of_layers() {
        let used = ["encoder.block.0.layer.0.k.weight", "encoder.block.1.layer.1.wi.weight"];
        let used: Vec<String> = used.map(str::to_string).into();
        let used = used.iter().collect();
        let beyond = |name| layer_beyond(name, &used);
        assert_eq!(beyond("encoder.block.2.layer.0.k.weight"), Some("encoder.block.2".into()));
        for name in [
            "encoder.block.1.layer.2.k.weight",
            "decoder.block.2.layer.0.k.weight",
            "encoder.final_layer_norm.weight",
            "encoder.block.x.layer.0.k.weight",
        ] {
            assert_eq!(beyond(name), None, "{name}");
        }
    }

    #[test]
    fn modules_are_counted() {
        let names = ["cls.a.weight", "cls.a.bias", "v_head.weight"];
        let expected = [("cls".to_string(), 2), ("v_head".to_string(), 1)];
        assert_eq!(modules(names.into_iter()), expected.into());
    }
}
