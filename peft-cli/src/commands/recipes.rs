//! `peft recipes`: the settings of the papers by name.

use clap::Args;
use serde_json::Value;

use crate::{
    error::CliResult,
    output::{self, line},
    recipes::named::Recipe,
};

/// Lists the settings of the papers, or prints those of one.
///
/// Examples:
///   peft recipes
///   peft recipes li2021-table
///   peft train --recipe li2021-table --model gpt2 \
///     --train e2e.jsonl --out runs/e2e --epochs 1
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct RecipesArgs {
    /// Print this one as TOML, with the place in the paper or its code for each value.
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
///
/// Returns an error if there is no recipe of that name.
pub fn run(args: &RecipesArgs) -> CliResult {
    match (&args.name, args.json) {
        (Some(name), false) => print(Recipe::named(name)?),
        (Some(name), true) => Ok(line(format!("{:#}", Recipe::named(name)?.to_json()))?),
        (None, true) => {
            let all = Recipe::ALL.iter().map(Recipe::to_json).collect();
            Ok(line(format!("{:#}", Value::Array(all)))?)
        }
        (None, false) => {
            let cells = |recipe: &Recipe| {
                [recipe.name, recipe.method(), recipe.paper, recipe.purpose]
                    .map(str::to_string)
                    .to_vec()
            };
            let rows: Vec<Vec<String>> = Recipe::ALL.iter().map(cells).collect();
            Ok(line(output::table(&["recipe", "method", "paper", "for"], &rows))?)
        }
    }
}

/// Prints the TOML of a recipe.
///
/// # Errors
///
/// Returns an error if stdout cannot be written to.
pub fn print(recipe: &Recipe) -> CliResult {
    Ok(output::piece(recipe.text)?)
}
