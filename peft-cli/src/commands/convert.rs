//! `peft convert`: adapters and prompts from one format to another.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use peft_core::{
    Adapter, Error, PROMPT_EMBEDDINGS, PeftType, Result, Task,
    adapter::{
        FolderLock, atomic,
        foreign::{self, Base},
        prompt_file, stored,
    },
    formats::npy,
};
use peft_models::Loaded;
use serde_json::json;

use crate::{
    adapter_folder, adapter_run, base_model, device,
    error::{CliResult, in_adapter},
    flags::{choices::parse_value, help::FlagHelp},
    locate,
    output::{self, grouped, line},
};

/// Converts adapters, checkpoints and prompts to PEFT folders or to .npy.
///
/// Reads PEFT folders, including old ones with adapter_model.bin and those of P-tuning v1, and files of other code
/// (.npy, .safetensors, .bin, .pt, .pth, .ckpt): prompts alone, checkpoints of P-tuning v2, of prefix tuning (its MLP
/// is folded) and of OpenPrompt, state dicts of PEFT. --model checks that they fit.
///
/// Example:
///   peft convert --from sst2.npy --to sst2 \
///     --task seq2seq-lm --base-model google/t5-base-lm-adapt
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct ConvertArgs {
    /// Adapter folder, or a file of other code.
    #[arg(long, value_name = "PATH")]
    from: PathBuf,
    /// Folder or file to write.
    #[arg(long, value_name = "PATH")]
    to: PathBuf,
    /// Format to write.
    #[arg(long, value_enum, show_default = "npy where --to ends in .npy, otherwise peft")]
    format: Option<Format>,
    /// Task of a file that names none.
    #[arg(long, value_name = "TASK", value_parser = parse_value::<Task>,
        show_names = &Task::ALL.map(Task::name))]
    task: Option<Task>,
    /// Name or path of the base model to write into the config.
    #[arg(long, value_name = "NAME", show_default = "that of --from, otherwise --model")]
    base_model: Option<String>,
    /// Base model (a folder or org/name) that the adapter has to fit.
    #[arg(long, value_name = "MODEL", show_default = "--base-model where that is a folder")]
    model: Option<PathBuf>,
    /// Take an adapter even if it was trained on another base model of the same shape.
    #[arg(long)]
    any_base: bool,
    /// Number of virtual tokens P, where the file does not say.
    #[arg(long, value_name = "P")]
    num_virtual_tokens: Option<usize>,
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
    match format {
        Format::Peft => output::check_folder("--to", &args.to)?,
        Format::Npy => {
            let to = Some(args.to.as_path()).filter(|to| output::is_stdout(to));
            output::check_output("--to", to, &[])?;
        }
    }
    let base = base(args)?;
    let read = read(args, format, base.as_ref())?;
    let adapter = &read.adapter;
    if let Some(base) = &base {
        if !args.any_base {
            base_model::check_whole(adapter, &base.loaded, &args.from, &base.dir)?;
        }
        let (model, device) = (base.loaded.model.as_ref(), device::choose(None)?);
        let fits = adapter.virtual_tokens(model.spec(), &device);
        fits.map_err(in_adapter(&args.from))?;
        base_model::check_surplus(adapter, &base.dir).map_err(in_adapter(&args.from))?;
        let layout = model.head_layout(adapter.config.task.unwrap_or(Task::SeqCls));
        adapter.head(layout, model.spec(), &device).map_err(in_adapter(&args.from))?;
    }
    match format {
        Format::Peft => write_folder(args, adapter)?,
        Format::Npy => write_npy(args, adapter)?,
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
            "source": read.was,
            "skipped": read.skipped,
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
        "{} ({}) -> {} ({}): {} virtual tokens, {} parameters",
        args.from.display(),
        read.was,
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

/// The base model that the adapter has to fit, if one is given.
fn base(args: &ConvertArgs) -> CliResult<Option<Given>> {
    let folder = || {
        args.base_model.as_ref().map(PathBuf::from).filter(|dir| dir.join("config.json").exists())
    };
    match args.model.clone().or_else(folder) {
        Some(model) => {
            let dir = locate::model(&model)?;
            Ok(Some(Given { loaded: peft_models::load(&dir, &device::choose(None)?)?, dir }))
        }
        None => Ok(None),
    }
}

/// A base model to check against.
struct Given {
    loaded: Loaded,
    dir: PathBuf,
}

/// What was read.
struct Read {
    adapter: Adapter,
    /// What it was.
    was: &'static str,
    /// Tensors of the file that are not used.
    skipped: Vec<String>,
}

/// The source as an adapter that can be written.
fn read(args: &ConvertArgs, format: Format, base: Option<&Given>) -> CliResult<Read> {
    let model = || args.model.as_ref().map(|dir| dir.display().to_string());
    if !Adapter::exists(&args.from) && is_alone(&args.from) {
        return read_foreign(args, format, base, args.base_model.clone().or_else(model));
    }
    // This is how an adapter is taken out of the folder of a run that another one replaces.
    let adapter = match adapter_run::replaced(&args.from)? {
        Some(_) => {
            output::note(format!(
                "note: {}: this adapter is that of a run which --overwrite has replaced by another, which has none yet",
                args.from.display()
            ));
            adapter_folder::load_of_any_run(&args.from, args.task)?
        }
        None => adapter_folder::load(&args.from, args.task)?,
    };
    let was = adapter.config.peft_type.name();
    let mut adapter = prompt_file::into_prompt_tuning(adapter);
    let config = &mut adapter.config;
    if let (Some(found), Some(asked)) = (config.task, args.task)
        && found != asked
    {
        let message = format!("found {asked}, the adapter of --from was made for {found}");
        return Err(Error::setting("--task", message).into());
    }
    if args.num_virtual_tokens.is_some_and(|asked| asked != config.num_virtual_tokens) {
        let message = format!("not used: the adapter of --from has {}", config.num_virtual_tokens);
        return Err(Error::setting("--num-virtual-tokens", message).into());
    }
    config.task = config.task.or(args.task);
    config.base_model = args.base_model.clone().or(config.base_model.take()).or_else(model);
    Ok(Read { adapter, was, skipped: Vec::new() })
}

/// A file of other code as an adapter.
fn read_foreign(
    args: &ConvertArgs,
    format: Format,
    base: Option<&Given>,
    name: Option<String>,
) -> CliResult<Read> {
    let found = foreign::read(&args.from, &device::choose(None)?)?;
    let task = match (args.task.or(found.task()), format) {
        (Some(task), _) => task,
        // .npy does not store it.
        (None, Format::Npy) => Task::CausalLm,
        (None, Format::Peft) => {
            let message = format!(
                "is missing: {} has no config that says what it was made for",
                args.from.display()
            );
            return Err(Error::setting("--task", message).into());
        }
    };
    let (was, skipped) = (found.layout(), found.skipped().map(str::to_string).collect::<Vec<_>>());
    let unsure = base.is_none() && found.is_prompt_or_prefix() && format == Format::Peft;
    let same = match base {
        Some(base) if !skipped.is_empty() => {
            found.check_skipped(&base_model::stored(&base.dir)?)?
        }
        _ => 0,
    };
    let spec = base.map(|base| base.loaded.model.spec());
    let base = Base { name, spec, num_virtual_tokens: args.num_virtual_tokens };
    let adapter = found.into_adapter(task, &base)?;
    if unsure {
        output::note("note: read as a prompt, not as a prefix: --model checks that it is one");
    }
    if !skipped.is_empty() {
        output::note(format!("note: {}", told(&skipped, same)));
    }
    Ok(Read { adapter, was, skipped })
}

/// What was skipped, in one line; `same` of these tensors are those of the base model.
fn told(skipped: &[String], same: usize) -> String {
    const NAMED: usize = 3;
    let names: Vec<&str> = skipped.iter().take(NAMED).map(String::as_str).collect();
    let more = if skipped.len() > NAMED { ", ..." } else { "" };
    let compared = match same {
        0 => "not compared with a base model".to_string(),
        same => format!("{same} of them compared with the base model: the same"),
    };
    format!("{} tensors are skipped ({}{more}), {compared}", skipped.len(), names.join(", "))
}

/// Whether this is a file of its own, or a folder with such a file but without an adapter's config.
fn is_alone(from: &Path) -> bool {
    if from.is_dir() {
        return foreign::holds_tensors(from);
    }
    let folder = from.parent().filter(|folder| Adapter::exists(folder));
    let is_tensors = |folder| stored::path(folder).is_ok_and(|tensors| tensors == from);
    let is_config = from.extension().is_some_and(|extension| extension == "json");
    folder.is_none_or(|folder| !is_tensors(folder) && !is_config)
}

/// Refuses to write over what is there, unless it is the same or `--force` is given.
fn check_target(path: &Path, bytes: &[u8], force: bool) -> Result<()> {
    // What comes out of a pipe or a device is not what would be replaced.
    if atomic::is_stream(path) {
        return Ok(());
    }
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
    // Nobody else writes there meanwhile, such as a run.
    let lock = to.exists().then(|| FolderLock::new(to)).transpose()?;
    if let Some(warning) = lock.as_ref().and_then(FolderLock::warning) {
        output::note(format!("note: {warning}"));
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
