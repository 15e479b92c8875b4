//! Scores by two settings: heat maps, where runs are a grid of them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    heat::{Shaded, heat_map},
    html::Element,
    parts::paragraph,
};
use crate::compare::{Comparison, System, cells, columns::title, identity::shown};

/// The most heat maps.
const MOST: usize = 6;
/// The least cells of one that are known: fewer are read better in the table.
const LEAST: usize = 4;

/// A setting with its values in their order.
struct Axis {
    name: String,
    /// Each as it is, and as it is shown: paths of other folders may end alike.
    values: Vec<(String, String)>,
}

impl Axis {
    fn of(name: &str, systems: &[System]) -> Self {
        let value = |system: &System| {
            let value = system.settings.get(name).unwrap_or(&Value::Null);
            (value.to_string(), shown(name, value))
        };
        let mut values: Vec<(String, String)> = systems.iter().map(value).collect();
        values.sort_by(|a, b| by_value(&a.1, &b.1).then_with(|| a.0.cmp(&b.0)));
        values.dedup();
        let texts: Vec<String> = values.iter().map(|(_, text)| text.clone()).collect();
        for (own, text) in &mut values {
            if texts.iter().filter(|other| *other == text).count() > 1 {
                text.clone_from(own);
            }
        }
        Self { name: name.to_string(), values }
    }

    /// The place of a system's value among those of all.
    fn place(&self, system: &System) -> Option<usize> {
        let own = system.settings.get(&self.name).unwrap_or(&Value::Null).to_string();
        self.values.iter().position(|(value, _)| *value == own)
    }

    /// The text at a place.
    fn text(&self, place: Option<usize>) -> &str {
        place.and_then(|place| self.values.get(place)).map_or("", |(_, text)| text.as_str())
    }
}

/// Heat maps of the two settings that have most values, one for each combination of the others; what is left out is said.
pub fn grids(comparison: &Comparison) -> Vec<Element> {
    let names = comparison.columns.names.iter();
    let mut axes: Vec<Axis> = names.map(|name| Axis::of(name, &comparison.systems)).collect();
    axes.retain(|axis| axis.values.len() > 1);
    // Stable: of settings with as many values the first columns.
    axes.sort_by_key(|axis| std::cmp::Reverse(axis.values.len()));
    let [first, second, others @ ..] = axes.as_slice() else {
        return Vec::new();
    };
    let mut parts: BTreeMap<Vec<Option<usize>>, Vec<&System>> = BTreeMap::new();
    for system in &comparison.systems {
        let key = others.iter().map(|axis| axis.place(system)).collect();
        parts.entry(key).or_default().push(system);
    }
    let means = comparison.systems.iter().map(System::mean);
    let (low, high) = means.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), mean| {
        (low.min(mean), high.max(mean))
    });
    let shaded = |system: &System| {
        let place = if high > low { (system.mean() - low) / (high - low) } else { 0.5 };
        let strength = if comparison.metric.maximise { place } else { 1.0 - place };
        let deviation = system.deviation().map(|value| format!(" ± {}", cells::score(value)));
        Shaded { strength, text: cells::score(system.mean()) + &deviation.unwrap_or_default() }
    };
    let columns: Vec<String> = second.values.iter().map(|(_, text)| text.clone()).collect();
    let mut maps = Vec::new();
    let mut left_out = 0;
    for (key, systems) in parts {
        let find = |row: usize, column: usize| {
            let fits =
                |one: &&&System| first.place(one) == Some(row) && second.place(one) == Some(column);
            systems.iter().find(fits).map(|system| shaded(system))
        };
        let line = |(row, (_, text)): (usize, &(String, String))| {
            let cells = (0..columns.len()).map(|column| find(row, column));
            (text.clone(), cells.collect::<Vec<_>>())
        };
        let lines: Vec<_> = first
            .values
            .iter()
            .enumerate()
            .map(line)
            .filter(|(_, cells)| cells.iter().any(Option::is_some))
            .collect();
        let known = lines.iter().flat_map(|(_, cells)| cells).flatten().count();
        if known < LEAST || lines.len() < 2 {
            continue;
        }
        if maps.len() == MOST {
            left_out += 1;
            continue;
        }
        let with = others
            .iter()
            .zip(&key)
            .map(|(axis, place)| format!("{} {}", title(&axis.name), axis.text(*place)));
        let with: Vec<String> = with.collect();
        let with =
            if with.is_empty() { String::new() } else { format!(", with {}", with.join(", ")) };
        let caption = format!(
            "{} by {} and {}{with}; the better the darker",
            comparison.metric.name.replace('_', " "),
            title(&first.name),
            title(&second.name)
        );
        let corner = format!("{} \\ {}", title(&first.name), title(&second.name));
        maps.push(heat_map(&caption, &corner, &columns, &lines));
    }
    if left_out > 0 {
        let maps_of = if left_out == 1 {
            "heat map of another combination"
        } else {
            "heat maps of other combinations"
        };
        maps.push(paragraph(format!(
            "{left_out} {maps_of} of settings left out: all scores are in the table of the results."
        )));
    }
    maps
}

