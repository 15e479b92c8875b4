//! `peft tasks`: the tasks that come with the program, and what rows become by one.

use std::path::{Path, PathBuf};

use clap::Args;
use peft_core::{
    Result, Task,
    data::Labels,
    text::{FieldNames, Record, Role, Template},
};
use serde_json::{Map, Value, json};

use crate::{
    data_files::DataFiles,
    encoding::parse_labels,
    error::CliResult,
    flags::choices::parse_value,
    output::{self, line},
    settings::Settings,
    tasks::{shipped::SHIPPED, task_file::TaskFile},
    usage::listed,
};

/// Lists the tasks that come with the program, prints the file of one, or shows what rows become by it.
///
/// Examples:
///   peft tasks
///   peft tasks superglue-boolq
///   peft tasks superglue-boolq --data val.jsonl --first 2
///   peft tasks my-task.toml --data rows.jsonl --task seq-cls
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct TasksArgs {
    /// A task that comes with the program, or a TOML file: print it.
    #[arg(value_name = "NAME|FILE")]
    task: Option<PathBuf>,
    /// Print what the task reads of these rows instead, a line of JSON each.
    #[arg(long, value_name = "FILE", requires = "task")]
    data: Vec<PathBuf>,
    /// Print that of the first N rows.
    #[arg(long, value_name = "N", requires = "data")]
    first: Option<usize>,
    /// The kind of task that reads them, one of those that the file is for.
    #[arg(long = "task", value_name = "TASK", requires = "data", id = "kind", value_parser = parse_value::<Task>)]
    kind: Option<Task>,
    /// Read them as rows to train on, some of which a task may leave out.
    #[arg(long, requires = "data")]
    training: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
///
/// Returns an error if there is no such task, or if its file or a row cannot be used.
pub fn run(args: &TasksArgs) -> CliResult {
    let Some(named) = &args.task else { return list(args.json) };
    let task = TaskFile::open(named)?;
    if !args.data.is_empty() {
        return show(&task, args);
    }
    match args.json {
        true => line(format!("{:#}", as_json(&task)))?,
        false => output::piece(&task.text)?,
    }
    Ok(())
}

/// Lists all.
fn list(json: bool) -> CliResult {
    let open = |(name, _): &(&str, &str)| TaskFile::open(Path::new(name));
    let tasks = SHIPPED.iter().map(open).collect::<Result<Vec<_>>>()?;
    if json {
        let all = tasks.iter().map(as_json).collect();
        return Ok(line(format!("{:#}", Value::Array(all)))?);
    }
    let cells =
        |task: &TaskFile| vec![task.name.clone(), kinds(task).join(", "), task.about.clone()];
    let rows: Vec<Vec<String>> = tasks.iter().map(cells).collect();
    Ok(line(output::table(&["task", "done by", "what it is"], &rows))?)
}

fn kinds(task: &TaskFile) -> Vec<String> {
    task.kinds().map(|kind| kind.to_string()).collect()
}

fn as_json(task: &TaskFile) -> Value {
    let labels = task.labels.as_deref().and_then(|list| parse_labels(list).ok());
    let labels = labels.as_ref().map(Labels::names);
    let settings: Map<String, Value> = task
        .kinds()
        .filter_map(|kind| Some((kind.to_string(), json!(task.settings(kind).ok()?))))
        .collect();
    json!({
        "name": task.name, "about": task.about, "tasks": kinds(task), "labels": labels,
        "steps": task.steps.to_json(), "settings": settings,
    })
}

/// Prints what a task reads of rows.
fn show(task: &TaskFile, args: &TasksArgs) -> CliResult {
    let kind = args.kind.unwrap_or(task.usual());
    let settings = task.settings(kind)?;
    let files = DataFiles::find(&args.data, None, false)?
        .with_columns_of_task(task.columns.as_deref())
        .with_steps(task.steps.clone(), args.training)
        .telling_idle_steps(!task.is_shipped());
    let template = |text: &Option<String>, name: &str| {
        text.as_deref().map(|text| Template::parse(text, name)).transpose()
    };
    let source = template(&settings.source_template, "source_template")?;
    let target = template(&settings.target_template, "target_template")?;
    let first = args.first.unwrap_or(usize::MAX);
    for record in files.rows().take(first) {
        let record = record?;
        let mut read = read(settings, kind, &record, (source.as_ref(), target.as_ref()))?;
        if let Some(group) = task.group_of(&record)? {
            read.insert("group".into(), group.into());
        }
        line(Value::Object(read).to_string())?;
    }
    Ok(())
}

/// What is read of a row, under the names of the roles; a target that the row lacks is left out.
fn read(
    settings: &Settings,
    kind: Task,
    record: &Record,
    (source, target): (Option<&Template>, Option<&Template>),
) -> Result<Map<String, Value>> {
    let mut read = Map::new();
    if let Some(source) = source {
        let role = if kind.is_language_model() { Role::Source } else { Role::Text };
        read.insert(role.name().into(), source.render(record)?.into());
    }
    if let Some(target) =
        target.filter(|target| target.required_fields().all(|name| record.has(name)))
    {
        read.insert(Role::Target.name().into(), target.render(record)?.into());
    }
    let names: FieldNames = settings.field_names();
    for role in Role::of_task(kind) {
        if !read.contains_key(role.name())
            && !kind.is_language_model()
            && let Some(value) = record.optional(names.name(*role))
        {
            read.insert(role.name().into(), value.clone());
        }
    }
    if read.is_empty() {
        let roles: Vec<&str> = Role::of_task(kind).iter().map(|role| names.name(*role)).collect();
        let message = format!("has none of the fields {} that {kind} reads", listed(&roles, "and"));
        return Err(record.error(message));
    }
    Ok(read)
}
