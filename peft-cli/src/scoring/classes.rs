//! Classes, a row each: predictions, references, and the groups of rows that belong together.

use std::{collections::BTreeSet, path::PathBuf};

use clap::Args;
use peft_core::{
    Error, Result,
    text::{is_same_class, text_lines},
};

use super::{
    Kind,
    column::{Column, Places},
    counts,
    fields::{self, FieldArgs},
    ids, known,
    sets::Sets,
    source::{Source, is_blank},
    spelling::spellings,
};
use crate::output::note;

/// Flags of metrics of classes.
#[derive(Args, Clone, Debug, Default)]
pub struct ClassArgs {
    /// The class that f1, precision, recall and f1_by_group are of. [default: 1 or true, of two classes]
    #[arg(long, value_name = "CLASS", allow_hyphen_values = true)]
    pub positive: Option<String>,
    /// For f1_by_group and exact_match_by_group: a file with the name of a group on each line.
    #[arg(long, value_name = "FILE", conflicts_with = "group_field")]
    pub groups: Option<PathBuf>,
    /// The same: the field of the references' rows that names the group, such as the question.
    #[arg(long, value_name = "NAME")]
    pub group_field: Option<String>,
}

/// Predicted classes or numbers, and those that are right.
#[derive(Clone, Debug)]
pub struct Pairs {
    /// What is predicted.
    pub predictions: Vec<String>,
    /// What is right.
    pub references: Vec<String>,
    /// The file of the predictions, and their lines.
    pub places: [Places; 2],
    /// Which row of the references is that of each prediction, if they are in another order.
    order: Option<Vec<usize>>,
    /// Classes that the predictions know, whether or not a row has them.
    listed: BTreeSet<String>,
}

/// The classes of rows.
#[derive(Clone, Debug)]
pub enum Classes {
    /// One a row, or a number.
    One(Pairs),
    /// Several a row.
    Several(Sets),
}

/// Reads both sides, a value a row; of classes, a list of them a row where references have lists or each prediction is one.
///
/// # Errors
///
/// [`Error::Mismatch`] if their numbers differ or no reference is a class of the predictions, [`Error::Data`] for rows without the field and references without a value.
pub fn read(
    predictions: &Source,
    references: Option<&Source>,
    kind: Kind,
    args: &FieldArgs,
) -> Result<Classes> {
    let own = references.is_none();
    let references = references.unwrap_or(predictions);
    let count = counts::of_both(predictions, references)?;
    let found = Column::of(predictions, kind, count, |rows| fields::prediction(rows, kind, args))?;
    let wanted =
        Column::of(references, kind, count, |rows| fields::reference(rows, kind, args, own))?;
    let listed = predictions.rows().map(known::listed).unwrap_or_default();
    if kind == Kind::Class && (wanted.has_lists() || found.all_lists()) {
        let (found, mut wanted) = (found.sets()?, wanted.sets()?);
        if let Some(order) = ids::order(predictions, references, args)? {
            wanted = order.iter().map(|at| wanted[*at].clone()).collect();
        }
        return Sets::new(found, wanted, listed).map(Classes::Several);
    }
    let ((found, found_at), (wanted, wanted_at)) = (found.values()?, wanted.values()?);
    if let Some(at) = wanted.iter().position(String::is_empty) {
        return Err(wanted_at.error(at, "found no value, expected a reference".to_owned()));
    }
    let order = ids::order(predictions, references, args)?;
    let places = [found_at, wanted_at];
    let mut pairs = Pairs { predictions: found, references: wanted, places, order, listed };
    if kind == Kind::Class {
        pairs.respell();
        let names = |all: &[String]| all.iter().cloned().collect::<BTreeSet<_>>();
        known::check(&names(&pairs.predictions), &pairs.listed, &names(&pairs.references))?;
    }
    if let Some(order) = &pairs.order {
        let references = order.iter().map(|at| pairs.references[*at].clone()).collect();
        let lines = order.iter().map(|at| pairs.places[1].lines[*at]).collect();
        (pairs.references, pairs.places[1].lines) = (references, lines);
    }
    Ok(Classes::One(pairs))
}

impl Pairs {
    /// Spells the classes of both sides alike.
    fn respell(&mut self) {
        let names = |all: &[String]| all.iter().cloned().collect::<BTreeSet<_>>();
        let spelled = spellings(&names(&self.predictions), &self.listed, &names(&self.references));
        let of = |name: &String| spelled.get(name).unwrap_or(name).clone();
        self.listed = self.listed.iter().map(of).collect();
        for name in self.predictions.iter_mut().chain(&mut self.references) {
            *name = of(name);
        }
    }

