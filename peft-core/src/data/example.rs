//! What a model is trained on: token ids and targets.

use super::passage::Window;

/// The target of a token that the loss ignores.
pub const IGNORE: i64 = -100;

/// What is to be predicted for one row.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// Nothing is known: the row is to be predicted.
    None,
    /// One target per token, not shifted: the token's own id for language models, its class for
    /// tagging, [`IGNORE`] if there is none. The loss shifts by one position.
    ///
    /// On an encoder-decoder there is one target per decoder token, the token that follows it:
    /// nothing is shifted any more.
    Tokens(Vec<i64>),
    /// One class index for the whole row.
    Class(usize),
    /// A number for each output of the head: scores, or 1 for each class that the row has and 0 for
    /// the others.
    Values(Vec<f32>),
    /// The first and the last token of an answer; the first token of the row if the row does not
    /// hold the answer, or the question has none.
    Span {
        /// The first token of the answer, counted from 0.
        start: usize,
        /// The last token of the answer, not before the first.
        end: usize,
    },
}

/// One row, ready for a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// T token ids, at least one, all below the model's vocabulary size.
    pub input_ids: Vec<u32>,
    /// T token types, if the model has more than one and the row specifies them.
    pub token_type_ids: Option<Vec<u32>>,
    /// The token ids that the decoder of an encoder-decoder reads, at least one.
    pub decoder_input_ids: Option<Vec<u32>>,
    /// What is to be predicted.
    pub target: Target,
    /// Tokens of further targets that are as good as the one that is learnt; scores of generated
    /// text count all of them.
    pub references: Vec<Vec<u32>>,
    /// For tagged words, T entries: the index of the word that a token begins, `None` for the
    /// word's other subword tokens and for special tokens. Used to write predicted tags back. A
    /// word may be missing, because it was truncated or because the tokenizer returns no token for
    /// it.
    pub word_of_token: Option<Vec<Option<usize>>>,
    /// The number of tagged words, those without a token included; 0 elsewhere.
    pub num_words: usize,
    /// For a question, the part of the context that the row holds. Consecutive rows that share a
    /// passage belong to one question.
    pub window: Option<Window>,
    /// The line in the data file, counted from 1.
    pub line: usize,
}

impl Example {
    /// Creates an example of token ids and a target, and nothing else.
    pub fn new(input_ids: Vec<u32>, target: Target, line: usize) -> Self {
        Self {
            input_ids,
            token_type_ids: None,
            decoder_input_ids: None,
            target,
            references: Vec::new(),
            word_of_token: None,
            num_words: 0,
            window: None,
            line,
        }
    }

    /// The number of targets: tokens, outputs, 1 for a class, 2 (start and end) for a span.
    pub fn labelled(&self) -> usize {
        match &self.target {
            Target::None => 0,
            Target::Tokens(targets) => targets.iter().filter(|&&target| target != IGNORE).count(),
            Target::Class(_) => 1,
            Target::Values(values) => values.len(),
            Target::Span { .. } => 2,
        }
    }

    /// The number of tokens in front of the first one that has a target: in a row of a decoder, of its
    /// source. All of them if none has; `None` if nothing is known of targets of tokens.
    pub fn source_len(&self) -> Option<usize> {
        let Target::Tokens(targets) = &self.target else { return None };
        Some(targets.iter().position(|target| *target != IGNORE).unwrap_or(targets.len()))
    }

    /// The number of decoder tokens; 0 if there are no decoder inputs.
    pub fn decoder_len(&self) -> usize {
        self.decoder_input_ids.as_ref().map_or(0, Vec::len)
    }

    /// The number of tokens that a model reads, on both sides; rows are grouped by it.
    pub fn num_tokens(&self) -> usize {
        self.input_ids.len() + self.decoder_len()
    }

    /// Whether it is known that the context of its question holds no answer.
    pub fn is_unanswerable(&self) -> bool {
        let answers = self.window.as_ref().and_then(|window| window.passage.answers.as_ref());
        answers.is_some_and(Vec::is_empty)
    }

    /// Whether two rows are windows of the same question.
    pub fn same_question(&self, other: &Self) -> bool {
        match (&self.window, &other.window) {
            (Some(own), Some(other)) => std::sync::Arc::ptr_eq(&own.passage, &other.passage),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labelled_counts_what_the_loss_reads() {
        let labelled = |target| Example::new(vec![1, 2, 3], target, 1).labelled();
        assert_eq!(labelled(Target::None), 0);
        assert_eq!(labelled(Target::Class(0)), 1);
        assert_eq!(labelled(Target::Tokens(vec![IGNORE, 0, 5])), 2);
        assert_eq!(labelled(Target::Tokens(vec![IGNORE; 3])), 0);
        assert_eq!(labelled(Target::Span { start: 1, end: 1 }), 2);
    }

    #[test]
    fn a_source_ends_where_the_first_target_is() {
        let source = |target| Example::new(vec![1, 2, 3], target, 1).source_len();
        assert_eq!(source(Target::Tokens(vec![IGNORE, IGNORE, 5])), Some(2));
        assert_eq!(source(Target::Tokens(vec![4, IGNORE, 5])), Some(0));
        assert_eq!(source(Target::Tokens(vec![IGNORE; 3])), Some(3));
        assert_eq!((source(Target::None), source(Target::Class(0))), (None, None));
    }

    #[test]
    fn tokens_of_both_sides_count() {
        let mut example = Example::new(vec![1, 2, 3], Target::None, 1);
        assert_eq!((example.num_tokens(), example.decoder_len()), (3, 0));
        example.decoder_input_ids = Some(vec![0, 4]);
        assert_eq!((example.num_tokens(), example.decoder_len()), (5, 2));
    }
}
