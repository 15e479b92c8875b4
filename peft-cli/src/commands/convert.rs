//! `peft convert`: adapters and prompts from one format to another.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use peft_core::{
    Adapter, Error, PROMPT_EMBEDDINGS, PeftType, Result, Task,
    adapter::{atomic, prompt_file, stored},
    formats::npy,
};
use serde_json::json;

use crate::{
    device,
    error::{CliResult, in_adapter},
    flags::{choices::parse_value, help::FlagHelp},
    locate,
    output::{grouped, line},
};

/// Converts adapters and prompts to PEFT folders or to .npy.
///
/// Reads PEFT folders, including old ones with adapter_model.bin and those of P-tuning v1, and files that hold
/// only a prompt: .npy of the original prompt tuning code, .safetensors, .bin, .pt.
///
/// Example: peft convert --from sst2.npy --to sst2 --task seq2seq-lm --base-model google/t5-base-lm-adapt
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct ConvertArgs {
    /// Adapter folder, or prompt file.
    #[arg(long, value_name = "PATH")]
    from: PathBuf,
    /// Folder or file to write.
    #[arg(long, value_name = "PATH")]
    to: PathBuf,
    /// Format to write.
    #[arg(long, value_enum, show_default = "npy where --to ends in .npy, otherwise peft")]
    format: Option<Format>,
    /// Task of a prompt file, which names none.
    #[arg(long, value_name = "TASK", value_parser = parse_value::<Task>,
        show_names = &Task::ALL.map(Task::name))]
    task: Option<Task>,
    /// Name or path of the base model to write into the config.
    #[arg(long, value_name = "NAME", show_default = "that of --from, otherwise --model")]
    base_model: Option<String>,
    /// Base model (a folder or org/name) that the adapter has to fit.
    #[arg(long, value_name = "MODEL")]
    model: Option<PathBuf>,
    /// Overwrite a different adapter or prompt at --to.
    #[arg(long)]
    force: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A format that can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A folder that Python's PEFT and this program read.
    Peft,
    /// A prompt as a matrix of f32.
    Npy,
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Self::Peft => "peft",
            Self::Npy => "npy",
        }
    }
}

/// Runs the command.
///
/// # Errors
///
/// Returns an error if the source is not valid or lacks something, or if the target cannot be written or holds
/// something else.
pub fn run(args: &ConvertArgs) -> CliResult {
    let by_name = match args.to.extension().is_some_and(|extension| extension == "npy") {
        true => Format::Npy,
        false => Format::Peft,
    };
    let format = args.format.unwrap_or(by_name);
    let (adapter, was) = read(args, format)?;
    if let Some(model) = &args.model {
        let base = peft_models::load(&locate::model(model)?, &device::choose(None)?)?;
        let fit = adapter.virtual_tokens(base.model.spec(), &device::choose(None)?);
        fit.map_err(in_adapter(&args.from))?;
    }
    match format {
        Format::Peft => write_folder(args, &adapter)?,
        Format::Npy => write_npy(args, &adapter)?,
    }

    let config = &adapter.config;
    let shapes: serde_json::Map<_, _> = adapter
        .tensors
        .iter()
        .map(|(name, data)| (name.clone(), json!(data.shape().as_slice())))
        .collect();
    if args.json {
        let json = json!({
            "from": args.from,
            "to": args.to,
            "format": format.name(),
            "source": was,
            "peft_type": config.peft_type.name(),
            "task": config.task,
            "base_model": config.base_model,
            "num_virtual_tokens": config.num_virtual_tokens,
            "tensors": shapes,
        });
        return Ok(line(format!("{json:#}"))?);
    }
    let parameters = adapter.tensors.values().map(|data| data.num_elements()).sum();
    line(format!(
        "{} ({was}) -> {} ({}): {} virtual tokens, {} parameters",
        args.from.display(),
        args.to.display(),
        match format {
            Format::Peft => config.peft_type.name(),
            Format::Npy => "a .npy prompt",
        },
        config.num_virtual_tokens,
        grouped(parameters)
    ))?;
    Ok(())
}

