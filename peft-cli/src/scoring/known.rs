//! Whether references name classes that predictions know: where they do not, all rows would be wrong.

use std::collections::BTreeSet;

use peft_core::{
    Error, Result,
    text::{Record, label_text},
};
use serde_json::{Value, json};

/// The classes that rows list with their probabilities, as `predict` writes them: `classes`, of which a table has a column
/// each.
pub fn listed(rows: &[Record]) -> BTreeSet<String> {
    let of_row = rows.iter().filter_map(|row| row.optional("classes").and_then(Value::as_object));
    let names = of_row.flat_map(|classes| classes.keys().map(String::as_str));
    let columns = rows.iter().flat_map(|row| row.fields.keys());
    let columns = columns.filter_map(|column| column.strip_prefix("classes."));
    names.chain(columns).filter_map(|name| label_text(&json!(name))).collect()
}

/// Refuses references none of which is a class of the predictions: where these list their classes, or where one side
/// has numbers and the other has none.
///
/// # Errors
///
/// [`Error::Mismatch`] with classes of both sides.
pub fn check(
    predictions: &BTreeSet<String>,
    listed: &BTreeSet<String>,
    references: &BTreeSet<String>,
) -> Result<()> {
    let is_number = |name: &&String| name.parse::<i64>().is_ok();
    let numbers = |names: &BTreeSet<String>| names.iter().filter(is_number).count();
    let is_all = |names: &BTreeSet<String>| numbers(names) == names.len();
    let is_none = |names: &BTreeSet<String>| numbers(names) == 0;
    let known: BTreeSet<String> =
        predictions.union(listed).filter(|name| !name.is_empty()).cloned().collect();
    let differ = !listed.is_empty()
        || is_all(&known) && is_none(references)
        || is_none(&known) && is_all(references);
    if known.is_empty() || references.is_empty() || !known.is_disjoint(references) || !differ {
        return Ok(());
    }
    Err(Error::Mismatch(format!(
        "found the references {}, none of which is a class of the predictions ({}): call classes by the same names; where \
         rows have labels by number, `peft predict` writes the name of each beside its prediction, as `reference`",
        shown(references),
        shown(&known)
    )))
}

/// Names of classes, the first of many.
pub fn shown(names: &BTreeSet<String>) -> String {
    const MOST: usize = 10;
    let first: Vec<&str> = names.iter().map(String::as_str).take(MOST).collect();
    format!("{}{}", first.join(", "), if names.len() > MOST { ", ..." } else { "" })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn numbers_are_no_names() {
        let of = |predictions: &[&str], listed: &[&str], references: &[&str]| {
            check(&set(predictions), &set(listed), &set(references)).map_err(|e| e.to_string())
        };
        let said = of(&["pos", ""], &[], &["0", "1"]).unwrap_err();
        assert!(said.contains("the references 0, 1, none") && said.contains("(pos)"), "{said}");
        assert!(of(&["0"], &[], &["neg", "pos"]).is_err());
        assert!(of(&["pos"], &["neg", "pos"], &["Positive"]).is_err());
        // All may be wrong.
        assert_eq!(of(&["pos"], &[], &["neg"]), Ok(()));
        assert_eq!(of(&["pos"], &["neg", "pos"], &["neg"]), Ok(()));
        assert_eq!(of(&["0"], &[], &["1"]), Ok(()));
        assert_eq!(of(&[""], &[], &["1"]), Ok(()));
        assert_eq!(of(&["a", "1"], &[], &["2"]), Ok(()));
        assert_eq!(of(&["a"], &[], &[]), Ok(()));
    }
}
