//! `peft generate`: continues text, or rows of token ids.

use std::{io, ops::ControlFlow, path::PathBuf};

use clap::Args;
use peft_core::{ContextBudget, Error, data::Example, text::Record};
use peft_models::generate::{
    GenerateConfig, Generated, Strategy, Watcher, check_generates, generate,
};
use serde_json::{Map, Value, json};

use crate::{
    decoder_start,
    decoding::{Purpose, note_fewer, settle},
    encoding::ChatArgs,
    end_token,
    error::{CliError, CliResult},
    flags::{decoding::DecodingArgs, help::FlagHelp},
    output,
    predictions::{Format, Given},
    row_output::RowOutput,
    screen::{bar::Bars, rows::RowsDone},
    session::{Session, UseArgs},
    shard::{Block, RunSum, ShardArgs, Taken},
    signals::{AT_NEXT_TOKEN, Signals},
    text_settings::TextArgs,
    text_stream::{NewText, TextStream},
    token_text::TokenText,
};

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

/// Continues the rows of a file: one line per row, written once the row and those in front of it are done.
fn continue_file(
    session: &Session,
    args: &GenerateArgs,
    (taken, format): (&Taken, Format),
    config: &GenerateConfig,
) -> CliResult {
    let (records, encoded) = session.read_and_encode(&args.input, &args.text, &args.asked)?;
    // Where the total is limited, there are as many new tokens as fit.
    let new_tokens = config.max_total_tokens.map_or(config.max_new_tokens, |_| 1);
    session.check_lengths(&encoded, new_tokens)?;
    let longest = encoded.examples.iter().map(|row| row.input_ids.len()).max();
    note_fewer(&args.decoding, &session.base, left_behind(session, longest.unwrap_or_default()))?;
    let is_text = |record: &Record| !record.is_ids();
    let stops = &args.decoding.stop;
    let needs_text = !stops.is_empty() || records.iter().any(is_text);
    let tokenizer = needs_text.then(|| session.dir.tokenizer()).transpose()?;
    let tokens = tokenizer.map(|own| TokenText::new(&own.tokenizer));
    let texts: Option<Vec<NewText<'_>>> = tokens.map(|tokens| {
        let rows = encoded.examples.iter().zip(&encoded.goes_on);
        rows.map(|(row, goes_on)| {
            let before = if *goes_on { row.input_ids.as_slice() } else { &[] };
            NewText::new(tokens, before, stops)
        })
        .collect()
    });
    let line = |row: usize, sequences: &[Generated]| {
        let record = &records[row];
        let mut fields = Map::new();
        Given { fields: !args.omit_input }.add(record, &mut fields);
        if args.ids || !is_text(record) {
            let ids = sequences.iter().map(|sequence| json!(sequence.ids)).collect();
            fields.insert("output_ids".into(), list(ids, config));
        }
        if let Some(text) = texts.as_ref().map(|texts| &texts[row]).filter(|_| is_text(record)) {
            let cut = |sequence: &Generated| {
                let text = text.cut(&sequence.ids);
                let text = text.ok_or_else(|| record.error("the output is not text"))?;
                Ok(json!(text))
            };
            let texts = sequences.iter().map(cut).collect::<peft_core::Result<Vec<Value>>>()?;
            fields.insert("output".into(), list(texts, config));
        }
        Ok(fields)
    };
    let cut = taken.cut(records.len(), || {
        let sum = RunSum::of("generate", &args.model, args.batch_size);
        let sum = sum.sessions(std::slice::from_ref(session));
        let sum = sum.rows(&encoded.examples).records(&records);
        sum.settings(&(config, stops, args.ids, args.omit_input)).finish()
    });
    let size = config.rows_together();
    cut.block().note_together(size, Some("a smaller --batch-size"));
    // Its batches are those of all rows.
    let computed = cut.block().together(size);
    let config = config.clone().with_first_row(computed.start);
    let output = RowOutput::open(taken.output.as_deref(), &cut)?;
    let signals = Signals::follow(AT_NEXT_TOKEN);
    let output = output.with_signals(&signals).with_format(format);
    let (block, first) = (cut.block().clone(), computed.start);
    let lines = Lines { line: &line, block, first, output, written: Ok(()), signals };
    let texts = texts.as_ref().map(|texts| &texts[computed.clone()]);
    continue_rows(session, &encoded.examples[computed], &config, texts, lines)
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

/// A row's sequences as they are written: a list if several were asked for.
fn list(values: Vec<Value>, config: &GenerateConfig) -> Value {
    if config.num_return_sequences > 1 {
        return values.into();
    }
    values.into_iter().next().unwrap_or_default()
}

