//! What a step can be.

use serde::{Deserialize, Serialize};

use super::{
    labels::{Keep, Words},
    lists::{Append, Each, Join, Pick, Unique},
    texts::{Mark, Pairs, Rename, Replace, Set, Spans, unwrap},
};
use crate::{error::Result, text::record::Record};

/// One change to a row. In files an object with one key, such as `{"set": {"field": "a", "template": "{b}"}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// The only field of a row, an object, takes its place: `true`.
    Unwrap(bool),
    /// Each element of a list makes a row.
    Each(Each),
    /// Rows with some values stay.
    Keep(Keep),
    /// A field gets another name.
    Rename(Rename),
    /// A field is made from a template.
    Set(Set),
    /// Parts of a text are replaced.
    Replace(Replace),
    /// A list becomes a text.
    Join(Join),
    /// Of equal elements of a list, the first stays.
    Unique(Unique),
    /// Elements are put behind a list.
    Append(Append),
    /// One element of a list becomes a field.
    Pick(Pick),
    /// `name[value], name[value]` becomes a list.
    Pairs(Pairs),
    /// Places in a text become the list of what is there.
    Spans(Spans),
    /// A word of a text is marked.
    Mark(Mark),
    /// Labels become words.
    Words(Words),
}

impl Operation {
    /// What is wrong with the step itself, if anything is.
    pub(super) fn check(&self) -> std::result::Result<(), String> {
        match self {
            Self::Set(set) => set.check(),
            Self::Join(join) => join.check(),
            Self::Append(append) => append.check(),
            Self::Words(words) => words.check(),
            Self::Unwrap(_)
            | Self::Each(_)
            | Self::Keep(_)
            | Self::Rename(_)
            | Self::Replace(_)
            | Self::Spans(_)
            | Self::Unique(_)
            | Self::Pick(_)
            | Self::Pairs(_)
            | Self::Mark(_) => Ok(()),
        }
    }

    /// The field without which a row stays as it is; `None` for steps that have none, or several.
    pub(super) fn field(&self) -> Option<&str> {
        match self {
            Self::Unwrap(_) | Self::Set(_) => None,
            Self::Each(step) => Some(&step.list),
            Self::Keep(step) => Some(&step.field),
            Self::Rename(step) => Some(&step.field),
            Self::Replace(step) => Some(&step.field),
            Self::Join(step) => Some(&step.list),
            Self::Unique(step) => Some(&step.list),
            Self::Append(step) => Some(&step.list),
            Self::Pick(step) => Some(&step.list),
            Self::Pairs(step) => Some(&step.field),
            Self::Spans(step) => Some(&step.list),
            Self::Mark(step) => Some(&step.text),
            Self::Words(step) => Some(&step.field),
        }
    }

    /// Adds the rows that a row becomes.
    pub(super) fn apply(&self, row: Record, training: bool, rows: &mut Vec<Record>) -> Result<()> {
        let changed = match self {
            Self::Each(each) => return each.apply(row, rows),
            Self::Keep(keep) => {
                rows.extend(keep.keeps(&row, training).then_some(row));
                return Ok(());
            }
            Self::Unwrap(asked) => match asked {
                true => unwrap(row),
                false => row,
            },
            Self::Rename(rename) => rename.apply(row),
            Self::Set(set) => set.apply(row)?,
            Self::Replace(replace) => replace.apply(row)?,
            Self::Join(join) => join.apply(row)?,
            Self::Unique(unique) => unique.apply(row)?,
            Self::Append(append) => append.apply(row)?,
            Self::Pick(pick) => pick.apply(row)?,
            Self::Pairs(pairs) => pairs.apply(row)?,
            Self::Spans(spans) => spans.apply(row)?,
            Self::Mark(mark) => mark.apply(row)?,
            Self::Words(words) => words.apply(row)?,
        };
        rows.push(changed);
        Ok(())
    }
}
