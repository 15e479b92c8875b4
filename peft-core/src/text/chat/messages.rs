//! From a record's fields to a conversation.

use std::borrow::Cow;

use minijinja::Value;

use super::{lists::list, mapping::dict};
use crate::{
    error::Result,
    text::{
        ordered::Ordered,
        record::{Record, describe},
    },
};

/// What sharegpt calls its speakers, and the roles that templates know.
const SPEAKERS: [(&str, &str); 10] = [
    ("human", "user"),
    ("user", "user"),
    ("gpt", "assistant"),
    ("assistant", "assistant"),
    ("model", "assistant"),
    ("chatgpt", "assistant"),
    ("system", "system"),
    ("tool", "tool"),
    ("function", "tool"),
    ("observation", "tool"),
];

/// Names of a message's reasoning. As in transformers, templates find it under the first; `thinking` is filled in too.
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

const ASSISTANT: &str = "assistant";

/// A conversation, with what a template may read of it.
#[derive(Debug)]
pub(in crate::text) struct Conversation {
    messages: Vec<Message>,
    /// The other variables: tools, documents, and those of `chat_template_kwargs`.
    variables: Vec<(String, Value)>,
    has_tools: bool,
}

#[derive(Debug)]
struct Message {
    is_assistant: bool,
    value: Value,
}

impl Conversation {
    /// Reads a row: `messages`, or sharegpt's `conversations`; with `tools`, `documents`, `system` and
    /// `chat_template_kwargs`, where it has them.
    ///
    /// # Errors
    /// [`Error::Data`](crate::Error::Data) naming the field, and the message, that is wrong.
    pub(in crate::text) fn of(record: &Record) -> Result<Self> {
        let fields: Cow<'_, Ordered> = match &record.ordered {
            Some(ordered) => Cow::Borrowed(ordered),
            None => Cow::Owned(Ordered::from(&record.fields)),
        };
        let key = if record.has("messages") { "messages" } else { "conversations" };
        let unexpected = |key: &str, found: &Ordered, expected: &str| {
            let found = describe(&found.to_value());
            record.error(format!("field `{key}`: found {found}, expected {expected}"))
        };
        let found = fields.get(key).unwrap_or(&Ordered::Null);
        let Ordered::Array(turns) = found else {
            return Err(unexpected(key, found, "an array of messages"));
        };
        if turns.is_empty() {
            return Err(record.error(format!("field `{key}`: has no messages")));
        }
        let mut messages = Vec::with_capacity(turns.len() + 1);
        for (i, turn) in turns.iter().enumerate() {
            messages.push(message(record, &format!("{key}[{i}]"), turn)?);
        }
        if let Some(system) = fields.get("system") {
            let Ordered::String(text) = system else {
                return Err(unexpected("system", system, "a string"));
            };
            let first = messages.first().and_then(|message| message.value.get_attr("role").ok());
            if !text.is_empty() && first != Some(Value::from("system")) {
                let fields = [("role", "system"), ("content", text)];
                let fields = fields.map(|(key, text)| (key.to_owned(), Value::from(text)));
                let value = dict(fields.into());
                messages.insert(0, Message { is_assistant: false, value });
            }
        }
        let mut variables = Vec::new();
        let mut has_tools = false;
        for key in ["tools", "documents"] {
            let value = match fields.get(key) {
                Some(Ordered::String(text)) if text.trim().is_empty() => None,
                // Several data sets keep them as JSON within a string.
                Some(Ordered::String(text)) => {
                    Some(Cow::Owned(serde_json::from_str::<Ordered>(text).map_err(|error| {
                        record.error(format!(
                            "field `{key}`: found a string that is not JSON: {error}"
                        ))
                    })?))
                }
                other => other.map(Cow::Borrowed),
            };
            if let Some(value) = &value
                && !matches!(**value, Ordered::Array(_))
            {
                return Err(unexpected(key, value, "an array"));
            }
            has_tools |= key == "tools" && value.is_some();
            variables.push((
                key.to_owned(),
                value.map_or(Value::from(()), |value| Value::from(&*value)),
            ));
        }
        match fields.get("chat_template_kwargs") {
            None => {}
            Some(Ordered::Object(settings)) => variables
                .extend(settings.iter().map(|(key, value)| (key.clone(), Value::from(value)))),
            Some(other) => return Err(unexpected("chat_template_kwargs", other, "an object")),
        }
        Ok(Self { messages, variables, has_tools })
    }

    /// How many messages it has.
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether it names tools.
    pub(super) fn has_tools(&self) -> bool {
        self.has_tools
    }

    /// The messages of the assistant, by their places.
    pub(super) fn assistant(&self) -> impl Iterator<Item = usize> + '_ {
        let messages = self.messages.iter().enumerate();
        messages.filter(|(_, message)| message.is_assistant).map(|(i, _)| i)
    }

    /// The variables of a template that renders the first `count` messages.
    pub(super) fn variables(&self, count: usize, add_prompt: bool) -> Vec<(String, Value)> {
        let messages = self.messages[..count].iter().map(|message| message.value.clone()).collect();
        let own = [
            ("messages".to_owned(), list(messages)),
            ("add_generation_prompt".to_owned(), Value::from(add_prompt)),
        ];
        // What a row sets comes first, and the first of two counts.
        self.variables.iter().rev().cloned().chain(own).collect()
    }
}

