//! `peft info`: what a model folder holds and whether it is supported.

use std::path::PathBuf;

use burn::tensor::Device;
use clap::Args;
use serde_json::json;

use crate::{
    device,
    error::CliResult,
    hub,
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
/// Naming what keeps the model from loading.
pub fn run(args: &InfoArgs) -> CliResult {
    let device: Device = device::choose(None)?;
    let dir = hub::model(&args.model)?;
    let loaded = peft_models::load(&dir, &device)?;
    let spec = loaded.model.spec();
    let site = spec.self_site()?;
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
            "num_layers": site.num_layers,
            "num_attention_heads": site.num_heads,
            "num_key_value_heads": site.num_kv_heads,
            "head_dim": site.head_dim,
            "vocab_size": spec.vocab_size,
            "max_positions": spec.max_positions,
            "heads": heads,
            "tokenizer": tokenizer,
            "skipped_tensors": loaded.report.skipped,
            "fingerprint": loaded.report.fingerprint,
        });
        return line(format!("{json:#}"));
    }
    let positions = spec.max_positions.map_or("no limit".into(), grouped);
    let classes = loaded.model.classifier().map_or("none".into(), |h| h.num_classes().to_string());
    let lines = [
        ("model", format!("{} ({})", spec.model_type, loaded.config.architectures())),
        ("supported", "yes".into()),
        ("parameters", grouped(loaded.report.num_parameters)),
        ("layers L", site.num_layers.to_string()),
        ("hidden size H", spec.hidden_size.to_string()),
        (
            "attention",
            format!(
                "{} heads N, {} key/value heads K, size D {}",
                site.num_heads, site.num_kv_heads, site.head_dim
            ),
        ),
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
                grouped(site.num_layers * site.kv_width())
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
    for (name, value) in lines {
        line(format!("{name:<18} {value}"))?;
    }
    Ok(())
}
