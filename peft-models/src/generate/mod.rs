//! Continuing rows of tokens: greedily, by sampling, with beams.
//!
//! The K/V cache begins with the virtual tokens. A soft prompt of a causal model is turned into keys and values once
//! (prefill) and never added again; from then on a prompt, a prefix and the tokens generated so far are all one cache.
//! An encoder-decoder reads its rows with the encoder, virtual tokens included, and its decoder starts from one token.
//! The output is that of transformers, without its padding.
//!
//! | file | what it holds |
//! |---|---|
//! | `rows` | [`generate`], [`greedy`]: all rows, batch by batch |
//! | `likelihood` | [`log_likelihoods`]: how likely given continuations are |
//! | `config` | [`GenerateConfig`]: the settings |
//! | `strategy` | [`Strategy`]: how a token is chosen, with [`Sampling`] and [`Beams`] |
//! | `special_tokens` | [`GenerateConfig::for_model`], [`trained_start`]: the special tokens of a model's folder |
//! | `generation_config` | [`GenerationDefaults`]: what a model's `generation_config.json` asks for |
//! | `end_tokens` | [`EndTokens`]: the tokens that end a text, and the file that names them |
//! | `output` | [`Generated`], and [`Watcher`], which follows generation |
//! | `batch` | rows that are continued together |
//! | `decoder` | a model that reads one token per row after another |
//! | `scores` | what changes the scores of the next token: penalties, suppressed and forced tokens |
//! | `steps` | greedy generation and sampling |
//! | `sample` | drawing a token |
//! | `beams` | beam search |

mod batch;
mod beams;
mod config;
mod decoder;
mod end_tokens;
mod generation_config;
mod likelihood;
mod output;
mod rows;
mod sample;
mod scores;
mod special_tokens;
mod steps;
mod strategy;

pub use config::GenerateConfig;
pub use end_tokens::EndTokens;
pub use generation_config::{BeamDefaults, GenerationDefaults};
pub use likelihood::log_likelihoods;
pub use output::{Generated, Watcher};
pub use rows::{check_generates, generate, greedy};
pub use special_tokens::trained_start;
pub use strategy::{Beams, EarlyStopping, Sampling, Strategy};
