//! The classes of a run: given, remembered by an adapter, or found in the rows.

use std::collections::BTreeMap;

use burn::tensor::Device;
use peft_core::{
    Adapter, Error, Head, ProblemType, Result, Task,
    data::Labels,
    text::{
        ClassNames, FieldNames, Record, Role, are_class_numbers, collect_classes, collect_labels,
        is_unlabelled, label_text,
    },
};
use peft_models::Loaded;
use tokenizers::NormalizedString;

use super::started_from::{has_head, is_for, of_start};
use crate::{
    data_files::DataFiles,
    encoding::{adapter_labels, parse_labels, stored_labels},
    output,
    usage::listed,
};

/// The classes of a run: those of `--labels`, of the adapter to start from if the rows have any of them, those that the
/// training file or its data set's card names, or those of its records, of which those without a label may be skipped.
///
/// # Errors
///
/// Returns an error naming what is wrong with `given`, the adapter's head, or the line of a record.
pub fn of_run(
    (given, skip_unlabelled): (Option<&str>, bool),
    (task, problem_type): (Task, ProblemType),
    base: &Loaded,
    start_adapter: Option<&Adapter>,
    train: &DataFiles,
    fields: &FieldNames,
    device: &Device,
) -> Result<Option<Labels>> {
    if let Some(list) = given {
        // Of a language model they are the texts that targets can be.
        if task == Task::QuestionAns {
            return Err(Error::setting(
                "labels",
                format!("not used by {task}, which has no classes"),
            ));
        }
        return Ok(Some(parse_labels(list)?));
    }
    if !matches!(task, Task::SeqCls | Task::TokenCls) || problem_type == ProblemType::Regression {
        return Ok(None);
    }
    // One for another task knows nothing of these classes.
    let start_adapter = start_adapter.filter(|adapter| is_for(adapter, task));
    let key = fields.name(if task == Task::TokenCls { Role::Tags } else { Role::Label });
    let collect = || collected(train, fields, (task, problem_type), skip_unlabelled);
    if let Some(labels) = start_adapter.map(adapter_labels).transpose()?.flatten() {
        // What is wrong with a row is told where it is read.
        let others = collect().ok().filter(|found| are_others(found, &labels));
        if others.is_none() {
            return Ok(Some(labels));
        }
    }
    let first = train.first_rows()?;
    let numbered = first.iter().all(|row| !row.is_ids()) && are_class_numbers(&first, key);
    if let Some(row) = first.first().filter(|_| numbered) {
        if let Some(known) = row.class_names(key) {
            return Ok(Some(as_named(known, row, base)?));
        }
        for why in row.unnamed(key) {
            output::note(format!("note: {why}; --labels gives their names, from 0 on"));
        }
    }
    let found = collect()?;
    let model = base.model.as_ref();
    // The head of an adapter with other classes is not used; without one the base model's own may be.
    let start_adapter =
        start_adapter.filter(|adapter| adapter.config.own.labels.is_none() && has_head(adapter));
    let head = match start_adapter {
        Some(adapter) => of_start(adapter, model, task, device)?,
        None => model.classifier().cloned(),
    };
    if let Some(own) = base.config.labels().filter(|own| {
        let has_head = head.as_ref().is_some_and(|head| head.num_classes() == own.len());
        start_adapter.is_none() && has_head && are_indices_of(&found, own)
    }) {
        output::note(format!("note: the numbers are classes of the model: {}", own.join(", ")));
        return Ok(Some(stored_labels(own, "base model")?));
    }
    let found = with_all_classes(found, head.as_ref())?;
    spellings(&found).into_iter().for_each(output::note);
    let numbers = found.names().iter().all(|name| name.parse::<i64>().is_ok());
    if task == Task::TokenCls && numbers && first.iter().any(|record| !record.is_ids()) {
        output::note("note: the tags are numbers; --labels gives their names, from 0 on");
    }
    note_other_head(&found, base.config.labels().as_deref(), head.as_ref());
    match base.config.labels().filter(|own| same_names(own, &found)) {
        // The base model's own order, which is that of its head.
        Some(own) if start_adapter.is_none() => Ok(Some(stored_labels(own, "base model")?)),
        _ => Ok(Some(found)),
    }
}

