//! `peft score`: metrics of predictions against references, whatever made them.

use std::path::PathBuf;

use clap::Args;
use peft_core::{Error, metrics::Metrics};
use serde_json::Value;

use crate::{
    data_files::is_standard_input,
    error::{CliError, CliResult},
    output,
    scoring::{
        Asked, ClassArgs, FieldArgs, Files, Found, MeteorArgs, shown_classes, shown_entities,
    },
};

/// Scores predictions against references, in files of any program.
///
/// All scores are fractions from 0 to 1, but for nist (about 0 to 15), cider (0 to 10), mse, ter, and bleu of very short
/// texts, which may exceed 1; docs/METRICS.md has the definition of each, and the program that it equals.
///
/// Of classes: accuracy, f1, precision and recall (of one class: --positive), f1_macro, f1_micro, matthews, report, and
/// by group of rows (--groups) f1_by_group and exact_match_by_group. Of numbers: pearson, spearman, mse. Of texts:
/// exact_match, bleu (E2E's: mteval-v13a, lower case), sacrebleu, nist, rouge_1, rouge_2, rouge_l, rouge_lsum,
/// rouge_l_coco and cider (E2E's), chrf, chrf++, ter, meteor (--meteor-jar). Of tagged sentences: entity_f1, entities. Of answers: squad,
/// squad_v2.
///
/// A file holds a prediction or reference on each line, or groups of references that blank lines separate; or rows, as
/// predict, generate and eval write them and as data files have them, or SQuAD's own files. What it holds is recognised.
///
/// Examples:
///   peft score --metric bleu --metric nist \
///     --predictions out.txt --references test.txt
///   peft score --metric accuracy,f1_macro,report \
///     --predictions intents.jsonl --references valid.jsonl --json
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct ScoreArgs {
    /// A metric, or several with commas between; again for more.
    #[arg(long, value_name = "METRIC", required = true, value_delimiter = ',')]
    metric: Vec<Asked>,
    /// File of predictions, or -.
    #[arg(long, value_name = "FILE")]
    predictions: PathBuf,
    /// File of references, or -. [default: those that stand beside the predictions, as eval writes them]
    #[arg(long, value_name = "FILE")]
    references: Option<PathBuf>,
    #[command(flatten)]
    fields: FieldArgs,
    #[command(flatten)]
    classes: ClassArgs,
    #[command(flatten)]
    meteor: MeteorArgs,
    /// Read both files line by line, even if the lines look like JSON or a table.
    #[arg(long)]
    as_lines: bool,
    /// Print a JSON object keyed by metric name.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
///
/// Returns an error naming the file, line or field that cannot be read, or the numbers of rows that differ.
pub fn run(args: &ScoreArgs) -> CliResult {
    let both: Vec<PathBuf> =
        std::iter::once(&args.predictions).chain(&args.references).cloned().collect();
    if both.len() == 2 && both.iter().all(|path| is_standard_input(std::slice::from_ref(path))) {
        let message = "standard input holds the predictions: give a file of references";
        return Err(Error::setting("--references", message).into());
    }
    let files = Files::new(
        &args.predictions,
        args.references.as_slice(),
        args.as_lines,
        &args.fields,
        &args.classes,
    )
    .with_meteor_jar(args.meteor.meteor_jar.as_ref());
    show(&files, &args.metric, args.json)
}

/// Prints what metrics say of files.
///
/// # Errors
///
/// As [`run`].
pub fn show(files: &Files<'_>, metric: &[Asked], as_json: bool) -> CliResult {
    let mut found: Vec<(String, Found)> = Vec::new();
    for asked in metric {
        if found.iter().any(|(name, _)| *name == asked.name) {
            return Err(CliError::Usage(format!("--metric: {asked} is asked for twice")));
        }
        let score = files.score(asked.metric).map_err(|error| match error {
            // Of one file, and of both.
            Error::Mismatch(message) => Error::Mismatch(format!("{asked}: {message}")),
            other => other,
        })?;
        found.push((asked.name.clone(), score));
    }
    if as_json {
        let all: Vec<(&str, Value)> =
            found.iter().map(|(name, score)| (name.as_str(), score.json())).collect();
        return Ok(output::line(output::object(&all))?);
    }
    print(&found)
}

/// Prints numbers in one list, then the tables.
fn print(found: &[(String, Found)]) -> CliResult {
    let mut numbers = Metrics::new();
    let mut tables = Vec::new();
    for (name, score) in found {
        match score {
            Found::Number(value) => numbers.insert(name.clone(), *value),
            Found::Several(scores) => {
                numbers
                    .extend(scores.iter().map(|(part, value)| (format!("{name}.{part}"), value)));
            }
            Found::Entities(scores) => tables.push(shown_entities(scores)),
            Found::Classes(report, names) => tables.push(shown_classes(report, names)),
        }
    }
    if !numbers.is_empty() {
        output::metrics(&numbers)?;
    }
    for (at, table) in tables.iter().enumerate() {
        if at > 0 || !numbers.is_empty() {
            output::line("")?;
        }
        output::line(table)?;
    }
    Ok(())
}
