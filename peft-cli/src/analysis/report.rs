//! What an analysis finds, as tables.

use peft_core::AttentionMass;

use super::{
    adapter::Analysis,
    attention::{Attention, mean, of_tokens, totals},
    drift::{Distance, Drift},
    neighbours::{Figure, Neighbours, Position},
    summary::Summary,
};
use crate::{
    error::CliResult,
    output::{line, table},
};

/// Virtual tokens that are named in a row.
const NAMED: usize = 5;

/// Prints all of it.
///
/// # Errors
///
/// Returns an error if stdout cannot be written to.
pub fn print(found: &Analysis) -> CliResult {
    if let Some(neighbours) = &found.neighbours {
        print_neighbours(neighbours)?;
        print_norms(found)?;
    }
    print_layers(found)?;
    line(format!("\nstart: {}", found.start))?;
    if let Some(drift) = &found.drift {
        print_drift(drift)?;
    }
    match &found.attention {
        Some(attention) => print_attention(attention),
        None => Ok(()),
    }
}

fn print_neighbours(found: &Neighbours) -> CliResult {
    let position = |(at, position): (usize, &Position)| {
        let words = position.nearest.iter().map(|one| format!("{} {:.2}", one.token, one.cosine));
        let mut cells = vec![at.to_string(), format!("{:.3}", position.norm)];
        cells.push(position.tightness.map_or("-".into(), |found| format!("{found:.3}")));
        if let Some(has) = position.has_class_word {
            cells.push(if has { "yes" } else { "no" }.into());
        }
        cells.push(words.collect::<Vec<_>>().join("   "));
        cells
    };
    let rows: Vec<Vec<String>> = found.positions.iter().enumerate().map(position).collect();
    let class_word: &[&str] = if found.class_words.is_some() { &["class word"] } else { &[] };
    let header =
        [&["virtual token", "norm", "tightness"], class_word, &["nearest tokens by cosine"]];
    line(format!("\n{}", table(&header.concat(), &rows)))?;
    let figure = |figure: &Figure| {
        vec![
            figure.name.to_string(),
            format!("{:.3}", figure.found),
            format!("{:.3}", figure.control_mean),
            format!("{:.3}", figure.control_std),
            format!("{} of {}", figure.control_at_least, found.draws),
        ]
    };
    let rows: Vec<Vec<String>> = found.figures.iter().map(figure).collect();
    let random = format!("{} sets of random vectors", found.draws);
    let header = [
        &*format!("mean over {} positions", found.positions.len()),
        "prompt",
        &random,
        "std",
        "as much or more",
    ];
    line(format!("\n{}", table(&header, &rows)))?;
    line(format!(
        "(mean cosine of all pairs of tokens in the vocabulary: {:.3})",
        found.vocabulary_mean_cosine
    ))?;
    for word in found.class_words.iter().flatten().filter(|word| !word.is_whole) {
        let pieces = match word.tokens.is_empty() {
            true => "nor do pieces".to_string(),
            false => format!("its pieces count: {}", word.tokens.join(", ")),
        };
        line(format!("no token spells the class word {}, {pieces}", word.word))?;
    }
    if !found.repeated.is_empty() {
        let rows = found.repeated.iter().map(|one| {
            let positions: Vec<String> = one.positions.iter().map(ToString::to_string).collect();
            vec![one.token.clone(), one.positions.len().to_string(), positions.join(", ")]
        });
        let header = ["nearest of several", "count", "virtual tokens"];
        line(format!("\n{}", table(&header, &rows.collect::<Vec<_>>())))?;
    }
    Ok(())
}

fn print_norms(found: &Analysis) -> CliResult {
    let rows = [("virtual tokens", found.norms), ("vocabulary", found.vocabulary_norms)];
    summaries("norms", rows.into_iter().filter_map(|(name, found)| Some((name, found?))))
}

fn print_layers(found: &Analysis) -> CliResult {
    if found.layers.is_empty() {
        return Ok(());
    }
    let rows = found.layers.iter().map(|layer| {
        let cells =
            |found: &Summary| [found.mean, found.min, found.max].map(|value| format!("{value:.3}"));
        let place = vec![layer.site.to_string(), layer.layer.to_string()];
        [place, cells(&layer.key).to_vec(), cells(&layer.value).to_vec()].concat()
    });
    let header = ["site", "layer", "norm of keys", "min", "max", "norm of values", "min", "max"];
    Ok(line(format!("\n{}", table(&header, &rows.collect::<Vec<_>>())))?)
}

fn print_drift(found: &Drift) -> CliResult {
    let distances =
        [("distance", found.distance), ("distance / norm at the start", found.relative)];
    summaries("from the start", distances.into_iter().filter_map(|(n, found)| Some((n, found?))))?;
    let cosine = |found: &Distance| found.cosine.map_or("-".into(), |value| format!("{value:.3}"));
    let rows: Vec<Vec<String>> = found
        .layers
        .iter()
        .map(|layer| {
            let cells = |found: &Distance| vec![format!("{:.3}", found.distance), cosine(found)];
            let place = vec![layer.site.to_string(), layer.layer.to_string()];
            [place, cells(&layer.key), cells(&layer.value)].concat()
        })
        .collect();
    if !rows.is_empty() {
        let header = ["site", "layer", "keys moved by", "cosine", "values moved by", "cosine"];
        line(format!("\n{}", table(&header, &rows)))?;
    }
    Ok(())
}

fn print_attention(found: &Attention) -> CliResult {
    let row = |mass: &AttentionMass| {
        let totals = totals(mass);
        let mut tokens: Vec<(usize, f64)> = of_tokens(mass).into_iter().enumerate().collect();
        tokens.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let most = tokens.iter().take(NAMED).map(|(token, mass)| format!("{token}: {mass:.3}"));
        let heads: Vec<String> = totals.iter().map(|mass| format!("{mass:.2}")).collect();
        vec![
            mass.site.to_string(),
            mass.layer.to_string(),
            format!("{:.3}", mean(&totals)),
            format!("{:.3}", mass.uniform),
            heads.join(" "),
            most.collect::<Vec<_>>().join("  "),
        ]
    };
    let rows: Vec<Vec<String>> = found.masses.iter().map(row).collect();
    let header =
        ["site", "layer", "attention mass", "if uniform", "by head", "most, of a virtual token"];
    let queries = found.masses.first().map_or(0, |mass| mass.queries);
    line(format!("\n{}", table(&header, &rows)))?;
    Ok(line(format!(
        "(mass of all virtual tokens, mean over {} rows and {queries} real tokens in the first of these layers)",
        found.rows
    ))?)
}

/// A table of numbers that are summed up.
fn summaries<'n>(what: &str, rows: impl Iterator<Item = (&'n str, Summary)>) -> CliResult {
    let row =
        |(name, found): (&str, Summary)| [vec![name.to_string()], found.cells().to_vec()].concat();
    let rows: Vec<Vec<String>> = rows.map(row).collect();
    let header: Vec<&str> = [what].into_iter().chain(Summary::HEADER).collect();
    Ok(line(format!("\n{}", table(&header, &rows)))?)
}
