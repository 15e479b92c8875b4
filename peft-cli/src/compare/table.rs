//! A comparison as a table: as text, Markdown, LaTeX or CSV.

use peft_core::metrics::Interval;

use super::{
    cells::{NOTHING, count, memory, probability, score, seconds, signed},
    differences::Differences,
    files::Files,
    groups::{Comparison, System},
    run::Run,
};
use crate::output;

/// How a table is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Aligned, for a terminal.
    #[default]
    Text,
    /// Markdown.
    Markdown,
    /// LaTeX.
    Latex,
    /// Numbers alone, separated by commas, in full.
    Csv,
}

/// A table with what is said below it.
#[derive(Clone, Debug, Default)]
pub struct Grid {
    /// What the columns are called.
    pub header: Vec<String>,
    /// The lines.
    pub rows: Vec<Vec<String>>,
    /// Sentences.
    pub captions: Vec<String>,
}

/// The table of a comparison; with `times`, seconds and memory have columns.
pub fn of(
    comparison: &Comparison,
    differences: Option<&Differences>,
    times: bool,
    format: Format,
) -> String {
    match format {
        Format::Csv => in_full(comparison, differences, times).written(format),
        _ => short(comparison, differences, times).written(format),
    }
}

/// The table of files of predictions.
pub fn of_files(files: &Files, format: Format) -> String {
    let differences = &files.differences;
    let exact = format == Format::Csv;
    let what = differences.what.clone().unwrap_or_default();
    let mut grid = Grid { header: vec!["predictions".into(), what], ..Grid::default() };
    for (place, file) in files.scored.iter().enumerate() {
        let value = differences.scores.get(place).copied().flatten();
        let shown = value.map_or_else(
            || NOTHING.into(),
            |value| if exact { value.to_string() } else { score(value) },
        );
        grid.rows.push(vec![file.path.display().to_string(), shown]);
    }
    match exact {
        true => add_differences_in_full(&mut grid, differences),
        false => add_differences(&mut grid, differences),
    }
    grid.written(format)
}

/// The table of a comparison as people read it; with `times`, seconds and memory have columns.
pub fn short(comparison: &Comparison, differences: Option<&Differences>, times: bool) -> Grid {
    let metric = &comparison.metric;
    let mut grid = Grid { header: comparison.columns.titles(), ..Grid::default() };
    grid.header.push(metric.name.replace('_', " "));
    grid.header.extend(["n", "trained", "stored", "steps"].map(String::from));
    if times {
        grid.header.extend(["seconds", "memory"].map(String::from));
    }
    for system in &comparison.systems {
        let mut row = comparison.columns.cells(&system.settings);
        row.push(match system.deviation() {
            Some(deviation) => format!("{} ± {}", score(system.mean()), score(deviation)),
            None => score(system.mean()),
        });
        row.push(system.runs.len().to_string());
        row.extend([trained(system), stored(system), steps(system)].map(count));
        if times {
            row.push(seconds(system.mean_of(|run| run.seconds)));
            row.push(memory(system.largest(|run| run.peak_memory)));
        }
        grid.rows.push(row);
    }
    if let Some(differences) = differences {
        add_differences(&mut grid, differences);
    }
    let mut captions = Vec::new();
    let better = if metric.maximise { "higher" } else { "lower" };
    let of = match metric.name.as_str() {
        super::run::TRAIN_LOSS => "mean loss of the last training steps".to_string(),
        name => {
            let mut runs = comparison.systems.iter().flat_map(|system| &system.runs);
            let rows = if runs.any(|run| run.is_evaluation) { "scored" } else { "validation" };
            format!("{} of the {rows} rows", name.replace('_', " "))
        }
    };
    let deviations = match comparison.systems.iter().any(|system| system.runs.len() > 1) {
        true => "; mean ± standard deviation over n seeds",
        false => "",
    };
    captions.push(format!("{of}, {better} is better{deviations}"));
    captions.extend(comparison.columns.in_common().map(|common| format!("in all: {common}")));
    grid.captions.splice(0..0, captions);
    grid
}

