//! What the page about a joint run says of its tasks.

use serde_json::Value;

use super::{
    html::Element,
    parts::{Cell, table},
};
use crate::{
    compare::cells,
    output::grouped,
    settings::tasks::{NamedTask, Tasks},
    training::run_result::TaskResult,
};

/// A table of the tasks: their kinds, rows and scores, as far as they are known.
pub(super) fn facts_of(tasks: &Tasks, ended: &[TaskResult]) -> Element {
    let header = [
        "task",
        "kind",
        "training rows",
        "validation rows",
        "weight",
        "judged by",
        "score",
        "adapter",
    ];
    let row = |task: &NamedTask| {
        let known = ended.iter().find(|known| known.name == task.name);
        let or_nothing = |text: Option<String>| text.unwrap_or_else(|| cells::NOTHING.to_string());
        let best = known.and_then(|known| known.best_metric.clone());
        let score = known.zip(best.as_ref()).and_then(|(known, best)| known.scores.get(best));
        vec![
            Cell::Text(task.name.clone()),
            Cell::Text(or_nothing(task.own.get("task").or(task.own.get("task_file")).map(whole))),
            Cell::Number(or_nothing(known.map(|known| grouped(known.train_rows)))),
            Cell::Number(or_nothing(known.map(|known| grouped(known.valid_rows)))),
            Cell::Number(task.weight.unwrap_or(1.0).to_string()),
            Cell::Text(or_nothing(best.map(|best| best.replace('_', " ")))),
            Cell::Number(or_nothing(score.map(cells::score))),
            Cell::Text(or_nothing(known.map(|known| known.adapter.clone()))),
        ]
    };
    let rows: Vec<_> = tasks.0.iter().map(row).collect();
    table("The tasks, each with an adapter of its own", &header.map(String::from), &rows)
}

/// The settings that each task has of its own.
pub(super) fn settings_of(tasks: &Tasks) -> Vec<Element> {
    let of_task = |task: &NamedTask| {
        let row = |(name, value): (&String, &Value)| {
            vec![Cell::Text(name.clone()), Cell::Text(whole(value))]
        };
        let rows: Vec<_> = task.own.iter().map(row).collect();
        let header = ["setting", "value"].map(String::from);
        table(&format!("Settings of the task {} alone", task.name), &header, &rows)
    };
    tasks.0.iter().map(of_task).collect()
}

/// The value of a setting as a text that breaks between its parts.
pub(super) fn whole(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(whole).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    #[test]
    fn tasks_are_told_one_by_one() {
        let settings: Settings = toml::from_str(
            "[[tasks]]\nname = \"tags\"\ntask = \"token-cls\"\ntrain = [\"a.jsonl\", \"b.jsonl\"]\n\
             [[tasks]]\nname = \"classes\"\ntask = \"seq-cls\"\ntrain = \"c<d\"\nweight = 0.5\n",
        )
        .unwrap();
        let tasks = settings.tasks.unwrap();
        let ended = TaskResult {
            name: "classes".into(),
            adapter: "tasks/classes".into(),
            best_metric: Some("f1_macro".into()),
            scores: [("f1_macro", 0.25)].into_iter().collect(),
            train_rows: 1234,
            ..TaskResult::default()
        };
        let found = facts_of(&tasks, &[ended]).written();
        for part in ["token-cls", "1 234", "f1 macro", "0.2500", "tasks/classes", ">0.5<"] {
            assert!(found.contains(part), "{part}: {found}");
        }
        let found: String = settings_of(&tasks).iter().map(Element::written).collect();
        for part in ["Settings of the task tags alone", "a.jsonl, b.jsonl", "c&lt;d"] {
            assert!(found.contains(part), "{part}: {found}");
        }
        assert!(!found.contains(['{', '[']), "{found}");
    }
}