/// A message of `messages` or of `conversations`.
fn message(record: &Record, place: &str, turn: &Ordered) -> Result<Message> {
    let unexpected = |key: &str, found: &Ordered, expected: &str| {
        let found = describe(&found.to_value());
        record.error(format!("field `{place}{key}`: found {found}, expected {expected}"))
    };
    let Ordered::Object(fields) = turn else {
        let expected = "an object with `role` and `content`, or `from` and `value`";
        return Err(unexpected("", turn, expected));
    };
    let is_shared = turn.get("role").is_none() && turn.get("from").is_some();
    let (role_key, content_key) = if is_shared { ("from", "value") } else { ("role", "content") };
    let role = match turn.get(role_key) {
        Some(Ordered::String(role)) => role.as_str(),
        Some(other) => return Err(unexpected(&format!(".{role_key}"), other, "a string")),
        None => return Err(record.error(format!("field `{place}`: has no `role`"))),
    };
    let role = match is_shared {
        false => role,
        true => SPEAKERS.iter().find(|(name, _)| *name == role).map(|(_, role)| *role).ok_or_else(
            || {
                let known = SPEAKERS.map(|(name, _)| name).join(", ");
                record.error(format!(
                    "field `{place}.from`: found `{role}`, expected one of: {known}"
                ))
            },
        )?,
    };
    match turn.get(content_key) {
        None | Some(Ordered::String(_)) => {}
        Some(Ordered::Array(parts))
            if parts.iter().all(|part| matches!(part, Ordered::Object(_) | Ordered::String(_))) => {
        }
        Some(other) => {
            let expected =
                "a string, null, or an array of parts such as {\"type\": \"text\", \"text\": ...}";
            return Err(unexpected(&format!(".{content_key}"), other, expected));
        }
    }
    let mut entries: Vec<(String, Value)> = Vec::with_capacity(fields.len() + 2);
    // As transformers does, keys whose value is null are dropped: templates cope with a missing key.
    for (key, value) in fields.iter().filter(|(_, value)| *value != Ordered::Null) {
        match key.as_str() {
            _ if key == role_key => entries.push(("role".to_owned(), Value::from(role))),
            _ if key == content_key => entries.push(("content".to_owned(), Value::from(value))),
            _ => entries.push((key.clone(), Value::from(value))),
        }
    }
    alias_reasoning(&mut entries);
    Ok(Message { is_assistant: role == ASSISTANT, value: dict(entries) })
}

/// Fills `reasoning_content` and `thinking` from any of their names.
fn alias_reasoning(entries: &mut Vec<(String, Value)>) {
    let find =
        |entries: &[(String, Value)], key: &str| entries.iter().position(|(name, _)| name == key);
    let Some(value) =
        REASONING.iter().find_map(|key| find(entries, key).map(|at| entries[at].1.clone()))
    else {
        return;
    };
    if find(entries, "thinking").is_none() {
        entries.insert(0, ("thinking".to_owned(), value.clone()));
    }
    match find(entries, "reasoning_content") {
        Some(at) => entries[at].1 = value,
        None => entries.push(("reasoning_content".to_owned(), value)),
    }
}
