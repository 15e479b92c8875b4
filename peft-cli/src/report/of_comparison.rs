//! The page about runs side by side.

use std::path::Path;

use peft_core::{Error, Result, adapter::atomic};

use super::{
    chart::{Chart, MOST_SERIES, Mark, Series},
    curve::curve,
    grids::grids,
    html::{Element, element},
    links::address,
    of_run::capital,
    page::{Section, page},
    parts::{Cell, heading, paragraph, table},
};
use crate::{
    compare::{Comparison, Differences, System, cells, scale::Scale, table::short},
    output::{self, grouped},
    training::file_names::REPORT,
};

/// Points of all curves together.
const MOST_POINTS: usize = 2000;
/// A difference with a smaller probability is said to be more than chance.
const LEVEL: f64 = 0.05;

/// Refuses a file of another kind, before the work.
///
/// # Errors
///
/// [`Error::Setting`]; [`Error::Write`].
pub fn check(path: &Path) -> Result<()> {
    let end = path.extension().map(|end| end.to_string_lossy().to_lowercase());
    if !end.is_some_and(|end| end == "html" || end == "htm") && !atomic::is_stream(path) {
        let message =
            format!("found {}, expected the name of a page that ends in .html", path.display());
        return Err(Error::setting("--html", message));
    }
    output::check_output("--html", Some(path), &[])
}

/// Writes the page about a comparison.
///
/// # Errors
///
/// [`Error::Write`].
pub fn write(
    comparison: &Comparison,
    differences: Option<&Differences>,
    path: &Path,
) -> Result<()> {
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    let drawn = drawn(comparison, differences, folder.unwrap_or(Path::new(".")));
    atomic::write_file(path, drawn.as_bytes())
}

/// The page, in a folder from which its links lead to those of the runs.
fn drawn(comparison: &Comparison, differences: Option<&Differences>, folder: &Path) -> String {
    let runs = comparison.systems.iter().map(|system| system.runs.len()).sum::<usize>();
    let metric = comparison.metric.name.replace('_', " ");
    let best = comparison.systems.first().map(|best| {
        let label = comparison.columns.label(&best.settings);
        format!(" The best {metric} is {}, of {label}.", score_of(best))
    });
    let lead = format!(
        "{runs} {} of {} {}.{}",
        if runs == 1 { "run" } else { "runs" },
        comparison.systems.len(),
        if comparison.systems.len() == 1 { "system" } else { "systems" },
        best.unwrap_or_default()
    );
    let section = |id, title, body| Section { id, title, body };
    let charts = |chart: Chart| vec![element("div").with("class", "wide").child(chart.drawn())];
    let sections = vec![
        section("results", "Results", results(comparison, differences)),
        section("parameters", "Scores against parameters", charts(against_parameters(comparison))),
        section("curves", "Scores over the steps", charts(over_steps(comparison))),
        section("grid", "Two settings at a time", grids(comparison)),
        section(
            "significance",
            "Is the difference more than chance?",
            tested(comparison, differences),
        ),
        section("runs", "The runs", run_table(comparison, folder)),
        section("notes", "Notes", notes(comparison, differences)),
    ];
    page(&format!("Runs compared by {metric}"), &lead, sections)
}

fn score_of(system: &System) -> String {
    let deviation = system.deviation().map(|value| format!(" ± {}", cells::score(value)));
    cells::score(system.mean()) + &deviation.unwrap_or_default()
}

/// The table as `peft compare` prints it.
fn results(comparison: &Comparison, differences: Option<&Differences>) -> Vec<Element> {
    let grid = short(comparison, differences, true);
    let [caption, others @ ..] = grid.captions.as_slice() else { return Vec::new() };
    let rows: Vec<Vec<Cell>> =
        grid.rows.iter().map(|row| row.iter().map(Cell::of).collect()).collect();
    let mut parts = vec![table(caption, &grid.header, &rows)];
    // Those of the differences stand where they are told in words.
    let said = differences.map(Differences::captions).unwrap_or_default();
    parts.extend(others.iter().filter(|caption| !said.contains(caption)).map(paragraph));
    parts
}

