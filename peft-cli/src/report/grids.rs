//! Scores by two settings: heat maps, where runs are a grid of them.

use std::collections::BTreeMap;

use super::{
    heat::{Shaded, heat_map},
    html::Element,
};
use crate::compare::{Comparison, System, cells, columns::title, identity::shown};

/// The most heat maps.
const MOST: usize = 6;
/// The least cells of one that are known: fewer are read better in the table.
const LEAST: usize = 4;

/// Heat maps of the two settings that have most values, one for each combination of the others.
pub fn grids(comparison: &Comparison) -> Vec<Element> {
    let value = |system: &System, name: &str| {
        shown(name, system.settings.get(name).unwrap_or(&serde_json::Value::Null))
    };
    let values = |name: &String| {
        let mut values: Vec<String> =
            comparison.systems.iter().map(|system| value(system, name)).collect();
        values.sort_by(|a, b| by_value(a, b));
        values.dedup();
        values
    };
    let mut names: Vec<(String, Vec<String>)> =
        comparison.columns.names.iter().map(|name| (name.clone(), values(name))).collect();
    names.retain(|(_, values)| values.len() > 1);
    // Stable: of settings with as many values the first columns.
    names.sort_by_key(|(_, values)| std::cmp::Reverse(values.len()));
    let [(first, rows), (second, columns), others @ ..] = names.as_slice() else {
        return Vec::new();
    };
    let mut parts: BTreeMap<Vec<String>, Vec<&System>> = BTreeMap::new();
    for system in &comparison.systems {
        let key = others.iter().map(|(name, _)| value(system, name)).collect();
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
    let mut maps = Vec::new();
    for (key, systems) in parts {
        let find = |row: &String, column: &String| {
            let fits = |one: &&&System| value(one, first) == *row && value(one, second) == *column;
            systems.iter().find(fits).map(|system| shaded(system))
        };
        let line = |row: &String| {
            (row.clone(), columns.iter().map(|column| find(row, column)).collect::<Vec<_>>())
        };
        let lines: Vec<_> =
            rows.iter().map(line).filter(|(_, cells)| cells.iter().any(Option::is_some)).collect();
        let known = lines.iter().flat_map(|(_, cells)| cells).flatten().count();
        if known < LEAST || lines.len() < 2 || maps.len() == MOST {
            continue;
        }
        let with =
            others.iter().zip(&key).map(|((name, _), value)| format!("{} {value}", title(name)));
        let with: Vec<String> = with.collect();
        let with =
            if with.is_empty() { String::new() } else { format!(", with {}", with.join(", ")) };
        let caption = format!(
            "{} by {} and {}{with}; the better the darker",
            comparison.metric.name.replace('_', " "),
            title(first),
            title(second)
        );
        let corner = format!("{} \\ {}", title(first), title(second));
        maps.push(heat_map(&caption, &corner, columns, &lines));
    }
    maps
}

/// Numbers by their values, other texts by their letters.
fn by_value(a: &str, b: &str) -> std::cmp::Ordering {
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => a.total_cmp(&b),
        _ => a.cmp(b),
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
}
