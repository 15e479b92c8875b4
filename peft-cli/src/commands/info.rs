//! `peft info`: what a model is, and whether it is supported; which devices there are.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use peft_core::{
    Error, Head, SiteSpec, Task,
    text::{ChatSource, Clock, EncoderConfig, ModelTokenizer, Record, afterwards, has_tokenizer},
};
use peft_models::{Loaded, ModelConfig, generate::EndTokens};
use serde_json::{Map, Value, json};

use crate::{
    base_model, device,
    error::CliResult,
    locate, message,
    output::{self, grouped, line, visible},
};

/// Describes a model and says whether it is supported; with --devices, lists what --device can choose.
///
/// Examples:
///   peft info models/all-MiniLM-L6-v2
///   peft info sentence-transformers/all-MiniLM-L6-v2
///   peft info models/stories260k \
///     --tokenize "Once upon a time"
///   peft info --devices
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct InfoArgs {
    /// Model: a folder, a GGUF file, or org/name on the Hugging Face Hub.
    #[arg(value_name = "MODEL", required_unless_present = "devices")]
    model: Option<PathBuf>,
    /// List the devices of this machine in place of a model: their names, drivers, memory and types, which backends this
    /// build has, and how to get the others.
    #[arg(long, conflicts_with_all = ["model", "tokenize"])]
    devices: bool,
    /// Print the tokens of a text with their ids, in place of the description.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    tokenize: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
///
/// Returns an error naming the file that cannot be read. That a model is not supported is an answer, not an error.
pub fn run(args: &InfoArgs) -> CliResult {
    let Some(model) = &args.model else { return device::report::print(args.json) };
    let device = device::choose(None)?;
    let dir = locate::model(model)?;
    if let Some(text) = &args.tokenize {
        return tokenize(&dir, text, args.json);
    }
    let loaded = match peft_models::load(&dir, &device) {
        Ok(loaded) => loaded,
        Err(error) => return unsupported(args, &dir, error),
    };
    base_model::note_adapter(&loaded)?;
    let inputs = Inputs::of(&dir, &loaded);
    if args.json {
        return Ok(line(format!("{:#}", as_json(&loaded, &inputs)))?);
    }
    for (name, value) in as_lines(&loaded, &inputs) {
        output::fact(name, value)?;
    }
    Ok(())
}

/// What can be used with a model beside rows of token ids, by trying.
struct Inputs {
    /// The tokenizer, if there is one that works.
    tokenizer: Option<ModelTokenizer>,
    /// Rows of text: what to know about them, or why not.
    text: Result<Option<String>, String>,
    /// Conversations: what to know about them, or why not.
    chat: Result<Option<String>, String>,
}

impl Inputs {
    fn of(dir: &Path, loaded: &Loaded) -> Self {
        // That a folder has none is told without its path, which says nothing of the model.
        let tokenizer = match has_tokenizer(dir) {
            Ok(false) => Err("the model has no tokenizer".to_string()),
            _ => ModelTokenizer::load(dir).map_err(|error| error.to_string()),
        };
        // What closes a text is read with it.
        let closed = match loaded.model.has_lm_head() {
            true => EndTokens::of(&loaded.config).map(drop).map_err(|error| error.to_string()),
            false => Ok(()),
        };
        let tokenizer = tokenizer.and_then(|tokenizer| closed.map(|()| tokenizer));
        let text = match &tokenizer {
            Ok(tokenizer) => Ok(text_of(tokenizer, loaded.model.spec().vocab_size)),
            Err(reason) => Err(reason.clone()),
        };
        let chat = match &tokenizer {
            _ if !loaded.model.has_lm_head() => Err("the model has no language model".into()),
            Err(_) => Err("text does not work".into()),
            _ if loaded.model.spec().is_encoder_decoder() => {
                Err("an encoder-decoder has no chat".into())
            }
            Ok(tokenizer) => chat_of(dir, tokenizer, loaded.model.spec().vocab_size),
        };
        Self { tokenizer: tokenizer.ok(), text, chat }
    }
}

/// What to know about conversations, where the chat template renders a greeting; with a tool, where it needs one.
fn chat_of(
    dir: &Path,
    tokenizer: &ModelTokenizer,
    vocab_size: usize,
) -> Result<Option<String>, String> {
    let source = ChatSource::read(dir, &tokenizer.special_tokens, None, Clock::now());
    let source = source.map_err(|error| error.to_string())?;
    if let Some(reason) = source.missing() {
        return Err(reason.to_string());
    }
    let needs_tools =
        source.needs_tools().map(|reason| format!("of rows with tools only: {reason}"));
    let how = EncoderConfig {
        chat: Some(Arc::new(source)),
        as_chat: true,
        targets: false,
        ..EncoderConfig::new(Task::CausalLm, vocab_size)
    };
    let mut greeting =
        Map::from_iter([("messages".to_string(), json!([{"role": "user", "content": "hello"}]))]);
    if needs_tools.is_some() {
        let nothing = json!({"type": "object", "properties": {}});
        let tool = json!({"name": "wave", "description": "Waves.", "parameters": nothing});
        greeting.insert("tools".into(), json!([{"type": "function", "function": tool}]));
    }
    let greeting = Record::new(Path::new("a greeting").into(), 1, greeting);
    let encoder = how.init(Some(tokenizer.tokenizer.clone()));
    let encoded = encoder.and_then(|encoder| encoder.encode(&[greeting]));
    encoded.map(|_| needs_tools).map_err(|error| error.to_string())
}

/// What to know about rows of text.
fn text_of(tokenizer: &ModelTokenizer, vocab_size: usize) -> Option<String> {
    let vocabulary = tokenizer.tokenizer.get_vocab(true);
    let is_token = |id| afterwards::is_token(&tokenizer.tokenizer, id);
    let outside = vocabulary.iter().filter(|(_, id)| **id as usize >= vocab_size && is_token(**id));
    let outside: Vec<(&String, &u32)> = outside.collect();
    let first = outside.iter().min_by_key(|(_, id)| **id);
    first.map(|(token, id)| {
        let others = match outside.len() - 1 {
            0 => String::new(),
            count => format!(" and {} more", grouped(count)),
        };
        format!("but not {token:?} ({id}){others}, outside the vocabulary")
    })
}

fn as_json(loaded: &Loaded, Inputs { tokenizer, text, chat }: &Inputs) -> Value {
    let model = loaded.model.as_ref();
    let spec = model.spec();
    // An encoder-decoder has several attention sites, which are listed.
    let only = spec.self_site().ok();
    json!({
        "supported": true,
        "model_type": spec.model_type,
        "architectures": loaded.config.architectures(),
        "topology": spec.topology,
        "parameters": loaded.report.num_parameters,
        "hidden_size": spec.hidden_size,
        "num_layers": only.map(|site| site.num_layers),
        "num_attention_heads": only.map(|site| site.num_heads),
        "num_key_value_heads": only.map(|site| site.num_kv_heads),
        "head_dim": only.map(|site| site.head_dim),
        "attention_sites": spec.sites.iter().map(site_json).collect::<Vec<_>>(),
        "vocab_size": spec.vocab_size,
        "max_positions": spec.max_positions,
        "max_decoder_positions": spec.max_decoder_positions,
        "heads": {
            "language_model": model.has_lm_head(),
            "classes": model.classifier().map(Head::num_classes),
        },
        "tokenizer": tokenizer.as_ref().map(|t| json!({"class": t.class, "files": t.files})),
        "text": { "supported": text.is_ok(), "reason": text.as_ref().map_or_else(Some, Option::as_ref) },
        "chat": { "supported": chat.is_ok(), "reason": chat.as_ref().map_or_else(Some, Option::as_ref) },
        "skipped_tensors": loaded.report.skipped,
        "assumed_sizes": peft_models::assumed_sizes(&loaded.config).into_iter().collect::<BTreeMap<_, _>>(),
        "fingerprint": loaded.report.fingerprint,
    })
}

fn as_lines(
    loaded: &Loaded,
    Inputs { tokenizer, text, chat }: &Inputs,
) -> Vec<(&'static str, String)> {
    let model = loaded.model.as_ref();
    let spec = model.spec();
    let yes_or = |yes: bool, no: &str| if yes { "yes".to_string() } else { no.to_string() };
    let positions = spec.max_positions.map_or("no limit".into(), grouped);
    let classes = model.classifier().map_or("none".into(), |h| h.num_classes().to_string());
    let assumed = base_model::assumed(&loaded.config);
    let mut lines = vec![
        ("model", format!("{} ({})", spec.model_type, loaded.config.architectures())),
        ("supported", "yes".into()),
        ("parameters", grouped(loaded.report.num_parameters)),
        ("hidden size H", spec.hidden_size.to_string()),
        ("vocabulary V", grouped(spec.vocab_size)),
        ("positions", positions),
        ("language model", yes_or(model.has_lm_head(), "no")),
        ("own classes", classes),
        (
            "tokenizer",
            tokenizer.as_ref().map_or("none".into(), |tokenizer| {
                match tokenizer.files.as_slice() {
                    [] => tokenizer.class.to_string(),
                    files => format!("{}, from {}", tokenizer.class, files.join(", ")),
                }
            }),
        ),
        (
            "text",
            match text {
                Ok(None) => "yes".into(),
                Ok(Some(but)) => format!("yes, {but}"),
                Err(reason) => format!("no, rows of token ids only: {reason}"),
            },
        ),
        (
            "chat",
            match chat {
                Ok(None) => "yes".into(),
                Ok(Some(but)) => format!("yes, {but}"),
                Err(reason) => format!("no: {reason}"),
            },
        ),
        (
            "one virtual token",
            format!(
                "{} parameters as a prompt, {} as a prefix or P-tuning v2",
                grouped(spec.hidden_size),
                grouped(spec.sites.iter().map(SiteSpec::prefix_width).sum())
            ),
        ),
        (
            "skipped tensors",
            match loaded.report.skipped.len() {
                0 => "none".into(),
                _ => loaded.report.skipped.join(", "),
            },
        ),
    ];
    let attention = match spec.self_site() {
        Ok(site) => {
            vec![("layers L", site.num_layers.to_string()), ("attention", heads_text(site))]
        }
        Err(_) => {
            let text =
                |site: &SiteSpec| format!("{} layers L, {}", site.num_layers, heads_text(site));
            spec.sites.iter().map(|site| (site.site.name(), text(site))).collect()
        }
    };
    lines.splice(3..3, attention);
    if !assumed.is_empty() {
        lines.push(("assumed sizes", format!("{assumed}: the config lacks them")));
    }
    lines
}

/// Says why a model whose files are complete does not load.
fn unsupported(args: &InfoArgs, dir: &Path, error: Error) -> CliResult {
    if !matches!(error, Error::Config { .. } | Error::Tensor { .. } | Error::Mismatch(_)) {
        return Err(error.into());
    }
    let config = ModelConfig::load(dir)?;
    let model_type = config.model_type().ok();
    let reason = message::of_library(&error);
    if args.json {
        let json = json!({
            "supported": false,
            "reason": reason,
            "model_type": model_type,
            "architectures": config.architectures(),
        });
        return Ok(line(format!("{json:#}"))?);
    }
    let name = model_type.map_or("This".into(), |name| format!("This {name}"));
    Ok(line(format!("{name} model is not supported: {}.", visible(&reason, &['\n'])))?)
}

/// Prints the tokens of a text, with those that the tokenizer puts around it.
fn tokenize(dir: &Path, text: &str, json: bool) -> CliResult {
    let encoding = ModelTokenizer::load(dir)?
        .encode(text)
        .map_err(|error| Error::file(dir, format!("the tokenizer rejects the text: {error}")))?;
    let (ids, tokens) = (encoding.get_ids(), encoding.get_tokens());
    if json {
        return Ok(line(format!("{:#}", json!({"ids": ids, "tokens": tokens})))?);
    }
    let width = ids.iter().map(|id| id.to_string().len()).max().unwrap_or_default();
    for (id, token) in ids.iter().zip(tokens) {
        line(format!("{id:>width$}  {}", visible(token, &[])))?;
    }
    Ok(())
}

fn heads_text(site: &SiteSpec) -> String {
    let SiteSpec { num_heads, num_kv_heads, head_dim, .. } = site;
    format!("{num_heads} heads N, {num_kv_heads} key/value heads K, size D {head_dim}")
}

fn site_json(site: &SiteSpec) -> Value {
    json!({
        "site": site.site.name(),
        "num_layers": site.num_layers,
        "num_attention_heads": site.num_heads,
        "num_key_value_heads": site.num_kv_heads,
        "head_dim": site.head_dim,
    })
}
