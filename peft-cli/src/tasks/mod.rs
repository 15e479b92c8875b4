//! Tasks in TOML: `--task-file`.
//!
//! | file | contents |
//! |---|---|
//! | [`task_file`] | what a file says of a task: its rows, templates, classes, files |
//! | [`shipped`] | those that come with the program, TOML files in this folder |
//! | [`layer`] | the settings of a run on top of a task |

pub mod layer;
pub mod shipped;
pub mod task_file;
