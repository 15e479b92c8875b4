//! Looking a role's field up in a file: by a name that was given, by the role's own, by usual ones.

use std::collections::BTreeSet;

use super::{FoundFields, Wanted};
use crate::{
    contract::task::Task,
    error::{Error, Result},
    text::{
        fields::{FieldNames, Role},
        path,
        record::{IS_CONVERSATION, Record},
        template::Template,
    },
};

/// A field of a file, and its name in lower case with `_` between words.
struct Field {
    name: String,
    plain: String,
}

pub(super) struct Search<'a> {
    pub(super) wanted: &'a Wanted<'a>,
    rows: Vec<&'a Record>,
    present: Vec<Field>,
    /// Those without a value in any row.
    empty: Vec<Field>,
    /// What is read, in the order of the note.
    pub(super) taken: Vec<(Role, String)>,
    /// Whether other fields would have fitted, too.
    pub(super) more: bool,
}
impl<'a> Search<'a> {
    pub(super) fn new(wanted: &'a Wanted<'a>, rows: Vec<&'a Record>) -> Self {
        let all = rows.iter().flat_map(|row| row.fields.iter());
        let names: BTreeSet<&String> = all.clone().map(|(name, _)| name).collect();
        let with_value: BTreeSet<&String> =
            all.filter(|(_, value)| !value.is_null()).map(|(name, _)| name).collect();
        let plain = |name: &str| name.trim().to_lowercase().replace([' ', '-'], "_");
        let fields = names.into_iter().map(|name| Field { plain: plain(name), name: name.clone() });
        let (present, empty) = fields.partition(|field| with_value.contains(&field.name));
        Self { wanted, rows, present, empty, taken: Vec::new(), more: false }
    }

    pub(super) fn is_called(&self, name: &str, plain: &str) -> bool {
        self.present.iter().any(|field| field.name == name && field.plain == plain)
    }

    /// The name that was given, which must be there, or the preferred one, if it is.
    pub(super) fn named(&self, role: Role) -> Result<Option<String>> {
        let has = |name: &str| self.rows.iter().any(|row| row.value(name).is_some());
        match (self.wanted.given.get(role), self.wanted.preferred.get(role)) {
            (Some(given), _) if has(given) => Ok(Some(given.to_owned())),
            (Some(given), _) => {
                let message = match self.of_files() {
                    Some(each) => format!("found `{given}`, but no file has such a field; {each}"),
                    None => format!(
                        "found `{given}`, but {} has no such field; it has: {}",
                        self.file(),
                        names_of(&self.rows)
                    ),
                };
                Err(Error::setting(role.setting(), message))
            }
            (None, Some(preferred)) if has(preferred) => Ok(Some(preferred.to_owned())),
            _ => Ok(None),
        }
    }

    /// Whether every row has a field.
    pub(super) fn all_have(&self, name: &str) -> bool {
        self.rows.iter().all(|row| row.has(name))
    }

    /// Whether a field holds a single word in every row that has it.
    pub(super) fn are_words(&self, name: &str) -> bool {
        let mut texts = self.rows.iter().filter_map(|row| row.optional(name)?.as_str());
        texts.all(|text| text.split_whitespace().nth(1).is_none())
    }

    /// A name as of [`named`](Self::named), or the role's own.
    pub(super) fn own(&self, role: Role) -> Result<Option<String>> {
        match self.named(role)? {
            None => self.spelled_once(role),
            named => Ok(named),
        }
    }

    /// The field of this name, or spelled like it if only one is.
    pub(super) fn spelled(&self, name: &str) -> Option<String> {
        let exact = self.present.iter().find(|field| field.name == name);
        let mut alike = self.present.iter().filter(|field| field.plain == name);
        let found = exact.or_else(|| alike.next().filter(|_| alike.next().is_none()))?;
        Some(found.name.clone())
    }

