//! `--print`: the settings of a recipe, with what is given on top of it.

use serde_json::json;

use crate::{
    commands::recipes,
    error::{CliError, CliResult},
    output,
    recipes::{layer::complete, named::Recipe},
    settings::Settings,
};

/// Prints what a recipe sets, and what is given on top of it.
pub(super) fn print_recipe(given: Settings, as_json: bool) -> CliResult {
    let Some(name) = &given.recipe else {
        return Err(CliError::Usage("--print: needs --recipe, whose settings it prints".into()));
    };
    let recipe = Recipe::named(name)?;
    let alone = given == Settings { recipe: given.recipe.clone(), ..Settings::default() };
    if alone && !as_json {
        return recipes::print(recipe);
    }
    let settings = match alone {
        true => recipe.settings(),
        false => complete(given)?,
    };
    match as_json {
        true => output::line(format!("{:#}", json!(settings)))?,
        false => output::piece(&settings.to_toml())?,
    }
    Ok(())
}
