//! What a model is trained on: token ids and targets.

use super::passage::Window;

/// The target of a token that the loss passes over.
pub const IGNORE: i64 = -100;

/// What is to be predicted for one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Nothing is known: rows to predict.
    None,
    /// One target for each token, the token's own: its id for language models, its class for
    /// tagging, [`IGNORE`] where there is none. The shift by one position is the loss's business.
    ///
    /// On an encoder-decoder there is one for each decoder token, what is to follow it: nothing is
    /// shifted any more.
    Tokens(Vec<i64>),
    /// One class index for the whole row.
    Class(usize),
    /// The first and the last token of an answer; the first token of the row where the row does not hold
    /// it.
    Span {
        /// The answer's first token, counted from 0.
        start: usize,
        /// Its last token, not before the first.
        end: usize,
    },
}

/// One row, ready for a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// Token ids, T of them, at least one, all below the model's vocabulary size.
    pub input_ids: Vec<u32>,
    /// Token types, T of them, where the model has more than one and the row says so.
    pub token_type_ids: Option<Vec<u32>>,
    /// What the decoder of an encoder-decoder reads, at least one token.
    pub decoder_input_ids: Option<Vec<u32>>,
    /// What is to be predicted.
    pub target: Target,
    /// For tagged words, T entries: the index of the word that a token begins, `None` for the
    /// word's other pieces and for special tokens. Predicted tags are written back with it; a word
    /// may be missing, because it was cut off or because the tokenizer makes nothing of it.
    pub word_of_token: Option<Vec<Option<usize>>>,
    /// For a question, the part of the context that the row holds. Rows that follow one another and
    /// share a passage are one question's.
    pub window: Option<Window>,
    /// The line of the data file, counted from 1.
    pub line: usize,
}

impl Example {
    /// Token ids and what is to be predicted, nothing else.
    pub fn new(input_ids: Vec<u32>, target: Target, line: usize) -> Self {
        Self {
            input_ids,
            token_type_ids: None,
            decoder_input_ids: None,
            target,
            word_of_token: None,
            window: None,
            line,
        }
    }

    /// The number of things with a target: tokens, 1 for a class, 2 (start and end) for a span.
    pub fn labelled(&self) -> usize {
        match &self.target {
            Target::None => 0,
            Target::Tokens(targets) => targets.iter().filter(|&&target| target != IGNORE).count(),
            Target::Class(_) => 1,
            Target::Span { .. } => 2,
        }
    }

    /// The number of decoder tokens; 0 where there is no decoder beside the input.
    pub fn decoder_len(&self) -> usize {
        self.decoder_input_ids.as_ref().map_or(0, Vec::len)
    }

    /// The number of tokens that a model reads, on both sides: what rows are grouped by.
    pub fn num_tokens(&self) -> usize {
        self.input_ids.len() + self.decoder_len()
    }

    /// Whether two rows are windows of one question.
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
    fn tokens_of_both_sides_count() {
        let mut example = Example::new(vec![1, 2, 3], Target::None, 1);
        assert_eq!((example.num_tokens(), example.decoder_len()), (3, 0));
        example.decoder_input_ids = Some(vec![0, 4]);
        assert_eq!((example.num_tokens(), example.decoder_len()), (5, 2));
    }
}
