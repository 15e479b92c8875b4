//! The configurations of a data set, such as the tasks of a benchmark: each describes columns of its own.

use std::path::Path;

/// What is said of one configuration.
#[derive(Debug)]
pub(super) struct Config {
    pub name: String,
    /// Its files, below the folder of the description.
    pub files: Vec<glob::Pattern>,
    pub columns: Vec<Column>,
}

/// A column, with the names of its classes if it has any, or the reason why they cannot be read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Column {
    pub field: String,
    pub names: Option<Result<Vec<String>, String>>,
}

/// The columns of the file `below`, a path below the description's folder: those of the configuration that names
/// the file or has the name of one of its folders, else those of all. Where these name the classes of a column
/// differently, there is the reason in place of the names.
pub(super) fn columns_of(configs: &[Config], below: &Path) -> Vec<Column> {
    let folders = || below.parent().into_iter().flat_map(Path::components);
    let options = glob::MatchOptions { require_literal_separator: true, ..Default::default() };
    let names_it =
        |config: &&Config| config.files.iter().any(|files| files.matches_path_with(below, options));
    let is_folder =
        |config: &&Config| folders().any(|folder| folder.as_os_str() == config.name.as_str());
    let named = only(configs.iter().filter(names_it));
    if let Some(config) = named.or_else(|| only(configs.iter().filter(is_folder))) {
        return config.columns.clone();
    }
    let mut found: Vec<Column> = Vec::new();
    for column in configs.iter().flat_map(|config| &config.columns) {
        match found.iter_mut().find(|other| other.field == column.field) {
            Some(other) if other.names != column.names => {
                other.names = Some(Err("its configurations differ there".to_owned()));
            }
            Some(_) => {}
            None => found.push(column.clone()),
        }
    }
    found
}

/// The only item, `None` if there are more.
fn only<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    let first = items.next()?;
    items.next().is_none().then_some(first)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn config(name: &str, files: &[&str], columns: &[(&str, &[&str])]) -> Config {
        let column = |(field, names): &(&str, &[&str])| Column {
            field: (*field).to_owned(),
            names: (!names.is_empty())
                .then(|| Ok(names.iter().map(|name| (*name).to_owned()).collect())),
        };
        Config {
            name: name.to_owned(),
            files: files.iter().map(|files| glob::Pattern::new(files).unwrap()).collect(),
            columns: columns.iter().map(column).collect(),
        }
    }

    fn found(configs: &[Config], below: &str) -> String {
        let columns = columns_of(configs, Path::new(below));
        let shown = |column: &Column| match &column.names {
            Some(Ok(names)) => format!("{}: {}", column.field, names.join(" ")),
            Some(Err(why)) => format!("{}: {why}", column.field),
            None => format!("{} has none", column.field),
        };
        columns.iter().map(shown).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn a_file_has_the_names_of_its_configuration() {
        let configs = [
            config("sst2", &["sst2/*"], &[("label", &["neg", "pos"]), ("idx", &[])]),
            config("rte", &["rte/*", "all/*"], &[("label", &["yes", "no"]), ("idx", &[])]),
            config("mnli", &["mnli/*", "all/*"], &[("label", &["yes", "no"])]),
        ];
        assert_eq!(found(&configs, "sst2/a.csv"), "label: neg pos, idx has none");
        assert_eq!(found(&configs, "more/rte/a.csv"), "label: yes no, idx has none");
        let differ = "label: its configurations differ there, idx has none";
        assert_eq!(found(&configs, "a.csv"), differ);
        assert_eq!(found(&configs, "all/a.csv"), differ);
        assert_eq!(found(&configs, "sst2/rte/a.csv"), differ);
        assert_eq!(found(&configs[1..], "a.csv"), "label: yes no, idx has none");
        assert_eq!(found(&[], "a.csv"), "");
    }
}
