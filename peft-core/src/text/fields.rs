//! What the fields of a row are called.

use std::collections::BTreeMap;

use crate::{
    contract::task::Task,
    error::{Error, Result},
};

/// What a field is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The text to classify, or to learn as a whole.
    Text,
    /// The second text of a pair.
    TextPair,
    /// The class of the row.
    Label,
    /// The words to tag.
    Tokens,
    /// Their tags.
    Tags,
    /// A question.
    Question,
    /// The context that holds its answer.
    Context,
    /// The correct answers.
    Answers,
    /// The text to continue or to transform.
    Source,
    /// What is to follow it.
    Target,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 10] = [
        Self::Text,
        Self::TextPair,
        Self::Label,
        Self::Tokens,
        Self::Tags,
        Self::Question,
        Self::Context,
        Self::Answers,
        Self::Source,
        Self::Target,
    ];

    /// The name that the field has if nothing else is said.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::TextPair => "text_pair",
            Self::Label => "label",
            Self::Tokens => "tokens",
            Self::Tags => "tags",
            Self::Question => "question",
            Self::Context => "context",
            Self::Answers => "answers",
            Self::Source => "source",
            Self::Target => "target",
        }
    }

    /// The setting that gives the field another name.
    pub const fn setting(self) -> &'static str {
        match self {
            Self::Text => "text_field",
            Self::TextPair => "text_pair_field",
            Self::Label => "label_field",
            Self::Tokens => "tokens_field",
            Self::Tags => "tags_field",
            Self::Question => "question_field",
            Self::Context => "context_field",
            Self::Answers => "answers_field",
            Self::Source => "source_field",
            Self::Target => "target_field",
        }
    }

    /// The roles that a task reads.
    pub const fn of_task(task: Task) -> &'static [Self] {
        match task {
            Task::SeqCls => &[Self::Text, Self::TextPair, Self::Label],
            Task::TokenCls => &[Self::Tokens, Self::Tags],
            Task::QuestionAns => &[Self::Question, Self::Context, Self::Answers],
            Task::CausalLm | Task::Seq2SeqLm => &[Self::Text, Self::Source, Self::Target],
        }
    }
}

/// The roles of a text and of its class, and what they are where words are tagged.
const OF_WORDS: [(Role, Role); 2] = [(Role::Text, Role::Tokens), (Role::Label, Role::Tags)];

/// The names of fields by their role. A role that has none here is read from the field of
/// [`Role::name`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldNames(BTreeMap<Role, String>);

impl FieldNames {
    /// Returns the name of the field to read.
    pub fn name(&self, role: Role) -> &str {
        self.get(role).unwrap_or(role.name())
    }

    /// Returns the name that was set, if one was.
    pub fn get(&self, role: Role) -> Option<&str> {
        self.0.get(&role).map(String::as_str)
    }

    /// Sets a name.
    pub fn set(&mut self, role: Role, name: impl Into<String>) {
        self.0.insert(role, name.into());
    }

    /// Returns the names that were set.
    pub fn iter(&self) -> impl Iterator<Item = (Role, &str)> {
        self.0.iter().map(|(role, name)| (*role, name.as_str()))
    }

    /// Returns the names as a task reads them: the text of `token-cls` is its words, and the label their tags, unless
    /// these have names of their own.
    #[must_use]
    pub fn for_task(&self, task: Task) -> Self {
        let mut names = self.clone();
        for (general, own) in OF_WORDS.into_iter().filter(|_| task == Task::TokenCls) {
            if let Some(name) = names.0.remove(&general) {
                names.0.entry(own).or_insert(name);
            }
        }
        names
    }

    /// Checks that a task reads every role that has a name here.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the one that it does not read, or that is another one's.
    pub fn check_task(&self, task: Task) -> Result<()> {
        let read = Role::of_task(task);
        let both = |(general, own): &(Role, Role)| {
            self.get(*general).is_some() && self.get(*own).is_some()
        };
        if let Some((general, own)) =
            OF_WORDS.into_iter().filter(|_| task == Task::TokenCls).find(both)
        {
            let message = format!("is `{}` for {task}: give one of them", own.setting());
            return Err(Error::setting(general.setting(), message));
        }
        match self.for_task(task).0.keys().find(|role| !read.contains(role)) {
            None => Ok(()),
            Some(role) => {
                let known: Vec<String> =
                    read.iter().map(|role| format!("`{}`", role.setting())).collect();
                let message = format!("not used by {task}, which has {}", known.join(", "));
                Err(Error::setting(role.setting(), message))
            }
        }
    }
}

impl FromIterator<(Role, String)> for FieldNames {
    fn from_iter<I: IntoIterator<Item = (Role, String)>>(names: I) -> Self {
        Self(names.into_iter().collect())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_name_replaces_that_of_its_role() {
        let mut names = FieldNames::default();
        assert_eq!((names.name(Role::Text), names.get(Role::Text)), ("text", None));
        names.set(Role::Text, "sentence");
        assert_eq!(names.name(Role::Text), "sentence");
        assert!(names.check_task(Task::SeqCls).is_ok());
        let pair = FieldNames::from_iter([(Role::TextPair, "b".to_owned())]);
        let error = pair.check_task(Task::TokenCls).unwrap_err().to_string();
        assert_eq!(
            error,
            "text_pair_field: not used by token-cls, which has `tokens_field`, `tags_field`"
        );
        for role in Role::ALL {
            assert_eq!(role.setting(), format!("{}_field", role.name()));
            assert!(Task::ALL.iter().any(|task| Role::of_task(*task).contains(&role)));
        }
    }
    #[test]
    fn the_text_and_the_label_of_tagged_words_are_the_words_and_their_tags() {
        let of = |names: &[(Role, &str)]| -> FieldNames {
            names.iter().map(|(role, name)| (*role, (*name).to_owned())).collect()
        };
        let given = of(&[(Role::Text, "sentence"), (Role::Label, "ner")]);
        assert_eq!(
            given.for_task(Task::TokenCls),
            of(&[(Role::Tokens, "sentence"), (Role::Tags, "ner")])
        );
        assert!(given.check_task(Task::TokenCls).is_ok());
        assert_eq!(given.for_task(Task::SeqCls), given);
        let both = of(&[(Role::Text, "a"), (Role::Tokens, "b")]);
        let error = both.check_task(Task::TokenCls).unwrap_err().to_string();
        assert_eq!(error, "text_field: is `tokens_field` for token-cls: give one of them");
        assert_eq!(both.for_task(Task::TokenCls), of(&[(Role::Tokens, "b")]));
    }
}
