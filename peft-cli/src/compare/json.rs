//! A comparison as JSON.

use peft_core::metrics::Interval;
use serde_json::{Map, Value, json};

use super::{
    differences::Differences,
    files::Files,
    groups::{Comparison, System},
    run::State,
};

/// A comparison as one object. Times and memory are left out unless they are wanted: they differ from one repetition to
/// the next.
pub fn as_json(comparison: &Comparison, differences: Option<&Differences>, times: bool) -> Value {
    let systems = comparison.systems.iter().enumerate().map(|(place, system)| {
        let mut fields = of_system(comparison, system, times);
        if let Some(differences) = differences {
            add_differences(&mut fields, differences, place);
        }
        Value::Object(fields)
    });
    let others = comparison.others.iter().map(|run| {
        let state = match run.state {
            State::Finished => "finished",
            State::Unfinished => "unfinished",
            State::Diverged => "diverged",
            State::Halted => "halted",
        };
        json!({ "path": run.path, "state": state, "steps": run.steps, "total_steps": run.total_steps })
    });
    let common: Map<String, Value> = comparison.columns.common.iter().cloned().collect();
    let mut found = json!({
        "metric": comparison.metric.name,
        "higher_is_better": comparison.metric.maximise,
        "common": common,
        "systems": systems.collect::<Vec<_>>(),
        "left_out": others.collect::<Vec<_>>(),
        "notes": comparison.notes,
    });
    if let Some(differences) = differences {
        found["significance"] = of_differences(differences);
    }
    found
}

/// Files of predictions as one object.
pub fn of_files(files: &Files) -> Value {
    let of_file = |(place, file): (usize, &super::row_scores::RowScores)| {
        let mut fields = Map::new();
        fields.insert("path".into(), json!(file.path));
        add_differences(&mut fields, &files.differences, place);
        Value::Object(fields)
    };
    let systems: Vec<Value> = files.scored.iter().enumerate().map(of_file).collect();
    json!({ "systems": systems, "significance": of_differences(&files.differences) })
}

fn of_system(comparison: &Comparison, system: &System, times: bool) -> Map<String, Value> {
    let columns = comparison.columns.names.iter();
    let settings: Map<String, Value> = columns
        .map(|name| (name.clone(), system.settings.get(name).cloned().unwrap_or_default()))
        .collect();
    let runs = system.runs.iter().zip(&system.values).map(|(run, value)| {
        let mut fields = json!({ "path": run.path, "seed": run.settings.seed(), "value": value, "scores": run.scores });
        if times {
            fields["seconds"] = json!(run.seconds);
            fields["peak_memory"] = json!(run.peak_memory);
        }
        fields
    });
    let mean_of = |of: fn(&super::run::Run) -> Option<usize>| {
        system.mean_of(|run| of(run).map(|count| count as f64))
    };
    let mut fields = Map::new();
    fields.insert("settings".into(), settings.into());
    fields.insert("n".into(), json!(system.runs.len()));
    fields.insert("mean".into(), json!(system.mean()));
    fields.insert("deviation".into(), json!(system.deviation()));
    fields.insert("trained_parameters".into(), json!(mean_of(|run| run.trained_parameters)));
    fields.insert("stored_parameters".into(), json!(mean_of(|run| run.stored_parameters)));
    fields.insert("steps".into(), json!(mean_of(|run| run.steps)));
    if times {
        fields.insert("seconds".into(), json!(system.mean_of(|run| run.seconds)));
        fields.insert("peak_memory".into(), json!(system.largest(|run| run.peak_memory)));
    }
    fields.insert("runs".into(), runs.collect());
    fields
}

fn add_differences(fields: &mut Map<String, Value>, differences: &Differences, place: usize) {
    let interval = |interval: Interval| json!([interval.low, interval.high]);
    fields.insert("row_score".into(), json!(differences.scores.get(place).copied().flatten()));
    if let Some(found) = differences.rows.get(place).copied().flatten() {
        let value = json!({ "difference": found.difference, "interval": interval(found.interval), "p": found.p,
            "p_corrected": found.corrected });
        fields.insert("over_rows".into(), value);
    }
    if let Some(found) = differences.seeds.get(place).copied().flatten() {
        let value = json!({ "difference": found.test.difference, "interval": interval(found.test.interval),
            "degrees_of_freedom": found.test.degrees, "p": found.test.p, "p_corrected": found.corrected });
        fields.insert("over_seeds".into(), value);
    }
}

fn of_differences(differences: &Differences) -> Value {
    json!({
        "row_score": differences.what,
        "rows": differences.num_rows,
        "resamples": differences.resamples,
        "explained": differences.captions(),
        "notes": differences.notes,
    })
}
