//! Other names for classes, from flags, from a file, and from a task.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use clap::Args;
use peft_core::{Error, Result, formats::read, text::LabelRenames};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};

/// Flags that give labels of rows the names of classes.
#[derive(Args, Clone, Debug, Default)]
pub struct RenameArgs {
    /// File with the classes that labels of the rows stand for: a table in TOML, or an object in JSON (.json), of
    /// "their label" = "our label". Rows whose label is given no name ("") are left out, and counted.
    #[arg(long, value_name = "FILE")]
    pub rename_labels: Option<PathBuf>,
    /// The same for one label; THEIRS= leaves its rows out. Again for more of them.
    #[arg(long, value_name = "THEIRS=OURS", allow_hyphen_values = true)]
    pub rename_label: Vec<String>,
}

/// Pairs of names in the order of a file, where one that comes twice is not lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairs(pub Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of \"their label\" = \"our label\"")
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

impl Pairs {
    /// As names for labels.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for one without a name, and for two new names of one.
    pub fn renames(&self) -> Result<LabelRenames> {
        let mut renames = LabelRenames::default();
        self.0.iter().try_for_each(|(theirs, ours)| renames.add(theirs, ours))?;
        Ok(renames)
    }

    fn read(path: &Path) -> Result<Self> {
        let text = read::text(path)?;
        let is_json =
            path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
        let found = match is_json {
            true => serde_json::from_str(&text).map_err(|error| error.to_string()),
            false => toml::from_str(&text).map_err(|error| error.to_string().trim().to_string()),
        };
        found.map_err(|message| Error::file(path, message))
    }
}

impl RenameArgs {
    /// What the flags say, and then those of a task.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] or [`Error::File`] for the file; [`Error::Setting`] for a pair that makes no sense.
    pub fn renames(&self, of_task: Option<&Pairs>) -> Result<LabelRenames> {
        let mut given = LabelRenames::default();
        if let Some(path) = &self.rename_labels {
            given = Pairs::read(path)?.renames().map_err(in_file(path))?;
        }
        for pair in &self.rename_label {
            let mut parts = pair.split('=');
            let (Some(theirs), Some(ours), None) = (parts.next(), parts.next(), parts.next())
            else {
                let message = format!(
                    "found {pair:?}, expected THEIRS=OURS; names with = in them are for --rename-labels"
                );
                return Err(Error::setting("--rename-label", message));
            };
            given.add(theirs, ours)?;
        }
        let of_task = of_task.map(Pairs::renames).transpose()?.unwrap_or_default();
        Ok(given.or(of_task))
    }
}

/// What is wrong with a pair of a file.
fn in_file(path: &Path) -> impl FnOnce(Error) -> Error + '_ {
    move |error| match error {
        Error::Setting { message, .. } => Error::file(path, message),
        other => other,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn pairs_are_read_from_toml_json_and_flags() {
        let dir = tempfile::tempdir().unwrap();
        let of = |name: &str, text: &str, flags: &[&str]| {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            let rename_label = flags.iter().map(ToString::to_string).collect();
            let args = RenameArgs { rename_labels: Some(path), rename_label };
            args.renames(Some(&Pairs(vec![("a".into(), "of the task".into())])))
        };
        let mut expected = LabelRenames::default();
        for (theirs, ours) in [("a b", "c"), ("x", ""), ("a", "b")] {
            expected.add(theirs, ours).unwrap();
        }
        assert_eq!(of("a.toml", "\"a b\" = \"c\"\nx = \"\"", &["a=b"]).unwrap(), expected);
        assert_eq!(of("a.json", "{\"a b\": \"c\", \"x\": \"\"}", &["a=b"]).unwrap(), expected);
        for (name, text, flags, says) in [
            ("a.toml", "a = \"b\"\na = \"c\"", &[][..], "duplicate key"),
            ("a.json", "{\"a\": \"b\", \"a\": \"c\"}", &[], "two new names for the label `a`"),
            ("a.toml", "a = 1", &[], "expected a string"),
            ("a.json", "[]", &[], "expected a table of"),
            ("a.toml", "", &["a"], "found \"a\", expected THEIRS=OURS"),
            ("a.toml", "", &["a=b=c"], "--rename-labels"),
            ("a.toml", "a = \"b\"", &["a=c"], "two new names"),
        ] {
            let error = of(name, text, flags).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