fn in_full(comparison: &Comparison, differences: Option<&Differences>, times: bool) -> Grid {
    let name = &comparison.metric.name;
    let mut grid = Grid { header: comparison.columns.names.clone(), ..Grid::default() };
    grid.header.extend([name.clone(), format!("{name}_deviation")]);
    grid.header.extend(["n", "trained_parameters", "stored_parameters", "steps"].map(String::from));
    if times {
        grid.header.extend(["seconds", "peak_memory"].map(String::from));
    }
    let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    for system in &comparison.systems {
        let cell = |name: &String| match system.settings.get(name) {
            None => String::new(),
            Some(serde_json::Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        let mut row: Vec<String> = comparison.columns.names.iter().map(cell).collect();
        row.extend([number(Some(system.mean())), number(system.deviation())]);
        row.push(system.runs.len().to_string());
        row.extend([trained(system), stored(system), steps(system)].map(number));
        if times {
            row.push(number(system.mean_of(|run| run.seconds)));
            row.push(
                system
                    .largest(|run| run.peak_memory)
                    .map_or_else(String::new, |bytes| bytes.to_string()),
            );
        }
        grid.rows.push(row);
    }
    if let Some(differences) = differences {
        add_differences_in_full(&mut grid, differences);
    }
    grid
}

fn trained(system: &System) -> Option<f64> {
    mean_count(system, |run| run.trained_parameters)
}

fn stored(system: &System) -> Option<f64> {
    mean_count(system, |run| run.stored_parameters)
}

fn steps(system: &System) -> Option<f64> {
    mean_count(system, |run| run.steps)
}

fn mean_count(system: &System, of: fn(&Run) -> Option<usize>) -> Option<f64> {
    system.mean_of(|run| of(run).map(|count| count as f64))
}

/// Adds the columns of differences, as people read them.
fn add_differences(grid: &mut Grid, differences: &Differences) {
    let cell = |difference: f64, interval: Interval| {
        format!("{} [{}, {}]", signed(difference), signed(interval.low), signed(interval.high))
    };
    let nothing = || [NOTHING.to_string(), NOTHING.to_string()];
    if differences.rows.iter().any(Option::is_some) {
        grid.header.extend(["rows: difference", "rows: p"].map(String::from));
        for (row, found) in grid.rows.iter_mut().zip(&differences.rows) {
            row.extend(found.map_or_else(nothing, |found| {
                [cell(found.difference, found.interval), probability(found.corrected)]
            }));
        }
    }
    if differences.seeds.iter().any(Option::is_some) {
        grid.header.extend(["seeds: difference", "seeds: p"].map(String::from));
        for (row, found) in grid.rows.iter_mut().zip(&differences.seeds) {
            row.extend(found.map_or_else(nothing, |found| {
                [cell(found.test.difference, found.test.interval), probability(found.corrected)]
            }));
        }
    }
    grid.captions.extend(differences.captions());
}

fn add_differences_in_full(grid: &mut Grid, differences: &Differences) {
    let mut add = |title: &str, cells: Vec<Option<(f64, Interval, f64, f64)>>| {
        if cells.iter().all(Option::is_none) {
            return;
        }
        let parts = ["difference", "low", "high", "p", "p_corrected"];
        grid.header.extend(parts.map(|part| format!("{title}_{part}")));
        for (row, cell) in grid.rows.iter_mut().zip(cells) {
            row.extend(match cell {
                Some((difference, interval, p, corrected)) => {
                    [difference, interval.low, interval.high, p, corrected]
                        .map(|value| value.to_string())
                }
                None => Default::default(),
            });
        }
    };
    let rows = differences.rows.iter();
    add(
        "rows",
        rows.map(|found| found.map(|f| (f.difference, f.interval, f.p, f.corrected))).collect(),
    );
    let seeds = differences.seeds.iter();
    let of_test = |found: &Option<super::differences::OverSeeds>| {
        found.map(|f| (f.test.difference, f.test.interval, f.test.p, f.corrected))
    };
    add("seeds", seeds.map(of_test).collect());
}

impl Grid {
    fn written(&self, format: Format) -> String {
        match format {
            Format::Text => {
                let header: Vec<&str> = self.header.iter().map(String::as_str).collect();
                let table = output::table(&header, &self.rows);
                let captions = self.captions.iter().map(|caption| format!("\n{caption}"));
                format!("{table}\n{}", captions.collect::<String>())
            }
            Format::Markdown => {
                let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
                let escaped =
                    |cells: &[String]| cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
                let sides = self
                    .numbers()
                    .into_iter()
                    .map(|number| if number { "---:" } else { "---" }.to_string());
                let rows = self.rows.iter().map(|row| line(escaped(row)));
                let captions = self.captions.iter().map(|caption| format!("\n{caption}\n"));
                let head = line(escaped(&self.header))
                    + &format!("| {} |\n", sides.collect::<Vec<_>>().join(" | "));
                (head + &rows.collect::<String>() + &captions.collect::<String>())
                    .trim_end()
                    .to_string()
            }
            Format::Latex => {
                let line = |row: &Vec<String>| {
                    format!(
                        "{} \\\\\n",
                        row.iter().map(|cell| in_latex(cell)).collect::<Vec<_>>().join(" & ")
                    )
                };
                let sides: String = self
                    .numbers()
                    .into_iter()
                    .map(|number| if number { 'r' } else { 'l' })
                    .collect();
                let captions = self.captions.iter().map(|caption| format!("% {caption}\n"));
                format!(
                    "{}\\begin{{tabular}}{{{sides}}}\n\\hline\n{}\\hline\n{}\\hline\n\\end{{tabular}}",
                    captions.collect::<String>(),
                    line(&self.header),
                    self.rows.iter().map(line).collect::<String>()
                )
            }
            Format::Csv => {
                let line = |row: &Vec<String>| {
                    row.iter().map(|cell| in_csv(cell)).collect::<Vec<_>>().join(",")
                };
                let lines = std::iter::once(&self.header).chain(&self.rows).map(line);
                lines.collect::<Vec<_>>().join("\n")
            }
        }
    }

    /// Which columns are of numbers.
    fn numbers(&self) -> Vec<bool> {
        let is_number =
            |cell: &String| cell.starts_with(|c: char| c.is_ascii_digit() || "-+<".contains(c));
        let column =
            |index: usize| self.rows.iter().filter_map(|row| row.get(index)).all(is_number);
        (0..self.header.len()).map(column).collect()
    }
}

fn in_csv(cell: &str) -> String {
    match cell.contains(['"', ',', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.to_string(),
    }
}

fn in_latex(cell: &str) -> String {
    let mut text = String::new();
    let mut letters = cell.chars().peekable();
    let mut before = None;
    while let Some(letter) = letters.next() {
        let is_sign = before.is_none_or(|before: char| " [".contains(before));
        match letter {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => text.extend(['\\', letter]),
            '\\' => text += "\\textbackslash{}",
            '~' => text += "\\textasciitilde{}",
            '^' => text += "\\textasciicircum{}",
            '±' => text += "$\\pm$",
            '<' => text += "$<$",
            '-' if is_sign && letters.peek().is_some_and(char::is_ascii_digit) => text += "$-$",
            ' ' if before.is_some_and(|c| c.is_ascii_digit())
                && letters.peek().is_some_and(char::is_ascii_digit) =>
            {
                text += "\\,";
            }
            letter => text.push(letter),
        }
        before = Some(letter);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        let words = |list: &[&str]| list.iter().map(|word| word.to_string()).collect::<Vec<_>>();
        Grid {
            header: words(&["init_text", "accuracy"]),
            rows: vec![words(&["a|b, \"c\"", "0.5000 ± 0.0100"]), words(&["50 %", "-"])],
            captions: words(&["accuracy, higher is better"]),
        }
    }

    #[test]
    fn a_table_is_written_in_four_ways() {
        let of = |format| grid().written(format);
        assert_eq!(
            of(Format::Text),
            "init_text         accuracy\na|b, \"c\"   0.5000 ± 0.0100\n50 %                     -\n\naccuracy, higher is better"
        );
        assert_eq!(
            of(Format::Markdown),
            "| init_text | accuracy |\n| --- | ---: |\n| a\\|b, \"c\" | 0.5000 ± 0.0100 |\n| 50 % | - |\n\naccuracy, higher \
             is better"
        );
        assert_eq!(
            of(Format::Latex),
            "% accuracy, higher is better\n\\begin{tabular}{lr}\n\\hline\ninit\\_text & accuracy \\\\\n\\hline\na|b, \"c\" & \
             0.5000 $\\pm$ 0.0100 \\\\\n50 \\% & - \\\\\n\\hline\n\\end{tabular}"
        );
        assert_eq!(
            of(Format::Csv),
            "init_text,accuracy\n\"a|b, \"\"c\"\"\",0.5000 ± 0.0100\n50 %,-"
        );
        assert_eq!(
            in_latex("-0.5 [-1.0, +2] < 76 423 x-y"),
            "$-$0.5 [$-$1.0, +2] $<$ 76\\,423 x-y"
        );
    }
}