/// A note on the first row whose target, in the field `key`, is none of the classes that a language model was given; what
/// is wrong with a row is told where it is encoded.
pub(super) fn other_target(
    rows: impl Iterator<Item = Result<Record>>,
    labels: &Labels,
    key: &str,
) -> Option<String> {
    rows.map_while(Result::ok).filter(|row| !row.is_ids()).find_map(|row| {
        let target = row.optional(key).and_then(label_text)?;
        labels.index(&target).is_none().then(|| {
            format!(
                "note: {}, line {}: the target `{target}` is none of the classes ({}): it is learnt as it stands, and \
                 `peft eval --rank-classes` refuses such a row; write it as one of them, or give other --labels",
                row.path.display(),
                row.line,
                first_names(&labels.names().iter().collect::<Vec<_>>())
            )
        })
    })
}

/// The classes of rows, of which those without a label may be skipped.
///
/// # Errors
///
/// Returns an error naming the line of a record.
pub(super) fn collected(
    train: &DataFiles,
    fields: &FieldNames,
    (task, problem_type): (Task, ProblemType),
    skip_unlabelled: bool,
) -> Result<Labels> {
    let is_read = |record: &Result<Record>| {
        let unlabelled = |record: &Record| {
            let key = match task {
                Task::TokenCls if record.is_ids() => "labels",
                Task::TokenCls => fields.name(Role::Tags),
                _ => fields.name(Role::Label),
            };
            is_unlabelled(record, key, problem_type, None)
        };
        !(skip_unlabelled && record.as_ref().is_ok_and(unlabelled))
    };
    match problem_type {
        ProblemType::MultiLabel => collect_classes(train.rows().filter(is_read), fields),
        _ => collect_labels(train.rows().filter(is_read), task, fields),
    }
}

/// Whether the classes of rows are those of another task than the one whose classes an adapter knows: it knows none of
/// them, by name or by number. If it knows some, the others are told.
fn are_others(found: &Labels, known: &Labels) -> bool {
    let is_known =
        |name: &&String| known.index_in_any_case(name).is_some() || name.parse::<f64>().is_ok();
    let (own, new): (Vec<&String>, Vec<&String>) = found.names().iter().partition(is_known);
    if !own.is_empty() && !new.is_empty() {
        output::note(format!(
            "note: of the classes of the rows, the adapter of --init-adapter knows {}, not {}: for a new head, give all \
             classes to --labels",
            first_names(&own),
            first_names(&new)
        ));
    }
    own.is_empty()
}

