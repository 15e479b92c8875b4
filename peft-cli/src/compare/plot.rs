//! Two pictures in a file: the scores of systems against the parameters that they store, and over their steps.

use std::{collections::BTreeMap, path::Path};

use peft_core::{Error, Result, adapter::atomic, metrics::mean};

use super::{
    cells::{count, score},
    groups::{Comparison, System},
    scale::Scale,
    svg::{Anchor, Svg},
};
use crate::output;

/// Colours that people who see few of them tell apart (Okabe & Ito).
const COLOURS: [&str; 7] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5b5b5b"];
/// The lines of those that share a colour.
const DASHES: [&str; 3] = ["none", "7 3", "2 3"];
/// The most systems that can be told apart.
const MOST: usize = COLOURS.len() * DASHES.len();

/// The size of a picture's axes, and the room around them.
const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 280.0;
const LEFT: f64 = 62.0;
const TOP: f64 = 34.0;
const BELOW: f64 = 48.0;
const GAP: f64 = 30.0;
/// The height of a line of the legend.
const LINE: f64 = 19.0;

/// Refuses a file of another kind, before the work.
///
/// # Errors
///
/// [`Error::Setting`]; [`Error::Write`].
pub fn check(path: &Path) -> Result<()> {
    let end = path.extension().map(|end| end.to_string_lossy().to_lowercase());
    if end.as_deref() != Some("svg") && !atomic::is_stream(path) {
        let message =
            format!("found {}, expected the name of a picture that ends in .svg", path.display());
        return Err(Error::setting("--plot", message));
    }
    output::check_output("--plot", Some(path), &[])
}

/// Writes the pictures of a comparison.
///
/// # Errors
///
/// [`Error::Write`].
pub fn write(comparison: &Comparison, path: &Path) -> Result<()> {
    atomic::write_file(path, drawn(comparison).as_bytes())
}

/// The pictures, side by side, above a legend.
fn drawn(comparison: &Comparison) -> String {
    let systems = &comparison.systems[..comparison.systems.len().min(MOST)];
    let (all, shown) = (comparison.systems.len(), systems.len());
    let width = 2.0 * (LEFT + WIDTH + GAP);
    let height = TOP + HEIGHT + BELOW + LINE * (shown as f64 + 1.0);
    let mut svg = Svg::new(width, height);
    let name = comparison.metric.name.replace('_', " ");
    against_parameters(&mut svg, comparison, systems, &name);
    let curves: Vec<Vec<(usize, f64)>> =
        systems.iter().map(|system| curve(system, &comparison.metric.name)).collect();
    over_steps(&mut svg, comparison, systems, &curves, &name);
    let mut y = TOP + HEIGHT + BELOW + 12.0;
    for (place, system) in systems.iter().enumerate() {
        let (colour, dashes) = look(place);
        svg.path(&[(LEFT, y), (LEFT + 30.0, y)], colour, dashes, "");
        svg.dot((LEFT + 15.0, y), 4.0, colour, "");
        svg.text(
            (LEFT + 40.0, y + 4.0),
            Anchor::Start,
            &comparison.columns.label(&system.settings),
        );
        y += LINE;
    }
    let best =
        if all > shown { format!(", the best {shown} of {all} systems") } else { String::new() };
    svg.finish(&format!("{name} against stored parameters, and over the steps{best}"))
}

fn look(place: usize) -> (&'static str, &'static str) {
    (COLOURS[place % COLOURS.len()], DASHES[place / COLOURS.len() % DASHES.len()])
}

fn stored(system: &System) -> Option<f64> {
    system.mean_of(|run| run.stored_parameters.map(|count| count as f64))
}

