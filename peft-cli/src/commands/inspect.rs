//! `peft inspect`: what an adapter holds, the vocabulary tokens nearest to its prompt, and an analysis of its virtual
//! tokens.

use std::path::{Path, PathBuf};

use clap::Args;
use peft_core::{
    Adapter, AdapterConfig, Content, Error, Task, adapter::stored, contract::layout::is_virtual,
    text::load_tokenizer,
};
use peft_models::{Compute, kernels};
use serde_json::{Value, json};

use crate::{
    adapter_folder,
    analysis::{
        adapter::{Analysis, Question},
        neighbours::{Asked, prompt_rows},
        report, start,
        vocabulary::{Neighbour, Vocabulary},
    },
    base_model::{self, Purpose},
    device,
    error::{CliError, CliResult, in_adapter},
    flags::{choices::at_least_one, help::FlagHelp},
    locate,
    output::{self, grouped, line},
    session::{Session, UseArgs},
};

/// Shows an adapter: parameters, shapes, and the vocabulary tokens nearest to a prompt by cosine.
///
/// With --analyse it also shows, of a prompt, how tight the tokens around each virtual token are, which of them are words
/// of the classes, which repeat, all of it beside random vectors; of keys and values, their norms layer by layer; how far
/// training moved them; and with --data how much real tokens attend to them (docs/ANALYSIS.md says how).
///
/// Examples:
///   peft inspect runs/intent --model models/stories --nearest 5
///   peft inspect runs/intent --analyse --data valid.jsonl
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct InspectArgs {
    /// Adapter: a folder, or org/name on the Hugging Face Hub.
    #[arg(value_name = "ADAPTER")]
    adapter: PathBuf,
    /// Its base model (a folder or org/name), for the nearest tokens.
    #[arg(
        long,
        value_name = "MODEL",
        show_default = "with --analyse the one that the adapter names"
    )]
    model: Option<PathBuf>,
    /// Number of nearest tokens per virtual token.
    #[arg(long, value_name = "N", default_value_t = 3)]
    nearest: usize,
    #[command(flatten)]
    analysis: AnalysisArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What an analysis is asked.
#[derive(Args, Debug)]
struct AnalysisArgs {
    /// Analyse the virtual tokens.
    #[arg(long, alias = "analyze")]
    analyse: bool,
    /// Words that the classes are called by, separated by commas, to look for around a prompt.
    #[arg(
        long,
        value_name = "LIST",
        requires = "analyse",
        show_default = "the names of the adapter's classes"
    )]
    class_words: Option<String>,
    /// Sets of random vectors beside a prompt: each has as many as the prompt, of the same norms.
    #[arg(long, value_name = "N", default_value_t = 20, requires = "analyse", value_parser = at_least_one)]
    draws: usize,
    /// Seed of these.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "analyse")]
    seed: u64,
    /// Rows on which the attention to virtual tokens is recorded: files as for eval. Again for more of them.
    #[arg(long, value_name = "FILE", requires = "analyse")]
    data: Vec<PathBuf>,
    /// Use an adapter even if it was trained on another base model of the same shape.
    #[arg(long)]
    any_base: bool,
}

