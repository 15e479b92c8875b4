//! `peft generate`: continues text, or rows of token ids.

mod rows;
mod text;

use std::path::PathBuf;

use clap::Args;
use peft_core::{ContextBudget, Error};
use peft_models::generate::{GenerateConfig, Generated, Watcher, check_generates, generate};

use crate::{
    decoder_start,
    decoding::{Purpose, settle},
    encoding::ChatArgs,
    end_token,
    error::{CliError, CliResult},
    flags::{decoding::DecodingArgs, help::FlagHelp},
    output,
    predictions::Format,
    session::{Session, UseArgs},
    shard::{ShardArgs, Taken},
    text_settings::TextArgs,
};

use rows::continue_file;
use text::continue_text;

/// Continues text, with or without an adapter: as the flags or the model's generation_config.json say, else greedily.
///
/// Examples:
///   peft generate --model models/stories \
///     --prompt "Once upon" --max-new-tokens 60
///   peft generate --model models/stories \
///     --prompt "Once upon" --temperature 0.8 --top-p 0.95
///   peft generate --model models/smollm2 --chat \
///     --system "Be brief." --prompt "Where is Oslo?"
///   peft generate --model models/smollm2 --chat \
///     --input prompts.txt --output answers.jsonl
///   peft generate --model models/stories \
///     --adapter runs/e2e --input rows.jsonl \
///     --num-beams 4 --output out.jsonl
///   srun -n 4 peft generate --model models/stories \
///     --input rows.jsonl --shard auto --output out.jsonl
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct GenerateArgs {
    #[command(flatten)]
    model: UseArgs,
    #[command(flatten)]
    text: TextArgs,
    /// Text to continue.
    #[arg(
        long,
        value_name = "TEXT",
        allow_hyphen_values = true,
        conflicts_with = "input",
        required_unless_present = "input"
    )]
    prompt: Option<String>,
    #[command(flatten)]
    asked: ChatArgs,
    /// Rows to continue, or with --chat to answer: `source`, `text`, `messages`, `conversations` or `input_ids`.
    #[arg(long, value_name = "FILE")]
    input: Vec<PathBuf>,
    /// File for the rows, each with its `id` and fields (`input`) and what was written, `output`. That of a `text`
    /// goes on with it; that of a `source` stands alone, as its target would. - is standard output.
    #[arg(long, value_name = "FILE", requires = "input", show_default = "stdout")]
    output: Option<PathBuf>,
    /// How they are written: JSON Lines as they are made, a table at the end. Of a table, lists are JSON in a cell.
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        requires = "input",
        show_default = "by the name of --output, else jsonl"
    )]
    format: Option<Format>,
    /// Write the new tokens, too (`output_ids`), as for rows of token ids.
    #[arg(long, requires = "input")]
    ids: bool,
    /// Leave out the rows' own fields, all but the id.
    #[arg(long, requires = "input")]
    omit_input: bool,
    #[command(flatten)]
    decoding: DecodingArgs,
    #[command(flatten)]
    part: ShardArgs,
    /// Rows per batch; the output does not depend on it. All parts of --shard need the same.
    #[arg(long, value_name = "B", default_value_t = GenerateConfig::new(1).batch_size)]
    batch_size: usize,
}

/// Runs the command.
///
/// # Errors
///
/// Returns an error if the settings, the model, the adapter or the rows cannot be used.
pub fn run(args: &GenerateArgs) -> CliResult {
    // clap asks for --input with these, but not beside --prompt, which it conflicts with.
    let of_rows = [
        ("--output", args.output.is_some(), "goes to stdout (> FILE)"),
        ("--format", args.format.is_some(), "stands as it is"),
        ("--ids", args.ids, "is shown alone"),
        ("--omit-input", args.omit_input, "has no other fields"),
    ];
    let given = of_rows.iter().filter(|_| args.prompt.is_some()).find(|(_, is_given, _)| *is_given);
    if let Some((flag, _, how)) = given {
        let message = format!("is for the rows of --input; the text of --prompt {how}");
        return Err(Error::setting(*flag, message).into());
    }
    if args.prompt.is_some() {
        args.text.check_prompt(args.asked.chat)?;
    }
    args.part.check_rows("--prompt", args.prompt.is_some())?;
    // A text that goes on from --prompt has no part.
    let taken = match args.prompt {
        Some(_) => Taken::default(),
        None => args.part.take("--output", output::file_of(args.output.as_deref()))?,
    };
    output::check_output("--output", taken.output.as_deref(), &args.input)?;
    let format = Format::told(args.format, "--output", taken.output.as_deref())?;
    taken.check_format(if args.format.is_some() { "--format" } else { "--output" }, format)?;
    let session = Session::open(&args.model)?;
    check_generates(session.model())?;
    check_task(&session)?;
    if args.asked.chat && session.model().spec().is_encoder_decoder() {
        return Err(CliError::Usage(
            "--chat: this model is an encoder-decoder, which has no chat".into(),
        ));
    }
    let end = end_token::find(&session.base, &session.dir)?;
    end_token::note(&end, &session.dir);
    let config = settle(&args.decoding, &session.base, &end, Purpose::Reading)?
        .with_batch_size(args.batch_size);
    decoder_start::note(&session.base);
    match (&args.prompt, args.input.as_slice()) {
        (Some(prompt), _) => continue_text(&session, prompt, args, &config),
        (None, [_, ..]) => continue_file(&session, args, (&taken, format), &config),
        (None, []) => Err(CliError::Usage("give --prompt or --input".into())),
    }
}

/// Refuses an adapter that was trained for a task with a head: it writes no texts, and what the model wrote with it would mean
/// nothing.
fn check_task(session: &Session) -> peft_core::Result<()> {
    let task = session.adapter.as_ref().and_then(|adapter| adapter.config.task);
    match task.filter(|task| task.has_head()) {
        Some(task) => Err(Error::setting(
            "--adapter",
            format!(
                "was trained for {task}, which generates nothing: `peft predict` gives its answers"
            ),
        )),
        None => Ok(()),
    }
}

/// The most new tokens behind an input of this many tokens.
fn left_behind(session: &Session, tokens: usize) -> usize {
    let spec = session.model().spec();
    let start = usize::from(spec.is_encoder_decoder());
    ContextBudget::new(spec, &session.virtual_tokens).most_new_tokens(tokens, start)
}

fn run_generate(
    session: &Session,
    rows: &[&[u32]],
    config: &GenerateConfig,
    watcher: &mut dyn Watcher,
) -> peft_core::Result<Vec<Vec<Generated>>> {
    generate(session.model(), rows, &session.virtual_tokens, config, watcher)
}
