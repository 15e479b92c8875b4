//! Which fields of a file are read: those that were named, else the usual names.
//!
//! | file | what it is |
//! |---|---|
//! | `detect/search.rs` | how the field of a role is looked up |
//! | `detect/classified.rs` | texts, or pairs of them, and their class |
//! | `detect/rejected.rs` | rows that say that their target is not right |
//! | `detect/written.rs` | sources and targets, and instructions with their input |

mod classified;
mod rejected;
mod search;
mod written;

pub(super) use rejected::refuse_rejected;
use search::Search;

use super::{
    fields::{FieldNames, Role},
    record::Record,
    template::Template,
};
use serde_json::Value;

use crate::{
    contract::task::Task,
    error::{Error, Result},
};

/// The rows that [`find_fields`] looks at: a field may be absent from some of them.
pub const FIRST_ROWS: usize = 100;

const TOKENS: &[&str] = &["words"];
const TAGS: &[&str] =
    &["ner_tags", "pos_tags", "chunk_tags", "labels", "ner", "upos", "xpos", "pos"];

/// What is known before a file is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The task.
    pub task: Task,
    /// Names that were given: the file must have them.
    pub given: &'a FieldNames,
    /// Names that are taken where the file has them, such as those of the training rows.
    pub preferred: &'a FieldNames,
    /// Whether a template makes the text or the source.
    pub source_template: bool,
    /// Whether a template makes the target.
    pub target_template: bool,
    /// Whether the rows have targets.
    pub targets: bool,
}

/// Which fields of a file are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundFields {
    /// The names that differ from those of [`Role::name`], or were given.
    pub names: FieldNames,
    /// The names to prefer in later files: these, and those of the text or the source of a language model.
    pub remembered: FieldNames,
    /// What makes the source of an instruction and its input.
    pub source_template: Option<Template>,
    /// What was found, and not given: `text from sentence, label from labels`. `None` if there is
    /// nothing to say.
    pub note: Option<String>,
}

/// Finds the fields to read, once for a whole file, from its first rows.
///
/// A name that was given is used, and must be there. Otherwise a preferred name that is there is
/// taken, else the role's own name ([`Role::name`]), else a usual one, in upper or lower case, if
/// no other fits too.
///
/// # Errors
/// [`Error::Setting`] naming the setting that decides, if the file has no field of a given name, if
/// several fields fit, or none.
pub fn find_fields(records: &[Record], wanted: &Wanted<'_>) -> Result<FoundFields> {
    wanted.given.check_task(wanted.task)?;
    let task = wanted.task;
    let (given, preferred) = (wanted.given.for_task(task), wanted.preferred.for_task(task));
    let wanted = &Wanted { given: &given, preferred: &preferred, ..*wanted };
    for (role, template, made_by) in [
        (Role::Text, wanted.source_template, "source_template"),
        (Role::Source, wanted.source_template, "source_template"),
        (Role::Target, wanted.target_template, "target_template"),
    ] {
        if template && wanted.given.get(role).is_some() {
            let message = format!("not used beside `{made_by}`; give one of them");
            return Err(Error::setting(role.setting(), message));
        }
    }
    let named = [Role::Text, Role::Source, Role::Target].map(|role| wanted.given.get(role));
    let chats = wanted.task == Task::CausalLm
        && !wanted.source_template
        && !wanted.target_template
        && named.iter().all(Option::is_none);
    // Rows of token ids and conversations have no other names.
    let (ids, texts): (Vec<&Record>, Vec<&Record>) = records
        .iter()
        .take(FIRST_ROWS)
        .partition(|record| record.is_ids() || (chats && record.is_conversation()));
    if texts.is_empty() {
        refuse_names(records, wanted)?;
        // Rows of token ids have the names of their task; a class alone may be called otherwise.
        let mut search = Search::new(wanted, ids);
        if wanted.task == Task::SeqCls && wanted.targets {
            let label = search.one(Role::Label, &["labels"])?;
            search.take(Role::Label, label);
        }
        let mut found = search.finish(None);
        if let Some(beside) = beside_conversations(records, wanted) {
            found.note = Some(format!("the conversations are read, {beside} is not"));
        }
        return Ok(found);
    }
    if chats && let Some(message) = lone_messages(&texts) {
        return Err(message);
    }
    let mut search = Search::new(wanted, texts);
    let mut template = None;
    match wanted.task {
        Task::SeqCls => search.classified()?,
        Task::TokenCls => search.tagged()?,
        Task::QuestionAns => search.asked()?,
        Task::CausalLm | Task::Seq2SeqLm => template = search.written()?,
    }
    let mut found = search.finish(template);
    let unread = unread(records, wanted, &found);
    if !unread.is_empty() {
        let note = found.note.take().map_or_else(String::new, |note| format!("{note}; "));
        found.note = Some(format!("{note}not read: {}", unread.join(", ")));
    }
    Ok(found)
}