fn against_parameters(comparison: &Comparison) -> Chart {
    let metric = comparison.metric.name.replace('_', " ");
    let systems = &comparison.systems[..comparison.systems.len().min(MOST_SERIES)];
    let stored = |system: &System| system.mean_of(|run| run.stored_parameters.map(|n| n as f64));
    let mut series = Vec::new();
    let mut said = Vec::new();
    for (look, system) in systems.iter().enumerate() {
        let Some(stored) = stored(system) else { continue };
        let name = comparison.columns.label(&system.settings);
        let (score, count) = (score_of(system), cells::count(Some(stored)));
        let text = format!("{name}: {metric} {score}, {count} parameters");
        said.push(text.clone());
        let mark = Mark {
            x: stored,
            y: system.mean(),
            deviation: system.deviation(),
            text,
            cells: [count, score],
        };
        series.push(Series { name, look, is_line: false, points: vec![mark] });
    }
    let marks = || series.iter().flat_map(|series: &Series| &series.points);
    let ends = |mark: &Mark| {
        let half = mark.deviation.unwrap_or(0.0);
        [mark.y - half, mark.y + half]
    };
    let scales = (Scale::log(marks().map(|mark| mark.x)), Scale::linear(marks().flat_map(ends)));
    Chart {
        id: "stored".into(),
        title: capital(&format!("{metric} by the parameters of an adapter")),
        description: said.join(". "),
        axes: ("parameters stored".into(), metric),
        scales,
        legend: series.iter().map(|series| (series.look, series.name.clone())).collect(),
        series,
    }
}

/// A curve for each run; those of a system look alike.
fn over_steps(comparison: &Comparison) -> Chart {
    let name = &comparison.metric.name;
    let metric = name.replace('_', " ");
    let systems = &comparison.systems[..comparison.systems.len().min(MOST_SERIES)];
    let runs = systems.iter().map(|system| system.runs.len()).sum::<usize>();
    let most = (MOST_POINTS / runs.max(1)).max(2);
    let mut series = Vec::new();
    let mut said = Vec::new();
    for (look, system) in systems.iter().enumerate() {
        let label = comparison.columns.label(&system.settings);
        for run in &system.runs {
            let name_of_run = format!("{label}, seed {}", run.settings.seed());
            let (found, together) = curve(&run.curve, name, most);
            let mean = if together > 1 { format!(", mean of {together}") } else { String::new() };
            if let (Some((_, first)), Some((step, last))) = (found.first(), found.last()) {
                said.push(format!(
                    "{name_of_run}: from {} to {} at step {}{mean}",
                    cells::score(*first),
                    cells::score(*last),
                    grouped(*step)
                ));
            }
            let mark = |(step, value): &(usize, f64)| Mark {
                x: *step as f64,
                y: *value,
                deviation: None,
                text: format!(
                    "{name_of_run}, step {}: {metric} {}{mean}",
                    grouped(*step),
                    cells::score(*value)
                ),
                cells: [grouped(*step), cells::score(*value)],
            };
            let points = found.iter().map(mark).collect();
            series.push(Series { name: name_of_run.clone(), look, is_line: true, points });
        }
    }
    let all = || series.iter().flat_map(|series: &Series| &series.points);
    let scales =
        (Scale::from_zero(all().map(|mark| mark.x)), Scale::linear(all().map(|mark| mark.y)));
    let legend = systems.iter().enumerate();
    Chart {
        id: "steps".into(),
        title: capital(&format!("{metric} of each run")),
        description: said.join(". "),
        axes: ("step".into(), metric.clone()),
        scales,
        legend: legend.map(|(look, one)| (look, comparison.columns.label(&one.settings))).collect(),
        series,
    }
}

