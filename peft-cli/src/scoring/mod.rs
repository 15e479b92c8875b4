//! Predictions of any program, scored against references.
//!
//! | file | contents |
//! |---|---|
//! | `metric` | the metrics by name |
//! | `source` | a file of predictions or references: lines or rows |
//! | `fields` | which field of a row is read |
//! | `cells` | lists of texts that a table holds as text |
//! | `ids` | the ids of rows, and the rows that they join |
//! | `counts` | whether predictions and references are equally many |
//! | `classes` | classes, with their groups |
//! | `column` | a class or a number of each row |
//! | `known` | whether references name classes that predictions know |
//! | `sets` | rows with several classes |
//! | `spelling` | one name for a class that two files spell differently |
//! | `texts` | texts, each with its references |
//! | `tags` | tagged sentences |
//! | `answers` | answers to SQuAD's questions |
//! | `scores` | what a metric says |
//! | `meteor` | METEOR, by its own program |
//! | `report` | class by class, as tables and as JSON |

mod answers;
mod cells;
mod classes;
mod column;
mod counts;
mod fields;
mod ids;
mod known;
mod meteor;
mod metric;
mod report;
mod scores;
mod sets;
mod source;
mod spelling;
mod tags;
mod texts;

pub use classes::ClassArgs;
pub use fields::{FieldArgs, texts_of};
pub use ids::id_text;
pub use known::{check as check_known, listed as listed_classes};
pub use meteor::MeteorArgs;
pub use metric::{Asked, Kind, Metric};
pub use report::{of_classes, of_entities, shown_classes, shown_entities};
pub use scores::{Files, Found, of_texts};
pub use sets::list_of;
pub use source::check_whole;
