//! Scores class by class, as lines and as JSON.

use peft_core::{data::Labels, evaluate::Report, metrics::ClassReport};
use serde_json::Value;

use crate::scoring::{of_classes, of_entities, shown_classes, shown_entities};

/// A report in JSON.
pub(super) fn report_json(report: &Report, names: Option<&Labels>) -> Value {
    match report {
        Report::Classes(report) => of_classes(report, &class_names(report, names)),
        Report::Entities(scores) => of_entities(scores),
    }
}

/// A report as tables.
pub(super) fn shown_report(report: &Report, names: Option<&Labels>) -> String {
    match report {
        Report::Classes(report) => shown_classes(report, &class_names(report, names)),
        Report::Entities(scores) => shown_entities(scores),
    }
}

/// The names of all classes of a report; those without one are called by their numbers.
fn class_names(report: &ClassReport, labels: Option<&Labels>) -> Vec<String> {
    let name = |class| labels.and_then(|labels| labels.name(class)).map(str::to_owned);
    let classes = 0..report.classes.len();
    classes.map(|class| name(class).unwrap_or_else(|| class.to_string())).collect()
}