/// Prints a text and its continuation, token by token if it is final before the end.
fn continue_text(
    session: &Session,
    prompt: &str,
    args: &GenerateArgs,
    config: &GenerateConfig,
) -> CliResult {
    let tokenizer = &session.dir.tokenizer()?.tokenizer;
    // An encoder-decoder answers, other models continue.
    let answers = session.model().spec().is_encoder_decoder();
    let encoded = session.encode_prompt(prompt, &args.text, &args.asked);
    let ids = encoded.map_err(|error| match error {
        // The fault is the tokenizer's, not the text's.
        Error::TokenId { id, vocab_size, .. } => {
            let message = format!(
                "--prompt: the tokenizer gives token id {id}, outside the model's vocabulary of \
                 {vocab_size}"
            );
            Error::file(session.dir.path(), message).into()
        }
        Error::Data { message, .. } => CliError::Usage(format!("--prompt: {message}")),
        other => other.into(),
    })?;
    note_fewer(&args.decoding, &session.base, left_behind(session, ids.len()))?;
    // What answers stands alone.
    let (prompt, before) =
        if answers || args.asked.chat { ("", [].as_slice()) } else { (prompt, ids.as_slice()) };
    let texts = [NewText::new(TokenText::new(tokenizer), before, &args.decoding.stop)];
    let [text] = &texts;
    let searched = matches!(&config.strategy, Strategy::Beams(beams) if beams.num_beams > 1);
    if searched || config.num_return_sequences > 1 {
        let done = RowsDone::new("generate", 1, &Bars::default());
        let mut watcher = Rows { texts: Some(&texts), done, lines: None };
        let made = run_generate(session, &[&ids], config, &mut watcher)?;
        for sequence in made.iter().flatten() {
            let new = text.cut(&sequence.ids).unwrap_or_default();
            output::line(format!("{prompt}{new}"))?;
        }
        return Ok(session.check_base_sum()?);
    }
    let stream = TextStream::new(text.clone());
    let mut terminal = Terminal { prompt, text, stream, begun: false, written: Ok(()) };
    run_generate(session, &[&ids], config, &mut terminal)?;
    terminal.written?;
    let rest = if terminal.begun { terminal.stream.finish() } else { prompt.to_string() };
    output::line(rest)?;
    Ok(session.check_base_sum()?)
}

/// Prints one sequence as it is generated.
struct Terminal<'a> {
    prompt: &'a str,
    text: &'a NewText<'a>,
    stream: TextStream<'a>,
    /// Whether there was a token: a text that cannot be continued is not printed.
    begun: bool,
    written: io::Result<()>,
}

impl Watcher for Terminal<'_> {
    fn token(&mut self, _: usize, _: usize, token: u32) {
        let mut piece = self.stream.push(token);
        if !std::mem::replace(&mut self.begun, true) {
            piece.insert_str(0, self.prompt);
        }
        if self.written.is_ok() && !piece.is_empty() {
            self.written = output::piece(&piece);
        }
    }

    fn ends(&mut self, _: usize, new_tokens: &[u32]) -> bool {
        self.written.is_err() || self.text.stops(new_tokens)
    }
}

/// Ends sequences at stop texts, and counts finished rows.
struct Rows<'a> {
    /// The text of each row.
    texts: Option<&'a [NewText<'a>]>,
    done: RowsDone,
    /// Where finished rows go.
    lines: Option<Lines<'a>>,
}

/// The fields that are written of a row.
type Fields = peft_core::Result<Map<String, Value>>;

/// The lines of finished rows.
struct Lines<'a> {
    /// That of a row.
    line: &'a dyn Fn(usize, &[Generated]) -> Fields,
    /// The rows that are written.
    block: Block,
    /// The first row that is continued.
    first: usize,
    output: RowOutput,
    written: CliResult,
    signals: Signals,
}

impl Watcher for Rows<'_> {
    fn ends(&mut self, row: usize, new_tokens: &[u32]) -> bool {
        // Sequences that a signal ends are never written.
        self.lines.as_ref().is_some_and(|lines| lines.signals.came())
            || self.texts.is_some_and(|texts| texts[row].stops(new_tokens))
    }

    fn row_done(&mut self, _: usize) {
        self.done.add_one();
    }

    fn made(&mut self, row: usize, sequences: &[Generated]) -> ControlFlow<()> {
        let Some(lines) = &mut self.lines else { return ControlFlow::Continue(()) };
        lines.signals.flow()?;
        let row = lines.first + row;
        if !lines.block.contains(row) {
            return ControlFlow::Continue(());
        }
        let line = (lines.line)(row, sequences).map_err(CliError::from);
        let place = row - lines.block.rows.start;
        lines.written = line.and_then(|line| lines.output.put(place, line));
        match lines.written {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

/// Continues rows of token ids, tells how many are done, and writes their lines. Sequences also end at the stops of their
/// `texts`.
fn continue_rows(
    session: &Session,
    examples: &[Example],
    config: &GenerateConfig,
    texts: Option<&[NewText<'_>]>,
    lines: Lines<'_>,
) -> CliResult {
    let rows: Vec<&[u32]> = examples.iter().map(|row| row.input_ids.as_slice()).collect();
    let done = RowsDone::new("generate", rows.len(), &lines.signals.bars());
    let mut watcher = Rows { texts, done, lines: Some(lines) };
    let made = run_generate(session, &rows, config, &mut watcher);
    let Rows { lines, done, .. } = watcher;
    // The bar gives way to what is written.
    drop(done);
    match lines {
        Some(Lines { output, written, .. }) => {
            let made = made.map_err(CliError::from).and(written);
            output.end(made.and_then(|()| Ok(session.check_base_sum()?)))
        }
        None => Ok(()),
    }
}

fn run_generate(
    session: &Session,
    rows: &[&[u32]],
    config: &GenerateConfig,
    watcher: &mut dyn Watcher,
) -> peft_core::Result<Vec<Vec<Generated>>> {
    generate(session.model(), rows, &session.virtual_tokens, config, watcher)
}