/// Fields that usually belong to what a model is asked, and are not read.
fn unread(records: &[Record], wanted: &Wanted<'_>, found: &FoundFields) -> Vec<&'static str> {
    const ASKED: &[&str] =
        &["system", "system_prompt", "history", "context", "knowledge", "functions"];
    const PAIRED: &[&str] = &["text_b", "text2", "sentence2", "text_pair", "hypothesis"];
    let names = match wanted.task {
        // Whoever names fields knows what is there.
        _ if wanted.source_template || wanted.target_template => return Vec::new(),
        _ if wanted.given.iter().next().is_some() => return Vec::new(),
        Task::CausalLm | Task::Seq2SeqLm => ASKED,
        Task::SeqCls => PAIRED,
        Task::TokenCls | Task::QuestionAns => return Vec::new(),
    };
    let is_read = |name: &str| {
        let made = found.source_template.as_ref().map_or("", Template::as_str);
        [Role::Text, Role::TextPair, Role::Source, Role::Target]
            .iter()
            .any(|role| found.names.name(*role) == name)
            || made.contains(&format!("{{{name}"))
    };
    let said = |name: &str| {
        let value = |row: &Record| match row.optional(name) {
            Some(Value::String(text)) => !text.trim().is_empty(),
            Some(Value::Array(list)) => !list.is_empty(),
            other => other.is_some(),
        };
        records.iter().take(FIRST_ROWS).filter(|row| !row.is_ids()).any(value)
    };
    names.iter().copied().filter(|name| !is_read(name) && said(name)).collect()
}

/// An error about rows that are the messages of conversations, one each, of which every message would be a text.
fn lone_messages(rows: &[&Record]) -> Option<Error> {
    let keys = [("role", "content"), ("from", "value")];
    let (role, content) = keys.into_iter().find(|(role, content)| {
        rows.iter().all(|row| row.has(role) && row.has(content) && !row.has("text"))
    })?;
    let first = rows.first()?;
    Some(first.error(format!(
        "is a message (`{role}`, `{content}`), and a row is a whole conversation: write those of one as \
         {{\"messages\": [...]}} on a line; to learn each as a text, set `text_field` to {content}"
    )))
}

/// Refuses names of fields that rows of token ids do not have: all of it is in `input_ids`.
fn refuse_names(records: &[Record], wanted: &Wanted<'_>) -> Result<()> {
    let is_read = |role: Role| role == Role::Label && wanted.targets;
    match wanted.given.iter().find(|(role, _)| !is_read(*role)) {
        Some((role, _)) if records.first().is_some_and(|row| row.is_ids()) => {
            let message = "not used by rows of token ids, which have `input_ids`";
            Err(Error::setting(role.setting(), message))
        }
        _ => Ok(()),
    }
}

/// The field of conversations that could be read instead of them, if there is one.
fn beside_conversations(records: &[Record], wanted: &Wanted<'_>) -> Option<&'static str> {
    let chat = records.first().filter(|row| !row.is_ids() && row.is_conversation())?;
    let fields: &[&str] = match wanted.targets {
        true => &["text", "source", "target", "prompt", "completion"],
        false => &["text", "source", "prompt"],
    };
    fields.iter().copied().find(|field| chat.has(field))
}

impl Search<'_> {
    /// Words and their tags.
    fn tagged(&mut self) -> Result<()> {
        let tokens = self.required(Role::Tokens, TOKENS)?;
        self.take(Role::Tokens, Some(tokens));
        if self.wanted.targets {
            let tags = self.required(Role::Tags, TAGS)?;
            self.take(Role::Tags, Some(tags));
        }
        Ok(())
    }

    /// A question, its context, and the answers, which a question need not have.
    fn asked(&mut self) -> Result<()> {
        for (role, usual) in [
            (Role::Question, &["query"] as &[&str]),
            (Role::Context, &["passage", "document", "paragraph"]),
        ] {
            let name = self.required(role, usual)?;
            self.take(role, Some(name));
        }
        if self.wanted.targets {
            let answers = self.one(Role::Answers, &["answer"])?;
            self.take(Role::Answers, answers);
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::text::record::tests::record;
    use serde_json::json;

    fn names(list: &[(Role, &str)]) -> FieldNames {
        list.iter().map(|(role, name)| (*role, (*name).to_owned())).collect()
    }

    fn wanted<'a>(task: Task, given: &'a FieldNames, preferred: &'a FieldNames) -> Wanted<'a> {
        Wanted {
            task,
            given,
            preferred,
            source_template: false,
            target_template: false,
            targets: true,
        }
    }

    fn find(task: Task, rows: &[Value]) -> Result<FoundFields> {
        let none = FieldNames::default();
        let records: Vec<Record> =
            rows.iter().enumerate().map(|(i, row)| record(i + 1, row.clone())).collect();
        find_fields(&records, &wanted(task, &none, &none))
    }

    /// The note on a file of one row.
    fn note(task: Task, row: Value) -> String {
        find(task, &[row]).unwrap().note.unwrap_or_default()
    }

    fn refusal(task: Task, row: Value) -> String {
        find(task, &[row]).unwrap_err().to_string()
    }

    #[test]
    fn own_names_are_taken_without_a_word() {
        for (task, row) in [
            (Task::SeqCls, json!({"text": "a", "text_pair": "b", "label": 1, "idx": 3})),
            (Task::SeqCls, json!({"input_ids": [1], "label": 1})),
            (Task::TokenCls, json!({"tokens": ["a"], "tags": ["O"]})),
            (Task::TokenCls, json!({"input_ids": [1], "labels": [1]})),
            (Task::CausalLm, json!({"source": "a", "target": "b"})),
            (Task::CausalLm, json!({"text": "a"})),
            (Task::Seq2SeqLm, json!({"source": "a", "target": "b"})),
            (Task::QuestionAns, json!({"question": "a", "context": "b", "answers": []})),
            (Task::CausalLm, json!({"messages": []})),
        ] {
            let found = find(task, std::slice::from_ref(&row)).unwrap();
            assert_eq!(
                FoundFields { remembered: FieldNames::default(), ..found },
                FoundFields::default(),
                "{row}"
            );
        }
    }

    #[test]
    fn what_belongs_to_the_question_and_is_not_read_is_told() {
        for (task, row, says) in [
            (
                Task::CausalLm,
                json!({"prompt": "a", "completion": "b", "system": "c", "history": [["d", "e"]]}),
                "source from prompt, target from completion; not read: system, history",
            ),
            (
                Task::CausalLm,
                json!({"source": "a", "target": "b", "context": "c", "tools": []}),
                "not read: context",
            ),
            (Task::SeqCls, json!({"text": "a", "text_b": "b", "label": 1}), "not read: text_b"),
        ] {
            assert_eq!(note(task, row), says);
        }
        let row = json!({"instruction": "a", "context": "b", "response": "c"});
        assert!(!note(Task::CausalLm, row).contains("not read"));
    }

    #[test]
    fn a_message_is_no_row() {
        for (role, content) in [("role", "content"), ("from", "value")] {
            let row = json!({role: "user", content: "a"});
            let error = refusal(Task::CausalLm, row.clone());
            assert!(error.contains("{\"messages\": [...]}"), "{error}");
            let given = names(&[(Role::Text, content)]);
            let none = FieldNames::default();
            let rows = [record(1, row)];
            assert!(find_fields(&rows, &wanted(Task::CausalLm, &given, &none)).is_ok());
        }
    }

    #[test]
    fn what_is_not_read_beside_token_ids_and_conversations_is_told() {
        let none = FieldNames::default();
        let ids = [record(1, json!({"input_ids": [1], "label": 1}))];
        let given = names(&[(Role::Text, "body")]);
        let error = find_fields(&ids, &wanted(Task::SeqCls, &given, &none)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "text_field: not used by rows of token ids, which have `input_ids`"
        );
        let given = names(&[(Role::Label, "label")]);
        assert!(find_fields(&ids, &wanted(Task::SeqCls, &given, &none)).is_ok());
        assert_eq!(
            note(Task::CausalLm, json!({"messages": [], "text": "a"})),
            "the conversations are read, text is not"
        );
    }

    #[test]
    fn usual_names_are_found_and_said() {
        let said = |task, row, expected: &str| assert_eq!(note(task, row), expected);
        let (cls, lm) = (Task::SeqCls, Task::CausalLm);
        said(
            cls,
            json!({"sentence1": "a", "sentence2": "b", "label": 1, "idx": 0}),
            "text from sentence1, text_pair from sentence2, label from label",
        );
        said(cls, json!({"sentence": "a", "label": 1}), "text from sentence, label from label");
        said(
            cls,
            json!({"question": "a", "sentence": "b", "label": 1}),
            "text from question, text_pair from sentence, label from label",
        );
        said(
            cls,
            json!({"Quality": "1", "#1 ID": "1", "#2 ID": "2", "#1 String": "a", "#2 String": "b"}),
            "text from #1 String, text_pair from #2 String, label from Quality",
        );
        said(cls, json!({"text": "a", "labels": 1}), "text from text, label from labels");
        said(cls, json!({"input_ids": [1], "labels": 1}), "label from labels");
        said(cls, json!({"Text": "a", "Label": "1"}), "text from Text, label from Label");
        said(cls, json!({"text": "a", "TEXT": "b", "label": "1"}), "");
        said(
            cls,
            json!({"text": "a", "sentence": "b", "label": "1"}),
            "text from text, label from label",
        );
        said(
            lm,
            json!({"prompt": "a", "output": "b", "id": 3}),
            "source from prompt, target from output",
        );
        said(
            Task::TokenCls,
            json!({"words": ["a"], "ner": ["O"]}),
            "tokens from words, tags from ner",
        );
        said(
            Task::TokenCls,
            json!({"id": "0", "tokens": ["a"], "ner_tags": [1]}),
            "tokens from tokens, tags from ner_tags",
        );
        said(
            lm,
            json!({"prompt": "a", "completion": "b"}),
            "source from prompt, target from completion",
        );
        said(
            lm,
            json!({"article": "a", "highlights": "b", "id": "c"}),
            "source from article, target from highlights",
        );
        said(lm, json!({"content": "a", "path": "b"}), "text from content");
        said(
            Task::Seq2SeqLm,
            json!({"text": "a", "summary": "b"}),
            "source from text, target from summary",
        );
        said(lm, json!({"text": "a", "prompt": "b", "completion": "c"}), "text from text");
        said(
            Task::QuestionAns,
            json!({"query": "a", "context": "b", "answers": {}}),
            "question from query, context from context, answers from answers",
        );
    }

    #[test]
    fn an_instruction_is_read_with_its_input() {
        let rows = [
            json!({"instruction": "say", "input": "", "output": "b"}),
            json!({"instruction": "say", "input": "c", "output": "b"}),
        ];
        let found = find(Task::CausalLm, &rows).unwrap();
        assert_eq!(found.note.unwrap(), "source from instruction and input, target from output");
        let template = found.source_template.unwrap();
        let text = |row: &Value| template.render(&record(1, row.clone())).unwrap();
        assert_eq!((text(&rows[0]), text(&rows[1])), ("say".into(), "say\nc".into()));
        assert_eq!(found.names, names(&[(Role::Target, "output")]));
        let alone = json!({"instruction": "a", "response": "b"});
        assert_eq!(note(Task::CausalLm, alone), "source from instruction, target from response");
    }

    #[test]
    fn files_that_differ_are_named() {
        let row = |file: &str, line, row| Record {
            path: std::path::Path::new(file).into(),
            ..record(line, row)
        };
        let none = FieldNames::default();
        let refusal = |rows: &[Record], given| {
            find_fields(rows, &wanted(Task::SeqCls, given, &none)).unwrap_err().to_string()
        };
        let texts = [
            row("a.csv", 2, json!({"sentence": "a", "label": 1})),
            row("b.csv", 2, json!({"id": 3, "label": 1})),
            row("b.csv", 3, json!({"review": "a", "label": 1})),
        ];
        assert_eq!(
            refusal(&texts, &none),
            "text_field: the files have different fields that fit: review in b.csv, line 3; sentence in a.csv, line 2. \
             Name the one to read, which every file must have"
        );
        let given = names(&[(Role::Text, "body")]);
        assert_eq!(
            refusal(&texts, &given),
            "text_field: found `body`, but no file has such a field; a.csv has: label, sentence; \
             b.csv has: id, label, review"
        );
        let mut files: Vec<Record> =
            (0..5).map(|i| row(&format!("{i}.csv"), 1, json!({"x": "a"}))).collect();
        let error = refusal(&files, &none);
        assert!(
            error.contains("); 0.csv has: x; 1.csv has: x; 2.csv has: x; and 2 more files. Name"),
            "{error}"
        );
        files.truncate(1);
        assert!(refusal(&files, &none).contains("0.csv has none of the usual fields"));
    }

    #[test]
    fn a_field_called_source_may_say_where_a_row_comes_from() {
        let lm = Task::CausalLm;
        for (row, expected) in [
            (
                json!({"instruction": "a", "input": "b", "output": "c", "source": "gpt4"}),
                "source from instruction and input, target from output",
            ),
            (
                json!({"prompt": "a", "completion": "b", "Source": "reddit"}),
                "source from prompt, target from completion",
            ),
            (json!({"text": "a", "source": "wikipedia"}), "text from text"),
            (json!({"content": "a", "source": "wikipedia"}), "text from content"),
            (json!({"source": "a", "output": "b"}), "source from source, target from output"),
            (
                json!({"source": "a b", "target": "b", "prompt": "c", "completion": "d"}),
                "source from source, target from target",
            ),
        ] {
            assert_eq!(note(lm, row.clone()), expected, "{row}");
        }
        let summary = json!({"text": "a", "summary": "b", "source": "cnn"});
        assert_eq!(note(Task::Seq2SeqLm, summary), "source from text, target from summary");
        for (row, expected) in [
            (
                json!({"source": "a", "question": "b", "response": "c"}),
                "source_field: rows.jsonl has several fields that fit: question, source.",
            ),
            (
                json!({"source": "a", "text": "b", "output": "c"}),
                "source_field: rows.jsonl has several fields that fit: source, text.",
            ),
            (
                json!({"source": "reddit", "prompt": "b c", "target": "d"}),
                "source_field: rows.jsonl has several fields that fit: prompt, source. Name the one to read",
            ),
            (
                json!({"prompt": "a", "completion": "b", "target": "c"}),
                "target_field: rows.jsonl has several fields that fit: completion, target.",
            ),
        ] {
            let error = refusal(lm, row);
            assert!(error.starts_with(expected), "{error}");
        }
        let found = find(lm, &[json!({"text": "a", "source": "wikipedia"})]).unwrap();
        assert_eq!(found.names.get(Role::Text), Some("text"), "rows that have a source, too");
        // Rows to continue: nothing says which of the two it is, but what was trained with.
        let none = FieldNames::default();
        let rows = [record(1, json!({"prompt": "a", "source": "reddit"}))];
        let predict = Wanted { targets: false, ..wanted(lm, &none, &none) };
        assert!(find_fields(&rows, &predict).is_err());
        let preferred = names(&[(Role::Source, "prompt"), (Role::Target, "completion")]);
        let trained = Wanted { preferred: &preferred, ..predict };
        assert_eq!(find_fields(&rows, &trained).unwrap().names.name(Role::Source), "prompt");
    }

    #[test]
    fn a_text_with_what_may_be_its_target_is_refused() {
        for target in ["target", "summary", "completion", "Output"] {
            let row = json!({"text": "a", target: "b"});
            let error = refusal(Task::CausalLm, row.clone());
            assert_eq!(
                error,
                format!(
                    "text_field: rows.jsonl has text, and {target}, which may be its target. Name text here to learn \
                     it alone, or in `source_field`, and {target} in `target_field`"
                )
            );
            let (none, given) = (FieldNames::default(), names(&[(Role::Text, "text")]));
            let rows = [record(1, row)];
            assert!(find_fields(&rows, &wanted(Task::CausalLm, &given, &none)).is_ok());
            let predict = Wanted { targets: false, ..wanted(Task::CausalLm, &none, &none) };
            let found = find_fields(&rows, &predict).unwrap();
            assert_eq!((found.names, found.note), (none, None));
        }
    }

    #[test]
    fn what_two_fields_fit_is_refused_with_the_setting() {
        for (task, row, expected) in [
            (
                Task::SeqCls,
                json!({"sentence": "a", "review": "b", "label": 1}),
                "text_field: rows.jsonl has several fields that fit: review, sentence. Name the one",
            ),
            (
                Task::SeqCls,
                json!({"premise": "a", "hypothesis": "b", "content": "c", "label": 1}),
                "text_field: rows.jsonl has several fields that fit: premise with hypothesis, content",
            ),
            (
                Task::SeqCls,
                json!({"text": "a", "sentiment": 1, "category": 2}),
                "label_field: rows",
            ),
            (Task::SeqCls, json!({"TEXT": "a", "Text": "b", "label": 1}), "text_field: rows"),
            (
                Task::TokenCls,
                json!({"tokens": [], "ner_tags": [], "pos_tags": []}),
                "tags_field: rows.jsonl has several fields that fit: ner_tags, pos_tags",
            ),
            (
                Task::CausalLm,
                json!({"prompt": "a", "completion": "b", "response": "c"}),
                "target_field: rows.jsonl has several fields that fit: completion, response",
            ),
            (
                Task::CausalLm,
                json!({"prompt": "a", "completion": "b", "question": "c", "answer": "d"}),
                "source_field: rows.jsonl has several",
            ),
        ] {
            let error = refusal(task, row);
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn what_no_field_fits_is_refused_with_what_there_is() {
        assert_eq!(
            refusal(Task::SeqCls, json!({"Title": "a", "Description": "b", "Class Index": 1})),
            "text_field: rows.jsonl has none of the usual fields (text, sentence1 with sentence2, \
             sentence, content, review, comment_text, tweet); it has: Class Index, Description, \
             Title. Name the one to read"
        );
        let error = refusal(Task::Seq2SeqLm, json!({"translation": {"en": "a", "de": "b"}}));
        assert!(
            error.starts_with("source_field: ")
                && error.contains("it has: translation.de, translation.en."),
            "{error}"
        );
        assert!(refusal(Task::SeqCls, json!({"text": "a"})).starts_with("label_field: "));
        assert!(refusal(Task::CausalLm, json!({"source": "a"})).starts_with("target_field: "));
        assert!(refusal(Task::CausalLm, json!({"target": "a"})).starts_with("source_field: "));
        assert!(refusal(Task::Seq2SeqLm, json!({"text": "a"})).starts_with("source_field: "));
        // The half of a usual pair that is there is not the one to name.
        let half = |row| refusal(Task::CausalLm, row);
        let preference = json!({"prompt": "a", "chosen": "b", "rejected": "c"});
        assert!(half(preference).starts_with("target_field: "));
        assert!(half(json!({"completion": "a", "id": 1})).starts_with("source_field: "));
    }

    #[test]
    fn given_names_must_be_there_and_narrow_down_the_rest() {
        let none = FieldNames::default();
        let find = |task, given: &[(Role, &str)], row: Value| {
            let given = names(given);
            find_fields(&[record(1, row)], &wanted(task, &given, &none))
        };
        let row = json!({"translation": {"en": "a", "de": "b"}});
        let given = [(Role::Source, "translation.en"), (Role::Target, "translation.de")];
        let found = find(Task::Seq2SeqLm, &given, row.clone()).unwrap();
        assert_eq!((found.names, found.note), (names(&given), None));
        let error = find(Task::Seq2SeqLm, &[(Role::Source, "translation.fr")], row).unwrap_err();
        assert_eq!(
            error.to_string(),
            "source_field: found `translation.fr`, but rows.jsonl has no such field; it has: \
             translation.de, translation.en"
        );
        let row =
            json!({"prompt": "a", "completion": "b", "response": "c", "label": 1, "text": "d"});
        let found = find(Task::CausalLm, &[(Role::Target, "response")], row.clone()).unwrap();
        assert_eq!(found.note.unwrap(), "source from prompt, target from response");
        let found = find(Task::CausalLm, &[(Role::Text, "prompt")], row.clone()).unwrap();
        assert_eq!((found.names, found.note), (names(&[(Role::Text, "prompt")]), None));
        let found = find(Task::SeqCls, &[(Role::TextPair, "prompt")], row.clone()).unwrap();
        assert_eq!(
            (found.names.name(Role::Text), found.names.name(Role::TextPair)),
            ("text", "prompt")
        );
        let given = names(&[(Role::Text, "prompt")]);
        let templated = Wanted { source_template: true, ..wanted(Task::SeqCls, &given, &none) };
        let error = find_fields(&[record(1, row.clone())], &templated).unwrap_err().to_string();
        assert_eq!(error, "text_field: not used beside `source_template`; give one of them");
        let error = find(Task::SeqCls, &[(Role::Source, "prompt")], row).unwrap_err().to_string();
        assert!(error.starts_with("source_field: not used by seq-cls"), "{error}");
    }

    #[test]
    fn preferred_names_are_taken_where_they_are() {
        let none = FieldNames::default();
        let preferred = names(&[(Role::Text, "review"), (Role::Label, "stars")]);
        let find = |row: Value| {
            find_fields(&[record(1, row)], &wanted(Task::SeqCls, &none, &preferred)).unwrap()
        };
        let found = find(json!({"review": "a", "text": "b", "stars": 1, "label": 2}));
        assert_eq!((found.names, found.note), (preferred.clone(), None));
        let found = find(json!({"text": "b", "stars": 1}));
        assert_eq!(found.note.unwrap(), "text from text, label from stars");
        let pair = names(&[(Role::Text, "sentence1"), (Role::TextPair, "sentence2")]);
        let rows = [record(1, json!({"sentence1": "a", "label": 1}))];
        let found = find_fields(&rows, &wanted(Task::SeqCls, &none, &pair)).unwrap();
        assert_eq!(
            found.note.unwrap(),
            "text from sentence1, label from label",
            "the pair is gone"
        );
        let predict = Wanted { targets: false, ..wanted(Task::SeqCls, &none, &preferred) };
        let rows = [record(1, json!({"review": "a"}))];
        assert_eq!(find_fields(&rows, &predict).unwrap().note, None);
    }

    #[test]
    fn a_text_that_is_named_is_read_beside_a_source() {
        let (lm, none) = (Task::CausalLm, FieldNames::default());
        for (row, name) in [
            (json!({"text": "a b", "summary": "c", "source": "cnn"}), "text"),
            (json!({"text": "a", "prompt": "b", "source": "z"}), "text"),
            (json!({"story": "a", "question": "b", "source": "w"}), "story"),
            (json!({"text": "a", "source": "b", "target": "c"}), "text"),
        ] {
            let given = names(&[(Role::Text, name)]);
            let found = find_fields(&[record(1, row)], &wanted(lm, &given, &none)).unwrap();
            assert_eq!((found.names, found.note), (given, None));
            // What an adapter was trained with gives way.
            let given = names(&[(Role::Text, "text")]);
            let source = names(&[(Role::Source, "source"), (Role::Target, "target")]);
            let row = json!({"text": "a", "source": "b", "target": "c"});
            let found = find_fields(&[record(1, row)], &wanted(lm, &given, &source)).unwrap();
            assert_eq!(found.names, given);
        }
        assert_eq!(
            refusal(lm, json!({"text": "a b", "summary": "c", "source": "cnn"})),
            "source_field: rows.jsonl has several fields that fit: source, text. Name the one to read here, or text \
             in `text_field` to learn it alone"
        );
    }

    #[test]
    fn what_was_trained_with_is_read_beside_other_fields() {
        let (lm, none) = (Task::CausalLm, FieldNames::default());
        for (trained, then, targets, expected) in [
            (
                json!({"text": "a", "source": "w"}),
                json!({"text": "a", "source": "w"}),
                false,
                names(&[(Role::Text, "text")]),
            ),
            (
                json!({"text": "a"}),
                json!({"text": "a", "answer": "b"}),
                true,
                names(&[(Role::Text, "text")]),
            ),
            (
                json!({"source": "a b", "target": "c", "document": "d"}),
                json!({"source": "a", "document": "d"}),
                false,
                none.clone(),
            ),
            (
                json!({"source": "a", "target": "c"}),
                json!({"source": "a", "question": "d"}),
                false,
                none.clone(),
            ),
        ] {
            let known = find(lm, &[trained]).unwrap().remembered;
            let how = Wanted { targets, ..wanted(lm, &none, &known) };
            let found = find_fields(&[record(1, then.clone())], &how).unwrap();
            assert_eq!((found.names, found.note), (expected, None), "{then}");
        }
        let known = names(&[(Role::Source, "source")]);
        let row = [record(1, json!({"source": "a", "prompt": "d", "completion": "e"}))];
        let eval = wanted(lm, &none, &known);
        let found = find_fields(&row, &Wanted { targets: false, ..eval }).unwrap();
        assert_eq!(found.note.unwrap(), "source from source");
        let found = find_fields(&row, &eval).unwrap();
        assert_eq!(found.note.unwrap(), "source from prompt, target from completion");
        let row = [record(1, json!({"source": "a", "text": "b"}))];
        let error = find_fields(&row, &eval).unwrap_err().to_string();
        assert!(error.starts_with("target_field: rows.jsonl has none of the usual"), "{error}");
        // Rows of either kind are still told apart one by one.
        let mixed = [json!({"text": "a"}), json!({"source": "a", "target": "b"})];
        let found = find(lm, &mixed).unwrap();
        assert_eq!((found.names, found.remembered), (none.clone(), none.clone()));
        let text = names(&[(Role::Text, "text")]);
        let rows: Vec<Record> =
            mixed.iter().enumerate().map(|(i, row)| record(i + 1, row.clone())).collect();
        assert_eq!(find_fields(&rows, &wanted(lm, &none, &text)).unwrap().names, none);
    }

    #[test]
    fn fields_that_some_of_the_first_rows_lack_are_found() {
        let rows = [json!({"prompt": "a", "completion": null}), json!({"completion": "b"})];
        let found = find(Task::CausalLm, &rows).unwrap();
        assert_eq!(found.note.unwrap(), "source from prompt, target from completion");
        let mixed = [json!({"input_ids": [1], "label": 0}), json!({"sentence": "a", "label": 1})];
        assert_eq!(
            find(Task::SeqCls, &mixed).unwrap().note.unwrap(),
            "text from sentence, label from label"
        );
    }
}
