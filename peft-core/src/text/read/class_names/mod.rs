//! The names of classes, where rows have their numbers: what `datasets` writes into Parquet files and beside the data.
//!
//! | file | what it is |
//! |---|---|
//! | `features` | the description of columns in JSON: in Parquet files, `dataset_infos.json` and `dataset_info.json` |
//! | `yaml` | YAML as JSON |
//! | `card` | the description of columns at the top of a data set's `README.md` |
//! | `configs` | the configurations of a data set: which one a file belongs to, or what all of them say |
//! | `beside` | [`Beside`]: what stands beside a file, for its records |

mod beside;
mod card;
mod configs;
mod features;
mod yaml;

pub(super) use beside::Beside;
pub(super) use card::splits_of;
#[cfg(feature = "parquet")]
pub(super) use features::of_metadata;
