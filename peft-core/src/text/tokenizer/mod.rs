//! The tokenizer of a model folder, with the ids that `AutoTokenizer` of transformers 5 gives.
//!
//! | file | what it is |
//! |---|---|
//! | `load` | [`ModelTokenizer`]: from a folder's files to a tokenizer |
//! | [`files`] | the names of these files |
//! | `settings` | what the files beside the vocabulary say |
//! | `end_token` | [`end_token()`]: the end token that these files name |
//! | `token` | a special or added token, as these files write it |
//! | `class` | which tokenizer class a folder is for |
//! | `classes` | the parts that a class builds anew |
//! | `python` | the added tokens of classes that transformers has in Python only |
//! | `byt5` | bytes, as ByT5 has them |
//! | `dictionary` | fairseq's dictionary with fastBPE's pairs, as PhoBERT and BERTweet have them |
//! | [`afterwards`] | what is done to tokens behind the library |
//! | `fill_in` | the tokens by which a CodeLlama fills in |
//! | `finish` | added tokens, and those around a text |
//! | `truncation` | the end at which texts are truncated |
//! | `token_types` | pairs without token types, where a model gets none |
//! | `source` | a vocabulary: `vocab.txt`, `vocab.json` with `merges.txt` |
//! | `json_file` | a vocabulary: `tokenizer.json` |
//! | `sentencepiece` | a vocabulary: SentencePiece models |
//! | `charsmap` | what is checked in a SentencePiece normaliser table |
//! | `checked` | what is checked in `tokenizer.json` before the library reads it |
//! | `growth` | how much longer its normalizers can make a text |
//! | `decode` | text without the spaces that folders ask to take out |
//! | `definition` | [`TokenizerDefinition`]: a tokenizer as parts in memory |
//! | `parts` | what tokenizers of several kinds have in common, as `tokenizer.json` writes it |
//! | `gguf` | the tokenizer of a GGUF file |
//! | `gguf_splits` | how those of bytes divide a text into words |
//! | `gguf_vocabulary` | the tokens that such a file lists, and what it says about each |
//! | `prepare` | what a task changes |

pub mod afterwards;
mod byt5;
mod charsmap;
mod checked;
mod class;
mod classes;
mod decode;
mod definition;
mod dictionary;
mod end_token;
pub mod files;
mod fill_in;
mod finish;
mod gguf;
mod gguf_splits;
mod gguf_vocabulary;
mod growth;
mod json_file;
mod load;
mod parts;
mod prepare;
mod python;
mod sentencepiece;
mod settings;
mod source;
mod token;
mod token_types;
mod truncation;

pub use definition::{BytePairs, TokenizerDefinition, TokenizerModel, implied_merges};
pub use end_token::end_token;
pub use load::{ModelTokenizer, has_tokenizer, load_tokenizer};
pub(super) use prepare::prepare;
#[cfg(test)]
pub(super) use prepare::tests;
