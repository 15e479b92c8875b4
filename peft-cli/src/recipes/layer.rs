//! Settings on top of a recipe, or of the file of --config.

use std::path::Path;

use peft_core::{Error, Result, Task};
use serde_json::{Map, Value};

use super::named::Recipe;
use crate::{
    error::CliError, flags::method_name::MethodName, output, settings::Settings, tasks,
    usage::listed,
};

/// Completes settings from the task and the recipe that they name, if they name them; the task comes before the recipe.
/// What the recipe sets and this run does not use is left out, and told in a note.
///
/// # Errors
///
/// [`Error::Setting`] if there is no recipe of that name; as [`tasks::layer::complete`].
pub fn complete(given: Settings) -> Result<Settings> {
    let given = tasks::layer::complete(given)?;
    let Some(name) = given.recipe.clone() else { return Ok(given) };
    let recipe = Recipe::named(&name)?;
    Ok(on_top(given, &recipe.settings(), (&format!("the recipe {name}"), "the recipe's")))
}

/// Settings on top of those of a file. Where they choose another method, task or start than the file, what it sets for its own,
/// such as the defaults that a run has written, is left out as far as this run does not use it, and told in a note.
pub fn on_file(given: Settings, file: &Settings, path: &Path) -> Settings {
    fn other<T: PartialEq>(given: &Option<T>, file: &Option<T>) -> bool {
        given.as_ref().zip(file.as_ref()).is_some_and(|(given, file)| given != file)
    }
    let differs = other(&given.method, &file.method)
        || other(&given.task, &file.task)
        || other(&given.prefix_projection, &file.prefix_projection)
        || (given.init_adapter.is_some() && given.init_adapter != file.init_adapter);
    match differs {
        true => on_top(given, file, (&path.display().to_string(), "the file's")),
        false => given.or(file.clone()),
    }
}

/// Settings on top of a layer, of which this run may have no use for some; `whose` is the layer, and what is its own.
fn on_top(given: Settings, layer: &Settings, (whose, its): (&str, &str)) -> Settings {
    let mut settings = given.clone().or(layer.clone());
    let mut left_out = Vec::new();
    for (key, why) in unused(&settings, layer) {
        if layer.has(key) && settings.has(key) && !given.has(key) {
            settings.unset(key);
            left_out.push(format!("{} ({why})", flag(key)));
        }
    }
    if !left_out.is_empty() {
        let list = listed(&left_out, "and");
        output::note(format!("note: of {whose} this run does not use {list}"));
    }
    for (key, of) in [("method", "method"), ("optimizer", "optimizer")] {
        if let (Some(theirs), Some(ours)) = (text(layer, key), text(&settings, key))
            && theirs != ours
            && !given.has("lr")
            && layer.has("lr")
        {
            output::note(format!(
                "note: --lr {} is {its} for the {of} {theirs}, and this run has {ours}",
                settings.lr.unwrap_or_default()
            ));
            break;
        }
    }
    settings
}

/// Adds to an error about a setting that nobody but the recipe gave where it comes from.
pub fn explain(error: CliError, given: &Settings) -> CliError {
    let CliError::Failed(Error::Setting { setting, message }) = error else { return error };
    let key = setting.trim_start_matches("--").replace('-', "_");
    let recipe = given.recipe.as_deref().and_then(|name| Recipe::named(name).ok());
    let value = recipe.and_then(|recipe| Some((recipe.name, text(&recipe.settings(), &key)?)));
    let message = match value.filter(|_| !given.has(&key)) {
        Some((name, value)) => {
            format!("{message}; {value} is the recipe's ({name}), and {} gives another", flag(&key))
        }
        None => message,
    };
    Error::Setting { setting, message }.into()
}

/// The settings of what makes the rows of a prompt.
const OF_ENCODER: [&str; 4] =
    ["reparameterization", "encoder_hidden_size", "encoder_num_layers", "encoder_dropout"];