/// The first names of a list, and how many more there are.
fn first_names(names: &[&String]) -> String {
    const SHOWN: usize = 6;
    let shown: Vec<&str> = names.iter().take(SHOWN).map(|name| name.as_str()).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => listed(&shown, "and"),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Notes on two classes that are one name in other letters, or in other code points of the same letters: one of them is
/// rarely meant.
fn spellings(labels: &Labels) -> Vec<String> {
    let (mut in_lower_case, mut composed) = (BTreeMap::new(), BTreeMap::new());
    let mut visible = BTreeMap::new();
    let mut notes = Vec::new();
    for name in labels.names() {
        if let Some(other) = in_lower_case.insert(name.to_lowercase(), name) {
            notes.push(format!(
                "note: {other} and {name} are two classes, which differ in upper and lower case only; write both in one way \
                 to have one class"
            ));
        }
        let mut letters = NormalizedString::from(name.as_str());
        if let Some(other) = composed.insert(letters.nfc().get().to_string(), name) {
            notes.push(format!(
                "note: {other} ({}) and {name} ({}) are two classes, which look alike: they differ in Unicode normalisation \
                 only; write both in one form (NFC) to have one class",
                code_points(other),
                code_points(name)
            ));
        }
        if let Some(other) = visible.insert(visible_part(name), name) {
            notes.push(format!(
                "note: {other} ({}) and {name} ({}) are two classes, which look alike: they differ in blanks and invisible \
                 characters only; write both alike to have one class",
                code_points(other),
                code_points(name)
            ));
        }
    }
    notes
}

/// A name without characters that are not seen, with one space for blanks of any kind and number.
fn visible_part(name: &str) -> String {
    /// Of no width: spaces, joiners, marks of direction, soft hyphens.
    const INVISIBLE: [std::ops::RangeInclusive<char>; 7] = [
        '\u{ad}'..='\u{ad}',
        '\u{61c}'..='\u{61c}',
        '\u{180e}'..='\u{180e}',
        '\u{200b}'..='\u{200f}',
        '\u{202a}'..='\u{202e}',
        '\u{2060}'..='\u{206f}',
        '\u{feff}'..='\u{feff}',
    ];
    let is_seen = |c: &char| !INVISIBLE.iter().any(|range| range.contains(c));
    let seen: String = name.chars().filter(is_seen).collect();
    seen.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn code_points(name: &str) -> String {
    let points: Vec<String> = name.chars().map(|c| format!("U+{:04X}", u32::from(c))).collect();
    points.join(" ")
}

/// The classes that the file of `row`, or one beside it, names: in the base model's order, which is that of its head,
/// if it has the same ones.
fn as_named(known: &ClassNames, row: &Record, base: &Loaded) -> Result<Labels> {
    let source = known.said_by(row);
    let names = known.names.join(", ");
    let own = base.config.labels().filter(|own| own.len() == known.names.len());
    let own = own.filter(|own| {
        let own = Labels::from_list(own.clone());
        own.is_ok_and(|own| known.names.iter().all(|name| own.index_in_any_case(name).is_some()))
    });
    let order = match own.as_ref().filter(|own| **own != known.names) {
        Some(own) => format!("; in the order of the base model, {}", own.join(", ")),
        None => String::new(),
    };
    output::note(format!("note: the classes are those that {source} names: {names}{order}"));
    stored_labels(own.unwrap_or_else(|| known.names.clone()), "data file")
}

/// What the labels of a run are: as given, as in the adapter to start from if that has a head, or as the base model says.
///
/// # Errors
///
/// Returns an error naming the key of the base model's config that is wrong.
pub fn problem_type(
    given: Option<ProblemType>,
    task: Task,
    base: &Loaded,
    start_adapter: Option<&Adapter>,
) -> Result<ProblemType> {
    if let Some(given) = given {
        return Ok(given);
    }
    // Virtual tokens alone may be those of several tasks, of which one only is named.
    let of_adapter = start_adapter.filter(|adapter| has_head(adapter));
    let of_adapter = of_adapter.map(|adapter| &adapter.config.own);
    let found = match of_adapter {
        _ if task != Task::SeqCls => ProblemType::default(),
        Some(own) if own.method.is_some() => own.problem_type.unwrap_or_default(),
        _ => base.config.problem_type()?.unwrap_or_default(),
    };
    if found.has_values() {
        let whose = if of_adapter.is_some() { "adapter" } else { "base model" };
        output::note(format!("note: {found}, as the {whose} says; --problem-type says otherwise"));
    }
    Ok(found)
}

/// Whether the classes have no names but their indices.
pub fn are_indices(labels: &Labels) -> bool {
    labels.names().iter().enumerate().all(|(i, name)| *name == i.to_string())
}

/// Whether `found` are numbers of classes that have names.
fn are_indices_of(found: &Labels, names: &[String]) -> bool {
    let index = |name: &String| name.parse::<usize>().is_ok_and(|index| index < names.len());
    let placeholder =
        |(i, name): (usize, &String)| name.eq_ignore_ascii_case(&format!("label_{i}"));
    let named = names.iter().all(|name| name.parse::<f64>().is_err())
        && !names.iter().enumerate().all(placeholder);
    named && found.names().iter().all(index)
}

/// Tells that the base model's own head is not used although its classes seem to be meant: some of them occur, or all in
/// other letters.
fn note_other_head(found: &Labels, own: Option<&[String]>, head: Option<&Head>) {
    let Some(own) = own.filter(|own| head.is_some_and(|head| head.num_classes() == own.len()))
    else {
        return;
    };
    let Ok(list) = Labels::from_list(own.to_vec()) else { return };
    let is_own = |name: &String| list.index_in_any_case(name).is_some();
    if !same_names(own, found) && !are_indices(found) && found.names().iter().all(is_own) {
        output::note(format!(
            "note: a new head is trained for the classes {}; the model's own has {}: name them with --labels, and so in \
             the rows, to start from it",
            found.names().join(", "),
            own.join(", ")
        ));
    }
}

/// Whether both have the same names, in any order; those of each differ.
fn same_names(own: &[String], labels: &Labels) -> bool {
    own.len() == labels.len() && own.iter().all(|name| labels.index(name).is_some())
}

/// Rows with class indices need not show every class, but a head that exists knows how many there are.
fn with_all_classes(found: Labels, head: Option<&Head>) -> Result<Labels> {
    match head.map(Head::num_classes) {
        Some(classes) if are_indices(&found) && classes > found.len() => {
            Labels::from_list((0..classes).map(|class| class.to_string()).collect())
        }
        _ => Ok(found),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{path::Path, sync::Arc};

    use serde_json::json;

    use super::*;

    #[test]
    fn targets_of_language_models_that_are_no_class_are_told() {
        let labels = Labels::from_list(vec!["yes".into(), "no".into()]).unwrap();
        let told = |targets: &[serde_json::Value]| {
            let row = |(at, target): (usize, &serde_json::Value)| {
                let fields = json!({"source": "a", "target": target}).as_object().cloned();
                Ok(Record::new(Arc::from(Path::new("t.csv")), at + 2, fields.unwrap_or_default()))
            };
            other_target(targets.iter().enumerate().map(row), &labels, "target")
        };
        assert_eq!(told(&[json!("yes"), json!("no"), json!(null), json!("")]), None);
        // A list of targets is none of one class.
        assert_eq!(told(&[json!(["yes", "a"])]), None);
        let note = told(&[json!("yes"), json!("Yes"), json!("maybe")]).unwrap();
        assert!(
            note.starts_with(
                "note: t.csv, line 3: the target `Yes` is none of the classes (yes and no): it is learnt"
            ),
            "{note}"
        );
    }

    #[test]
    fn classes_that_are_one_name_are_told() {
        let of = |names: &[&str]| {
            let names = names.iter().map(|name| name.to_string()).collect();
            spellings(&Labels::from_list(names).unwrap())
        };
        assert!(of(&["neg", "pos", "caf\u{e9}", "cafe"]).is_empty());
        assert_eq!(
            of(&["Neg", "neg"]),
            [
                "note: Neg and neg are two classes, which differ in upper and lower case only; write both in one way to have \
              one class"
            ]
        );
        for other in ["a  b", "a\u{a0}b", "a\u{200b} b", "\u{feff}a b", "a\tb"] {
            let notes = of(&["a b", "c", other, "ab"]);
            assert!(
                notes.len() == 1 && notes[0].contains("differ in blanks and invisible"),
                "{notes:?}"
            );
        }
        assert_eq!(
            of(&["e\u{301}t\u{e9}", "no", "\u{e9}t\u{e9}"]),
            [
                "note: e\u{301}t\u{e9} (U+0065 U+0301 U+0074 U+00E9) and \u{e9}t\u{e9} (U+00E9 U+0074 U+00E9) are two classes, \
              which look alike: they differ in Unicode normalisation only; write both in one form (NFC) to have one class"
            ]
        );
    }
}
