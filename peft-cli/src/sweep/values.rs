//! Settings in the tables of a sweep's file, and their values.

use toml::{Table, Value};

use crate::{
    nearest::{did_you_mean, nearest},
    settings::Settings,
};

/// Settings that a sweep makes itself.
const ITS_OWN: [&str; 3] = ["out", "metrics_file", "checkpoint_every"];

/// Settings by their names.
pub(super) fn settings_of(table: &Table) -> std::result::Result<Settings, String> {
    Value::Table(table.clone())
        .try_into()
        .map_err(|error: toml::de::Error| error.to_string().trim().to_string())
}

/// Checks that a name is a setting that may differ between runs.
pub(super) fn check_name(name: &str, place: &str) -> std::result::Result<(), String> {
    if ITS_OWN.contains(&name) {
        return Err(format!("`{name}` in {place}: a sweep chooses it itself"));
    }
    if !Settings::is_name(name) {
        let meant = nearest(name, Settings::NAMES.iter().copied());
        let meant = did_you_mean(meant.map(|known| format!("`{known}`")));
        return Err(format!("`{name}` in {place} is no setting{meant}"));
    }
    Ok(())
}

/// Checks that a setting can have a value.
pub(super) fn check_value(
    name: &str,
    value: &Value,
    place: &str,
) -> std::result::Result<(), String> {
    let one = Table::from_iter([(name.to_string(), value.clone())]);
    settings_of(&one).map(drop).map_err(|message| {
        // The message shows the key, without its place.
        let message = message.lines().last().unwrap_or_default().to_string();
        format!("`{name} = {value}` in {place}: {message}")
    })
}

/// Whether a list of a setting is one value: several files of rows.
pub(super) fn takes_a_list(name: &str) -> bool {
    matches!(name, "train" | "valid")
}

/// The values of an entry's setting that are tried one by one.
pub(super) fn values_of(
    name: &str,
    value: &Value,
    place: &str,
) -> std::result::Result<Vec<Value>, String> {
    match value {
        Value::Array(values) if !takes_a_list(name) => match values.is_empty() {
            true => Err(format!("`{name}` in {place}: the list is empty")),
            false => Ok(values.clone()),
        },
        value => Ok(vec![value.clone()]),
    }
}
