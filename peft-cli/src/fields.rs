//! The flags that name the fields of a row, and a note on what was found without them.

use std::collections::BTreeSet;

use clap::Args;
use peft_core::{
    Result, Task,
    text::{FIRST_ROWS, FieldNames, FoundFields, Record, Role, Wanted, find_fields},
};

use crate::output;

/// What the flags stand under in help texts.
pub const FIELDS_HEADING: &str = "Fields (found by their usual names where nothing is said)";

/// Flags that name the fields of a row.
#[derive(Args, Clone, Debug, Default)]
pub struct FieldArgs {
    /// Field that holds the text, where it is not called text; for token-cls the words.
    #[arg(long, help_heading = FIELDS_HEADING, value_name = "NAME")]
    pub text_field: Option<String>,
    /// Field that holds the second text of a pair.
    #[arg(long, help_heading = FIELDS_HEADING, value_name = "NAME")]
    pub text_pair_field: Option<String>,
    /// Field that holds the class; for token-cls the tags.
    #[arg(long, help_heading = FIELDS_HEADING, value_name = "NAME")]
    pub label_field: Option<String>,
    /// Field that holds the words to tag.
    #[arg(long, help_heading = FIELDS_HEADING, value_name = "NAME")]
    pub tokens_field: Option<String>,
    /// Field that holds their tags.
    #[arg(long, help_heading = FIELDS_HEADING, value_name = "NAME")]
    pub tags_field: Option<String>,
    /// Field that holds the question.
    #[arg(long, help_heading = FIELDS_HEADING, value_name = "NAME")]
    pub question_field: Option<String>,
    /// Field that holds the context of a question.
    #[arg(long, help_heading = FIELDS_HEADING, value_name = "NAME")]
    pub context_field: Option<String>,
    /// Field that holds the answers.
    #[arg(long, help_heading = FIELDS_HEADING, value_name = "NAME")]
    pub answers_field: Option<String>,
    /// Field that holds the source; a dot reaches into an object, as in translation.en.
    #[arg(long, help_heading = FIELDS_HEADING, value_name = "NAME")]
    pub source_field: Option<String>,
    /// Field that holds the target.
    #[arg(long, help_heading = FIELDS_HEADING, value_name = "NAME")]
    pub target_field: Option<String>,
}

/// The names that the members of a value give, each called like the setting of its role: those of [`FieldArgs`], and those of
/// a run's settings.
macro_rules! field_names {
    ($of:expr) => {{
        use peft_core::text::Role;
        $crate::fields::given([
            (Role::Text, &$of.text_field),
            (Role::TextPair, &$of.text_pair_field),
            (Role::Label, &$of.label_field),
            (Role::Tokens, &$of.tokens_field),
            (Role::Tags, &$of.tags_field),
            (Role::Question, &$of.question_field),
            (Role::Context, &$of.context_field),
            (Role::Answers, &$of.answers_field),
            (Role::Source, &$of.source_field),
            (Role::Target, &$of.target_field),
        ])
    }};
}
pub(crate) use field_names;

impl FieldArgs {
    /// The names given.
    pub fn names(&self) -> FieldNames {
        field_names!(self)
    }
}

/// The settings that name the fields of a row.
pub fn setting_names() -> impl Iterator<Item = &'static str> + Clone {
    Role::ALL.into_iter().map(Role::setting)
}

/// The names of those roles that have one.
pub(crate) fn given(names: [(Role, &Option<String>); Role::ALL.len()]) -> FieldNames {
    names.into_iter().filter_map(|(role, name)| Some((role, name.clone()?))).collect()
}

/// The names that a recipe remembers.
pub fn remembered(recipe: &serde_json::Value) -> FieldNames {
    let name = |role: Role| Some((role, recipe.get(role.setting())?.as_str()?.to_string()));
    Role::ALL.into_iter().filter_map(name).collect()
}

/// The fields of a file, chosen by its first rows, and a watch on the later ones.
pub struct ChosenFields<'w> {
    first: Vec<Record>,
    wanted: Wanted<'w>,
    found: FoundFields,
    /// The fields that some row has had.
    known: BTreeSet<String>,
}

impl<'w> ChosenFields<'w> {
    /// What was found in the first rows.
    pub fn new(first: Vec<Record>, wanted: Wanted<'w>, found: FoundFields) -> Self {
        let names =
            first.iter().flat_map(|record| record.fields.keys().map(move |key| (record, key)));
        let known = names.filter(|(record, key)| record.has(key)).map(|(_, key)| key.clone());
        Self { known: known.collect(), first, wanted, found }
    }

    /// The rows, each checked.
    pub fn watch(
        mut self,
        rows: impl Iterator<Item = Result<Record>>,
    ) -> impl Iterator<Item = Result<Record>> {
        rows.map(move |record| {
            let record = record?;
            self.check(&record)?;
            Ok(record)
        })
    }

    /// Refuses a row with a field that no row before it has, if other fields would be read had the first rows had it.
    fn check(&mut self, record: &Record) -> Result<()> {
        let Some(new) =
            record.fields.keys().find(|key| !self.known.contains(*key) && record.has(key))
        else {
            return Ok(());
        };
        let sample = self.first.iter().take(FIRST_ROWS - 1).chain([record]).cloned();
        let found = find_fields(&sample.collect::<Vec<_>>(), &self.wanted);
        let same = found.is_ok_and(|found| {
            found.names == self.found.names && found.source_template == self.found.source_template
        });
        if !same {
            let flags = match self.wanted.task {
                Task::CausalLm => {
                    "`text_field`, or `source_template` or `source_field`, and `target_field`"
                }
                Task::Seq2SeqLm => "`source_template` or `source_field`, and `target_field`",
                Task::SeqCls => "`text_field` and `label_field`",
                Task::TokenCls => "`tokens_field` and `tags_field`",
                Task::QuestionAns => "`question_field`, `context_field` and `answers_field`",
            };
            return Err(record.error(format!(
                "has a field named {new}, which none of the first {FIRST_ROWS} rows has, and by which other fields \
                 would have been chosen: set {flags}"
            )));
        }
        self.known.extend(record.fields.keys().filter(|key| record.has(key)).cloned());
        Ok(())
    }
}

/// Finds the fields to read, with a note on those that were not named.
///
/// # Errors
///
/// As [`find_fields`].
pub fn find(records: &[Record], wanted: &Wanted<'_>) -> Result<FoundFields> {
    let found = find_fields(records, wanted)?;
    if let (Some(note), Some(first)) = (&found.note, records.first()) {
        output::note(format!("note: {note} ({})", first.path.display()));
    }
    Ok(found)
}
