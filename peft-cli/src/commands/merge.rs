//! `peft merge`: parts of predictions as one file.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use peft_core::{Error, adapter::atomic, text::Record};
use serde_json::Value;

use super::score::show;
use crate::{
    data_files::{DataFiles, is_standard_input},
    error::{CliError, CliResult},
    flags::help::FlagHelp,
    merge::{Whole, check_rows},
    output::{self, grouped},
    predictions::{Format, INPUT, REFERENCE, read_again},
    scoring::{Asked, ClassArgs, FieldArgs, Files, MeteorArgs},
};

/// Puts together what predict, generate or eval wrote with --shard, by the rows that the lines say they are of.
///
/// The file is that of a run over all rows, byte for byte. Rows that are missing or there twice, lines that were cut, and parts
/// of different runs are refused, and nothing is written.
///
/// With --data, which are the rows that were predicted, there must be as many, and the predictions are scored against them
/// as `peft score` does. Where references stand beside predictions, as eval writes them, and predict where rows call classes
/// by number, these are scored: --metric alone does that, and with --data its rows must be those beside the predictions
/// (`input`), unless --reference-field names a field of them.
///
/// Examples:
///   peft merge part-1.jsonl part-2.jsonl \
///     --output intents.jsonl
///   peft merge out-*-of-4.jsonl --output all.jsonl \
///     --data test.jsonl --metric accuracy,f1_macro
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct MergeArgs {
    /// Files of predictions with --shard, in any order.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// File for all predictions; - is standard output.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// How they are written. Of a table, lists are JSON in a cell.
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        show_default = "by the name of --output, else jsonl"
    )]
    format: Option<Format>,
    /// The rows that were predicted, with what is right. Again for more of them, in the same order.
    #[arg(long, value_name = "FILE")]
    data: Vec<PathBuf>,
    /// Names of the columns of --data that is a table without a header, as for predict.
    #[arg(long, value_name = "LIST", requires = "data")]
    columns: Option<String>,
    /// A metric of `peft score`, or several with commas between; again for more.
    #[arg(
        long,
        value_name = "METRIC",
        value_delimiter = ',',
        show_default = "with --data those of eval that follow from predictions"
    )]
    metric: Vec<Asked>,
    #[command(flatten)]
    fields: FieldArgs,
    #[command(flatten)]
    classes: ClassArgs,
    #[command(flatten)]
    meteor: MeteorArgs,
    /// Print the scores as a JSON object keyed by metric name.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
