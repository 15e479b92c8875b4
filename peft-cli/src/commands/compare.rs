//! `peft compare`: runs side by side.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use crate::{
    compare::{
        Comparison, Differences, Fields, as_json, compare, files_as_json, find, of_files, plot,
        table,
    },
    error::{CliError, CliResult},
    flags::help::FlagHelp,
    output,
    report::of_comparison,
};

/// Compares runs: one line for all runs that differ by the seed alone, the best first.
///
/// A folder that holds folders of runs, such as that of a sweep, stands for them. Runs that are not finished are named,
/// not counted.
///
/// With --significance, the difference of each system to the best is tested: over rows, where the folder of each run
/// holds predictions (predictions.jsonl, as `peft predict` or `peft eval --predictions` write them with the fields of
/// the row), and over seeds, where systems have several. A system whose rows are others than those of most systems, or
/// written otherwise, is not compared over rows, and named.
///
/// Examples:
///   peft compare runs/a runs/b runs/c
///   peft compare runs/sweep --metric f1_macro \
///     --significance --html sweep.html
///   peft compare --scores a.jsonl b.jsonl
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct CompareArgs {
    /// Folders of runs, or folders that hold such.
    #[arg(value_name = "RUN", required_unless_present = "scores")]
    runs: Vec<PathBuf>,
    /// Compare files of predictions for the same rows in place of runs: scores, and tests of their differences.
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["runs", "metric", "significance", "no_times", "plot",
        "html"])]
    scores: Vec<PathBuf>,
    #[command(flatten)]
    tests: TestArgs,
    /// Test the difference of each system to the best.
    #[arg(long)]
    significance: bool,
    /// Leave out seconds and memory, which differ from one repetition to the next.
    #[arg(long)]
    no_times: bool,
    #[command(flatten)]
    shown: ShownArgs,
}

/// How differences are tested.
#[derive(Args, Clone, Debug)]
pub struct TestArgs {
    /// Field of the predictions that holds the score of a row, a number or a boolean.
    #[arg(
        long,
        value_name = "NAME",
        show_default = "exact_match, otherwise whether what is predicted is right"
    )]
    score: Option<String>,
    /// Field of the rows that holds what should be predicted, where it is called otherwise than in the predictions.
    #[arg(long, value_name = "NAME")]
    label_field: Option<String>,
    /// Draws of a test over rows.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    resamples: usize,
}

/// How a comparison is shown.
#[derive(Args, Clone, Debug)]
pub struct ShownArgs {
    /// Score to compare by.
    #[arg(
        long,
        value_name = "NAME",
        show_default = "the one that chooses the best step of each run"
    )]
    pub(super) metric: Option<String>,
    /// Write a picture to FILE, an .svg: scores against stored parameters, and over the steps.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Write a page to FILE, an .html: the table, charts of all runs, what tests say, and links to the pages of the runs.
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Print CSV, with all digits.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Print Markdown.
    #[arg(long, conflicts_with_all = ["json", "csv"])]
    markdown: bool,
    /// Print LaTeX.
    #[arg(long, conflicts_with_all = ["json", "csv", "markdown"])]
    latex: bool,
}

/// Runs the command.
///
/// # Errors
///
/// Returns an error naming the folder that holds no run, or the file that cannot be read.
pub fn run(args: &CompareArgs) -> CliResult {
    args.tests.check()?;
    args.shown.check()?;
    if !args.scores.is_empty() {
        let files = of_files(&args.scores, &args.tests.fields(), args.tests.resamples)?;
        files.differences.notes.iter().for_each(|note| output::note(format!("note: {note}")));
        return match args.shown.format() {
            None => json(&files_as_json(&files)),
            Some(format) => Ok(output::line(table::of_files(&files, format))?),
        };
    }
    let comparison = compare(find(&args.runs)?, args.shown.metric.as_deref())?;
    let differences = match args.significance {
        true => {
            let (fields, resamples) = (args.tests.fields(), args.tests.resamples);
            Some(Differences::of(&comparison, &fields, resamples)?)
        }
        false => None,
    };
    args.shown.show(&comparison, differences.as_ref(), !args.no_times)
}

impl TestArgs {
    fn check(&self) -> CliResult {
        const MOST: usize = 10_000_000;
        match self.resamples {
            1..=MOST => Ok(()),
            found => {
                Err(CliError::Usage(format!("--resamples: found {found}, expected 1 to {MOST}")))
            }
        }
    }

    fn fields(&self) -> Fields {
        Fields { score: self.score.clone(), label: self.label_field.clone() }
    }
}

impl ShownArgs {
    /// Refuses what cannot be written, before the work.
    ///
    /// # Errors
    ///
    /// As [`plot::check`] and [`of_comparison::check`].
    pub fn check(&self) -> CliResult {
        self.plot.as_deref().map_or(Ok(()), plot::check)?;
        Ok(self.html.as_deref().map_or(Ok(()), of_comparison::check)?)
    }

    /// Whether JSON is wanted.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// The format of the table; `None` for JSON.
    fn format(&self) -> Option<table::Format> {
        match (self.json, self.csv, self.markdown, self.latex) {
            (true, ..) => None,
            (_, true, ..) => Some(table::Format::Csv),
            (_, _, true, _) => Some(table::Format::Markdown),
            (.., true) => Some(table::Format::Latex),
            _ => Some(table::Format::Text),
        }
    }

    /// Prints a comparison, and tells what should be known of it.
    ///
    /// # Errors
    ///
    /// Returns an error if stdout, the picture or the page cannot be written.
    pub fn show(
        &self,
        comparison: &Comparison,
        differences: Option<&Differences>,
        times: bool,
    ) -> CliResult {
        let notes =
            comparison.notes.iter().chain(differences.iter().flat_map(|found| &found.notes));
        notes.for_each(|note| output::note(format!("note: {note}")));
        if let Some(path) = &self.plot {
            plot::write(comparison, path)?;
        }
        let printed = match self.format() {
            None => json(&as_json(comparison, differences, times)),
            Some(format) => output::line(table::of(comparison, differences, times, format))
                .map_err(CliError::from),
        };
        // What cannot be written costs nothing of what is printed, nor the other way round.
        let page = self.html.as_deref();
        page.map_or(Ok(()), |path| of_comparison::write(comparison, differences, path))?;
        printed
    }
}

fn json(value: &Value) -> CliResult {
    Ok(output::line(format!("{value:#}"))?)
}