/// What tests of the differences say, in words.
fn tested(comparison: &Comparison, differences: Option<&Differences>) -> Vec<Element> {
    let Some(differences) = differences else {
        let how = "Not tested here: peft compare --significance tests the difference of each system to the best, over the rows \
                   that they answered and over their seeds.";
        return if comparison.systems.len() > 1 { vec![paragraph(how)] } else { Vec::new() };
    };
    let label = |place: usize| comparison.columns.label(&comparison.systems[place].settings);
    let verdict = |p: f64| match p < LEVEL {
        true => "more than chance at the 5 % level",
        false => "may be chance",
    };
    let sentence = |place: usize, difference: f64, low: f64, high: f64, p: f64| {
        let text = format!(
            "{}: {} [{}, {}], p {}: {}",
            label(place),
            cells::signed(difference),
            cells::signed(low),
            cells::signed(high),
            cells::probability(p),
            verdict(p)
        );
        element("li").with("dir", "auto").text(text)
    };
    let mut parts = vec![paragraph(format!("Each system against the best, {}.", label(0)))];
    let of_rows = differences.rows.iter().enumerate().filter_map(|(place, found)| {
        let found = found.as_ref()?;
        let interval = found.interval;
        Some(sentence(place, found.difference, interval.low, interval.high, found.corrected))
    });
    let of_seeds = differences.seeds.iter().enumerate().filter_map(|(place, found)| {
        let found = found.as_ref()?;
        let (test, interval) = (&found.test, found.test.interval);
        Some(sentence(place, test.difference, interval.low, interval.high, found.corrected))
    });
    let over_rows = match differences.reference {
        0 => "Over the rows".to_string(),
        place => format!("Over the rows, against {}", label(place)),
    };
    for (title, items) in [
        (&*over_rows, of_rows.collect::<Vec<_>>()),
        ("Over the seeds", of_seeds.collect::<Vec<_>>()),
    ] {
        if !items.is_empty() {
            parts.push(heading(title));
            parts.push(element("ul").children(items));
        }
    }
    parts.extend(differences.captions().iter().map(paragraph));
    parts
}

/// Every run with its facts, and a link to its own page where there is one.
fn run_table(comparison: &Comparison, folder: &Path) -> Vec<Element> {
    let metric = comparison.metric.name.replace('_', " ");
    let header = [
        "run",
        "seed",
        metric.as_str(),
        "step",
        "trained",
        "stored",
        "seconds",
        "memory",
        "machine",
    ];
    let mut rows = Vec::new();
    for system in &comparison.systems {
        for (run, value) in system.runs.iter().zip(&system.values) {
            let name = run.path.display().to_string();
            let own = run.path.join(REPORT);
            let link = own.is_file().then(|| address(folder, &own)).flatten();
            let count = |value: Option<usize>| cells::count(value.map(|count| count as f64));
            let machine = run.machine.as_ref().map(|machine| machine.shown());
            let mut row = vec![match link {
                Some(to) => Cell::Link(to, name),
                None => Cell::Text(name),
            }];
            row.extend(
                [
                    run.settings.seed().to_string(),
                    cells::score(*value),
                    count(run.best_step),
                    count(run.trained_parameters),
                    count(run.stored_parameters),
                    cells::seconds(run.seconds),
                    cells::memory(run.peak_memory),
                ]
                .map(Cell::Number),
            );
            row.push(Cell::Text(machine.unwrap_or_else(|| cells::NOTHING.into())));
            rows.push(row);
        }
    }
    vec![table("Each run, the best system first", &header.map(String::from), &rows)]
}

fn notes(comparison: &Comparison, differences: Option<&Differences>) -> Vec<Element> {
    let drawn = comparison.systems.len().min(MOST_SERIES);
    let left_out = (drawn < comparison.systems.len()).then(|| {
        format!("The charts show the best {drawn} of {} systems.", comparison.systems.len())
    });
    let of_tests = differences.iter().flat_map(|found| &found.notes);
    let all = comparison.notes.iter().chain(of_tests).cloned().chain(left_out);
    let items: Vec<Element> =
        all.map(|note| element("li").with("dir", "auto").text(note)).collect();
    if items.is_empty() { Vec::new() } else { vec![element("ul").children(items)] }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_the_name_of_one() {
        let dir = tempfile::tempdir().unwrap();
        check(&dir.path().join("a.html")).unwrap();
        let message = check(&dir.path().join("a.svg")).unwrap_err().to_string();
        assert!(
            message.contains("--html: found") && message.contains("ends in .html"),
            "{message}"
        );
        assert!(check(&dir.path().join("none/a.html")).is_err());
    }
}
