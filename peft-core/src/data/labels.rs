//! The ordered label list of a classification task.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::class_value::{in_one_spelling, is_boolean, value_of};
use crate::error::{Error, Result};

/// The class names of a task; the position of a name in the list is its class index.
///
/// Serialises as a plain list of strings. Never empty, without duplicates. Lists of the same names in the same order
/// are equal.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Labels {
    names: Vec<String>,
    indices: HashMap<String, usize>,
    /// The classes by their names in lower case, `None` where several have the same.
    in_lower_case: HashMap<String, Option<usize>>,
    /// The first class of each value.
    by_value: HashMap<String, usize>,
    /// Whether some name is a number.
    has_numbers: bool,
    /// Whether all names are booleans.
    are_booleans: bool,
    /// Whether the names were only sorted.
    sorted: bool,
}

impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        self.names == other.names
    }
}

impl Eq for Labels {}

impl Labels {
    /// Creates a label list in the given order.
    ///
    /// # Errors
    /// [`Error::Setting`] for an empty list, an empty name, or a duplicate name.
    pub fn from_list(names: Vec<String>) -> Result<Self> {
        let fail = |message: String| Err(Error::setting("labels", message));
        if names.is_empty() {
            return fail("the list is empty, expected at least one label".to_owned());
        }
        let mut indices = HashMap::with_capacity(names.len());
        let mut in_lower_case = HashMap::with_capacity(names.len());
        let mut by_value = HashMap::with_capacity(names.len());
        for (index, name) in names.iter().enumerate() {
            if name.is_empty() {
                return fail(format!("label {index} has no name"));
            }
            if let Some(first) = indices.insert(name.clone(), index) {
                return fail(format!("`{name}` is both label {first} and label {index}"));
            }
            let only = in_lower_case.entry(name.to_lowercase());
            only.and_modify(|class| *class = None).or_insert(Some(index));
            if let Some(value) = value_of(name) {
                by_value.entry(in_one_spelling(value)).or_insert(index);
            }
        }
        let has_numbers = names.iter().any(|name| name.parse::<f64>().is_ok());
        let are_booleans = names.iter().all(|name| is_boolean(name));
        let sorted = false;
        Ok(Self { names, indices, in_lower_case, by_value, has_numbers, are_booleans, sorted })
    }

    /// The list, said to be only [sorted](Self::is_sorted).
    #[must_use]
    pub fn sorted(self) -> Self {
        Self { sorted: true, ..self }
    }

    /// Whether the names are in no order that anybody gave: a number in a file of rows is then not the index of a name.
    pub fn is_sorted(&self) -> bool {
        self.sorted
    }

    /// Collects the distinct labels of an iterator, sorted: by value if all are integers (so that
    /// 10 comes after 9), else by code point.
    ///
    /// # Errors
    /// As for [`Labels::from_list`].
    pub fn collect(labels: impl IntoIterator<Item = impl Into<String>>) -> Result<Self> {
        let distinct: BTreeSet<String> = labels.into_iter().map(Into::into).collect();
        let mut names: Vec<String> = distinct.into_iter().collect();
        if let Some(mut numbers) =
            names.iter().map(|name| integer(name)).collect::<Option<Vec<_>>>()
        {
            numbers.sort_unstable();
            names = numbers.iter().map(i64::to_string).collect();
        }
        Self::from_list(names).map(Self::sorted)
    }

    /// Returns the class index of a label, `None` if it is not in the list.
    pub fn index(&self, name: &str) -> Option<usize> {
        self.indices.get(name).copied()
    }

    /// The class index of the first label that says the same as a value: a number such as `1.0` as `1`, a boolean in any
    /// case. `None` if none does.
    pub fn index_by_value(&self, value: &str) -> Option<usize> {
        self.by_value.get(&in_one_spelling(value)).copied()
    }

    /// Whether some label is a number.
    pub fn has_numbers(&self) -> bool {
        self.has_numbers
    }

    /// Whether all labels are booleans, in upper or lower case.
    pub fn are_booleans(&self) -> bool {
        self.are_booleans
    }

    /// As [`index`](Self::index), else that of the only label that differs in upper and lower case alone: data sets and
    /// models write the same names differently.
    pub fn index_in_any_case(&self, name: &str) -> Option<usize> {
        self.index(name).or_else(|| self.in_lower_case.get(&name.to_lowercase()).copied()?)
    }

    /// Returns the label of a class index, `None` beyond the list.
    pub fn name(&self, index: usize) -> Option<&str> {
        self.names.get(index).map(String::as_str)
    }

    /// Returns all labels in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The number of classes, C.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Always false: a label list is never empty.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Whether all labels are entity tags: `O`, or `B-`, `I-`, `E-` or `S-` before a type.
    pub fn are_tags(&self) -> bool {
        let begins = |name: &str| ["B-", "I-", "E-", "S-"].iter().any(|tag| name.starts_with(tag));
        self.names.iter().all(|name| name == "O" || begins(name))
    }
}

