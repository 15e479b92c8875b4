//! The ids of rows, and which rows they join.

use std::collections::HashMap;

use peft_core::{
    Result,
    text::{Record, label_text},
};
use serde_json::Value;

use super::{
    fields::{self, FieldArgs},
    source::Source,
};
use crate::{output::note, predictions::id_of};

/// What to do about ids that do not join rows.
const WAY_OUT: &str = "give each row an id of its own in both files, or set --by-position to compare in the order of both \
                       files, whatever ids they have";

/// The id of a row as a text; `None` if it has none, or an empty one. Numbers are called by their value, as a table may
/// have them as texts; one whose digits JSON's reader does not keep, since two of them could look like one, as the file
/// writes it.
pub fn id_text(row: &Record) -> Option<String> {
    let (name, value) = id_of(row)?;
    match value {
        value if !fields::is_exact(value) => match row.numbers_as_written().remove(name) {
            Some(Value::String(written)) => Some(written),
            // Its value says how it is written.
            _ => Some(value.to_string()),
        },
        Value::Array(_) | Value::Object(_) => Some(value.to_string()),
        value => label_text(value),
    }
}

/// Where the reference of each prediction stands, if both files have ids and these are in another order.
///
/// # Errors
///
/// As [`join`].
pub fn order(
    predictions: &Source,
    references: &Source,
    args: &FieldArgs,
) -> Result<Option<Vec<usize>>> {
    let (Some(found), Some(wanted)) = (predictions.rows(), references.rows()) else {
        return Ok(None);
    };
    // References that stand beside predictions are theirs.
    match std::ptr::eq(predictions, references) {
        true => Ok(None),
        false => join(found, &wanted.iter().collect::<Vec<_>>(), args),
    }
}

/// Where that of `wanted` stands which has the id of each of as many rows; `None` if that is its own place, or if one
/// side has no ids at all, which is noted.
///
/// # Errors
///
/// [`Error::Data`](peft_core::Error::Data) at a row without an id among others that have one, at an id that an earlier row
/// has, unless all rows stand in the same order, and at an id that no row of `wanted` has.
pub fn join(found: &[Record], wanted: &[&Record], args: &FieldArgs) -> Result<Option<Vec<usize>>> {
    let found: Vec<&Record> = found.iter().collect();
    let sides = [found.as_slice(), wanted];
    let [one, two] = sides.map(|rows| rows.iter().any(|row| id_of(row).is_some()));
    if args.by_position || !one && !two {
        return Ok(None);
    }
    if one != two {
        let [with, without] = if one { sides } else { [sides[1], sides[0]] };
        if let (Some(with), Some(without)) = (with.first(), without.first()) {
            note(format!(
                "note: {} has ids, and {} has none: rows are compared in the order of both files",
                with.path.display(),
                without.path.display()
            ));
        }
        return Ok(None);
    }
    let ids = |rows: &[&Record]| rows.iter().map(|row| id_text(row)).collect::<Vec<_>>();
    let (found_ids, wanted_ids) = (ids(&found), ids(wanted));
    if found_ids == wanted_ids {
        return Ok(None);
    }
    places(&found, &found_ids)?;
    let places = places(wanted, &wanted_ids)?;
    let place = |(row, id): (&&Record, &Option<String>)| {
        let id = id.as_deref().unwrap_or_default();
        places.get(id).copied().ok_or_else(|| {
            let (name, path) = (field(row), wanted.first().map_or(row, |first| first).path.display());
            row.error(format!(
                "field `{name}`: found the id `{id}`, which no row of {path} has, expected one of its ids: {WAY_OUT}"
            ))
        })
    };
    found.iter().zip(&found_ids).map(place).collect::<Result<Vec<_>>>().map(Some)
}

/// Where each id stands.
fn places<'i>(rows: &[&Record], ids: &'i [Option<String>]) -> Result<HashMap<&'i str, usize>> {
    let name = rows.iter().find_map(|row| id_of(row)).map_or("id", |(name, _)| name);
    let mut places = HashMap::with_capacity(rows.len());
    for (at, (row, id)) in rows.iter().zip(ids).enumerate() {
        let Some(id) = id.as_deref() else {
            return Err(row.error(format!(
                "field `{name}`: found no id, expected one, as other rows have: {WAY_OUT}"
            )));
        };
        if let Some(first) = places.insert(id, at) {
            return Err(row.error(format!(
                "field `{}`: found the id `{id}`, which the row of line {} has too, expected another: {WAY_OUT}",
                field(row),
                rows[first].line
            )));
        }
    }
    Ok(places)
}

