//! `peft inspect`: what an adapter holds, and the vocabulary tokens nearest to its prompt.

use std::path::{Path, PathBuf};

use burn::tensor::Tensor;
use clap::Args;
use peft_core::{
    Adapter, AdapterConfig, Content, FrozenModel, Task, adapter::stored,
    contract::layout::is_virtual, text::load_tokenizer,
};
use serde_json::{Value, json};

use crate::{
    adapter_folder,
    base_model::{self, Purpose},
    device,
    error::{CliResult, in_adapter},
    locate,
    output::{self, grouped, line},
};

/// Shows an adapter: parameters, shapes, and the vocabulary tokens nearest to a prompt by cosine.
///
/// Example: peft inspect runs/intent --model models/stories --nearest 5
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct InspectArgs {
    /// Adapter: a folder, or org/name on the Hugging Face Hub.
    #[arg(value_name = "ADAPTER")]
    adapter: PathBuf,
    /// Its base model (a folder or org/name), for the nearest tokens.
    #[arg(long, value_name = "MODEL")]
    model: Option<PathBuf>,
    /// Number of nearest tokens per virtual token.
    #[arg(long, value_name = "N", default_value_t = 3)]
    nearest: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
///
/// Returns an error if the adapter or the model cannot be used.
pub fn run(args: &InspectArgs) -> CliResult {
    let dir = locate::adapter(&args.adapter)?;
    let adapter = adapter_folder::load(&dir, None)?;
    let config = &adapter.config;
    let file = stored::path(&dir)?;
    let file = file.file_name().unwrap_or_default().to_string_lossy();
    let size = |of_head: bool| -> usize {
        let chosen = adapter.tensors.iter().filter(|(n, _)| is_virtual(n) != of_head);
        chosen.map(|(_, data)| data.num_elements()).sum()
    };
    let (deployed, head) = (size(false), size(true));
    let trained = config.own.recipe.get("trained_parameters").and_then(Value::as_u64);
    let nearest = match &args.model {
        Some(model) if config.peft_type.is_prompt() => {
            nearest(args, &adapter, &locate::model(model)?)?
        }
        _ => Vec::new(),
    };
    if args.json {
        let tensors: serde_json::Map<String, Value> = adapter
            .tensors
            .iter()
            .map(|(name, data)| (name.clone(), json!(data.shape().as_slice())))
            .collect();
        let json = json!({
            "config": config.to_json(),
            "file": file,
            "deployed_parameters": deployed,
            "head_parameters": head,
            "trained_parameters": trained,
            "tensors": tensors,
            "nearest": nearest.iter().map(|row| row.iter().map(|(token, cosine)|
                json!({"token": token, "cosine": cosine})).collect::<Vec<_>>()).collect::<Vec<_>>(),
        });
        return Ok(line(format!("{json:#}"))?);
    }
    let trained = trained.map(|trained| grouped(trained as usize));
    let lines = [
        ("type", Some(config.peft_type.name().to_string())),
        ("task", Some(config.task.map_or("unknown", Task::name).to_string())),
        ("base", Some(config.base_model.clone().unwrap_or("unknown".into()))),
        ("file", Some(file.to_string())),
        ("virtual tokens P", Some(config.num_virtual_tokens.to_string())),
        ("encoder", encoder(config)),
        ("trained", trained),
        ("deployed", Some(grouped(deployed))),
        ("head", Some(grouped(head))),
        ("labels", config.own.labels.as_ref().map(|labels| labels.join(", "))),
    ];
    for (name, value) in lines {
        if let Some(value) = value {
            output::fact(name, value)?;
        }
    }
    line("")?;
    print_tables(&adapter, &nearest)
}

/// The encoder that made the rows of a prompt, as PEFT's fields tell it.
fn encoder(config: &AdapterConfig) -> Option<String> {
    let field = |name: &str| config.extra.get(name);
    let kind = field("encoder_reparameterization_type")?.as_str()?;
    let width = field("encoder_hidden_size").and_then(Value::as_u64);
    let layers = field("encoder_num_layers").and_then(Value::as_u64).filter(|_| kind == "LSTM");
    let mut said = kind.to_string();
    if let Some(layers) = layers {
        said += &format!(" of {layers} layer{}", if layers == 1 { "" } else { "s" });
    }
    if let Some(width) = width {
        said += &format!(", width {width}");
    }
    Some(said + "; folded into the rows")
}

/// Prints the tensors, and the nearest tokens if they were asked for.
fn print_tables(adapter: &Adapter, nearest: &[Vec<(String, f32)>]) -> CliResult {
    let rows: Vec<Vec<String>> = adapter
        .tensors
        .iter()
        .map(|(name, data)| vec![name.clone(), format!("{:?}", data.shape().as_slice())])
        .collect();
    line(output::table(&["tensor", "shape"], &rows))?;
    if !nearest.is_empty() {
        line("")?;
        let rows: Vec<Vec<String>> = nearest
            .iter()
            .enumerate()
            .map(|(index, row)| {
                let words = row.iter().map(|(token, cosine)| format!("{token} {cosine:.2}"));
                vec![index.to_string(), words.collect::<Vec<_>>().join("   ")]
            })
            .collect();
        line(output::table(&["virtual token", "nearest tokens by cosine"], &rows))?;
    }
    Ok(())
}

/// The vocabulary tokens nearest to each virtual token of a prompt, with their cosine.
fn nearest(
    args: &InspectArgs,
    adapter: &Adapter,
    model: &Path,
) -> CliResult<Vec<Vec<(String, f32)>>> {
    let device = device::choose(None)?;
    let base = peft_models::load(model, &device)?;
    if let Some(given) = &args.model {
        let whose = args.adapter.display().to_string();
        base_model::note_other_name(adapter, &base, given, &whose, Purpose::Use);
    }
    let spec = base.model.spec();
    let Content::Embeddings(prompt) =
        adapter.virtual_tokens(spec, &device).map_err(in_adapter(&args.adapter))?.content
    else {
        return Ok(Vec::new());
    };
    let [_, p, h] = prompt.dims();
    let unit = |rows: Tensor<2>| {
        let norm = rows.clone().square().sum_dim(1).sqrt().clamp_min(1e-12);
        rows / norm
    };
    let table = unit(embedding_table(base.model.as_ref()));
    let cosine = unit(prompt.reshape([p, h])).matmul(table.transpose());
    let cosine: Vec<f32> = cosine.into_data().convert::<f32>().try_into_vec().unwrap_or_default();
    let tokenizer = load_tokenizer(model).ok();
    let name = |id: usize| {
        tokenizer.as_ref().and_then(|t| t.id_to_token(id as u32)).unwrap_or(format!("#{id}"))
    };
    Ok(cosine
        .chunks(spec.vocab_size)
        .map(|row| {
            let mut order: Vec<usize> = (0..row.len()).collect();
            order.sort_by(|a, b| row[*b].total_cmp(&row[*a]));
            order.iter().take(args.nearest).map(|id| (name(*id), row[*id])).collect()
        })
        .collect())
}

/// The whole embedding table `[V, H]`.
fn embedding_table(model: &dyn FrozenModel) -> Tensor<2> {
    let spec = model.spec();
    let ids =
        Tensor::arange(0..spec.vocab_size as i64, &model.device()).reshape([1, spec.vocab_size]);
    model.embed(ids).reshape([spec.vocab_size, spec.hidden_size])
}
