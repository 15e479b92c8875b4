//! `peft info`: what a model folder holds and whether it is supported.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use clap::Args;
use peft_core::{Error, SiteSpec};
use peft_models::ModelConfig;
use serde_json::{Value, json};

use crate::{
    device,
    error::CliResult,
    locate,
    output::{grouped, line},
};

/// Tells what a model holds and whether it is supported.
///
/// Examples:
///   peft info models/all-MiniLM-L6-v2
///   peft info sentence-transformers/all-MiniLM-L6-v2
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct InfoArgs {
    /// The model: its folder, or org/name on the Hugging Face Hub.
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
///
/// Naming the file that cannot be read. A model that is not supported is an answer, not an error.
pub fn run(args: &InfoArgs) -> CliResult {
    let device: Device = device::choose(None)?;
    let dir = locate::model(&args.model)?;
    let loaded = match peft_models::load(&dir, &device) {
        Ok(loaded) => loaded,
        Err(error) => return unsupported(args, &dir, error),
    };
    let spec = loaded.model.spec();
    // Of a model with one stack; one with two has a list of them.
    let only = spec.self_site().ok();
    let heads = json!({
        "language_model": loaded.model.lm_logits(burn::tensor::Tensor::zeros(
            [1, spec.hidden_size], &device)).is_ok(),
        "classes": loaded.model.classifier().map(peft_core::Head::num_classes),
    });
    let tokenizer = dir.join("tokenizer.json").exists();
    if args.json {
        let json = json!({
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
            "heads": heads,
            "tokenizer": tokenizer,
            "skipped_tensors": loaded.report.skipped,
            "fingerprint": loaded.report.fingerprint,
        });
        return line(format!("{json:#}"));
    }
    let positions = spec.max_positions.map_or("no limit".into(), grouped);
    let classes = loaded.model.classifier().map_or("none".into(), |h| h.num_classes().to_string());
    let mut lines = vec![
        ("model", format!("{} ({})", spec.model_type, loaded.config.architectures())),
        ("supported", "yes".into()),
        ("parameters", grouped(loaded.report.num_parameters)),
        ("hidden size H", spec.hidden_size.to_string()),
        ("vocabulary V", grouped(spec.vocab_size)),
        ("positions", positions),
        ("language model", if heads["language_model"] == true { "yes" } else { "no" }.into()),
        ("own classes", classes),
        ("tokenizer.json", if tokenizer { "yes" } else { "no: rows of token ids only" }.into()),
        (
            "one virtual token",
            format!(
                "{} numbers as a prompt, {} as a prefix or P-tuning v2",
                grouped(spec.hidden_size),
                grouped(spec.sites.iter().map(|site| site.num_layers * site.kv_width()).sum())
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
    let attention = match only {
        Some(site) => {
            vec![("layers L", site.num_layers.to_string()), ("attention", heads_text(site))]
        }
        None => {
            let text =
                |site: &SiteSpec| format!("{} layers L, {}", site.num_layers, heads_text(site));
            spec.sites.iter().map(|site| (site.site.name(), text(site))).collect()
        }
    };
    lines.splice(3..3, attention);
    for (name, value) in lines {
        line(format!("{name:<18} {value}"))?;
    }
    Ok(())
}

/// Tells why a model whose files are whole does not load.
fn unsupported(args: &InfoArgs, dir: &Path, error: Error) -> CliResult {
    if !matches!(error, Error::Config { .. } | Error::Tensor { .. } | Error::Mismatch(_)) {
        return Err(error.into());
    }
    let config = ModelConfig::load(dir)?;
    let model_type = config.model_type().ok();
    let reason = error.to_string();
    if args.json {
        let json = json!({
            "supported": false,
            "reason": reason,
            "model_type": model_type,
            "architectures": config.architectures(),
        });
        return line(format!("{json:#}"));
    }
    let name = model_type.map_or("This".into(), |name| format!("This {name}"));
    line(format!("{name} model is not supported: {reason}."))
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
