//! Other names for classes: rows of another data set, scored in the words of one's own.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use super::label_text;
use crate::{
    contract::problem_type::ProblemType,
    data::Labels,
    error::{Error, Result},
    text::{
        list_text::list_in_text,
        record::{Aside, Record},
    },
};

/// What the labels of rows are called here, by their own names. A label without a counterpart has none, and its rows are
/// left out.
///
/// All names are replaced at once: the new name of one label may be the old one of another.
///
/// # Examples
///
/// ```
/// use std::path::Path;
///
/// use peft_core::{ProblemType, text::{LabelRenames, Record}};
/// use serde_json::json;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut renames = LabelRenames::default();
/// renames.add("duplicate", "equivalent")?;
/// renames.add("unsure", "")?;
/// let row = |line, label: &str| {
///     let fields = json!({"label": label}).as_object().cloned().unwrap_or_default();
///     Record::new(Path::new("rows.jsonl").into(), line, fields)
/// };
/// let rows = vec![row(1, "duplicate"), row(2, "unsure")];
/// let found = renames.apply(rows, "label", ProblemType::SingleLabel)?;
/// assert_eq!(found.rows.len(), 1);
/// assert_eq!(found.rows[0].text("label")?, "equivalent");
/// assert_eq!(found.left_out, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelRenames(BTreeMap<String, Option<String>>);

/// Rows with other names for their labels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Renamed {
    /// The rows that are left, in order.
    pub rows: Vec<Record>,
    /// The number of rows whose label has no counterpart.
    pub left_out: usize,
    /// For each name that is to be replaced, the number of rows that have it.
    pub used: BTreeMap<String, usize>,
}

/// What becomes of a label.
enum Found {
    /// It keeps its name.
    Own,
    /// It is called so.
    Called(Value),
    /// It has no counterpart.
    None,
}

