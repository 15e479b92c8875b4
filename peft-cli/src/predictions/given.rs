//! What a row of output takes over from its row of input.

use peft_core::text::Record;
use serde_json::{Map, Value};

use super::verbatim;

/// What the id of a row is called, in any case; the first that a row has.
const IDS: [&str; 3] = ["id", "guid", "idx"];

/// The id of a row as it is written, and the field that has it.
pub fn id_of(record: &Record) -> Option<(&str, &Value)> {
    let id = |name: &&str| {
        let mut fields = record.fields.iter();
        let exact = record.fields.get_key_value(*name);
        exact.or_else(|| fields.find(|(key, _)| key.eq_ignore_ascii_case(name)))
    };
    let found = IDS.iter().filter_map(id).find(|(_, id)| !id.is_null());
    found.map(|(name, id)| (name.as_str(), id))
}

/// Under what the id of a row of input stands.
const ID: &str = "id";

/// Under what the fields of a row of input stand in its row of output, where they cannot collide with others.
pub const INPUT: &str = "input";

/// What a row of output takes over from its row of input.
#[derive(Clone, Copy, Debug)]
pub struct Given {
    /// Whether all fields, or the id alone.
    pub fields: bool,
}

impl Given {
    /// Adds the id of a row, if it has one, and its fields as they were given. Numbers have the digits of the file where
    /// [`json`](super::json) or a table writes the row.
    pub fn add(self, record: &Record, to: &mut Map<String, Value>) {
        let id = id_of(record);
        if let Some((_, id)) = id {
            to.insert(ID.into(), id.clone());
        }
        let id = id.map(|(name, _)| (name, ID));
        verbatim::keep(record, id, self.fields.then_some(INPUT), to);
        if self.fields {
            to.insert(INPUT.into(), Value::Object(record.fields.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use serde_json::json;

    use super::*;

    fn added(row: Value, fields: bool) -> Value {
        let fields_of_row = row.as_object().cloned().unwrap_or_default();
        let mut found = Map::new();
        Given { fields }.add(&Record::new(Arc::from(Path::new("a")), 1, fields_of_row), &mut found);
        found.into()
    }

    #[test]
    fn an_id_is_taken_over_and_the_fields_stand_apart() {
        let row = json!({"guid": "a-1", "idx": 3, "label": "x"});
        assert_eq!(added(row.clone(), true), json!({"id": "a-1", "input": row}));
        assert_eq!(added(json!({"ID": 7, "guid": 8}), false), json!({"id": 7}));
        assert_eq!(added(json!({"id": null, "idx": 0}), false), json!({"id": 0}));
        assert_eq!(added(json!({"text": "a"}), false), json!({}));
    }
}