    /// The class whose F1 is wanted. Where all rows have one class, it may be another, whose scores are 0, as in
    /// scikit-learn.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] if none was named and there are more than two or none is 1 or true, or if none has that name.
    pub fn positive(&self, args: &ClassArgs) -> Result<String> {
        // An empty prediction is no class.
        let all = self.references.iter().chain(&self.predictions);
        let present: BTreeSet<String> = all.filter(|name| !name.is_empty()).cloned().collect();
        let has = |name: &String| present.contains(name) || self.listed.contains(name);
        let spelled = |given: &String| {
            let mut known = present.iter().chain(&self.listed);
            let same = known.find(|name| is_same_class(name, given));
            same.filter(|_| !has(given)).unwrap_or(given).clone()
        };
        if let Some(given) = &args.positive.as_ref().map(spelled) {
            if has(given) {
                return Ok(given.clone());
            }
            if present.len() < 2 {
                note(format!("note: --positive: no row has the class `{given}`"));
                return Ok(given.clone());
            }
            let message = format!("found `{given}`, expected one of: {}", known::shown(&present));
            return Err(Error::setting("--positive", message));
        }
        let usual = ["1", "true"];
        let usual = present.iter().find(|name| usual.iter().any(|one| is_same_class(one, name)));
        match usual {
            Some(usual) if present.len() <= 2 => Ok(usual.clone()),
            _ => {
                let several = match present.len() {
                    0..=2 => "",
                    _ => "; f1_macro, f1_micro and report are of all of them",
                };
                let message = format!(
                    "name the class whose score is wanted, one of: {}{several}",
                    known::shown(&present)
                );
                Err(Error::setting("--positive", message))
            }
        }
    }

    /// The group of each row.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] if nothing names them, [`Error::Mismatch`] if they are not as many as the rows.
    pub fn groups(&self, references: &Source, args: &ClassArgs) -> Result<Vec<String>> {
        if let Some(path) = &args.groups {
            let mut lines = text_lines(path)?;
            while lines.len() > self.references.len() && lines.last().is_some_and(|l| is_blank(l)) {
                lines.pop();
            }
            return match lines.len() == self.references.len() {
                true => Ok(lines.iter().map(|line| line.trim().to_owned()).collect()),
                false => Err(Error::file(
                    path,
                    format!(
                        "names {} groups, expected one for each of {} rows",
                        lines.len(),
                        self.references.len()
                    ),
                )),
            };
        }
        match (&args.group_field, references.rows()) {
            (Some(field), Some(rows)) => {
                let groups: Vec<String> =
                    rows.iter().map(|row| fields::plain(row, field)).collect::<Result<_>>()?;
                // In the order of the predictions.
                Ok(match &self.order {
                    Some(order) => order.iter().map(|at| groups[*at].clone()).collect(),
                    None => groups,
                })
            }
            (Some(_), None) => {
                let message = "the references are lines, which have no fields: give --groups FILE";
                Err(Error::setting("--group-field", message))
            }
            (None, _) => {
                let message = "needed by metrics by group: a file with a group's name on each line, or --group-field NAME";
                Err(Error::setting("--groups", message))
            }
        }
    }

    /// Both sides as numbers.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] at what is no finite number.
    pub fn numbers(&self) -> Result<[Vec<f64>; 2]> {
        let of = |values: &[String], places: &Places| -> Result<Vec<f64>> {
            let number = |(at, text): (usize, &String)| match text.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(number),
                _ => Err(places.error(at, format!("found `{text}`, expected a number"))),
            };
            values.iter().enumerate().map(number).collect()
        };
        Ok([of(&self.predictions, &self.places[0])?, of(&self.references, &self.places[1])?])
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{path::Path, sync::Arc};

    use peft_core::text::Record;
    use serde_json::{Value, json};

    use super::*;

    /// Rows that all stand on one line.
    fn rows(values: &[Value]) -> Source {
        let row = |value: &Value| {
            let fields = value.as_object().cloned().unwrap_or_default();
            Record::new(Arc::from(Path::new("f")), 1, fields)
        };
        Source::Rows(PathBuf::from("f"), values.iter().map(row).collect())
    }

    fn labels(names: &[&str]) -> Source {
        rows(&names.iter().map(|name| json!({"label": name})).collect::<Vec<_>>())
    }

    fn pairs(predictions: &Source, references: &Source) -> Pairs {
        match read(predictions, Some(references), Kind::Class, &FieldArgs::default()).unwrap() {
            Classes::One(pairs) => pairs,
            Classes::Several(sets) => panic!("several classes a row: {sets:?}"),
        }
    }

    #[test]
    fn groups_are_those_of_rows_and_not_of_lines() {
        let of = |id: u32, question: &str| json!({"id": id, "question": question, "label": 1});
        let references = rows(&[of(1, "q1"), of(2, "q1"), of(3, "q2")]);
        let args = ClassArgs { group_field: Some("question".into()), ..ClassArgs::default() };
        let found = pairs(&labels(&["1", "1", "0"]), &references);
        assert_eq!(found.groups(&references, &args).unwrap(), ["q1", "q1", "q2"]);
        let by_id = |id: u32| json!({"id": id, "label": 1});
        let found = pairs(&rows(&[by_id(3), by_id(1), by_id(2)]), &references);
        assert_eq!(found.groups(&references, &args).unwrap(), ["q2", "q1", "q1"]);
    }

