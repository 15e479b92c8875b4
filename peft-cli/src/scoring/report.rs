//! Class by class: precision, recall, F1 and support, and which class was taken for which.

use peft_core::metrics::{ClassReport, EntityScores, Score};
use serde_json::{Map, Value, json};

use crate::output::{grouped, table};

/// Classes whose confusion matrix is shown as one; of more, the pairs that are confused most.
const MOST_CLASSES: usize = 12;
/// Pairs that are shown.
const MOST_PAIRS: usize = 20;

fn of_score(score: &Score) -> Value {
    let Score { precision, recall, f1, support } = score;
    json!({"precision": precision, "recall": recall, "f1": f1, "support": support})
}

/// A report as JSON: the scores of each class and their averages, and the confusion matrix, whose rows are the right
/// classes.
pub fn of_classes(report: &ClassReport, names: &[String]) -> Value {
    let classes: Map<String, Value> =
        names.iter().cloned().zip(report.classes.iter().map(of_score)).collect();
    json!({
        "classes": classes,
        "macro_average": of_score(&report.macro_average()),
        "weighted_average": of_score(&report.weighted_average()),
        "labels": names,
        "confusion": report.confusion,
    })
}

/// The scores of entities as JSON, over all and by type.
pub fn of_entities(scores: &EntityScores) -> Value {
    let types: Map<String, Value> =
        scores.by_kind.iter().map(|(kind, score)| (kind.clone(), of_score(score))).collect();
    let mut all = of_score(&scores.overall);
    all["types"] = types.into();
    all
}

const COLUMNS: [&str; 4] = ["precision", "recall", "F1", "support"];

fn row(name: &str, score: &Score) -> Vec<String> {
    let Score { precision, recall, f1, support } = *score;
    let mut cells: Vec<String> =
        [precision, recall, f1].iter().map(|value| format!("{value:.4}")).collect();
    cells.insert(0, name.to_owned());
    cells.push(grouped(support));
    cells
}

fn scores(what: &str, rows: &[Vec<String>]) -> String {
    let header: Vec<&str> = std::iter::once(what).chain(COLUMNS).collect();
    table(&header, rows)
}

/// A report as tables.
pub fn shown_classes(report: &ClassReport, names: &[String]) -> String {
    let mut rows: Vec<Vec<String>> =
        names.iter().zip(&report.classes).map(|(name, score)| row(name, score)).collect();
    rows.push(row("macro average", &report.macro_average()));
    rows.push(row("weighted average", &report.weighted_average()));
    format!("{}\n\n{}", scores("class", &rows), confusion(report, names))
}

/// The confusion matrix, or of many classes the pairs that are confused most.
fn confusion(report: &ClassReport, names: &[String]) -> String {
    let name = |class: usize| names.get(class).cloned().unwrap_or_else(|| class.to_string());
    if names.len() <= MOST_CLASSES {
        let header: Vec<&str> =
            std::iter::once("right \\ predicted").chain(names.iter().map(String::as_str)).collect();
        let of = |(class, counts): (usize, &Vec<usize>)| {
            std::iter::once(name(class)).chain(counts.iter().map(|count| grouped(*count))).collect()
        };
        let rows: Vec<Vec<String>> = report.confusion.iter().enumerate().map(of).collect();
        return table(&header, &rows);
    }
    let pairs = report.confused();
    let shown = pairs.iter().take(MOST_PAIRS);
    let rows: Vec<Vec<String>> = shown
        .map(|(right, predicted, count)| vec![name(*right), name(*predicted), grouped(*count)])
        .collect();
    match (rows.is_empty(), pairs.len().saturating_sub(MOST_PAIRS)) {
        (true, _) => "no class is taken for another".to_owned(),
        (false, 0) => table(&["right", "predicted", "rows"], &rows),
        (false, more) => {
            let table = table(&["right", "predicted", "rows"], &rows);
            format!("{table}\nand {more} more pairs, which --json has")
        }
    }
}

/// The scores of entities as a table.
pub fn shown_entities(found: &EntityScores) -> String {
    let mut rows: Vec<Vec<String>> =
        found.by_kind.iter().map(|(kind, score)| row(kind, score)).collect();
    rows.push(row("all entities", &found.overall));
    scores("type", &rows)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use peft_core::metrics::entity_scores;

    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn reports_are_tables_and_json() {
        let report = ClassReport::of(&[0, 1, 1], &[0, 0, 1], 2).unwrap();
        let expected = "class             precision  recall      F1  support
no                   1.0000  0.5000  0.6667        2
yes                  0.5000  1.0000  0.6667        1
macro average        0.7500  0.7500  0.6667        3
weighted average     0.8333  0.6667  0.6667        3

right \\ predicted  no  yes
no                  1    1
yes                 0    1";
        assert_eq!(shown_classes(&report, &names(&["no", "yes"])), expected);
        let json = of_classes(&report, &names(&["no", "yes"]));
        assert_eq!(json["classes"]["no"]["recall"], 0.5);
        assert_eq!(json["confusion"], json!([[1, 1], [0, 1]]));
    }

    #[test]
    fn of_many_classes_the_confused_pairs_are_shown() {
        let all: Vec<String> = (0..13).map(|class| format!("c{class}")).collect();
        let of = |found: &[usize], wanted: &[usize]| {
            shown_classes(&ClassReport::of(found, wanted, 13).unwrap(), &all)
        };
        assert!(
            of(&[1, 2, 2], &[1, 3, 3]).ends_with("right  predicted  rows\nc3     c2            2")
        );
        assert!(of(&[1], &[1]).ends_with("no class is taken for another"));
        let (found, wanted) = ([0; 24], (0..24).map(|row| row % 12 + 1).collect::<Vec<_>>());
        assert!(of(&found, &wanted).contains("c12"));
    }

    #[test]
    fn entities_have_a_line_for_each_type() {
        let tags = |text: &str| vec![text.split(' ').map(str::to_owned).collect::<Vec<_>>()];
        let found = entity_scores(&tags("B-LOC O B-PER"), &tags("B-LOC O O")).unwrap();
        let lines = shown_entities(&found);
        assert!(lines.contains("LOC              1.0000  1.0000  1.0000        1"), "{lines}");
        assert!(lines.contains("all entities     0.5000  1.0000  0.6667        1"), "{lines}");
        assert_eq!(of_entities(&found)["types"]["PER"]["support"], 0);
    }
}