impl TryFrom<Vec<String>> for Labels {
    type Error = Error;

    fn try_from(names: Vec<String>) -> Result<Self> {
        Self::from_list(names)
    }
}

impl From<Labels> for Vec<String> {
    fn from(labels: Labels) -> Self {
        labels.names
    }
}

/// The integer that a name spells, `None` if it would be spelled differently again (`01`, `+1`).
fn integer(name: &str) -> Option<i64> {
    name.parse::<i64>().ok().filter(|number| number.to_string() == name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list(names: &[&str]) -> Result<Labels> {
        Labels::from_list(names.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_given_order_is_kept() {
        let labels = list(&["no", "yes", "maybe"]).unwrap();
        assert_eq!(labels.index("yes"), Some(1));
        assert_eq!(labels.index("Yes"), None);
        assert_eq!(labels.name(2), Some("maybe"));
        assert_eq!(labels.name(3), None);
        assert_eq!((labels.len(), labels.is_empty()), (3, false));
    }

    #[test]
    fn upper_and_lower_case_count_where_they_tell_classes_apart() {
        let labels = list(&["No", "YES", "yes", "a", "A"]).unwrap();
        let found = ["no", "NO", "Yes", "yes", "A", "b"].map(|name| labels.index_in_any_case(name));
        assert_eq!(found, [Some(0), Some(0), None, Some(2), Some(4), None]);
    }

    #[test]
    fn values_are_found_whichever_way_they_are_written() {
        let labels = list(&["a", "1.0", " 2 ", "1", "True", "01"]).unwrap();
        let found =
            ["1", "2", "TRUE", "01", "a", "A", "1.0", ""].map(|name| labels.index_by_value(name));
        assert_eq!(found, [Some(1), Some(2), Some(4), Some(5), Some(0), None, None, None]);
        assert!(labels.has_numbers() && !labels.are_booleans());
        let booleans = list(&["false", "TRUE"]).unwrap();
        assert!(booleans.are_booleans() && !booleans.has_numbers());
    }

    #[test]
    fn bad_lists_are_refused() {
        assert!(list(&[]).unwrap_err().to_string().contains("the list is empty"));
        let twice = list(&["a", "b", "a"]).unwrap_err().to_string();
        assert_eq!(twice, "labels: `a` is both label 0 and label 2");
        assert!(list(&["a", ""]).unwrap_err().to_string().contains("label 1 has no name"));
        assert!(serde_json::from_str::<Labels>("[]").is_err());
        assert!(serde_json::from_str::<Labels>("[\"a\", \"a\"]").is_err());
        assert!(serde_json::from_str::<Labels>("{\"names\": [\"a\"]}").is_err());
    }

    #[test]
    fn json_is_a_plain_list() {
        let labels = list(&["b", "a"]).unwrap();
        assert_eq!(serde_json::to_string(&labels).unwrap(), "[\"b\",\"a\"]");
        assert_eq!(serde_json::from_str::<Labels>("[\"b\",\"a\"]").unwrap(), labels);
    }

    #[test]
    fn collected_labels_are_sorted() {
        assert_eq!(Labels::collect(["b", "a", "B", "b"]).unwrap(), list(&["B", "a", "b"]).unwrap());
        assert_eq!(
            Labels::collect(["10", "9", "-1"]).unwrap(),
            list(&["-1", "9", "10"]).unwrap(),
            "by value"
        );
        assert_eq!(
            Labels::collect(["10", "9", "09"]).unwrap(),
            list(&["09", "10", "9"]).unwrap(),
            "not all are plain integers"
        );
    }

    proptest! {
        #[test]
        fn a_value_is_that_of_the_first_label_with_it(
            names in prop::collection::hash_set("[ab]|[Tt]rue| ?[12](\\.0{0,2})?", 1..9),
            value in "[ab]|[Tt]rue|[12]",
        ) {
            let names: Vec<String> = names.into_iter().collect();
            let labels = Labels::from_list(names.clone()).unwrap();
            let is_same = |name: &String| {
                let own = value_of(name).unwrap();
                own == value || is_boolean(own) && own.eq_ignore_ascii_case(&value)
            };
            prop_assert_eq!(labels.index_by_value(&value), names.iter().position(is_same));
        }

        /// Names and indices are inverse to each other, whatever the labels are.
        #[test]
        fn names_and_indices_agree(names in prop::collection::vec("[a-c0-2-]{1,3}", 1..20)) {
            let labels = Labels::collect(names.clone()).unwrap();
            for name in &names {
                prop_assert_eq!(labels.name(labels.index(name).unwrap()), Some(name.as_str()));
            }
            let json = serde_json::to_string(&labels).unwrap();
            prop_assert_eq!(serde_json::from_str::<Labels>(&json).unwrap(), labels);
        }
    }
}
