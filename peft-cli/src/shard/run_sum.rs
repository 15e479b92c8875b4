//! What tells the parts of one run from those of another: predictions of different models must not become one file.

use std::{fmt::Debug, fs::File, io::Read, path::Path};

use peft_core::{adapter::codec::hex, data::Example, text::Record, train::sum_of_rows};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    model_files,
    session::{Session, UseArgs},
};

/// Bytes of a sum that lines have.
const SHOWN: usize = 8;

/// A sum over all that predictions follow from: the command, the rows as the model reads them, the model, the adapters, and
/// the settings; also the rows as they are in files, which are written beside the predictions, the version of the program, and the
/// rows per batch, on which last digits depend. Neither paths, which differ between machines, nor devices and threads are in it.
#[derive(Clone, Debug)]
pub struct RunSum(Sha256);

impl RunSum {
    /// That of a command, with the flags that name its model, and its rows per batch.
    pub fn of(command: &str, model: &UseArgs, batch_size: usize) -> Self {
        let sum = Self(Sha256::new()).add(env!("CARGO_PKG_VERSION").as_bytes());
        sum.add(command.as_bytes()).settings(&(model.base_weights, model.dtype, batch_size))
    }

    /// Adds rows as a model reads them: all, not those of a part.
    #[must_use]
    pub fn rows(self, examples: &[Example]) -> Self {
        self.add(sum_of_rows(examples).as_bytes())
    }

    /// Adds rows as they are in files: all, not those of a part.
    #[must_use]
    pub fn records(self, records: &[Record]) -> Self {
        let fields = |record: &Record| Value::Object(record.fields.clone()).to_string();
        records.iter().fold(self, |sum, record| sum.add(fields(record).as_bytes()))
    }

    /// Adds a model, with its config and its tokenizer, and the adapters that are on it.
    #[must_use]
    pub fn sessions(self, sessions: &[Session]) -> Self {
        let sum = sessions.first().into_iter().fold(self, |sum, session| {
            let fingerprint = session.base.report.fingerprint.as_deref();
            sum.add(fingerprint.unwrap_or_default().as_bytes()).model(session.dir.path())
        });
        sessions.iter().fold(sum, Self::adapter)
    }

    fn adapter(mut self, session: &Session) -> Self {
        if let Some(config) = session.adapter.as_ref().map(|adapter| &adapter.config) {
            let own = &config.own;
            self = self.settings(&(
                (&config.peft_type, config.num_virtual_tokens, &own.layers, &own.sites),
                (own.prefix_positions, own.relative_bias, own.ignores_token_types, own.pooling),
            ));
        }
        for (name, tensor) in session.adapter.iter().flat_map(|adapter| &adapter.tensors) {
            self = self.add(name.as_bytes()).add(tensor.as_bytes());
        }
        let classes = session.labels.as_ref().map(|labels| labels.names());
        self.settings(&(classes, session.problem_type, session.task, &session.source_prefix))
    }

    /// Adds what a model's folder says beside its weights, or the beginning of a GGUF file, which says it there.
    fn model(self, path: &Path) -> Self {
        if path.is_file() {
            let mut start = Vec::new();
            // A file that cannot be read is no model, which was loaded before.
            let read = File::open(path)
                .and_then(|file| file.take(model_files::START).read_to_end(&mut start));
            return self.add(&start).settings(&read.is_ok());
        }
        model_files::read(path)
            .fold(self, |sum, (name, content)| sum.add(name.as_bytes()).add(&content))
    }

    /// Adds settings.
    #[must_use]
    pub fn settings(self, settings: &dyn Debug) -> Self {
        self.add(format!("{settings:?}").as_bytes())
    }

    /// The sum.
    pub fn finish(self) -> String {
        hex(&self.0.finalize()[..SHOWN])
    }

    /// Adds bytes and their number, so that others do not give the same sum.
    fn add(mut self, bytes: &[u8]) -> Self {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::Arc};

    use peft_core::data::Target;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_differs_has_another_sum() {
        let sum = || RunSum(Sha256::new());
        let rows = |ids: &[u32]| vec![Example::new(ids.to_vec(), Target::None, 1)];
        let record = |label: &str| {
            let fields = json!({"input_ids": [1, 2], "label": label});
            let fields = fields.as_object().cloned().unwrap_or_default();
            vec![Record::new(Arc::from(Path::new("a")), 1, fields)]
        };
        let all = [
            sum(),
            sum().records(&record("a")),
            sum().records(&record("b")),
            sum().rows(&rows(&[1, 2])),
            sum().rows(&rows(&[1, 3])),
            sum().settings(&("a", "b")),
            sum().settings(&("ab", "")),
            sum().add(b"a").add(b"bc"),
            sum().add(b"ab").add(b"c"),
        ]
        .map(RunSum::finish);
        for (at, one) in all.iter().enumerate() {
            assert_eq!(one.len(), 2 * SHOWN);
            assert!(!all[..at].contains(one), "{at}: {all:?}");
        }
        assert_eq!(sum().records(&record("a")).finish(), all[1]);
    }

    #[test]
    fn another_config_or_tokenizer_is_another_model() {
        let dir = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let sum = |name: &str, content: &str| {
            fs::write(dir.path().join(name), content).unwrap_or_else(|error| panic!("{error}"));
            RunSum(Sha256::new()).model(dir.path()).finish()
        };
        let all = [
            sum("README.md", "1"),
            sum("config.json", "1"),
            sum("config.json", "2"),
            sum("tokenizer.json", "2"),
            sum("model.gguf", "3"),
        ];
        assert!(all[0] != all[1] && all[1] != all[2] && all[2] != all[3] && all[3] == all[4]);
        let file = |name: &str| RunSum(Sha256::new()).model(&dir.path().join(name)).finish();
        assert!(file("model.gguf") != file("config.json"));
    }
}
