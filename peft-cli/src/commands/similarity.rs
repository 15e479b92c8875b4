//! `peft similarity`: how alike adapters are, pair by pair.

use std::path::PathBuf;

use clap::Args;
use peft_core::adapter::atomic;
use serde_json::json;

use crate::{
    adapter_folder,
    analysis::{
        heat_map::HeatMap,
        measures::Measure,
        similarity::{Compared, Similarity, other_bases, short_names, similarity},
    },
    compare::plot,
    error::CliResult,
    locate,
    output::{self, line},
};

/// Compares adapters with one another: a matrix of all pairs.
///
/// Tasks whose prompts are alike transfer well to each other: a prompt of the one is a start for the other (train
/// --init-adapter). Adapters must be of the same base model and of the same kind; cka also wants the same number of
/// virtual tokens.
///
/// Examples:
///   peft similarity runs/mnli runs/rte runs/sst2
///   peft similarity runs/a runs/b --measure cka \
///     --plot layers.svg
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct SimilarityArgs {
    /// Adapters, two or more: folders, or org/name on the Hugging Face Hub.
    #[arg(value_name = "ADAPTER", required = true, num_args = 2..)]
    adapters: Vec<PathBuf>,
    /// How they are compared.
    #[arg(long, value_enum, value_name = "MEASURE", default_value_t = Measure::CosineAverage)]
    measure: Measure,
    /// Write a heat map to FILE, an .svg: of all pairs; of two adapters by cka, of their layers.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
///
/// Returns an error naming the adapter that cannot be read, or two that cannot be compared.
pub fn run(args: &SimilarityArgs) -> CliResult {
    args.plot.as_deref().map_or(Ok(()), plot::check)?;
    let mut adapters = Vec::new();
    for named in &args.adapters {
        let adapter = adapter_folder::load(&locate::adapter(named)?, None)?;
        adapters.push(Compared::new(named, &adapter)?);
    }
    let found = similarity(&adapters, args.measure)?;
    if let Some((a, b)) = other_bases(&adapters) {
        output::note(format!(
            "warning: {a} and {b} were trained on different base models: how alike they are means nothing"
        ));
    }
    let names = short_names(&args.adapters);
    if let Some(path) = &args.plot {
        atomic::write_file(path, picture(&found, &names).as_bytes())?;
    }
    if args.json {
        return Ok(line(format!("{:#}", json!(found)))?);
    }
    print(&found, &names)
}

/// The layers of two adapters, if that is what there is to show.
fn layers_of_two(found: &Similarity) -> Option<&[Vec<f64>]> {
    match found.pairs.as_slice() {
        [pair] => Some(&pair.cka),
        _ => None,
    }
}

/// The numbers of some adapters, from 1. In brackets, since a name that begins with a digit would stand on the right.
fn numbers(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("[{number}]")).collect()
}

fn picture(found: &Similarity, names: &[String]) -> String {
    let measure = found.measure.name();
    if let Some(values) = layers_of_two(found) {
        let title = format!("{measure} of the layers of {} and {}", names[0], names[1]);
        let layers = &found.layers;
        return HeatMap { title: &title, rows: layers, columns: layers, values }.drawn();
    }
    let numbered = numbered(names);
    let columns = numbers(names.len());
    let title = format!("{measure} of {} adapters", names.len());
    HeatMap { title: &title, rows: &numbered, columns: &columns, values: &found.matrix }.drawn()
}

fn numbered(names: &[String]) -> Vec<String> {
    names.iter().enumerate().map(|(at, name)| format!("[{}] {name}", at + 1)).collect()
}

fn print(found: &Similarity, names: &[String]) -> CliResult {
    let columns = numbers(names.len());
    line(table(found.measure.name(), &numbered(names), &columns, &found.matrix))?;
    if let Some(chance) = found.chance {
        line(format!("\nrandom keys and values of this shape have a cka of {chance:.3}"))?;
    }
    if let Some(values) = layers_of_two(found) {
        let corner = format!("layer of {} by layer of {}", names[0], names[1]);
        line(format!("\n{}", table(&corner, &found.layers, &found.layers, values)))?;
    }
    Ok(())
}

fn table(corner: &str, rows: &[String], columns: &[String], values: &[Vec<f64>]) -> String {
    let header: Vec<&str> =
        [corner].into_iter().chain(columns.iter().map(String::as_str)).collect();
    let row = |(name, values): (&String, &Vec<f64>)| {
        let numbers = values.iter().map(|value| format!("{value:.3}"));
        [name.clone()].into_iter().chain(numbers).collect()
    };
    let rows: Vec<Vec<String>> = rows.iter().zip(values).map(row).collect();
    output::table(&header, &rows)
}
