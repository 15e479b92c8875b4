//! All that an analysis finds of one adapter.

use std::path::{Path, PathBuf};

use peft_core::{Content, Error, Result, VirtualTokens};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    attention::{self, Attention, attention},
    class_words::class_words,
    drift::{Drift, drift},
    layers::{LayerNorms, layers},
    neighbours::{Asked, Neighbours, neighbours, prompt_rows},
    start::Start,
    summary::Summary,
    vocabulary::Vocabulary,
};
use crate::{
    error::{CliResult, in_adapter},
    output,
    session::Session,
    settings::Settings,
    training::class_names::are_indices,
};

/// What is asked of an analysis.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// The adapter, as it was named.
    pub name: &'a Path,
    /// The settings of the run that made it; otherwise why they are not known.
    pub settings: std::result::Result<Settings, String>,
    /// Of a prompt's neighbours.
    pub neighbours: Asked,
    /// The words that classes are called by, where they are given.
    pub class_words: Option<Vec<String>>,
    /// Rows whose attention is recorded.
    pub data: &'a [PathBuf],
}

/// What an analysis finds.
#[derive(Clone, Debug, Serialize)]
pub struct Analysis {
    /// Of a prompt: the tokens around it.
    pub neighbours: Option<Neighbours>,
    /// Of a prompt: the norms of its virtual tokens.
    pub norms: Option<Summary>,
    /// Beside them: those of the vocabulary.
    pub vocabulary_norms: Option<Summary>,
    /// Of keys and values: their norms, layer by layer.
    pub layers: Vec<LayerNorms>,
    /// How the start is known, or why not.
    pub start: String,
    /// How far the virtual tokens are from it, if it is known.
    pub drift: Option<Drift>,
    /// What real tokens attend to, if rows are given.
    #[serde(skip)]
    pub attention: Option<Attention>,
}

impl Analysis {
    /// That of the adapter of a session.
    ///
    /// # Errors
    ///
    /// Returns an error if the adapter has no virtual tokens, or if the rows cannot be used.
    pub fn of(session: &Session, question: &Question<'_>) -> CliResult<Self> {
        let model = session.model();
        let device = model.device();
        let Some(adapter) = &session.adapter else {
            return Err(Error::Mismatch("there is no adapter".into()).into());
        };
        let made = adapter.virtual_tokens(model.spec(), &device);
        let made = made.map_err(in_adapter(question.name))?;
        if made.is_empty() {
            let message = "holds a head alone: there are no virtual tokens to analyse".into();
            return Err(in_adapter(question.name)(Error::Mismatch(message)).into());
        }
        let start = match &question.settings {
            Ok(settings) => Start::of(settings, adapter, model, &session.dir, &device),
            Err(why) => Start::Unknown(why.clone()),
        };
        let (start, drift) = match start {
            Start::Unknown(why) => (format!("unknown: {why}"), None),
            Start::Known { virtual_tokens, source } => match drift(&made, &virtual_tokens) {
                Some(drift) => (source, Some(drift)),
                None => ("unknown: the one of its settings has another shape".into(), None),
            },
        };
        let mut found = Self {
            neighbours: None,
            norms: None,
            vocabulary_norms: None,
            layers: layers(&made).iter().filter_map(LayerNorms::of).collect(),
            start,
            drift,
            attention: None,
        };
        found.add_neighbours(session, question, &made)?;
        if !question.data.is_empty() {
            let rows = attention::rows(session, question.data)?;
            found.attention = Some(attention(model, &session.virtual_tokens, &rows.examples)?);
        }
        Ok(found)
    }

    /// What only a prompt has.
    fn add_neighbours(
        &mut self,
        session: &Session,
        question: &Question<'_>,
        made: &VirtualTokens,
    ) -> Result<()> {
        let Content::Embeddings(rows) = &made.content else {
            return match question.class_words {
                Some(_) => Err(Error::setting(
                    "--class-words",
                    "is for prompts: keys and values are not compared with the vocabulary",
                )),
                None => Ok(()),
            };
        };
        let tokenizer = session.dir.tokenizer().map(|loaded| &loaded.tokenizer);
        let own = session.labels.as_ref().filter(|labels| !are_indices(labels));
        let names: Option<Vec<&str>> = match &question.class_words {
            Some(given) => Some(given.iter().map(String::as_str).collect()),
            None => own.map(|labels| labels.names().iter().map(String::as_str).collect()),
        };
        let (tokenizer, names) = match (tokenizer, names) {
            (Ok(tokenizer), names) => (Some(tokenizer), names),
            (Err(error), Some(_)) if question.class_words.is_some() => return Err(error),
            (Err(error), _) => {
                output::note(format!("note: tokens are shown by their numbers: {error}"));
                (None, None)
            }
        };
        let words = tokenizer.zip(names).map(|(tokenizer, names)| class_words(names, tokenizer));
        let vocabulary = Vocabulary::of(session.model(), tokenizer);
        let found = neighbours(&prompt_rows(rows), &vocabulary, words, question.neighbours);
        self.norms = Summary::of(found.positions.iter().map(|position| position.norm));
        self.vocabulary_norms = Summary::of(vocabulary.norms().iter().copied());
        self.neighbours = Some(found);
        Ok(())
    }

    /// All of it.
    pub fn to_json(&self) -> Value {
        let mut found = json!(self);
        found["attention"] = self.attention.as_ref().map_or(Value::Null, Attention::to_json);
        found
    }
}
