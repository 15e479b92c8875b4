//! Booleans as names of classes: JSON has `true`, and pandas writes `True` into tables.

use std::collections::BTreeSet;

pub use crate::data::class_value::is_boolean;

/// Whether two names are of one class: they are equal, or one boolean.
pub fn is_same_class(one: &str, other: &str) -> bool {
    one == other || is_boolean(one) && one.eq_ignore_ascii_case(other)
}

/// One spelling for each boolean, where they have several and nothing else is a label; pandas reads tables so.
pub fn one_spelling(names: BTreeSet<String>) -> BTreeSet<String> {
    let values: BTreeSet<String> = names.iter().map(|name| name.to_lowercase()).collect();
    if values.len() == names.len() || !names.iter().all(|name| is_boolean(name)) {
        return names;
    }
    let spelled = |name: String| if name.eq_ignore_ascii_case("true") { "True" } else { "False" };
    names.into_iter().map(|name| spelled(name).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boolean_is_one_class_in_each_spelling() {
        assert!(is_same_class("True", "true") && is_same_class("FALSE", "False"));
        assert!(
            is_same_class("a", "a") && !is_same_class("a", "A") && !is_same_class("true", "false")
        );
        let one = |names: &[&str]| one_spelling(names.iter().map(ToString::to_string).collect());
        let set = |names: &[&str]| names.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
        assert_eq!(one(&["true", "True", "false"]), set(&["False", "True"]));
        assert_eq!(one(&["true", "false"]), set(&["false", "true"]));
        assert_eq!(one(&["true", "True", "x"]), set(&["True", "true", "x"]));
    }
}
