//! The tasks that come with the program, each a TOML file in this folder.

/// The name of a task and its file.
macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        /// Names and TOML texts, in the order of names.
        pub const SHIPPED: &[(&str, &str)] = &[$(($name, include_str!(concat!($name, ".toml")))),*];
    };
}

shipped![
    "conll",
    "dart",
    "e2e",
    "glue-cola",
    "glue-mnli",
    "glue-mrpc",
    "glue-qnli",
    "glue-qqp",
    "glue-rte",
    "glue-sst2",
    "glue-stsb",
    "glue-wnli",
    "snips-intent",
    "squad",
    "squad-v2",
    "srl",
    "superglue-boolq",
    "superglue-cb",
    "superglue-copa",
    "superglue-multirc",
    "superglue-record",
    "superglue-rte",
    "superglue-wic",
    "superglue-wsc",
    "superglue-wsc-referent",
    "webnlg",
    "xsum",
];
