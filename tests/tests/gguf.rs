//! GGUF files: their blocks, their headers, and what is refused.

mod blocks;
mod header;
