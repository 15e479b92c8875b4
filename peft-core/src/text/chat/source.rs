//! Where a model's chat template comes from.

use std::{
    fs,
    path::{Path, PathBuf},
};

use minijinja::Value as Variable;
use serde_json::Value;

use super::{clock::Clock, template::ChatTemplate};
use crate::{
    error::{Error, Result},
    formats::{
        gguf::{Gguf, gguf_of},
        read,
    },
    text::tokenizer_files::CONFIG,
};

const TEMPLATE: &str = "chat_template.jinja";
const OTHER_TEMPLATES: &str = "additional_chat_templates";
const OF_PROCESSOR: &str = "chat_template.json";
const OF_GGUF: &str = "tokenizer.chat_template";

/// A model's chat templates, and the special tokens that they print.
#[derive(Debug)]
pub struct ChatSource {
    /// The template, or why there is none.
    default: std::result::Result<ChatTemplate, String>,
    /// For conversations that name tools, where the model has a template of its own for them.
    tool_use: Option<ChatTemplate>,
    special_tokens: Vec<(String, Variable)>,
}

impl ChatSource {
    /// Reads a model folder: `chat_template.jinja`, or `chat_template` in `tokenizer_config.json` (one, or several by
    /// name), or `chat_template.json`, or the one in a GGUF file; the first in this order, as in transformers. A
    /// template that is `given`, with the name of where it comes from, takes the place of all of them. `special_tokens`
    /// are what templates find under names such as `bos_token`: those of the model's
    /// [`ModelTokenizer`](crate::text::ModelTokenizer).
    ///
    /// # Errors
    /// [`Error::Read`] and [`Error::File`] for files that cannot be used, [`Error::Setting`] naming `chat_template` for
    /// a template that cannot be parsed.
    pub fn read(
        model_dir: &Path,
        special_tokens: &[(String, String)],
        given: Option<(&str, &str)>,
        clock: Clock,
    ) -> Result<Self> {
        let found = match given {
            Some((template, origin)) => {
                vec![Named::new("default", template.to_owned(), origin.to_owned())]
            }
            None => templates(model_dir)?,
        };
        let missing = format!(
            "{}: has no chat template of its own (neither {TEMPLATE}, nor chat_template in {CONFIG} or {OF_PROCESSOR}, \
             nor {OF_GGUF} in a GGUF file), and conversations need one",
            model_dir.display()
        );
        Self::of(found, special_tokens, clock, missing)
    }

    fn of(
        found: Vec<Named>,
        special_tokens: &[(String, String)],
        clock: Clock,
        missing: String,
    ) -> Result<Self> {
        let parse = |name: &str| {
            let named = found.iter().find(|named| named.name == name);
            let parsed = named.map(|named| ChatTemplate::parse(&named.text, &named.origin, clock));
            parsed.transpose().map_err(|message| Error::setting("chat_template", message))
        };
        let default = parse("default")?.ok_or_else(|| {
            let names: Vec<&str> = found.iter().map(|named| named.name.as_str()).collect();
            match found.first() {
                None => missing,
                Some(first) => format!(
                    "{}: has no chat template named default, by which conversations without tools are rendered, only {}: write \
                     the text of one into a file, and give it as `chat_template`",
                    first.origin,
                    names.join(", ")
                ),
            }
        });
        let special_tokens = special_tokens
            .iter()
            .map(|(name, token)| (name.clone(), Variable::from(token.as_str())))
            .collect();
        Ok(Self { default, tool_use: parse("tool_use")?, special_tokens })
    }

    /// The template of a conversation with or without tools.
    pub(super) fn template(&self, tools: bool) -> std::result::Result<&ChatTemplate, String> {
        match &self.tool_use {
            Some(template) if tools => Ok(template),
            _ => self.default.as_ref().map_err(Clone::clone),
        }
    }

    /// Why no conversation can be rendered, if none can. Where the only template is one for tools, those that name some can.
    pub fn missing(&self) -> Option<&str> {
        self.default.as_ref().err().filter(|_| self.tool_use.is_none()).map(String::as_str)
    }

    /// Why conversations without tools cannot be rendered, where those with tools can.
    pub fn needs_tools(&self) -> Option<&str> {
        self.default.as_ref().err().filter(|_| self.tool_use.is_some()).map(String::as_str)
    }

    /// Whether a template prints the date.
    pub fn prints_date(&self) -> bool {
        let all = self.default.iter().chain(&self.tool_use);
        all.into_iter().any(ChatTemplate::prints_date)
    }

    pub(super) fn special_tokens(&self) -> Vec<(String, Variable)> {
        self.special_tokens.clone()
    }
}

/// A template of several.
struct Named {
    name: String,
    text: String,
    origin: String,
}

impl Named {
    fn new(name: &str, text: String, origin: String) -> Self {
        Self { name: name.to_owned(), text, origin }
    }
}