///
/// Returns an error naming the file and line that is no part of the whole, or the rows that are missing; nothing is written
/// then. Also if the predictions cannot be scored, which are written then.
pub fn run(args: &MergeArgs) -> CliResult {
    let inputs: Vec<PathBuf> =
        args.files.iter().chain(&args.data).chain(&args.classes.groups).cloned().collect();
    let named = output::file_of(Some(&args.output));
    output::check_output("--output", named, &inputs)?;
    let format = Format::told(args.format, "--output", named)?;
    let scores = !args.data.is_empty() || !args.metric.is_empty();
    if args.json && !scores {
        let message = "prints scores: give --data with the rows, or --metric";
        return Err(Error::setting("--json", message).into());
    }
    if scores && named.is_none_or(atomic::is_stream) {
        let message = "scores are of a file: give one, or leave out --data and --metric";
        return Err(Error::setting("--output", message).into());
    }
    if is_standard_input(&args.data) {
        let message = "found -, and its rows are read twice: give a file";
        return Err(Error::setting("--data", message).into());
    }
    let whole = Whole::read(&args.files)?;
    let rows = match scores {
        true => rows_of(&whole, &args.output)?,
        false => Vec::new(),
    };
    // What is right stands beside predictions, by the names that they have for classes.
    let has_references = rows
        .iter()
        .any(|row| [REFERENCE, "references"].iter().any(|name| row.fields.contains_key(*name)));
    let scores_own = has_references && args.fields.reference_field.is_none();
    if let [first, ..] = args.data.as_slice() {
        let files = DataFiles::find(&args.data, args.columns.as_deref(), false)?;
        let (mut count, mut alike) = (0, Ok(()));
        for row in files.rows() {
            let row = row?;
            if let Some(predicted) = rows.get(count).filter(|_| alike.is_ok()) {
                let but = args.fields.reference_field.as_deref();
                alike = check_input(predicted, &row, scores_own, but);
            }
            count += 1;
        }
        check_rows(first, count, whole.lines.len())?;
        alike?;
    }
    let metric = match args.metric.as_slice() {
        [] if scores => args.metrics_of(&whole)?,
        asked => asked.to_vec(),
    };
    let text = text(&whole, &args.output, format)?;
    let place = match named {
        Some(path) => {
            atomic::write_file(path, text.as_bytes())?;
            format!("in {}", path.display())
        }
        None => {
            output::piece(&text)?;
            "on standard output".to_string()
        }
    };
    output::note(format!(
        "note: {} predictions of {} files {place}",
        grouped(whole.lines.len()),
        grouped(args.files.len())
    ));
    if !scores {
        return Ok(());
    }
    let references = match scores_own {
        true => {
            if !args.data.is_empty() {
                output::note(
                    "note: scored by the references beside the predictions, which call classes as these do; \
                     --reference-field NAME takes a field of --data",
                );
            }
            &[]
        }
        false => args.data.as_slice(),
    };
    // The lines, not the file: of a table, lists are texts.
    let files = Files::new(&args.output, references, false, &args.fields, &args.classes)
        .with_rows(rows)
        .with_columns(args.columns.as_deref())
        .with_meteor_jar(args.meteor.meteor_jar.as_ref());
    show(&files, &metric, args.json)
}

impl MergeArgs {
    /// The metrics where none is asked for.
    fn metrics_of(&self, whole: &Whole) -> CliResult<Vec<Asked>> {
        let first = rows_of(whole, &self.output)?.into_iter().next();
        let first = first.map(|row| row.fields).unwrap_or_default();
        let found = whole.said.map(|said| said.metrics(&first)).unwrap_or_default();
        if found.is_empty() {
            let said = match whole.said {
                Some(said) => format!("a line predicts {said} as these do"),
                None => "lines predict different things".into(),
            };
            let message =
                format!("needed: no metric is usual where {said}; `peft score --help` lists them");
            return Err(Error::setting("--metric", message).into());
        }
        Ok(found)
    }
}

/// All lines as rows of the file that they become.
fn rows_of(whole: &Whole, output: &Path) -> CliResult<Vec<Record>> {
    let path: Arc<Path> = Arc::from(output);
    let row = |(at, line): (usize, &String)| {
        Record::of_json(Arc::clone(&path), at + 1, line).map_err(CliError::from)
    };
    whole.lines.iter().enumerate().map(row).collect()
}

/// Refuses a row of --data that is not the one beside its prediction: another row would be scored, or where the prediction has
/// a reference of its own, what is right in --data would not count. The field that is scored against may differ.
fn check_input(predicted: &Record, row: &Record, whole: bool, but: Option<&str>) -> CliResult {
    let Some(Value::Object(input)) = predicted.fields.get(INPUT) else { return Ok(()) };
    let differs = |(name, value): (&String, &Value)| {
        but != Some(name.as_str()) && row.fields.get(name).is_some_and(|own| own != value)
    };
    if !input.iter().any(differs) && (!whole || *input == row.fields) {
        return Ok(());
    }
    Err(row
        .error(format!(
            "is not the row that stands beside prediction {} (`{INPUT}`): give the rows that were predicted, in their \
             order; leave out --data, and name --metric; or score against a field of --data with --reference-field",
            grouped(predicted.line)
        ))
        .into())
}

/// All lines in a format.
fn text(whole: &Whole, output: &Path, format: Format) -> CliResult<String> {
    if format == Format::Jsonl {
        return Ok(whole.lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect());
    }
    let rows = rows_of(whole, output)?.into_iter().map(read_again);
    Ok(format.text(rows.collect()))
}
