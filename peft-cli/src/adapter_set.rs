//! Several adapters on one base model: each row names its adapter, or all of them vote.

use std::path::{Path, PathBuf};

use peft_core::{
    Error, ProblemType, Result, Task,
    data::{Example, Labels},
    evaluate::{Member, MultiAdapter, Vote},
    text::{FieldNames, Record},
};

use crate::{
    error::CliResult,
    fields,
    session::{Session, UseArgs},
    text_settings::TextArgs,
};

/// The field of a row that names its adapter.
const FIELD: &str = "adapter";

/// Adapters on one base model, by name.
#[derive(Debug)]
pub struct AdapterSet {
    /// Their names: the last part of the folder's, or what stands before `=`.
    pub names: Vec<String>,
    /// Each adapter on the shared base model; a single session without an adapter if none was named.
    pub sessions: Vec<Session>,
}

impl AdapterSet {
    /// Loads the model and all adapters of `args`, which must be for the same task.
    ///
    /// # Errors
    ///
    /// Returns an error if the model or an adapter cannot be loaded, if they do not fit each other, or if two
    /// adapters have the same name or are for different tasks.
    pub fn open(args: &UseArgs) -> CliResult<Self> {
        let named: Vec<(String, PathBuf)> = args.adapters.iter().map(|path| split(path)).collect();
        for (index, (name, _)) in named.iter().enumerate() {
            if named[..index].iter().any(|(other, _)| other == name) {
                let message = format!("found two called {name:?}: name them, as in a=DIR");
                return Err(Error::setting("--adapter", message).into());
            }
        }
        let paths: Vec<Option<&Path>> = match named.as_slice() {
            [] => vec![None],
            named => named.iter().map(|(_, path)| Some(path.as_path())).collect(),
        };
        let sessions = Session::open_each(args, &paths)?;
        let names = named.into_iter().map(|(name, _)| name).collect();
        let set = Self { names, sessions };
        let task = set.task()?;
        for (name, session) in set.names.iter().zip(&set.sessions) {
            let found = session.task()?;
            if found != task {
                let first = &set.names[0];
                let message = format!("{name} is for {found}, {first} is for {task}");
                return Err(Error::setting("--adapter", message).into());
            }
        }
        Ok(set)
    }

    /// With the class names of `--labels`, if they are given.
    ///
    /// # Errors
    ///
    /// As [`Session::with_labels`]; [`Error::Setting`] if there are several adapters.
    pub fn with_labels(mut self, list: Option<&str>) -> Result<Self> {
        if list.is_some() && self.names.len() > 1 {
            let message = "not used with several adapters: each has its own class names";
            return Err(Error::setting("--labels", message));
        }
        let with = |session: Session| session.with_labels(list);
        self.sessions = self.sessions.into_iter().map(with).collect::<Result<_>>()?;
        Ok(self)
    }

    /// With the problem of `--problem-type`, if it is given.
    ///
    /// # Errors
    ///
    /// As [`Session::with_problem_type`]; [`Error::Setting`] if there are several adapters.
    pub fn with_problem_type(mut self, given: Option<ProblemType>) -> Result<Self> {
        if given.is_some() && self.names.len() > 1 {
            let message = "not used with several adapters: each has its own";
            return Err(Error::setting("--problem-type", message));
        }
        let with = |session: Session| session.with_problem_type(given);
        self.sessions = self.sessions.into_iter().map(with).collect::<Result<_>>()?;
        Ok(self)
    }

    /// The only adapter.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] if there are several adapters, which `task` does not allow.
    pub fn only(mut self, task: &str) -> Result<Session> {
        match (self.sessions.pop(), self.sessions.len()) {
            (Some(session), 0) => Ok(session),
            _ => {
                let message = format!("{task} takes one adapter, found {}", self.names.len());
                Err(Error::setting("--adapter", message))
            }
        }
    }

    /// The task of all of them.
    ///
    /// # Errors
    ///
    /// [`Error::Mismatch`] if neither the first adapter nor the model names one.
    pub fn task(&self) -> Result<Task> {
        self.sessions[0].task()
    }

    /// Which adapter each row names; if there is only one, that one.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] at a row that names none of them.
    pub fn of_rows(&self, records: &[Record]) -> Result<Vec<usize>> {
        if self.names.len() < 2 {
            return Ok(vec![0; records.len()]);
        }
        let known = || self.names.join(", ");
        let of_row = |record: &Record| {
            let found = record.fields.get(FIELD).and_then(|value| value.as_str());
            let found = found.ok_or_else(|| {
                let known = known();
                record.error(format!("`{FIELD}` is missing: it names one of {known}"))
            })?;
            self.names.iter().position(|name| name == found).ok_or_else(|| {
                record.error(format!("`{FIELD}` is {found:?}, expected one of {}", known()))
            })
        };
        records.iter().map(of_row).collect()
    }