    /// As [`spelled`](Self::spelled); several that are spelled like it are refused.
    pub(super) fn spelled_once(&self, role: Role) -> Result<Option<String>> {
        match self.spelled(role.name()) {
            None => {
                let alike = self.of_names(&[role.name()]);
                if alike.is_empty() { Ok(None) } else { Err(self.several(role, &alike)) }
            }
            found => Ok(found),
        }
    }

    /// A name as of [`own`](Self::own), or the one usual name that the file has.
    pub(super) fn one(&mut self, role: Role, usual: &[&str]) -> Result<Option<String>> {
        if let Some(own) = self.own(role)? {
            return Ok(Some(own));
        }
        match self.of_names(usual).as_slice() {
            [] => Ok(None),
            [name] => Ok(Some(name.clone())),
            several => Err(self.several(role, several)),
        }
    }

    pub(super) fn required(&mut self, role: Role, usual: &[&str]) -> Result<String> {
        let known: Vec<&str> = std::iter::once(role.name()).chain(usual.iter().copied()).collect();
        if let Some(found) = self.one(role, usual)? {
            return Ok(found);
        }
        // Later rows may have a value, and a row without one says so better than the file does.
        let empty =
            known.iter().find_map(|name| self.empty.iter().find(|field| field.plain == *name));
        empty.map(|field| field.name.clone()).ok_or_else(|| self.none(role, &known))
    }

    /// The fields that are spelled like one of these.
    pub(super) fn of_names(&self, usual: &[&str]) -> Vec<String> {
        let fits = |field: &&Field| usual.contains(&field.plain.as_str());
        self.present.iter().filter(fits).map(|field| field.name.clone()).collect()
    }

    pub(super) fn fitting_pairs(&self, usual: &[(&str, &str)]) -> Vec<(String, String)> {
        let fitting = |(a, b): &(&str, &str)| Some((self.spelled(a)?, self.spelled(b)?));
        usual.iter().filter_map(fitting).collect()
    }

    pub(super) fn take(&mut self, role: Role, name: Option<String>) {
        self.taken.extend(name.map(|name| (role, name)));
    }

    fn file(&self) -> String {
        self.rows.first().map_or_else(String::new, |row| row.path.display().to_string())
    }

    /// The names in each file, if the rows come from several: `a.csv has: x, y; b.csv has: z`.
    fn of_files(&self) -> Option<String> {
        /// More files than these are not listed.
        const SHOWN: usize = 3;
        let files: Vec<&[&Record]> = self.rows.chunk_by(|a, b| a.path == b.path).collect();
        if files.len() < 2 {
            return None;
        }
        let shown = files.iter().take(SHOWN);
        let each = shown.map(|rows| format!("{} has: {}", rows[0].path.display(), names_of(rows)));
        let mut each = each.collect::<Vec<_>>().join("; ");
        if files.len() > SHOWN {
            each += &format!("; and {} more files", files.len() - SHOWN);
        }
        Some(each)
    }

    pub(super) fn none(&self, role: Role, usual: &[&str]) -> Error {
        let usual = usual.join(", ");
        let found = match self.of_files() {
            Some(each) => format!("no file has one of the usual fields ({usual}); {each}"),
            None => format!(
                "{} has none of the usual fields ({usual}); it has: {}",
                self.file(),
                names_of(&self.rows)
            ),
        };
        let aside = self.rows.first().and_then(|row| row.aside.as_ref());
        let hint = aside.and_then(|aside| match (&aside.hint, aside.header_line) {
            (Some(hint), _) => Some(format!("; {hint}")),
            (None, Some(line)) => Some(format!(
                "; or, if line {line} is a row and no header, set `columns` to the names of the columns"
            )),
            (None, None) => None,
        });
        let mut hint = hint.unwrap_or_default();
        if self.wanted.task != Task::CausalLm && self.rows.iter().any(|row| row.is_conversation()) {
            hint += IS_CONVERSATION;
        }
        if role == Role::Tokens {
            hint += "; a row is a sentence, with its words and their tags in two lists: CoNLL files have a word a line, \
                     and characters from and to which a label reaches (spans) are not read";
        }
        Error::setting(role.setting(), format!("{found}. Name the one to read{hint}"))
    }