/// Other texts by their letters, and then numbers by their values.
fn by_value(a: &str, b: &str) -> std::cmp::Ordering {
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => a.total_cmp(&b),
        (Ok(_), Err(_)) => std::cmp::Ordering::Greater,
        (Err(_), Ok(_)) => std::cmp::Ordering::Less,
        (Err(_), Err(_)) => a.cmp(b),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::compare::{Columns, Metric};

    fn comparison(settings: &[serde_json::Value]) -> Comparison {
        let system = |(place, settings): (usize, &serde_json::Value)| System {
            settings: settings.as_object().unwrap().clone(),
            runs: Vec::new(),
            values: vec![place as f64],
        };
        let systems: Vec<System> = settings.iter().enumerate().map(system).collect();
        let columns = Columns::of(&systems.iter().map(|one| &one.settings).collect::<Vec<_>>());
        let metric = Metric::named("accuracy");
        Comparison { metric, systems, columns, others: Vec::new(), notes: Vec::new() }
    }

    #[test]
    fn a_grid_of_two_settings_is_a_heat_map() {
        let grid: Vec<_> = [(5, 0.1), (20, 0.1), (100, 0.1), (5, 0.3), (20, 0.3)]
            .map(|(p, lr)| json!({"num_virtual_tokens": p, "lr": lr}))
            .into();
        let maps = grids(&comparison(&grid));
        assert_eq!(maps.len(), 1);
        let found = maps[0].written();
        // Numbers in their order, what was not made as unknown, the best the strongest.
        let places: Vec<_> = [">5<", ">20<", ">100<"].map(|p| found.find(p).unwrap()).into();
        assert!(places.is_sorted(), "{found}");
        for part in [
            "P \\ lr",
            "class=\"unknown\"",
            "<td style=\"--v:100%\">4.0000</td>",
            "<td style=\"--v:0%\">0.0000</td>",
        ] {
            assert!(found.contains(part), "{part}: {found}");
        }
    }

    #[test]
    fn each_combination_of_the_others_has_one() {
        let mut grid = Vec::new();
        for method in ["prompt", "ptv2"] {
            for (p, lr) in [(5, 0.1), (5, 0.2), (9, 0.1), (9, 0.2)] {
                grid.push(json!({"method": method, "num_virtual_tokens": p, "lr": lr + 0.0}));
            }
        }
        let maps = grids(&comparison(&grid));
        assert_eq!(maps.len(), 2);
        assert!(
            grids(&comparison(&grid[..3])).is_empty() && grids(&comparison(&grid[..1])).is_empty()
        );
    }

    #[test]
    fn paths_that_end_alike_are_told_apart() {
        let mut grid = Vec::new();
        for train in ["rte/train.jsonl", "boolq/train.jsonl"] {
            for (p, lr) in [(5, 0.1), (5, 0.2), (9, 0.1), (9, 0.2)] {
                grid.push(json!({"train": [train], "num_virtual_tokens": p, "lr": lr + 0.0}));
            }
        }
        let maps = grids(&comparison(&grid));
        let found: String = maps.iter().map(Element::written).collect();
        // Each system has its cell, and no two are named alike.
        assert_eq!(found.matches("<td style").count(), 8, "{found}");
        assert!(found.contains("rte/train.jsonl") && found.contains("boolq/train.jsonl"));
    }

    #[test]
    fn what_is_left_out_is_said() {
        let pairs =
            [(1, 1), (1, 2), (1, 3), (1, 4), (1, 5), (2, 1), (2, 2), (3, 3), (4, 4), (5, 5)];
        let mut grid = Vec::new();
        for method in ["prompt", "ptv2"] {
            for shots in 0..4 {
                for (p, lr) in pairs {
                    let settings = json!({"method": method, "shots": shots, "num_virtual_tokens": p, "lr": lr});
                    grid.push(settings);
                }
            }
        }
        let maps = grids(&comparison(&grid));
        assert_eq!(maps.len(), MOST + 1);
        assert!(maps[MOST].written().contains("2 heat maps of other combinations"));
    }
}