fn against_parameters(svg: &mut Svg, comparison: &Comparison, systems: &[System], name: &str) {
    let known = || {
        systems
            .iter()
            .enumerate()
            .filter_map(|(place, system)| Some((place, system, stored(system)?)))
    };
    let limits = |system: &System| {
        let half = system.deviation().unwrap_or(0.0);
        [system.mean() - half, system.mean() + half]
    };
    let axes = Axes {
        left: LEFT,
        x: Scale::log(known().map(|(.., stored)| stored)),
        y: Scale::linear(known().flat_map(|(_, system, _)| limits(system))),
    };
    axes.draw(svg, "parameters stored", name);
    for (place, system, stored) in known() {
        let (colour, _) = look(place);
        let [low, high] = limits(system).map(|value| axes.at(stored, value));
        if system.runs.len() > 1 {
            svg.line(low, high, colour, 1.5);
            for (x, y) in [low, high] {
                svg.line((x - 4.0, y), (x + 4.0, y), colour, 1.5);
            }
        }
        let deviation =
            system.deviation().map_or_else(String::new, |value| format!(" ± {}", score(value)));
        let text = format!(
            "{}: {}{deviation}, {} parameters",
            comparison.columns.label(&system.settings),
            score(system.mean()),
            count(Some(stored))
        );
        svg.dot(axes.at(stored, system.mean()), 5.0, colour, &text);
    }
}

fn over_steps(
    svg: &mut Svg,
    comparison: &Comparison,
    systems: &[System],
    curves: &[Vec<(usize, f64)>],
    name: &str,
) {
    let points = || curves.iter().flatten();
    let axes = Axes {
        left: LEFT + WIDTH + GAP + LEFT,
        x: Scale::from_zero(points().map(|(step, _)| *step as f64)),
        y: Scale::linear(points().map(|(_, value)| *value)),
    };
    axes.draw(svg, "steps", name);
    for ((place, system), curve) in systems.iter().enumerate().zip(curves) {
        let (colour, dashes) = look(place);
        let label = comparison.columns.label(&system.settings);
        let at: Vec<(f64, f64)> =
            curve.iter().map(|(step, value)| axes.at(*step as f64, *value)).collect();
        if at.len() > 1 {
            svg.path(&at, colour, dashes, &label);
        }
        for ((step, value), at) in curve.iter().zip(at) {
            svg.dot(at, 2.2, colour, &format!("{label}, step {step}: {}", score(*value)));
        }
    }
}

/// The mean scores of a system after each step that was scored in all of its runs.
fn curve(system: &System, name: &str) -> Vec<(usize, f64)> {
    let mut found: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for point in system.runs.iter().flat_map(|run| &run.curve) {
        if let Some(value) = point.scores.get(name).and_then(serde_json::Value::as_f64) {
            found.entry(point.step).or_default().push(value);
        }
    }
    let all = system.runs.len();
    found
        .into_iter()
        .filter(|(_, values)| values.len() == all)
        .filter_map(|(step, v)| Some((step, mean(&v)?)))
        .collect()
}

/// Two axes.
struct Axes {
    left: f64,
    x: Scale,
    y: Scale,
}

impl Axes {
    fn at(&self, x: f64, y: f64) -> (f64, f64) {
        (self.left + WIDTH * self.x.place(x), TOP + HEIGHT * (1.0 - self.y.place(y)))
    }

    fn draw(&self, svg: &mut Svg, below: &str, above: &str) {
        let (bottom, right) = (TOP + HEIGHT, self.left + WIDTH);
        for (value, text) in self.y.marks() {
            let y = TOP + HEIGHT * (1.0 - self.y.place(value));
            svg.line((self.left, y), (right, y), "#e4e4e4", 1.0);
            svg.text((self.left - 7.0, y + 4.0), Anchor::End, &text);
        }
        for (value, text) in self.x.marks() {
            let x = self.left + WIDTH * self.x.place(value);
            svg.line((x, bottom), (x, bottom + 5.0), "#888", 1.0);
            svg.text((x, bottom + 19.0), Anchor::Middle, &text);
        }
        svg.line((self.left, bottom), (right, bottom), "#888", 1.0);
        svg.text((self.left + 0.5 * WIDTH, bottom + 38.0), Anchor::Middle, below);
        svg.text((self.left - 40.0, TOP - 14.0), Anchor::Start, above);
    }
}
