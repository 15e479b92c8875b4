//! By which names the tensors of other code are known, and how its virtual tokens are read.

use std::collections::BTreeSet;

use burn::tensor::{Device, TensorData};

use super::{
    layers::{self, Between},
    source::{NAMELESS, Source},
};
use crate::{
    contract::{layout::PROMPT_EMBEDDINGS, spec::Site},
    error::Result,
};

/// What the rows of a file are.
#[derive(Clone, Debug)]
pub(super) enum Rows {
    /// Embeddings `[P, H]`.
    Prompt(TensorData),
    /// Keys and values `[P, L * 2 * K * D]` of the only stack or, as in PEFT, of a decoder.
    Prefix(TensorData),
    /// The same for the attention sites of an encoder-decoder.
    Sites(Vec<(Site, TensorData)>),
    /// The name does not say: the base model's widths do.
    Either(TensorData),
}

/// The code that wrote a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Layout {
    /// One tensor without a name: `.npy` of the original prompt tuning code, `torch.save` of a tensor.
    Bare,
    /// PEFT's adapter file without its config.
    PeftFile,
    /// The state dict of a whole PEFT model.
    PeftState,
    /// P-tuning v2, and ChatGLM's.
    PrefixEncoder,
    /// Li & Liang, and OpenPrompt's prefix template.
    ControlTrans,
    /// OpenPrompt's soft template, OpenDelta's soft prompt.
    SoftEmbeds,
    /// Embeddings in front of the input, by other names.
    LearnedEmbedding,
}

impl Layout {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bare | Self::PeftFile => "a prompt or prefix alone",
            Self::PeftState => "a state dict of PEFT",
            Self::PrefixEncoder => "a checkpoint of P-tuning v2",
            Self::ControlTrans => "a checkpoint of prefix tuning",
            Self::SoftEmbeds => "a soft template of OpenPrompt",
            Self::LearnedEmbedding => "a learned embedding",
        }
    }
}

/// The names that are known, for a message.
pub(super) const KNOWN: &str = "`prompt_embeddings` (PEFT's adapter file), `prompt_encoder.NAME.embedding.weight` (a state dict \
     of PEFT), `prefix_encoder.embedding.weight` (P-tuning v2, ChatGLM), `wte.weight` with `control_trans.*` (Li & Liang, \
     OpenPrompt's prefix template), `soft_embeds` (OpenPrompt's soft template, OpenDelta), `learned_embedding`";

/// A file whose virtual tokens were read.
pub(super) struct Read {
    pub(super) layout: Layout,
    pub(super) rows: Rows,
    /// The tensors that were read.
    pub(super) used: BTreeSet<String>,
}

/// Names whose tensors are known and cannot be read, and why.
const REFUSED: [(&str, &str); 6] = [
    (
        "prefix_encoder.weight",
        "is the prompt of P-tuning v2's baseline, whose model embeds the input twice: no prompt of prompt tuning computes that",
    ),
    (
        "prefix_task_cols",
        "is of multitask prompt tuning, whose rows are made for each task: it cannot be read",
    ),
    (
        "soft_embedding.weight",
        "is of OpenPrompt's mixed template, whose soft tokens stand between the words of its text: only soft templates, \
         which are in front, can be read",
    ),
    (
        "new_embedding.weight",
        "is of OpenPrompt's P-tuning template, whose tokens stand between the words of its text",
    ),
    (
        "decoder_control_trans.0.weight",
        "is of OpenPrompt's prefix template for T5, which is not supported",
    ),
    (
        "lstm_head.weight_ih_l0",
        "is of P-tuning with an LSTM: save the adapter with PEFT's `save_pretrained`, which stores the rows that it makes",
    ),
];

