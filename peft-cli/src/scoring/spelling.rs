//! One name for a class that predictions and references spell differently: `True` of a table, `true` of JSON.

use std::collections::{BTreeSet, HashMap};

use peft_core::text::{is_same_class, one_spelling};

/// How each name is spelled that predictions and references have, by the classes of the predictions and those that they
/// `listed`. A name that is a class is itself; the empty one is no class.
pub fn spellings(
    predictions: &BTreeSet<String>,
    listed: &BTreeSet<String>,
    references: &BTreeSet<String>,
) -> HashMap<String, String> {
    let classes = |names: &mut dyn Iterator<Item = &String>| {
        one_spelling(names.filter(|name| !name.is_empty()).cloned().collect())
    };
    let known = classes(&mut predictions.iter().chain(listed));
    let wanted = classes(&mut references.iter());
    let of = |name: &String, names: &BTreeSet<String>| {
        let same = || names.iter().find(|other| is_same_class(other, name));
        names.get(name).or_else(same).unwrap_or(name).clone()
    };
    let found = predictions.iter().chain(listed).map(|name| (name.clone(), of(name, &known)));
    let others = references.difference(predictions);
    let wanted = others.map(|name| (name.clone(), of(&of(name, &wanted), &known)));
    found.collect::<HashMap<_, _>>().into_iter().chain(wanted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_spelled_as_the_predictions_do() {
        let set = |names: &[&str]| names.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
        let of = |found: &[&str], listed: &[&str], wanted: &[&str], name: &str| {
            spellings(&set(found), &set(listed), &set(wanted))[name].clone()
        };
        assert_eq!(of(&["True", "False", ""], &[], &["true", "false"], "true"), "True");
        assert_eq!(of(&["true"], &["false", "true"], &["True", "False"], "False"), "false");
        assert_eq!(of(&["True", "true"], &[], &["TRUE"], "true"), "True");
        assert_eq!(of(&["True"], &[], &["true", "false"], "false"), "false");
        assert_eq!(of(&["a", "true"], &[], &["True", "A"], "True"), "true");
        assert_eq!(of(&["a"], &[], &["A"], "A"), "A");
        assert_eq!(of(&[""], &[], &["a"], ""), "");
    }
}
