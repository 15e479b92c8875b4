//! GGUF files: their blocks, their headers, models in them, and what is refused.

mod blocks;
mod config;
mod header;
mod models;
mod smollm2;
mod tokenizers;
