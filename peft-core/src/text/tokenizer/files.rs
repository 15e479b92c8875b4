//! The names of the files that a tokenizer is built from.

/// A whole tokenizer.
pub const TOKENIZER_JSON: &str = "tokenizer.json";

/// The settings of a tokenizer, its chat template among them.
pub const CONFIG: &str = "tokenizer_config.json";
pub(super) const SPECIAL_TOKENS_MAP: &str = "special_tokens_map.json";
pub(super) const ADDED_TOKENS: &str = "added_tokens.json";

/// What is read beside a vocabulary.
pub const SETTINGS: [&str; 3] = [CONFIG, SPECIAL_TOKENS_MAP, ADDED_TOKENS];

pub(super) const MERGES: &str = "merges.txt";

/// The pairs of fastBPE, beside a `vocab.txt` of fairseq.
pub const CODES: &str = "bpe.codes";

/// What a tokenizer is built from where there is no `tokenizer.json`.
pub const VOCABULARIES: [&str; 6] = [
    "vocab.txt",
    "vocab.json",
    MERGES,
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
];

/// Vocabularies that are refused by their names.
pub(super) const UNSUPPORTED: [&str; 2] = ["tekken.json", "tiktoken.model"];

/// What works where a tokenizer cannot be built.
pub(super) const IDS_NEED_NONE: &str = "rows of token ids (`input_ids`) need no tokenizer";
