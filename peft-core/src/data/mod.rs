//! From a data file to batches of examples.
//!
//! | file | holds |
//! |---|---|
//! | `read` | [`read_records`]: JSON lines, CSV and TSV |
//! | `squad` | the layout of SQuAD's own files |
//! | `record` | [`Record`]: one line, with getters that say what is wrong and where |
//! | `template` | [`Template`]: texts made from a record's fields |
//! | `labels` | [`Labels`]: the classes and their order |
//! | `tokenizer` | [`load_tokenizer`] |
//! | `encode` | [`Encoder`]: records become examples |
//! | `example` | [`Example`]: token ids and [`Target`] |
//! | `passage` | [`Passage`] and [`Window`]: where a question's answer is looked for |
//! | `sampler` | [`Sampler`]: which rows make up which batch |

mod encode;
mod example;
mod labels;
mod passage;
mod read;
mod record;
mod sampler;
mod squad;
mod template;
mod tokenizer;
mod tokenizer_file;

pub use encode::{Encoded, Encoder, EncoderConfig};
pub use example::{Example, IGNORE, Target};
pub use labels::{Labels, collect_labels, label_text};
pub use passage::{Excerpt, Passage, Window};
pub use read::read_records;
pub use record::Record;
pub use sampler::{MAX_BATCH_SIZE, Order, Sampler, eval_batches};
pub use template::Template;
pub use tokenizer::load_tokenizer;
