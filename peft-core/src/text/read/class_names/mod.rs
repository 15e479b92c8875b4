//! The names of classes, where rows have their numbers: what `datasets` writes into Parquet files and beside the data.
//!
//! | file | what it is |
//! |---|---|
//! | `features` | the description of columns in JSON: in Parquet files, `dataset_infos.json` and `dataset_info.json` |
//! | `yaml` | YAML as JSON |
//! | `card` | the description of columns at the top of a data set's `README.md` |
//! | `splits` | the parts that a card makes of a folder's files |
//! | `configs` | the configurations of a data set: which one a file belongs to, or what all of them say |
//! | `beside` | [`Beside`]: what stands beside a file, for its records |

mod beside;
mod card;
mod configs;
mod features;
mod splits;
mod yaml;

pub(super) use beside::Beside;
#[cfg(feature = "parquet")]
pub(super) use features::of_metadata;
pub(super) use splits::splits_of;