/// Runs the command.
///
/// # Errors
///
/// Returns an error if the adapter or the model cannot be used.
pub fn run(args: &InspectArgs) -> CliResult {
    if args.analysis.any_base && args.model.is_none() && !args.analysis.analyse {
        let message = "not used without a base model: give --model or --analyse, too";
        return Err(Error::setting("--any-base", message).into());
    }
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
    let analysis = match args.analysis.analyse {
        true if args.nearest == 0 => {
            let message = "found 0, expected at least 1 with --analyse";
            return Err(Error::setting("--nearest", message).into());
        }
        true => Some(analyse(args, &dir, &adapter)?),
        false => None,
    };
    let nearest = match &args.model {
        Some(model) if config.peft_type.is_prompt() && analysis.is_none() => {
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
        let mut json = json!({
            "config": config.to_json(),
            "file": file,
            "deployed_parameters": deployed,
            "head_parameters": head,
            "trained_parameters": trained,
            "tensors": tensors,
            "nearest": nearest.iter().map(|row| row.iter().map(|(token, cosine)|
                json!({"token": token, "cosine": cosine})).collect::<Vec<_>>()).collect::<Vec<_>>(),
        });
        if let Some(analysis) = &analysis {
            json["analysis"] = analysis.to_json();
        }
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
    print_tables(&adapter, &nearest)?;
    analysis.as_ref().map_or(Ok(()), report::print)
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
    if let Some(given) = args.model.as_ref().filter(|_| !args.analysis.any_base) {
        base_model::check_whole(adapter, &base, &args.adapter, model)?;
        let whose = args.adapter.display().to_string();
        base_model::note_other_name(adapter, &base, given, &whose, Purpose::Use);
    }
    let made = adapter.virtual_tokens(base.model.spec(), &device);
    let Content::Embeddings(prompt) = made.map_err(in_adapter(&args.adapter))?.content else {
        return Ok(Vec::new());
    };
    let tokenizer = load_tokenizer(model).ok();
    let vocabulary = Vocabulary::of(base.model.as_ref(), tokenizer.as_ref());
    let named = |one: &Neighbour| (vocabulary.name(one.id), one.cosine);
    let found = vocabulary.nearest(prompt_rows(&prompt), args.nearest);
    Ok(found.iter().map(|row| row.iter().map(named).collect()).collect())
}

/// The analysis of the adapter in `dir`, on its base model.
fn analyse(args: &InspectArgs, dir: &Path, adapter: &Adapter) -> CliResult<Analysis> {
    let model = match (&args.model, &adapter.config.base_model) {
        (Some(model), _) => model.clone(),
        (None, Some(named)) => PathBuf::from(named),
        (None, None) => {
            let message = "--model is required with --analyse: the adapter names no base model";
            return Err(CliError::Usage(message.into()));
        }
    };
    let settings = start::settings(dir, adapter)?;
    // The start is that of the weights as the run had them.
    let known = settings.as_ref().ok();
    let chosen = device::choose::chosen("--device", None)?;
    let dtype = known.and_then(|known| known.dtype).unwrap_or_default();
    let (dtype, note) = analysed_in(dtype, kernels::why_no_bf16(&chosen.device));
    // A GPU keeps matrices in the type that they are multiplied in.
    let is_kept_otherwise = note.is_some() && chosen.backend != device::Backend::Cpu;
    let of_run = known.filter(|_| !is_kept_otherwise);
    note.into_iter().for_each(output::note);
    let args_of_run = UseArgs {
        model,
        adapters: vec![args.adapter.clone()],
        any_base: args.analysis.any_base,
        device: None,
        on_device: device::DeviceArgs::default(),
        base_weights: of_run.and_then(|run| run.base_weights).unwrap_or_default(),
        dtype,
    };
    let session = Session::open_in_any_numbers(&args_of_run, &[Some(&args.adapter)])?.pop();
    let session = session.ok_or_else(|| Error::Mismatch("no model was opened".into()))?;
    let question = Question {
        name: &args.adapter,
        settings,
        neighbours: Asked {
            count: args.nearest,
            draws: args.analysis.draws,
            seed: args.analysis.seed,
        },
        class_words: args.analysis.class_words()?,
        data: &args.analysis.data,
    };
    let found = Analysis::of(&session, &question)?;
    session.check_base_sum()?;
    Ok(found)
}

/// The type that the base model of a run in `dtype` is analysed in, with a note if it is another; `why_no_bf16` is why
/// products here cannot be in bf16.
fn analysed_in(dtype: Compute, why_no_bf16: Option<String>) -> (Compute, Option<String>) {
    let reason = match dtype {
        Compute::F32 => None,
        Compute::Bf16 => why_no_bf16,
        Compute::F16 => Some("which the kernels of the CPU do not multiply in".into()),
    };
    let note = reason.map(|reason| {
        format!(
            "note: the run was in {dtype}, {reason}: here products with its base model are in f32, and figures that depend on \
             them differ as rounding does"
        )
    });
    (if note.is_some() { Compute::F32 } else { dtype }, note)
}

impl AnalysisArgs {
    /// The words that the classes are called by, if they are given.
    fn class_words(&self) -> CliResult<Option<Vec<String>>> {
        let Some(list) = &self.class_words else { return Ok(None) };
        let words = list.split(',').map(str::trim).filter(|word| !word.is_empty());
        let words: Vec<String> = words.map(str::to_string).collect();
        match words.is_empty() {
            true => Err(Error::setting("--class-words", "found no word").into()),
            false => Ok(Some(words)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_analysed_in_its_type_where_there_are_products_in_it() {
        let lacks = || Some("which nothing here multiplies in".to_string());
        for (dtype, lacks) in [(Compute::F32, lacks()), (Compute::Bf16, None)] {
            assert_eq!(analysed_in(dtype, lacks), (dtype, None));
        }
        for (dtype, lacks) in [(Compute::Bf16, lacks()), (Compute::F16, None)] {
            let (found, note) = analysed_in(dtype, lacks);
            let says = format!("the run was in {dtype}, which ");
            assert!(found == Compute::F32 && note.is_some_and(|note| note.contains(&says)));
        }
    }
}
