//! What a run predicts for its validation rows: class by class, and for some of the rows.

use super::{
    heat::confusion,
    html::{Element, element},
    parts::{Cell, heading, paragraph, table},
};
use crate::{
    output::grouped,
    training::validation::{ByClass, Named, Sample, Validation},
};

/// The classes or the types of entities, one by one; empty where there are none.
pub fn classes(found: &Validation) -> Vec<Element> {
    if let Some(classes) = &found.classes {
        return by_class(classes);
    }
    match found.entities.as_slice() {
        [] => Vec::new(),
        entities => vec![scores("Entities by type", "type", entities)],
    }
}

fn by_class(classes: &ByClass) -> Vec<Element> {
    let all: Vec<Named> = classes.scores.iter().chain(&classes.averages).cloned().collect();
    let mut parts = vec![scores("Precision, recall and F1 of each class", "class", &all)];
    if !classes.confusion.is_empty() {
        let names: Vec<String> = classes.scores.iter().map(|one| one.name.clone()).collect();
        parts.push(heading("Which class is taken for which"));
        parts.push(confusion(&names, &classes.confusion));
        return parts;
    }
    if !classes.confused.is_empty() {
        let header = ["class", "predicted", "rows"].map(String::from);
        let row = |(class, predicted, count): &(String, String, usize)| {
            vec![
                Cell::Text(class.clone()),
                Cell::Text(predicted.clone()),
                Cell::Number(grouped(*count)),
            ]
        };
        let rows: Vec<_> = classes.confused.iter().map(row).collect();
        parts.push(table("The classes that are taken for others most often", &header, &rows));
    }
    parts
}

fn scores(caption: &str, what: &str, all: &[Named]) -> Element {
    let header = [what, "precision", "recall", "F1", "support"].map(String::from);
    let row = |one: &Named| {
        let values = [one.precision, one.recall, one.f1].map(|value| format!("{value:.4}"));
        let mut row = vec![Cell::Text(one.name.clone())];
        row.extend(values.map(Cell::Number));
        row.push(Cell::Number(grouped(one.support)));
        row
    };
    table(caption, &header, &all.iter().map(row).collect::<Vec<_>>())
}

/// Some of the rows, those with errors first; empty where none were kept.
pub fn samples(found: &Validation, is_generated: bool) -> Vec<Element> {
    if found.samples.is_empty() {
        return Vec::new();
    }
    let shown = found.samples.len();
    let is_cut = is_generated && found.samples.iter().any(|sample| sample.is_right.is_none());
    let cut = match is_cut {
        true => " Neither right nor wrong is what was cut off as the beginning of a reference.",
        false => "",
    };
    let said = match (is_generated, found.wrong) {
        (true, _) => format!(
            "What the model writes for {shown} of the validation rows, by the likeliest tokens; \
             texts that are no reference come first.{cut}"
        ),
        (false, Some(wrong)) => format!(
            "{} of {} validation rows are wrong. {shown} are shown, those with errors first.",
            grouped(wrong),
            grouped(found.rows)
        ),
        (false, None) => format!(
            "{shown} of {} validation rows, those with the largest differences first.",
            grouped(found.rows)
        ),
    };
    let list = element("ol").with("class", "samples");
    vec![paragraph(said), list.children(found.samples.iter().map(sample))]
}

fn sample(row: &Sample) -> Element {
    let (class, verdict) = match row.is_right {
        Some(true) => ("right", "right"),
        Some(false) => ("wrong", "wrong"),
        None => ("", ""),
    };
    let place = format!("{} line {}", row.file, row.line);
    let between = if verdict.is_empty() { "" } else { ", " };
    let verdict = element("span").with("class", "verdict").text(verdict);
    let place = element("p")
        .with("class", "where")
        .child(verdict)
        .text(format!("{between}{}", place.trim_start()));
    let text = |name: &'static str| element(name).with("dir", "auto");
    let pair = |name: &str, value: &str| [element("dt").text(name), text("dd").text(value)];
    element("li").with("class", class).child(place).child(text("p").text(&row.text)).child(
        element("dl")
            .children(pair("expected", &row.expected))
            .children(pair("predicted", &row.predicted)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Named {
        Named { name: name.into(), precision: 1.0, recall: 0.5, f1: 0.6667, support: 2 }
    }

    #[test]
    fn classes_have_a_table_and_a_matrix_or_pairs() {
        let classes_of = |confusion: Vec<Vec<usize>>| {
            let by_class = ByClass {
                scores: vec![named("no"), named("<yes>")],
                averages: vec![named("macro average")],
                confusion,
                confused: vec![("no".into(), "<yes>".into(), 1)],
            };
            let found = Validation { classes: Some(by_class), ..Validation::default() };
            classes(&found).iter().map(Element::written).collect::<String>()
        };
        let small = classes_of(vec![vec![1, 1], vec![0, 1]]);
        assert!(
            small.contains("class=\"heat\"")
                && small.contains("&lt;yes&gt;</th><td class=\"number\">1.0000</td>"),
            "{small}"
        );
        let large = classes_of(vec![]);
        assert!(
            !large.contains("heat") && large.contains("taken for others most often"),
            "{large}"
        );
        let entities = Validation { entities: vec![named("LOC")], ..Validation::default() };
        assert!(classes(&entities)[0].written().contains("Entities by type"));
        assert!(classes(&Validation::default()).is_empty());
    }

    #[test]
    fn rows_say_whether_they_are_right() {
        let row = |is_right| Sample {
            file: "v.jsonl".into(),
            line: 3,
            text: "<script>alert(1)</script>".into(),
            expected: "a".into(),
            predicted: "b\u{202e}".into(),
            is_right,
        };
        let found = Validation {
            rows: 2000,
            wrong: Some(1),
            samples: vec![row(Some(false)), row(None)],
            ..Validation::default()
        };
        let markup: String = samples(&found, false).iter().map(Element::written).collect();
        for part in [
            "1 of 2 000 validation rows are wrong. 2 are shown",
            "<li class=\"wrong\"><p class=\"where\"><span class=\"verdict\">wrong</span>, v.jsonl line 3</p>",
            "<p dir=\"auto\">&lt;script&gt;alert(1)&lt;/script&gt;</p>",
            "<span class=\"verdict\"></span>v.jsonl line 3",
        ] {
            assert!(markup.contains(part), "{part}: {markup}");
        }
        assert!(samples(&Validation::default(), true).is_empty());
    }
}
