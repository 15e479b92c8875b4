//! From a data file to examples.
//!
//! | file | what it is |
//! |---|---|
//! | `read` | [`read_records`]: JSON Lines, CSV and TSV |
//! | `squad` | the layout of SQuAD's own files |
//! | `record` | [`Record`]: one line, with getters that say what is wrong and where |
//! | `labels` | [`collect_labels`]: the classes of a file |
//! | `template` | [`Template`]: texts made from a record's fields |
//! | `tokenizer` | [`load_tokenizer`]: a folder's tokenizer, or one of parts in memory |
//! | `end_token` | [`end_token()`]: the end token that a tokenizer's files name |
//! | `encode` | [`Encoder`]: records become [`Example`](crate::data::Example)s |

mod encode;
mod end_token;
mod labels;
mod read;
mod record;
mod squad;
mod template;
mod tokenizer;

pub use encode::{Encoded, Encoder, EncoderConfig};
pub use end_token::end_token;
pub use labels::{collect_labels, label_text};
pub use read::read_records;
pub use record::Record;
pub use template::Template;
pub use tokenizer::{
    BytePairs, TokenizerDefinition, TokenizerModel, implied_merges, load_tokenizer,
};
