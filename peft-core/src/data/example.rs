//! What a model is trained on: token ids and targets.

/// The target of a token that the loss passes over.
pub const IGNORE: i64 = -100;

/// What is to be predicted for one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Nothing is known: rows to predict.
    None,
    /// One target for each token, the token's own: its id for language models, its class for
    /// tagging, [`IGNORE`] where there is none. The shift by one position is the loss's business.
    Tokens(Vec<i64>),
    /// One class index for the whole row.
    Class(usize),
}

/// One row, ready for a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// Token ids, T of them, at least one, all below the model's vocabulary size.
    pub input_ids: Vec<u32>,
    /// Token types, T of them, where the model has more than one and the row says so.
    pub token_type_ids: Option<Vec<u32>>,
    /// What is to be predicted.
    pub target: Target,
    /// For tagged words, T entries: the index of the word that a token begins, `None` for the
    /// word's other pieces and for special tokens. Predicted tags are written back with it; a word
    /// may be missing, because it was cut off or because the tokenizer makes nothing of it.
    pub word_of_token: Option<Vec<Option<usize>>>,
    /// The line of the data file, counted from 1.
    pub line: usize,
}

impl Example {
    /// The number of items with a target: tokens, or 1 for a class.
    pub fn labelled(&self) -> usize {
        match &self.target {
            Target::None => 0,
            Target::Tokens(targets) => targets.iter().filter(|&&target| target != IGNORE).count(),
            Target::Class(_) => 1,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn labelled_counts_what_the_loss_reads() {
        let example = |target| Example {
            input_ids: vec![1, 2, 3],
            token_type_ids: None,
            target,
            word_of_token: None,
            line: 1,
        };
        assert_eq!(example(Target::None).labelled(), 0);
        assert_eq!(example(Target::Class(0)).labelled(), 1);
        assert_eq!(example(Target::Tokens(vec![IGNORE, 0, 5])).labelled(), 2);
        assert_eq!(example(Target::Tokens(vec![IGNORE; 3])).labelled(), 0);
    }
}