/// The settings that a run has no use for, each with the reason. `layer` is the recipe alone.
fn unused(settings: &Settings, layer: &Settings) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let mut add = |keys: &[&'static str], why: String| {
        found.extend(keys.iter().map(|key| (*key, why.clone())));
    };
    if settings.valid.is_none() && settings.valid_split.is_none() {
        let why = "there are no validation rows".to_string();
        add(&["eval_every", "best_metric", "patience"], why);
    }
    if let Some(task) = settings.task {
        let why = format!("{task} has no such setting");
        if task != Task::CausalLm {
            add(&["infix"], why.clone());
        }
        if task != Task::Seq2SeqLm {
            add(&["max_target_length"], why.clone());
        }
        if task != Task::QuestionAns {
            add(&["doc_stride", "max_answer_length"], why);
        }
        if !task.has_head() {
            add(&["head_lr"], format!("{task} has no head"));
        }
        if task.is_language_model() || task == Task::QuestionAns {
            let of_labels = settings.init.as_deref() == Some("labels") && settings.labels.is_none();
            if of_labels {
                add(&["init"], "no --labels say what the classes are called".into());
            }
        }
    }
    if settings.init_adapter.is_some() {
        let why = "the adapter of --init-adapter is a prefix without an MLP".to_string();
        add(&["prefix_projection", "prefix_hidden_size"], why);
        let why = "the adapter of --init-adapter holds rows that no encoder makes".to_string();
        add(&OF_ENCODER, why);
    }
    if settings.prefix_projection == Some(false) {
        add(&["prefix_hidden_size"], "there is no MLP".into());
    }
    let Some(method) = settings.method else { return found };
    let why = format!("{} has no such setting", method.name());
    if !method.can_project() {
        add(&["prefix_projection", "prefix_hidden_size", "prefix_dropout"], why.clone());
    }
    if method != MethodName::Prompt {
        add(&OF_ENCODER, why.clone());
    }
    if method != MethodName::Ptv2 {
        add(&["layers"], why.clone());
    }
    if !method.can_project() {
        add(&["sites", "prefix_positions", "relative_bias", "infix"], why.clone());
    }
    if method == MethodName::Head {
        add(&["num_virtual_tokens", "init", "init_text", "head_lr"], why);
    } else if layer.method.is_some_and(|theirs| theirs.can_project() != method.can_project()) {
        add(&["init", "init_text"], format!("{} starts from something else", method.name()));
    }
    found
}

/// A setting as a word.
fn text(settings: &Settings, key: &str) -> Option<String> {
    let fields = serde_json::to_value(settings).ok()?;
    match fields.as_object().and_then(|fields: &Map<String, Value>| fields.get(key))? {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        other => Some(other.to_string()),
    }
}

