//! All integration tests in one binary: one link, and the models' kernels are compiled once.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod bad_input;
mod generation;
mod gradients;
mod hub;
mod interop;
mod methods;
mod mixture;
mod parity;
mod real;
mod resume;
mod semantics;
mod support;
mod training;
