//! What people brought, from `shared/cases`: the program reads it right, or says what it is.

mod adapter_paths;
mod base_configs;
mod base_weights;
mod chat;
mod checkpoints;
mod data_files;
mod data_sets;
mod end_token;
mod field_names;
mod generated_text;
mod label_values;
mod lfs_pointers;
mod long_rows;
mod questions;
mod tokens;