/// The source as an adapter that can be written, and what it was.
fn read(args: &ConvertArgs, format: Format) -> Result<(Adapter, &'static str)> {
    let model = || args.model.as_ref().map(|dir| dir.display().to_string());
    if Adapter::exists(&args.from) || !is_alone(&args.from) {
        let adapter = Adapter::load(&args.from)?;
        let was = adapter.config.peft_type.name();
        let mut adapter = prompt_file::into_prompt_tuning(adapter);
        let config = &mut adapter.config;
        if let (Some(found), Some(asked)) = (config.task, args.task)
            && found != asked
        {
            let message = format!("found {asked}, the adapter of --from was made for {found}");
            return Err(Error::setting("--task", message));
        }
        config.task = config.task.or(args.task);
        config.base_model = args.base_model.clone().or(config.base_model.take()).or_else(model);
        return Ok((adapter, was));
    }
    let prompt = prompt_file::read(&args.from)?;
    let task = match (args.task, format) {
        (Some(task), _) => task,
        // .npy does not store it.
        (None, Format::Npy) => Task::CausalLm,
        (None, Format::Peft) => {
            let message = format!(
                "is missing: {} has no config that says what the prompt was made for",
                args.from.display()
            );
            return Err(Error::setting("--task", message));
        }
    };
    let base_model = args.base_model.clone().or_else(model);
    Ok((prompt_file::adapter(prompt, task, base_model), "a prompt alone"))
}

/// Whether this is a file of its own, or a folder with the tensors of an adapter but without its config.
fn is_alone(from: &Path) -> bool {
    if from.is_dir() {
        return stored::path(from).is_ok();
    }
    let folder = from.parent().filter(|folder| Adapter::exists(folder));
    let is_tensors = |folder| stored::path(folder).is_ok_and(|tensors| tensors == from);
    let is_config = from.extension().is_some_and(|extension| extension == "json");
    folder.is_none_or(|folder| !is_tensors(folder) && !is_config)
}

/// Refuses to write over what is there, unless it is the same or `--force` is given.
fn check_target(path: &Path, bytes: &[u8], force: bool) -> Result<()> {
    let is_other = match fs::read(path) {
        Ok(found) => found != bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => return Err(Error::read(path)(error)),
    };
    if is_other && !force {
        let message = "exists already with different content: --force overwrites it";
        return Err(Error::file(path, message));
    }
    Ok(())
}

fn write_folder(args: &ConvertArgs, adapter: &Adapter) -> Result<()> {
    let to = &args.to;
    if to.exists() && !to.is_dir() {
        return Err(Error::file(to, "is a file, expected a folder or nothing"));
    }
    for (path, bytes) in adapter.files(to)? {
        check_target(&path, &bytes, args.force)?;
    }
    match to.exists() {
        true => adapter.save(to),
        // Completely or not at all.
        false => atomic::write_folder(to, |inside| adapter.save(inside)),
    }
}

fn write_npy(args: &ConvertArgs, adapter: &Adapter) -> Result<()> {
    let kind = adapter.config.peft_type;
    if kind != PeftType::PromptTuning {
        let message = format!("holds {}, .npy holds only prompts of prompt tuning", kind.name());
        return Err(Error::file(&args.from, message));
    }
    if let Some(name) = adapter.tensors.keys().find(|name| *name != PROMPT_EMBEDDINGS) {
        let message = "is a part of the adapter that .npy cannot hold: it holds only a prompt";
        return Err(Error::tensor(&args.from, name, message));
    }
    let prompt = adapter.tensors.get(PROMPT_EMBEDDINGS);
    let prompt = prompt.ok_or_else(|| Error::file(&args.from, "holds no prompt"))?;
    let bytes = npy::write(prompt, &args.to)?;
    check_target(&args.to, &bytes, args.force)?;
    atomic::write_file(&args.to, &bytes)
}
