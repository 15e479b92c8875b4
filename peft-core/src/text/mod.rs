//! From a data file to examples.
//!
//! | file | what it is |
//! |---|---|
//! | `read` | [`Records`]: the rows of JSON, CSV and TSV files |
//! | `squad` | the layout of SQuAD's own files |
//! | `record` | [`Record`]: one line, with getters that say what is wrong and where |
//! | `path` | names that reach into objects and lists |
//! | `fields` | [`FieldNames`]: what the fields of a row are called |
//! | `detect` | [`find_fields`]: which fields of a file are read |
//! | `labels` | [`collect_labels`]: the classes of a file |
//! | `json_value` | where a JSON value ends, and what Python writes that is not JSON |
//! | `list_text` | [`list_in_text`], [`value_in_text`]: lists and objects that a table holds as text; [`is_numpy_list`]: lists that are not read |
//! | `python_text` | literals of Python as JSON |
//! | `ordered` | [`Ordered`]: JSON whose objects keep the order of the file |
//! | `chat` | [`ChatSource`]: conversations, rendered by a model's chat template |
//! | `values` | scores, and lists of classes |
//! | `steps` | [`Steps`]: changes to rows before a task reads them |
//! | `template` | [`Template`]: texts made from a record's fields |
//! | `tokenizer` | [`load_tokenizer`]: a folder's tokenizer, or one of parts in memory |
//! | `encode` | [`Encoder`]: records become [`Example`](crate::data::Example)s |

mod chat;
mod detect;
mod encode;
mod fields;
mod json_value;
mod labels;
mod list_text;
mod ordered;
mod path;
mod python_text;
mod read;
mod record;
mod squad;
mod steps;
mod template;
mod tokenizer;
mod values;

pub use chat::{ChatSource, Clock};
pub use detect::{FIRST_ROWS, FoundFields, Wanted, find_fields};
pub use encode::{Encoded, Encoder, EncoderConfig, Needs, Supplies};
pub use fields::{FieldNames, Role};
pub use labels::{
    LabelRenames, Renamed, are_class_numbers, collect_labels, is_boolean, is_same_class,
    is_unlabelled, label_text, one_spelling, renumbered,
};
pub use list_text::{is_numpy_list, list_in_text, value_in_text};
pub use ordered::Ordered;
pub use read::{
    Content, FoundFiles, ReadOptions, Records, content, find_files, read_records, text_lines,
};
pub use record::{Aside, ClassNames, Record};
pub use steps::{IdleStep, Steps};
pub use template::Template;
pub use tokenizer::{
    BytePairs, ModelTokenizer, TokenizerDefinition, TokenizerModel, afterwards, end_token,
    files as tokenizer_files, has_tokenizer, implied_merges, load_tokenizer,
};
pub use values::{classes_of, collect_classes};