    #[test]
    fn a_text_that_looks_like_a_list_is_one_among_others() {
        let found = pairs(&labels(&["[1]", "a", ""]), &labels(&["b", "a", "a"]));
        assert_eq!(found.predictions, ["[1]", "a", ""]);
        let found = pairs(&labels(&["b", "a"]), &labels(&["['b']", "a"]));
        assert_eq!(found.references, ["['b']", "a"]);
        let of = |found: &Source, wanted: &Source| {
            let found = read(found, Some(wanted), Kind::Class, &FieldArgs::default());
            found.map(|found| matches!(found, Classes::Several(_))).map_err(|e| e.to_string())
        };
        let lists = rows(&[json!({"label": ["b"]}), json!({"label": "[]"})]);
        assert_eq!(of(&labels(&["[1]", "['b']"]), &lists), Ok(true));
        assert_eq!(of(&labels(&["[\"b\"]", "[]"]), &labels(&["['b']", "[]"])), Ok(true));
        for (found, wanted, says) in [
            (&labels(&["[1]", "a"]), &lists, "found \"a\", expected a list"),
            (&labels(&["[1]", ""]), &labels(&["b", "a"]), "expected a list"),
            (&lists, &rows(&[json!({"label": ["b"]}), json!({"label": "b"})]), "found \"b\""),
            (
                &rows(&[json!({"label": ["b"]}), json!({"label": "b"})]),
                &labels(&["b", "b"]),
                "a list or",
            ),
        ] {
            let said = of(found, wanted).unwrap_err();
            assert!(said.contains(says), "{said}");
        }
    }

    #[test]
    fn a_prediction_goes_before_labels() {
        let found = rows(&[json!({"labels": "a", "prediction": "b"})]);
        assert_eq!(pairs(&found, &labels(&["b"])).predictions, ["b"]);
        assert_eq!(pairs(&rows(&[json!({"labels": "a"})]), &labels(&["b"])).predictions, ["a"]);
    }

    #[test]
    fn what_is_no_exact_class_is_refused_and_null_is_none() {
        let of = |found: Value, wanted: Value| {
            let (found, wanted) =
                (rows(&[json!({"label": found})]), rows(&[json!({"label": wanted})]));
            match read(&found, Some(&wanted), Kind::Class, &FieldArgs::default()) {
                Ok(Classes::One(pairs)) => Ok((pairs.predictions, pairs.references)),
                Ok(Classes::Several(_)) => Err("several".to_owned()),
                Err(error) => Err(error.to_string()),
            }
        };
        let one = |text: &str| vec![text.to_owned()];
        assert_eq!(of(json!(1.0), json!("1")), Ok((one("1"), one("1"))));
        assert_eq!(of(json!("False"), json!(false)), Ok((one("False"), one("False"))));
        let both = |other: Value| rows(&[json!({"label": other}), json!({"label": "a"})]);
        let found = pairs(&both(json!(null)), &both(json!("a")));
        assert_eq!(found.predictions, ["", "a"]);
        let said =
            read(&both(json!("a")), Some(&both(json!(null))), Kind::Class, &FieldArgs::default());
        assert!(said.unwrap_err().to_string().contains("expected a reference"));
        for (found, wanted) in [(json!(1e22), json!("1")), (json!("1"), json!(-1e22))] {
            let said = of(found, wanted).unwrap_err();
            assert!(
                said.contains("field `label`: found the number") && said.contains("in quotes"),
                "{said}"
            );
        }
    }

    #[test]
    fn the_class_of_an_f1_is_named_where_it_is_in_doubt() {
        let of = |predictions: &[&str], references: &[&str], positive: Option<&str>| {
            let args = ClassArgs { positive: positive.map(str::to_owned), ..ClassArgs::default() };
            let found = pairs(&labels(predictions), &labels(references));
            found.positive(&args).map_err(|error| error.to_string())
        };
        let is = |name: &str| Ok(name.to_owned());
        assert_eq!(of(&["0", "1"], &["1", "1"], None), is("1"));
        assert_eq!(of(&["", "1"], &["1", "0"], None), is("1"));
        assert_eq!(of(&["True", "False"], &["true", "false"], None), is("True"));
        assert_eq!(of(&["True", "False"], &["true", "false"], Some("false")), is("False"));
        let said = of(&["0", "1", "1"], &["0", "1", "2"], None).unwrap_err();
        assert!(said.contains("one of: 0, 1, 2; f1_macro"), "{said}");
        assert_eq!(of(&["0", "1", "1"], &["0", "1", "2"], Some("2")), is("2"));
        let said = of(&["0", "0"], &["0", "0"], None).unwrap_err();
        assert!(said.ends_with("one of: 0"), "{said}");
        // No row has it, which is told from a slip only where there are others.
        assert_eq!(of(&["0", "0"], &["0", "0"], Some("1")), is("1"));
        let said = of(&["no", "yes"], &["no", "yes"], Some("ye")).unwrap_err();
        assert!(said.contains("found `ye`, expected one of: no, yes"), "{said}");
    }
}