impl LabelRenames {
    /// Calls a label `ours` that rows call `theirs`. An empty name stands for no counterpart. Blanks around names do not
    /// count, as in rows.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for a label without a name, and for one that has another new name already.
    pub fn add(&mut self, theirs: &str, ours: &str) -> Result<()> {
        let refuse = |message: String| Err(Error::setting("rename_label", message));
        let Some(label) = label_text(&Value::from(theirs)) else {
            return refuse("found an empty name of a label to rename".into());
        };
        let ours = Some(ours.trim()).filter(|name| !name.is_empty()).map(str::to_owned);
        match self.0.get(&label) {
            Some(known) if *known != ours => {
                let shown = |name: &Option<String>| match name {
                    Some(name) => format!("`{name}`"),
                    None => "no class".to_owned(),
                };
                let (known, ours) = (shown(known), shown(&ours));
                refuse(format!("found two new names for the label `{label}`: {known} and {ours}"))
            }
            _ => {
                self.0.insert(label, ours);
                Ok(())
            }
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These names, and those of `other` for labels that have none here.
    #[must_use]
    pub fn or(mut self, other: Self) -> Self {
        for (theirs, ours) in other.0 {
            self.0.entry(theirs).or_insert(ours);
        }
        self
    }

    /// Refuses a new name that is no class.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] naming both names, and the classes.
    pub fn check(&self, labels: &Labels) -> Result<()> {
        let is_class = |(_, ours): &(&String, &Option<String>)| {
            ours.as_ref().is_none_or(|name| labels.index(name).is_some())
        };
        match self.0.iter().find(|pair| !is_class(pair)) {
            Some((theirs, Some(ours))) => Err(Error::setting(
                "rename_label",
                format!(
                    "found {theirs}={ours}, and `{ours}` is no class, expected one of: {}",
                    labels.names().join(", ")
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Renames the labels in field `key` of rows: one label, or a list of them. A row is left out if any of its labels has
    /// no counterpart. Where the file names the classes of its numbers, either can be renamed. In a list where a row may
    /// have several classes, numbers are no names. A label with a new name is no number of the file any more, nor are the others of
    /// its list, which get the names that the file gives them.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] at a row that has several columns of this name.
    pub fn apply(
        &self,
        rows: impl IntoIterator<Item = Record>,
        key: &str,
        problem_type: ProblemType,
    ) -> Result<Renamed> {
        let used = self.0.keys().map(|name| (name.clone(), 0)).collect();
        let mut renamed = Renamed { used, ..Renamed::default() };
        let numbers_are_names = problem_type != ProblemType::MultiLabel;
        let mut last = None;
        for mut row in rows {
            if row.is_repeated(key) {
                row.get(key)?;
            }
            let mut names = Vec::new();
            let found = match row.optional(key) {
                Some(value) => self.of_value(value, &row, (key, numbers_are_names), &mut names),
                None => Found::Own,
            };
            names.sort_unstable();
            names.dedup();
            names.into_iter().for_each(|name| *renamed.used.entry(name).or_default() += 1);
            match found {
                Found::Own => {}
                Found::Called(value) => {
                    row.fields.insert(key.to_owned(), value);
                    row.aside = row.aside.map(|aside| without_names(aside, key, &mut last));
                }
                Found::None => {
                    renamed.left_out += 1;
                    continue;
                }
            }
            renamed.rows.push(row);
        }
        Ok(renamed)
    }

    fn of_value(
        &self,
        value: &Value,
        row: &Record,
        how: (&str, bool),
        used: &mut Vec<String>,
    ) -> Found {
        match value {
            Value::Array(list) => self.of_list(list, row, how, used),
            // A table has a list as text.
            Value::String(text) if text.trim_start().starts_with('[') => {
                match (self.of_label(value, row, how.0, used), list_in_text(text)) {
                    (Found::Own, Some(list)) => self.of_list(&list, row, how, used),
                    (found, _) => found,
                }
            }
            label => self.of_label(label, row, how.0, used),
        }
    }

    fn of_list(
        &self,
        list: &[Value],
        row: &Record,
        (key, numbers_are_names): (&str, bool),
        used: &mut Vec<String>,
    ) -> Found {
        let mut called = list.to_vec();
        let (mut is_left_out, mut is_changed) = (false, false);
        for value in &mut called {
            if !numbers_are_names && !value.is_string() {
                continue;
            }
            match self.of_label(value, row, key, used) {
                Found::Own => {
                    if let Some(name) = name_in_file(value, row, key) {
                        *value = name.into();
                    }
                }
                Found::Called(name) => (*value, is_changed) = (name, true),
                Found::None => is_left_out = true,
            }
        }
        match (is_left_out, is_changed) {
            (true, _) => Found::None,
            (false, true) => Found::Called(called.into()),
            (false, false) => Found::Own,
        }
    }

    fn of_label(&self, value: &Value, row: &Record, key: &str, used: &mut Vec<String>) -> Found {
        let Some(label) = label_text(value) else { return Found::Own };
        let named = || label_text(&Value::from(name_in_file(value, row, key)?));
        let known = |label: String| self.0.get(&label).map(|ours| (label, ours));
        let Some((label, ours)) = known(label).or_else(|| known(named()?)) else {
            return Found::Own;
        };
        used.push(label);
        match ours {
            Some(ours) => Found::Called(ours.as_str().into()),
            None => Found::None,
        }
    }
}

/// What the file of a row calls the class of a number.
fn name_in_file(value: &Value, row: &Record, key: &str) -> Option<String> {
    let known = row.class_names(key)?;
    known.names.get(label_text(value)?.parse::<usize>().ok()?).cloned()
}

/// What is known of a row, but for the names that its file gives the numbers of a field. Rows share it, as they did before:
/// `last` is that of the row before.
fn without_names(aside: Arc<Aside>, key: &str, last: &mut Option<[Arc<Aside>; 2]>) -> Arc<Aside> {
    if !aside.class_names.iter().any(|names| names.field == key) {
        return aside;
    }
    if let Some([own, without]) = last
        && Arc::ptr_eq(own, &aside)
    {
        return without.clone();
    }
    let mut without = Aside::clone(&aside);
    without.class_names.retain(|names| names.field != key);
    let without = Arc::new(without);
    *last = Some([aside, without.clone()]);
    without
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};
    use serde_json::json;

    use super::*;
    use crate::text::record::{ClassNames, tests::record};

    fn renames(pairs: &[(&str, &str)]) -> LabelRenames {
        let mut renames = LabelRenames::default();
        pairs.iter().for_each(|(theirs, ours)| renames.add(theirs, ours).unwrap());
        renames
    }

    fn values(renames: &LabelRenames, values: &[Value], problem_type: ProblemType) -> Vec<Value> {
        let rows = values.iter().map(|value| record(1, json!({"label": value})));
        let found = renames.apply(rows, "label", problem_type).unwrap();
        assert_eq!(found.rows.len() + found.left_out, values.len());
        found.rows.into_iter().map(|mut row| row.fields.remove("label").unwrap()).collect()
    }

    #[test]
    fn labels_lists_and_numbers_are_renamed() {
        let own = renames(&[("a", "b"), ("b", "a"), ("x", ""), ("2", "two")]);
        let one = |value: Value| values(&own, &[value], ProblemType::SingleLabel);
        assert_eq!(one(json!("a")), [json!("b")]);
        assert_eq!(one(json!(" b ")), [json!("a")], "all at once");
        assert_eq!([one(json!(2)), one(json!("2.0"))], [[json!("two")], [json!("two")]]);
        assert_eq!(one(json!("c")), [json!("c")]);
        assert_eq!(one(json!(null)), [json!(null)]);
        assert!(one(json!("x")).is_empty());
        assert_eq!(one(json!(["a", "c", 2])), [json!(["b", "c", "two"])]);
        assert_eq!(one(json!("[\"a\", \"c\"]")), [json!(["b", "c"])], "a list in a table");
        assert_eq!(one(json!("[\"c\"]")), [json!("[\"c\"]")]);
        assert!(one(json!(["a", "x"])).is_empty());
        let several = |value: Value| values(&own, &[value], ProblemType::MultiLabel);
        assert_eq!(several(json!(["a", "b"])), [json!(["b", "a"])]);
        assert_eq!(several(json!([0, 2])), [json!([0, 2])], "one number for each class");
    }

    #[test]
    fn numbers_are_renamed_by_the_names_that_their_file_gives() {
        let mut row = record(4, json!({"label": 1, "other": 1}));
        let names = vec!["pos".to_owned(), "neg".to_owned()];
        let known = ClassNames { field: "label".to_owned(), names, source: row.path.clone() };
        row.aside = Some(Arc::new(Aside { class_names: vec![known], ..Aside::default() }));
        let own = renames(&[("neg", "bad"), ("never", "bad")]);
        let of = |key| own.apply([row.clone()], key, ProblemType::SingleLabel).unwrap();
        let found = of("label");
        assert_eq!(found.rows[0].fields["label"], "bad");
        assert_eq!(
            found.used.into_iter().collect::<Vec<_>>(),
            [("neg".to_owned(), 1), ("never".to_owned(), 0)]
        );
        assert_eq!(of("other").rows[0], row);
    }

    #[test]
    fn a_new_name_is_no_number_of_the_file() {
        let names: Vec<String> = ["1", "2", "3"].iter().map(ToString::to_string).collect();
        let source = record(1, json!({})).path;
        let known = ClassNames { field: "label".to_owned(), names: names.clone(), source };
        let aside = Arc::new(Aside { class_names: vec![known], ..Aside::default() });
        let own = renames(&[("1", "2")]);
        let of = |value: Value| {
            let mut row = record(1, json!({"label": value}));
            row.aside = Some(aside.clone());
            own.apply([row.clone(), row], "label", ProblemType::SingleLabel).unwrap().rows
        };
        let labels = Labels::from_list(names).unwrap();
        for row in of(json!("1")) {
            assert_eq!(row.fields["label"], "2");
            assert_eq!(row.class_names("label"), None);
            assert_eq!(super::super::label_index(&labels, "2", &row, "label").unwrap(), 1);
        }
        assert_eq!(of(json!([1, 2]))[1].fields["label"], json!(["2", "3"]));
        assert!(of(json!(2))[0].class_names("label").is_some());
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let mut own = renames(&[("a", "b"), ("x", "")]);
        own.add(" a", "b ").unwrap();
        let said = |error: Result<()>| error.unwrap_err().to_string();
        assert!(said(own.add("a", "c")).ends_with("for the label `a`: `b` and `c`"));
        assert!(said(own.add("x", "c")).ends_with("`x`: no class and `c`"));
        assert!(said(own.add(" ", "c")).contains("an empty name"));
        let labels = |names: &[&str]| {
            Labels::from_list(names.iter().map(ToString::to_string).collect()).unwrap()
        };
        own.check(&labels(&["b", "c"])).unwrap();
        let error = said(own.check(&labels(&["B", "c"])));
        assert!(
            error.ends_with("found a=b, and `b` is no class, expected one of: B, c"),
            "{error}"
        );
        assert_eq!(renames(&[("a", "c")]).or(own).0["a"].as_deref(), Some("c"));
    }

    proptest! {
        /// A permutation of names, and then its inverse, changes nothing; counts are those of the rows.
        #[test]
        fn names_that_are_exchanged_come_back(
            labels in vec(select(vec!["a", "b", "c", "d"]), 0..30),
            shift in 0usize..4,
        ) {
            let names = ["a", "b", "c", "d"];
            let turned = |by: usize| {
                let pairs: Vec<(&str, &str)> =
                    (0..4).map(|at| (names[at], names[(at + by) % 4])).collect();
                renames(&pairs)
            };
            let rows: Vec<Record> =
                labels.iter().map(|label| record(1, json!({"label": label}))).collect();
            let there = turned(shift).apply(rows.clone(), "label", ProblemType::SingleLabel).unwrap();
            prop_assert_eq!(there.used.values().sum::<usize>(), rows.len());
            let back = turned(4 - shift).apply(there.rows, "label", ProblemType::SingleLabel).unwrap();
            let text = |row: &Record| row.fields["label"].clone();
            let (back, own): (Vec<Value>, Vec<Value>) =
                (back.rows.iter().map(text).collect(), rows.iter().map(text).collect());
            prop_assert_eq!(back, own);
        }
    }
}