/// The name of the field that has a row's id.
fn field(row: &Record) -> &str {
    id_of(row).map_or("id", |(name, _)| name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{path::Path, sync::Arc};

    use serde_json::json;

    use super::*;

    /// Rows of the fields of a list, on lines from 1.
    fn rows(path: &str, values: &Value) -> Vec<Record> {
        let row = |(at, value): (usize, &Value)| {
            let fields = value.as_object().cloned().unwrap_or_default();
            Record::new(Arc::from(Path::new(path)), at + 1, fields)
        };
        values.as_array().unwrap().iter().enumerate().map(row).collect()
    }

    fn joined_if(
        found: &Value,
        wanted: &Value,
        by_position: bool,
    ) -> Result<Option<Vec<usize>>, String> {
        let (found, wanted) = (rows("p", found), rows("r", wanted));
        let args = FieldArgs { by_position, ..FieldArgs::default() };
        join(&found, &wanted.iter().collect::<Vec<_>>(), &args).map_err(|error| error.to_string())
    }

    fn joined(found: Value, wanted: Value) -> Result<Option<Vec<usize>>, String> {
        joined_if(&found, &wanted, false)
    }

    #[test]
    fn ids_join_rows_in_any_case_and_by_their_value() {
        let found = json!([{"id": 1}, {"id": 2}, {"id": 3}]);
        for wanted in [
            json!([{"ID": 3}, {"ID": 1}, {"ID": 2}]),
            json!([{"Guid": "3"}, {"Guid": " 1 "}, {"Guid": "2.0"}]),
            json!([{"id": null, "idx": 3}, {"idx": 1.0}, {"id": 2}]),
        ] {
            assert_eq!(joined(found.clone(), wanted.clone()), Ok(Some(vec![1, 2, 0])), "{wanted}");
        }
        assert_eq!(joined(found.clone(), found), Ok(None));
        let place = |n: u32| json!({"idx": {"passage": 0, "question": n}});
        assert_eq!(
            joined(json!([place(0), place(1)]), json!([place(1), place(0)])),
            Ok(Some(vec![1, 0]))
        );
        let large = |n: &str| json!({ "id": n });
        let (a, b) = ("12345678901234567890123", "12345678901234567890124");
        assert_eq!(
            joined(json!([large(a), large(b)]), json!([large(b), large(a)])),
            Ok(Some(vec![1, 0]))
        );
        let most = json!([{"id": u64::MAX}, {"id": u64::MAX - 1}]);
        assert_eq!(
            joined(most, json!([{"id": u64::MAX - 1}, {"id": u64::MAX}])),
            Ok(Some(vec![1, 0]))
        );
    }

    #[test]
    fn rows_are_compared_in_their_order_where_a_side_has_no_ids() {
        let with = json!([{"id": 1}, {"id": 2}]);
        for without in [json!([{}, {}]), json!([{"id": null}, {"id": null}])] {
            assert_eq!(joined(with.clone(), without.clone()), Ok(None));
            assert_eq!(joined(without, with.clone()), Ok(None));
        }
        // The same ids in the same places say no more.
        let again = json!([{"id": 1}, {"id": 1}, {}]);
        assert_eq!(joined(again.clone(), again), Ok(None));
    }

    #[test]
    fn ids_that_cannot_join_rows_are_refused_with_the_way_out() {
        let found = json!([{"id": 1}, {"id": 2}, {"id": 3}]);
        for (wanted, says) in [
            (
                json!([{"Id": 1}, {"Id": 1}, {"Id": 2}]),
                "r, line 2: field `Id`: found the id `1`, which the row of line 1",
            ),
            (json!([{"id": null}, {"id": 1}, {"id": 2}]), "r, line 1: field `id`: found no id"),
            (json!([{"id": 3}, {"id": ""}, {"id": 2}]), "r, line 2: field `id`: found no id"),
            (
                json!([{"id": 3}, {"id": 4}, {"id": 2}]),
                "p, line 1: field `id`: found the id `1`, which no row of r has",
            ),
        ] {
            for (found, wanted, swapped) in [(&found, &wanted, false), (&wanted, &found, true)] {
                let said = joined_if(found, wanted, false).unwrap_err();
                assert!(said.contains("expected") && said.contains("--by-position"), "{said}");
                assert!(swapped || said.starts_with(says), "{said}");
                assert_eq!(joined_if(found, wanted, true), Ok(None));
            }
        }
        // A number with a fraction that may have lost digits is no integer.
        let large = json!([{"id": 9_007_199_254_740_992.0}, {"id": 2}]);
        let said =
            joined(large, json!([{"id": 9_007_199_254_740_992_u64}, {"id": 2}])).unwrap_err();
        assert!(
            said.contains("p, line 1: field `id`: found the id `9007199254740992.0`"),
            "{said}"
        );
    }

    #[test]
    fn large_numbers_join_rows_as_they_are_written() {
        let rows = |path: &str, ids: [&str; 3]| -> Vec<Record> {
            let row = |(at, id): (usize, &&str)| {
                let text = format!("{{\"id\": {id}}}");
                Record::of_json(Arc::from(Path::new(path)), at + 1, &text).unwrap()
            };
            ids.iter().enumerate().map(row).collect()
        };
        let found = rows("p", ["9007199254740993.0", "1e22", "9007199254740992.0"]);
        let wanted = rows("r", ["9007199254740992.0", "9007199254740993.0", "1e22"]);
        let wanted: Vec<&Record> = wanted.iter().collect();
        let joined = join(&found, &wanted, &FieldArgs::default()).unwrap();
        assert_eq!(joined, Some(vec![1, 2, 0]));
    }
}