/// Reads the virtual tokens of a file.
pub(super) fn read(source: &Source, device: &Device) -> Result<Read> {
    for (name, why) in REFUSED {
        if let Some(found) = source.names().find(|found| root_of(found, name).is_some()) {
            return Err(source.tensor_error(found, why));
        }
    }
    let found: BTreeSet<(Layout, String)> = source.names().filter_map(anchor).collect();
    let mut all = Vec::new();
    for (layout, root) in found {
        all.push(read_one(source, layout, &root, device)?);
    }
    let Some(first) = all.pop() else { return Err(unknown(source)) };
    // One template is often registered twice.
    for other in &all {
        if other.layout != first.layout || !same(&other.rows, &first.rows) {
            let names: Vec<String> = all
                .iter()
                .chain([&first])
                .filter_map(|read| read.used.first())
                .map(|name| source.full(name))
                .collect();
            let message =
                format!("holds several prompts or prefixes ({}): save one alone", names.join(", "));
            return Err(source.error(message));
        }
    }
    let used =
        all.into_iter().flat_map(|read| read.used).chain(first.used.iter().cloned()).collect();
    Ok(Read { used, ..first })
}

/// The layout that a name belongs to, and what stands in front of its part of the name.
fn anchor(name: &str) -> Option<(Layout, String)> {
    let known = [
        ("prefix_encoder.embedding.weight", Layout::PrefixEncoder),
        ("control_trans.0.weight", Layout::ControlTrans),
        ("control_trans", Layout::ControlTrans),
        ("soft_embeds", Layout::SoftEmbeds),
        ("learned_embedding", Layout::LearnedEmbedding),
    ];
    let by_end =
        known.into_iter().find_map(|(end, layout)| Some((layout, root_of(name, end)?.to_string())));
    by_end.or_else(|| match name {
        NAMELESS => Some((Layout::Bare, String::new())),
        PROMPT_EMBEDDINGS => Some((Layout::PeftFile, String::new())),
        _ => {
            let (root, adapter) =
                name.strip_suffix(".embedding.weight")?.rsplit_once("prompt_encoder.")?;
            let whole = root.is_empty() || root.ends_with('.');
            (whole && !adapter.contains('.'))
                .then(|| (Layout::PeftState, format!("{root}prompt_encoder.{adapter}.")))
        }
    })
}

/// What stands in front of `end`, if that is the whole end of the dotted name.
fn root_of<'a>(name: &'a str, end: &str) -> Option<&'a str> {
    name.strip_suffix(end).filter(|root| root.is_empty() || root.ends_with('.'))
}

fn same(a: &Rows, b: &Rows) -> bool {
    match (a, b) {
        (Rows::Prompt(a), Rows::Prompt(b))
        | (Rows::Prefix(a), Rows::Prefix(b))
        | (Rows::Either(a), Rows::Either(b)) => a == b,
        _ => false,
    }
}

fn unknown(source: &Source) -> crate::error::Error {
    let count = source.names().count();
    let names: Vec<&str> = source.names().take(4).collect();
    let more = if count > names.len() { ", ..." } else { "" };
    let way = match count {
        1 => "; a prompt of your own is read as `.npy`, or under the name `prompt_embeddings`",
        _ => "",
    };
    source.error(format!(
        "holds {count} tensors ({}{more}), none of a known layout: {KNOWN}{way}",
        names.join(", ")
    ))
}

