//! All integration tests in one binary: it links once, and the models' kernels are compiled once.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod bad_input;
mod cases;
mod comparison;
mod encoder_decoder;
mod families;
mod generation;
mod gguf;
mod gradients;
mod house;
mod hub;
mod interchange;
mod interop;
mod less_memory;
mod methods;
mod metrics;
mod multi_adapter;
mod padding;
mod parity;
mod questions;
mod real;
mod recompute;
mod resume;
mod semantics;
mod support;
mod training;