    /// Refuses the fields `names`, of which a pair is written as `a with b`.
    pub(super) fn several(&self, role: Role, names: &[String]) -> Error {
        let mut places: Vec<(&String, &Record)> = Vec::new();
        for name in names {
            let field = name.split(" with ").next().unwrap_or(name);
            let row = self.rows.iter().find(|row| row.has(name) || row.has(field));
            places.extend(row.map(|row| (name, *row)));
        }
        if places.iter().any(|(_, row)| row.path != places[0].1.path) {
            let place = |(name, row): &(&String, &Record)| {
                format!("{name} in {}, line {}", row.path.display(), row.line)
            };
            let places: Vec<String> = places.iter().map(place).collect();
            let message = format!(
                "the files have different fields that fit: {}. Name the one to read, which every file must have",
                places.join("; ")
            );
            return Error::setting(role.setting(), message);
        }
        let message = format!(
            "{} has several fields that fit: {}. Name the one to read",
            self.file(),
            names.join(", ")
        );
        Error::setting(role.setting(), message)
    }

    /// An error about the file, for the setting of a role.
    pub(super) fn unclear(&self, role: Role, what: &str) -> Error {
        Error::setting(role.setting(), format!("{} {what}", self.file()))
    }

    pub(super) fn finish(self, source_template: Option<Template>) -> FoundFields {
        let mut names = self.wanted.given.clone();
        let mut read = FieldNames::default();
        let mut news = self.more;
        let known = |role: Role, name: &str| {
            self.wanted.given.get(role) == Some(name)
                || self.wanted.preferred.get(role) == Some(name)
        };
        let is_template = |role: &Role| *role == Role::Source && source_template.is_some();
        // Rows that have a source, too, are of one text only where it is named.
        let is_beside_source =
            |role: &Role| *role == Role::Text && self.spelled(Role::Source.name()).is_some();
        for (role, name) in &self.taken {
            news |= name != role.name() && !known(*role, name) || is_template(role);
            // A name that others were trained with must not look like a change of mind.
            news |= self.wanted.preferred.get(*role).is_some_and(|other| other != name)
                && self.wanted.given.get(*role).is_none();
            let is_named = name != role.name() || self.wanted.given.get(*role).is_some();
            let is_known_text = *role == Role::Text && known(*role, name);
            if !is_template(role) && (is_named || is_known_text || is_beside_source(role)) {
                names.set(*role, name.clone());
            }
            // Rows of one text, or of a source, are read as such where they have other fields, too.
            let is_one_text = *role == Role::Text && self.wanted.task.is_language_model();
            let is_source = *role == Role::Source && !is_template(role) && self.all_have(name);
            if is_one_text || is_source {
                read.set(*role, name.clone());
            }
        }
        let is_target =
            |role: &Role| matches!(role, Role::Label | Role::Tags | Role::Answers | Role::Target);
        news |= self.wanted.preferred.iter().any(|(role, _)| {
            let read = self.wanted.targets || !is_target(&role);
            read && !self.taken.iter().any(|(taken, _)| *taken == role)
        });
        let parts = self.taken.iter().map(|(role, name)| format!("{} from {name}", role.name()));
        let note =
            news.then(|| parts.collect::<Vec<_>>().join(", ")).filter(|note| !note.is_empty());
        let remembered = read.iter().chain(names.iter());
        let remembered = remembered.map(|(role, name)| (role, name.to_owned())).collect();
        FoundFields { names, remembered, source_template, note }
    }
}

/// The names in some rows; what is in an object is spelled out.
fn names_of(rows: &[&Record]) -> String {
    let fields = rows.iter().flat_map(|row| row.fields.iter());
    let names: BTreeSet<String> =
        fields.flat_map(|(name, value)| path::spelled(name, value)).collect();
    match names.is_empty() {
        true => "nothing".to_owned(),
        false => names.into_iter().collect::<Vec<_>>().join(", "),
    }
}
