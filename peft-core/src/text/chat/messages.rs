//! From a record's fields to a conversation.

use std::borrow::Cow;

use minijinja::Value;

use super::{
    lists::list,
    mapping::dict,
    marks::{self, Mark},
};
use crate::{
    error::Result,
    text::{
        ordered::Ordered,
        python_text::json_of_python,
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

/// What the content of a message is called elsewhere.
const CONTENTS: [&str; 4] = ["content", "value", "text", "message"];

/// Names of a message's reasoning. As in transformers, templates find it under the first; `thinking` is filled in too.
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

const ASSISTANT: &str = "assistant";

/// What a conversation does that many templates refuse.
pub(super) const BEGINS: &str = "the conversation begins with the assistant";

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
    /// Whether it is learnt, if it says so.
    mark: Mark,
    /// Whether its content is null, or it has none.
    lacks_content: Option<&'static str>,
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
        let found = parsed(record, key, fields.get(key))?;
        let given = fields.get(key).unwrap_or(&Ordered::Null);
        let found = found.as_deref().unwrap_or(given);
        let Ordered::Array(turns) = found else {
            return Err(unexpected(key, found, "an array of messages"));
        };
        if turns.is_empty() {
            return Err(record.error(format!("field `{key}`: has no messages")));
        }
        let messages = turns
            .iter()
            .enumerate()
            .map(|(i, turn)| message(record, &format!("{key}[{i}]"), turn))
            .collect::<Result<Vec<_>>>()?;
        let mut variables = Vec::new();
        let mut has_tools = false;
        for key in ["tools", "documents"] {
            let value = parsed(record, key, fields.get(key))?;
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
        let mut conversation = Self { messages, variables, has_tools };
        if let Some(system) = own_system(record)? {
            conversation.introduce(system);
        }
        Ok(conversation)
    }

    /// The conversation of a text that a user asks, with the row's `system`, where it has one.
    ///
    /// # Errors
    /// [`Error::Data`](crate::Error::Data) if that is no string.
    pub(in crate::text) fn asking(record: &Record, text: &str) -> Result<Self> {
        let messages = vec![Message::new("user", text)];
        let mut conversation = Self { messages, variables: Vec::new(), has_tools: false };
        if let Some(system) = own_system(record)? {
            conversation.introduce(system);
        }
        Ok(conversation)
    }

    /// Puts a message of the system in front, unless there is one.
    pub(in crate::text) fn introduce(&mut self, system: &str) {
        if !self.has_system() {
            self.messages.insert(0, Message::new("system", system));
        }
    }

    /// Whether it begins with a message of the system.
    pub(in crate::text) fn has_system(&self) -> bool {
        self.messages.first().is_some_and(Message::is_system)
    }

    /// How many messages it has.
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    /// The roles of its messages, each once, as a list; `assistant` is the one that learns.
    pub(super) fn roles(&self) -> String {
        let role =
            |message: &Message| message.value.get_attr("role").unwrap_or_default().to_string();
        let mut roles: Vec<String> = self.messages.iter().map(role).collect();
        roles.sort_unstable();
        roles.dedup();
        format!("{}, expected `{ASSISTANT}` among them", roles.join(", "))
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

    /// Those of them that are learnt.
    ///
    /// # Errors
    /// What is wrong with the mark of a message.
    pub(super) fn learnt(&self) -> std::result::Result<Vec<usize>, String> {
        let mut learnt = Vec::new();
        for (i, message) in self.messages.iter().enumerate() {
            let is_learnt = message.mark.clone()?.unwrap_or(true);
            learnt.extend((message.is_assistant && is_learnt).then_some(i));
        }
        Ok(learnt)
    }

    /// What few templates expect of a conversation, in words, for where one fails.
    pub(super) fn peculiarities(&self) -> String {
        let mut first = self.messages.iter().skip_while(|message| message.is_system());
        let mut said = Vec::new();
        if first.next().is_some_and(|message| message.is_assistant) {
            said.push(BEGINS.to_owned());
        }
        let lacks = self.messages.iter().enumerate();
        let mut lacks = lacks.filter_map(|(i, message)| Some((i + 1, message.lacks_content?)));
        if let Some((at, what)) = lacks.next() {
            said.push(format!("message {at} {what}"));
        }
        said.join("; ")
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

impl Message {
    fn new(role: &str, content: &str) -> Self {
        let fields = [("role", role), ("content", content)];
        let fields = fields.map(|(key, text)| (key.to_owned(), Value::from(text)));
        let value = dict(fields.into());
        Self { is_assistant: role == ASSISTANT, mark: Ok(None), lacks_content: None, value }
    }

    /// Whether it is the system's: OpenAI calls it the developer, too.
    fn is_system(&self) -> bool {
        let role = self.value.get_attr("role").unwrap_or_default();
        role.as_str().is_some_and(|role| ["system", "developer"].contains(&role))
    }
}

/// A value that may be JSON within a string, as several data sets keep it, or a list as Python writes it into a table; none
/// of an empty one.
fn parsed<'v>(
    record: &Record,
    key: &str,
    value: Option<&'v Ordered>,
) -> Result<Option<Cow<'v, Ordered>>> {
    match value {
        Some(Ordered::String(text)) if text.trim().is_empty() => Ok(None),
        Some(Ordered::String(text)) => {
            let of_python =
                || json_of_python(text).and_then(|json| serde_json::from_str(&json).ok());
            let parsed = serde_json::from_str::<Ordered>(text).or_else(|error| {
                of_python().ok_or_else(|| {
                    record.error(format!(
                        "field `{key}`: found a string that is not the JSON of a list: {error}"
                    ))
                })
            });
            Ok(Some(Cow::Owned(parsed?)))
        }
        other => Ok(other.map(Cow::Borrowed)),
    }
}

/// The row's field `system`, unless it is empty.
fn own_system(record: &Record) -> Result<Option<&str>> {
    Ok(record.optional_text("system")?.filter(|system| !system.is_empty()))
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
    // Some files name the speaker as sharegpt does, and the content as templates do.
    let is_value = is_shared && (turn.get("value").is_some() || turn.get("content").is_none());
    let role_key = if is_shared { "from" } else { "role" };
    let content_key = if is_value { "value" } else { "content" };
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
    if turn.get(content_key).is_none()
        && let Some(other) = CONTENTS.iter().find(|key| turn.get(key).is_some())
    {
        return Err(record.error(format!(
            "field `{place}`: has no `{content_key}`, but `{other}`, which chat templates do not read: rename it"
        )));
    }
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
    let is_assistant = role == ASSISTANT;
    let lacks_content = match fields.iter().find(|(key, _)| key == content_key) {
        None => Some("has no content"),
        Some((_, Ordered::Null)) => Some("has null as its content"),
        Some(_) => None,
    };
    let mark = marks::of_message(place, turn, is_assistant);
    Ok(Message { is_assistant, mark, lacks_content, value: dict(entries) })
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
