//! The commands, one file each: its flags and what it does.

pub mod compare;
pub mod completions;
pub mod convert;
pub mod demo;
pub mod eval;
pub mod forward;
pub mod generate;
pub mod info;
pub mod inspect;
pub mod man;
pub mod merge;
pub mod plan;
pub mod predict;
pub mod recipes;
pub mod score;
pub mod selftest;
pub mod similarity;
pub mod sweep;
pub mod tasks;
pub mod train;