/// A setting as a flag.
fn flag(key: &str) -> String {
    format!("--{}", key.replace('_', "-"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn given(text: &str) -> Settings {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn what_is_given_comes_before_the_recipe() {
        let settings = complete(given(
            "recipe = \"lester2021\"\nepochs = 2\nlr = 0.5\nvalid = \"v.jsonl\"\nlabels = \"no,yes\"",
        ))
        .unwrap();
        assert_eq!((settings.lr, settings.epochs, settings.steps), (Some(0.5), Some(2), None));
        assert_eq!((settings.eval_every, settings.init.as_deref()), (Some(1000), Some("labels")));
        assert_eq!(settings.recipe.as_deref(), Some("lester2021"));
        let plain = given("lr = 0.5");
        assert_eq!(complete(plain.clone()).unwrap(), plain);
        assert!(complete(given("recipe = \"none\"")).is_err());
    }

    #[test]
    fn what_a_run_does_not_use_is_left_out() {
        let settings = complete(given("recipe = \"lester2021\"")).unwrap();
        assert_eq!(
            (settings.eval_every, settings.init, settings.steps),
            (None, None, Some(30_000))
        );
        let settings = complete(given(
            "recipe = \"li2021-low-data\"\nmethod = \"ptv2\"\nprefix_projection = false",
        ));
        let settings = settings.unwrap();
        assert_eq!((settings.init.as_deref(), settings.prefix_hidden_size), (Some("words"), None));
        assert_eq!(settings.prefix_dropout, Some(0.0));
        let settings =
            complete(given("recipe = \"li2021-low-data\"\nmethod = \"prompt\"")).unwrap();
        assert_eq!(
            (settings.init, settings.init_text, settings.prefix_dropout),
            (None, None, None)
        );
        let settings = complete(given("recipe = \"liu2022-qa\"\nmethod = \"head\"")).unwrap();
        assert_eq!((settings.num_virtual_tokens, settings.head_lr), (None, None));
        // What somebody gave is not left out but refused later, by its own name.
        let settings = complete(given("recipe = \"lester2021\"\neval_every = 5")).unwrap();
        assert_eq!(settings.eval_every, Some(5));
        let from = complete(given("recipe = \"li2021-table\"\ninit_adapter = \"a\"")).unwrap();
        assert_eq!((from.prefix_projection, from.num_virtual_tokens), (None, None));
    }

    #[test]
    fn what_a_file_sets_for_another_run_is_left_out() {
        let file = given(
            "method = \"prefix\"\ntask = \"seq-cls\"\nprefix_projection = true\nprefix_hidden_size = 9\nhead_lr = 0.1\n\
             prefix_dropout = 0.0\ninit = \"random\"\nnum_virtual_tokens = 7\nlr = 0.2",
        );
        let of = |text: &str| on_file(given(text), &file, Path::new("run.toml"));
        let names = |settings: &Settings| settings.names().collect::<Vec<_>>();
        let flat = of("prefix_projection = false");
        assert_eq!((flat.prefix_projection, flat.prefix_hidden_size), (Some(false), None));
        assert_eq!(flat.prefix_dropout, Some(0.0));
        let prompt = of("method = \"prompt\"");
        assert_eq!(names(&prompt), ["method", "task", "num_virtual_tokens", "lr", "head_lr"]);
        let texts = of("task = \"causal-lm\"");
        assert_eq!((texts.head_lr, texts.prefix_hidden_size), (None, Some(9)));
        let from = of("init_adapter = \"a\"");
        assert_eq!(
            (from.prefix_projection, from.num_virtual_tokens, from.init),
            (None, None, None)
        );
        // What flags give is not left out but refused later, and what they leave alone stays.
        assert_eq!(of("method = \"prompt\"\nprefix_dropout = 0.5").prefix_dropout, Some(0.5));
        assert_eq!(of("lr = 0.3"), given("lr = 0.3").or(file.clone()));
        assert_eq!(of("method = \"prefix\""), file);
        let encoded =
            given("method = \"prompt\"\nreparameterization = \"lstm\"\nencoder_dropout = 0.1");
        let from = on_file(given("init_adapter = \"a\""), &encoded, Path::new("run.toml"));
        assert_eq!(names(&from), ["method", "init_adapter"]);
    }

    #[test]
    fn errors_say_that_the_recipe_is_meant() {
        let told = |setting: &str, given: &Settings| {
            explain(Error::setting(setting, "found it").into(), given).to_string()
        };
        let by_name = given("recipe = \"lester2021\"");
        assert_eq!(
            told("--num-virtual-tokens", &by_name),
            "--num-virtual-tokens: found it; 100 is the recipe's (lester2021), and --num-virtual-tokens gives another"
        );
        assert_eq!(told("patience", &by_name), "patience: found it");
        let own = given("recipe = \"lester2021\"\nnum_virtual_tokens = 5");
        assert_eq!(told("num_virtual_tokens", &own), "num_virtual_tokens: found it");
        assert_eq!(
            told("num_virtual_tokens", &Settings::default()),
            "num_virtual_tokens: found it"
        );
    }
}