/// The templates of a model folder, from the first place that has any.
fn templates(dir: &Path) -> Result<Vec<Named>> {
    let mut found = Vec::new();
    let own = dir.join(TEMPLATE);
    if own.is_file() {
        found.push(Named::new("default", read::text(&own)?, own.display().to_string()));
    }
    for path in jinja_files(&dir.join(OTHER_TEMPLATES)) {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        found.push(Named::new(&name, read::text(&path)?, path.display().to_string()));
    }
    if found.is_empty() {
        found = in_json(&dir.join(CONFIG))?;
    }
    if found.is_empty() {
        found = in_json(&dir.join(OF_PROCESSOR))?;
    }
    if found.is_empty()
        && let Some(path) = gguf_of(dir)?
        && let Some(template) = Gguf::open(&path)?.text(OF_GGUF)?
    {
        found.push(Named::new("default", template.to_owned(), path.display().to_string()));
    }
    Ok(found)
}

/// The templates of `chat_template` in a JSON file: one, or several by name; none without the file.
fn in_json(path: &Path) -> Result<Vec<Named>> {
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let value = &read::json(path)?["chat_template"];
    let origin = path.display().to_string();
    let one = |name: &str, text: &str| Named::new(name, text.to_owned(), origin.clone());
    match value {
        Value::Null => Ok(Vec::new()),
        Value::String(text) => Ok(vec![one("default", text)]),
        Value::Object(by_name) if by_name.values().all(Value::is_string) => Ok(by_name
            .iter()
            .map(|(name, text)| one(name, text.as_str().unwrap_or_default()))
            .collect()),
        Value::Array(list) => {
            let each = list
                .iter()
                .map(|item| Some(one(item["name"].as_str()?, item["template"].as_str()?)));
            each.collect::<Option<Vec<_>>>().ok_or_else(|| {
                Error::file(path, "chat_template: expected `name` and `template` in each element")
            })
        }
        _ => {
            Err(Error::file(path, "chat_template: expected a string, or a list of named templates"))
        }
    }
}

/// The `.jinja` files of a folder, sorted; none if there is no such folder.
fn jinja_files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jinja"))
        .collect();
    files.sort();
    files
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;
    use serde_json::json;

    /// What the templates of a folder write for a conversation without and with tools.
    fn written(dir: &Path) -> [String; 2] {
        let source = ChatSource::read(dir, &[], None, Clock::now()).unwrap();
        [false, true].map(|tools| {
            let rendered = source.template(tools).and_then(|template| {
                template.render(source.special_tokens()).map(|rendered| rendered.text)
            });
            rendered.unwrap_or_else(|message| message)
        })
    }

    #[test]
    fn the_first_place_that_has_a_template_counts() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        assert!(written(dir.path())[0].contains("has no chat template of its own"));
        put(OF_PROCESSOR, &json!({"chat_template": "processor"}).to_string());
        assert_eq!(written(dir.path()), ["processor", "processor"]);
        put(CONFIG, &json!({"chat_template": "config"}).to_string());
        assert_eq!(written(dir.path()), ["config", "config"]);
        let named = |name: &str| json!({"name": name, "template": name});
        put(CONFIG, &json!({"chat_template": [named("default"), named("tool_use")]}).to_string());
        assert_eq!(written(dir.path()), ["default", "tool_use"]);
        put(CONFIG, &json!({"chat_template": [named("rag"), named("tool_use")]}).to_string());
        let [without, with] = written(dir.path());
        assert!(without.contains("no chat template named default, by"), "{without}");
        assert!(without.ends_with(
            "only rag, tool_use: write the text of one into a file, and give it as `chat_template`"
        ));
        assert_eq!(with, "tool_use");
        let reasons = || {
            let source = ChatSource::read(dir.path(), &[], None, Clock::now()).unwrap();
            [source.missing(), source.needs_tools()].map(|reason| reason.map(str::to_owned))
        };
        let [missing, needs_tools] = reasons();
        assert_eq!((missing, needs_tools), (None, Some(without)));
        put(CONFIG, &json!({"chat_template": [named("rag")]}).to_string());
        let [missing, needs_tools] = reasons();
        assert!(missing.unwrap().contains("only rag: write") && needs_tools.is_none());
        put(CONFIG, &json!({"chat_template": [named("default"), named("tool_use")]}).to_string());
        assert_eq!(reasons(), [None, None]);
        put(TEMPLATE, "file");
        assert_eq!(written(dir.path()), ["file", "file"]);
        let given =
            ChatSource::read(dir.path(), &[], Some(("{{ 1 }}", "x")), Clock::now()).unwrap();
        assert_eq!(given.template(true).unwrap().render(Vec::new()).unwrap().text, "1");
        put(CONFIG, &json!({"chat_template": 3}).to_string());
        fs::remove_file(dir.path().join(TEMPLATE)).unwrap();
        let error = ChatSource::read(dir.path(), &[], None, Clock::now()).unwrap_err().to_string();
        assert!(error.contains("chat_template: expected a string"), "{error}");
    }
}