    /// Reads data files for all of them.
    ///
    /// # Errors
    ///
    /// Returns an error naming the file and line that is wrong; [`Error::Setting`] if they were trained on columns of
    /// different names, or on rows that other steps of a task made.
    pub fn read(&self, names: &[PathBuf], text: &TextArgs) -> Result<Vec<Record>> {
        text.check_task(self.task()?)?;
        let called = self.sessions[0].remembered_columns();
        let other = self.sessions.iter().position(|one| one.remembered_columns() != called);
        if let Some(other) = other.filter(|_| text.columns.is_none()) {
            let shown = |columns: Option<String>| columns.unwrap_or_else(|| "the header's".into());
            let message = format!(
                "the adapters were trained on columns of other names: {} on {}, {} on {}; give those of this file",
                self.names[0],
                shown(called),
                self.names[other],
                shown(self.sessions[other].remembered_columns())
            );
            return Err(Error::setting("--columns", message));
        }
        let steps = self.sessions[0].steps(text)?;
        for (name, session) in self.names.iter().zip(&self.sessions) {
            if session.steps(text)? != steps {
                let message = format!(
                    "the adapters were trained on rows that other steps made: those of {name} are not those of {}; give the \
                     task of this file, or use one adapter at a time",
                    self.names[0]
                );
                return Err(Error::setting("--task-file", message));
            }
        }
        self.sessions[0].data_files(names, text)?.rows().collect()
    }

    /// Encodes each record as the training rows of its adapter were encoded; also what the fields that each adapter
    /// reads are called.
    ///
    /// # Errors
    ///
    /// Returns an error naming the file and line that is wrong.
    pub fn encode(
        &self,
        records: &[Record],
        of_row: &[usize],
        text: &TextArgs,
    ) -> Result<(Vec<Example>, Vec<FieldNames>)> {
        let mut examples: Vec<Option<Example>> = vec![None; records.len()];
        let mut names = Vec::with_capacity(self.sessions.len());
        for (index, session) in self.sessions.iter().enumerate() {
            let own: Vec<usize> = (0..records.len()).filter(|row| of_row[*row] == index).collect();
            let chosen: Vec<Record> = own.iter().map(|row| records[*row].clone()).collect();
            let encoded = session.encode_records(&chosen, text, false)?;
            session.check_lengths(&encoded, 0)?;
            for (row, example) in own.into_iter().zip(encoded.examples) {
                examples[row] = Some(example);
            }
            names.push(encoded.fields);
        }
        Ok((examples.into_iter().flatten().collect(), names))
    }

    /// The names of the fields of rows that flags or adapters give.
    pub fn field_names(&self, text: &TextArgs) -> Vec<FieldNames> {
        let remembered = self.sessions.iter().filter_map(|session| session.adapter.as_ref());
        let remembered = remembered.map(|adapter| fields::remembered(&adapter.config.own.recipe));
        std::iter::once(text.fields.names()).chain(remembered).collect()
    }

    /// All of them as one model that answers rows.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`MultiAdapter::new`].
    pub fn multi_adapter(&self) -> Result<MultiAdapter<'_>> {
        let member = |session: &Session| Member {
            virtual_tokens: session.virtual_tokens.clone(),
            head: session.head.clone(),
            pooling: session.pooling,
            problem_type: session.problem_type,
        };
        let members = self.sessions.iter().map(member).collect();
        MultiAdapter::new(self.sessions[0].model(), self.task()?, members)
    }

    /// For each adapter, which of its classes is class c of the first adapter.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for adapters with different classes: they cannot vote.
    pub fn same_classes(&self) -> Result<Vec<Vec<usize>>> {
        let names = |session: &Session| session.labels.as_ref().map(|l| l.names().to_vec());
        let of_head = |session: &Session| session.classifier().map_or(0, |head| head.num_classes());
        // The classes of a language model have names, and no head.
        let count = |session: &Session| {
            session.labels.as_ref().map_or_else(|| of_head(session), Labels::len)
        };
        let first_classes = (names(&self.sessions[0]), count(&self.sessions[0]));
        let order = |(name, session): (&String, &Session)| {
            let own = (names(session), count(session));
            let order = match (&first_classes.0, &own.0) {
                (Some(first), Some(own)) => {
                    first.iter().map(|label| own.iter().position(|o| o == label)).collect()
                }
                (None, None) => Some((0..first_classes.1).collect::<Vec<_>>()),
                _ => None,
            };
            order.filter(|order: &Vec<usize>| order.len() == own.1).ok_or_else(|| {
                let first = &self.names[0];
                let shown = |names: &Option<Vec<String>>, count: usize| {
                    names.as_ref().map_or_else(|| format!("{count} without names"), |names| names.join(", "))
                };
                let message = format!(
                    "{name} and {first} have different classes, so that they cannot vote: {}; and {}",
                    shown(&own.0, own.1),
                    shown(&first_classes.0, first_classes.1)
                );
                Error::setting("--vote", message)
            })
        };
        self.names.iter().zip(&self.sessions).map(order).collect()
    }

    /// The class names of one adapter.
    pub fn labels(&self, index: usize) -> Option<&Labels> {
        self.sessions[index].labels.as_ref()
    }
}

/// Name and folder, from `name=DIR` or from a folder, whose own name is used.
fn split(path: &Path) -> (String, PathBuf) {
    let text = path.to_string_lossy();
    if !path.exists()
        && let Some((name, dir)) = text.split_once('=')
        && !name.is_empty()
        && !name.contains('/')
    {
        return (name.to_string(), PathBuf::from(dir));
    }
    let last = path.components().next_back();
    let name =
        last.map_or_else(|| text.to_string(), |part| part.as_os_str().to_string_lossy().into());
    (name, path.to_path_buf())
}

/// The value of `--vote`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum VoteName {
    /// The class that most adapters find likeliest; in a tie, the one with the larger mean probability.
    Majority,
    /// The class with the largest mean probability.
    Mean,
}

impl From<VoteName> for Vote {
    fn from(name: VoteName) -> Self {
        match name {
            VoteName::Majority => Self::Majority,
            VoteName::Mean => Self::Mean,
        }
    }
}
