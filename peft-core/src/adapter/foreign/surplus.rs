//! What else is in a file: a head, the backbone, buffers, or something that must not be dropped.

use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::{DType, TensorData};

use super::source::Source;
use crate::{
    contract::{head::HeadLayout, tensors::NamedTensors},
    error::Result,
};

/// What else is in a file.
#[derive(Debug, Default)]
pub(super) struct Surplus {
    /// The tensors of a head, by their names in the base model.
    pub(super) head: NamedTensors,
    /// A frozen pooler of RoBERTa, which P-tuning v2 puts in front of its classifier.
    pub(super) pooler: NamedTensors,
    /// Tensors of the base model: not used.
    pub(super) backbone: BTreeSet<String>,
}

/// What the names of a base model's tensors begin with.
const BACKBONES: [&str; 19] = [
    "base_model",
    "word_embeddings",
    "raw_embedding",
    "bert",
    "roberta",
    "deberta",
    "transformer",
    "gpt2_model",
    "model",
    "seq2seq_model",
    "shared",
    "encoder",
    "decoder",
    "lm_head",
    "plm",
    "embeddings",
    "final_logits_bias",
    "cls",
    "verbalizer",
];
/// Parts of a name that no base model has: other methods, trained with it.
const OF_OTHER_METHODS: [&str; 6] =
    ["lora_", "adapter", "ia3", "hada_", "prompt_encoder", "prefix_encoder"];
/// Buffers, which hold no parameters.
const BUFFERS: [&str; 3] = ["input_tokens", "position_ids", "token_type_ids"];
/// What OpenPrompt's verbalizers hold of the vocabulary; anything else of theirs is trained.
const OF_VERBALIZERS: [&str; 4] =
    ["label_words_ids", "words_ids_mask", "label_words_mask", "label_words"];

/// Sorts the tensors of a file that are not in `used`.
///
/// # Errors
///
/// [`Error::Tensor`](crate::error::Error::Tensor) naming one that is part of neither a head nor a base model.
pub(super) fn sort(source: &Source, used: &BTreeSet<String>) -> Result<Surplus> {
    let mut surplus = Surplus::default();
    let mut heads: BTreeMap<String, &str> = BTreeMap::new();
    for name in source.names().filter(|name| !used.contains(*name)) {
        let last = name.rsplit('.').next().unwrap_or(name);
        if let Some((module, trained)) = head_tensor(name) {
            // PEFT keeps the untrained head beside the trained one.
            if trained || !heads.contains_key(&module) {
                heads.insert(module, name);
            }
        } else if BUFFERS.contains(&last) {
            surplus.backbone.insert(name.to_string());
        } else if !is_of_a_base(name, last) {
            let message = "is neither a virtual token nor part of a head or a base model: what it does would be lost";
            return Err(source.tensor_error(name, message));
        } else {
            surplus.backbone.insert(name.to_string());
        }
    }
    for (module, name) in heads {
        if !name.contains("original_module.") {
            surplus.head.insert(module, source.load(name)?);
        }
    }
    let is_plain = surplus.head.contains_key("classifier.weight");
    for part in ["weight", "bias"].iter().filter(|_| is_plain) {
        let name = format!("roberta.pooler.dense.{part}");
        if surplus.backbone.remove(&name) {
            surplus.pooler.insert(format!("classifier.dense.{part}"), source.load(&name)?);
        }
    }
    Ok(surplus)
}

/// The name in the base model of a head's tensor, and whether it was trained; `None` for other tensors.
fn head_tensor(name: &str) -> Option<(String, bool)> {
    let inner = name.strip_prefix("base_model.").unwrap_or(name);
    let (module, part) =
        match (inner.split_once(".modules_to_save."), inner.split_once(".original_module.")) {
            // The name of the adapter follows.
            (Some((module, rest)), _) => (module, rest.split_once('.')?.1),
            (_, Some((module, part))) => (module, part),
            _ => inner.split_once('.')?,
        };
    let found = format!("{module}.{part}");
    HeadLayout::is_head_tensor(&found).then(|| (found, !name.contains(".original_module.")))
}

fn is_of_a_base(name: &str, last: &str) -> bool {
    let name = name.strip_prefix("prompt_model.").unwrap_or(name);
    let name = name.strip_prefix("template.").unwrap_or(name);
    let Some((root, _)) = name.split_once('.') else { return name == "final_logits_bias" };
    BACKBONES.contains(&root)
        && !OF_OTHER_METHODS.iter().any(|part| name.contains(part))
        && (!name.contains("verbalizer.") || OF_VERBALIZERS.contains(&last))
}

/// The tensors of a base model by their names in its files; names of a module around it may stand in front. `None` for
/// one that it does not have.
pub type TensorsByName<'a> = &'a dyn Fn(&str) -> Result<Option<TensorData>>;

/// How many tensors of the file are also in the base model, with the same values.
pub(super) fn compare(
    source: &Source,
    names: &BTreeSet<String>,
    base: TensorsByName<'_>,
) -> Result<usize> {
    let mut same = 0;
    for name in names {
        let shape = source.shape(name).unwrap_or_default();
        let Some(theirs) = base(name)? else { continue };
        let theirs_shape = theirs.shape();
        if theirs_shape.as_slice() != shape {
            if is_head(name) || is_embedding(name) {
                let message = format!(
                    "has the shape {shape:?}, but {:?} in the base model: it belongs to a model with another vocabulary",
                    theirs_shape.as_slice()
                );
                return Err(source.tensor_error(name, message));
            }
            continue;
        }
        if !is_same(&source.load(name)?, &theirs) {
            let message = "is a tensor of the base model with other values: it was trained too, or belongs to another base \
                           model, and would be lost";
            return Err(source.tensor_error(name, message));
        }
        same += 1;
    }
    Ok(same)
}

/// What the families call the embeddings of their vocabulary.
pub(in crate::adapter) const EMBEDDINGS: [&str; 4] =
    ["embed_tokens.weight", "wte.weight", "shared.weight", "word_embeddings.weight"];

/// What they call the language-model head.
pub(in crate::adapter) const LM_HEAD: &str = "lm_head.weight";

/// Whether a tensor is the embedding of a vocabulary.
pub(in crate::adapter) fn is_embedding(name: &str) -> bool {
    EMBEDDINGS.iter().any(|end| name.ends_with(end))
}

/// Whether a tensor is a language-model head.
pub(in crate::adapter) fn is_head(name: &str) -> bool {
    name == LM_HEAD || name.ends_with(".lm_head.weight")
}

/// Whether these are the same values; where one side is of half precision, those of the other may be rounded.
pub(in crate::adapter) fn is_same(a: &TensorData, b: &TensorData) -> bool {
    let bound = if is_half(a) || is_half(b) { 2f32.powi(-7) } else { 1e-6 };
    let near =
        |(a, b): (f32, f32)| (a - b).abs() <= bound * a.abs().max(b.abs()) + f32::MIN_POSITIVE;
    a.iter::<f32>().zip(b.iter::<f32>()).all(near)
}

/// Whether all values are of half precision.
fn is_half(data: &TensorData) -> bool {
    let is = |dtype| {
        let rounded = data.clone().convert_dtype(dtype).convert_dtype(DType::F32);
        data.iter::<f32>().eq(rounded.iter::<f32>())
    };
    is(DType::F16) || is(DType::BF16)
}