/// Reads the tensors of one layout below one root.
fn read_one(source: &Source, layout: Layout, root: &str, device: &Device) -> Result<Read> {
    let mut used = BTreeSet::new();
    let mut plain = |name: String| {
        let rows = layers::rows(source, &name)?;
        used.insert(name);
        Ok(rows)
    };
    let rows = match layout {
        Layout::Bare => Rows::Either(plain(NAMELESS.into())?),
        Layout::PeftFile => Rows::Either(plain(PROMPT_EMBEDDINGS.into())?),
        Layout::SoftEmbeds => Rows::Prompt(plain(format!("{root}soft_embeds"))?),
        Layout::LearnedEmbedding => Rows::Prompt(plain(format!("{root}learned_embedding"))?),
        Layout::PrefixEncoder => {
            let (embedding, stem) = (
                format!("{root}prefix_encoder.embedding.weight"),
                format!("{root}prefix_encoder.trans."),
            );
            Rows::Prefix(made(source, embedding, &stem, Between::Tanh, device, &mut used)?)
        }
        Layout::PeftState => {
            let embedding = format!("{root}embedding.weight");
            let (prefix, prompt) = (format!("{root}transform."), format!("{root}mlp_head."));
            if !layers::names(source, &prefix).is_empty() {
                Rows::Prefix(made(source, embedding, &prefix, Between::Tanh, device, &mut used)?)
            } else if !layers::names(source, &prompt).is_empty() {
                Rows::Prompt(made(source, embedding, &prompt, Between::Relu, device, &mut used)?)
            } else {
                let rows = plain(embedding)?;
                match width_of_words(source) {
                    Some(width) if rows.shape()[1] == width => Rows::Prompt(rows),
                    Some(_) => Rows::Prefix(rows),
                    None => Rows::Either(rows),
                }
            }
        }
        Layout::ControlTrans => control_trans(source, root, device, &mut used)?,
    };
    Ok(Read { layout, rows, used })
}

/// The rows that the layers `{stem}0`, `{stem}2`, ... make of an embedding; the embedding itself if there are none.
fn made(
    source: &Source,
    embedding: String,
    stem: &str,
    between: Between,
    device: &Device,
    used: &mut BTreeSet<String>,
) -> Result<TensorData> {
    let names = layers::names(source, stem);
    let rows = match names.is_empty() {
        true => layers::rows(source, &embedding)?,
        false => layers::apply(source, &embedding, &names, between, device)?,
    };
    used.insert(embedding);
    used.extend(names.iter().flat_map(|name| [format!("{name}.weight"), format!("{name}.bias")]));
    Ok(rows)
}

/// H, if the file holds the backbone's embedding of words.
fn width_of_words(source: &Source) -> Option<usize> {
    match source.shape("word_embeddings.weight")? {
        [_, width] => Some(*width),
        _ => None,
    }
}

/// Li & Liang: `wte` and `control_trans`; for BART also `wte_enc`, `control_trans_enc` and `wte2`, `control_trans2`.
fn control_trans(
    source: &Source,
    root: &str,
    device: &Device,
    used: &mut BTreeSet<String>,
) -> Result<Rows> {
    let free = format!("{root}control_trans");
    if source.shape(&free).is_some() {
        let message = "is a prefix without its small matrix, in an order that depends on the version of the code: \
                       save the keys and values as `prefix_encoder.embedding.weight`, [P, layers * 2 * width], for each \
                       layer the key, then the value";
        return Err(source.tensor_error(&free, message));
    }
    let mut sites = Vec::new();
    for (site, end) in [(Site::EncoderSelf, "_enc"), (Site::DecoderSelf, ""), (Site::Cross, "2")] {
        let (embedding, stem) =
            (format!("{root}wte{end}.weight"), format!("{root}control_trans{end}."));
        if layers::names(source, &stem).is_empty() {
            continue;
        }
        if source.shape(&embedding).is_none() {
            let message = "is missing: without it, the prefix is computed from the words of each input, which is not supported";
            return Err(source.tensor_error(&embedding, message));
        }
        sites.push((site, made(source, embedding, &stem, Between::Tanh, device, used)?));
    }
    let width_of_embedding =
        source.shape(&format!("{root}wte.weight")).and_then(|shape| shape.get(1).copied());
    match sites.as_slice() {
        [(Site::DecoderSelf, rows)] if Some(rows.shape()[1]) == width_of_embedding => {
            Ok(Rows::Prompt(rows.clone()))
        }
        [(Site::DecoderSelf, rows)] => Ok(Rows::Prefix(rows.clone())),
        _ => Ok(Rows::Sites(sites)),
    }
}
